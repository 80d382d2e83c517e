#include "api/api_wait.h"

#include "base/clock.h"
#include "base/thread.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A departed client is noticed within this time. */
static const double LOOK_SECONDS = 1;

/* One who waits; on its own stack, in the list while it sleeps. */
struct sleeper {
    struct sleeper *next;
    const char *id;
    pthread_cond_t woken;
    bool wake;
};

enum { MARKS = 64 }; /* jobs whose last change is remembered, by a hash of the id */

struct api_wait {
    pthread_mutex_t lock;

    /* Guarded by lock. */
    struct sleeper *sleepers;
    uint64_t now;         /* counts changes */
    uint64_t last[MARKS]; /* the last change of any job with this hash */
    bool stop;
};

bool api_wait_open(struct api_wait **out, struct error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return error_set(err, ERROR_MEMORY, "no memory to wait for jobs");
    pthread_mutex_init(&(*out)->lock, NULL);
    return true;
}

void api_wait_close(struct api_wait *w)
{
    if (w)
        pthread_mutex_destroy(&w->lock);
    free(w);
}

static size_t mark_of(const char *id)
{
    size_t h = 5381;
    for (; *id; id++)
        h = h * 33 + (unsigned char)*id;
    return h % MARKS;
}

void api_wait_changed(void *ctx, const char *id)
{
    struct api_wait *w = ctx;

    pthread_mutex_lock(&w->lock);
    w->last[mark_of(id)] = ++w->now;
    for (struct sleeper *s = w->sleepers; s; s = s->next)
        if (strcmp(s->id, id) == 0) {
            s->wake = true;
            pthread_cond_signal(&s->woken);
        }
    pthread_mutex_unlock(&w->lock);
}

void api_wait_stop(struct api_wait *w)
{
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    for (struct sleeper *s = w->sleepers; s; s = s->next) {
        s->wake = true;
        pthread_cond_signal(&s->woken);
    }
    pthread_mutex_unlock(&w->lock);
}

uint64_t api_wait_mark(struct api_wait *w)
{
    pthread_mutex_lock(&w->lock);
    uint64_t now = w->now;
    pthread_mutex_unlock(&w->lock);
    return now;
}

/* Sleeps until the job changes after `since`, or so many seconds are over; true: it changed. */
static bool sleep_once(struct api_wait *w, const char *id, uint64_t since, double seconds,
                       bool *stopping)
{
    struct sleeper me = {.id = id};
    struct timespec until;
    bool changed;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }

    pthread_cond_init(&me.woken, NULL);
    pthread_mutex_lock(&w->lock);
    changed = w->last[mark_of(id)] > since;
    if (!changed && !w->stop) {
        me.next = w->sleepers;
        w->sleepers = &me;
        while (!me.wake && pthread_cond_timedwait(&me.woken, &w->lock, &until) == 0)
            ;
        struct sleeper **at = &w->sleepers;
        while (*at != &me)
            at = &(*at)->next;
        *at = me.next;
        changed = me.wake;
    }
    *stopping = w->stop;
    pthread_mutex_unlock(&w->lock);
    pthread_cond_destroy(&me.woken);
    return changed && !*stopping;
}

enum api_wait_end api_wait_for_change(struct api_wait *w, const struct http_request *r,
                                      const char *id, uint64_t since, double seconds)
{
    double end = clock_seconds() + seconds;

    for (;;) {
        bool stopping;
        double left = seconds < 0 ? LOOK_SECONDS : end - clock_seconds();
        if (left <= 0)
            return API_WAIT_TIME;
        bool changed =
            sleep_once(w, id, since, left < LOOK_SECONDS ? left : LOOK_SECONDS, &stopping);
        if (stopping)
            return API_WAIT_STOPPING;
        /* Asked after changes too: a busy job changes more often than once in LOOK_SECONDS. */
        if (http_request_client_is_gone(r))
            return API_WAIT_CLIENT_GONE;
        if (changed)
            return API_WAIT_ENDED;
    }
}

bool api_wait_for_end(struct api_call *call, enum api_wait_end *out, struct job *job,
                      const char *id, double seconds, struct error *err)
{
    struct api_wait *w = call->api->wait;
    double end = clock_seconds() + seconds;

    for (;;) {
        uint64_t mark = api_wait_mark(w);
        job_clear(job);
        if (!job_queue_get(call->api->queue, job, id, err))
            return false;
        if (job_is_final(job->state)) {
            *out = API_WAIT_ENDED;
            return true;
        }
        double left = seconds < 0 ? -1 : end - clock_seconds();
        if (seconds >= 0 && left <= 0) {
            *out = API_WAIT_TIME;
            return true;
        }
        *out = api_wait_for_change(w, call->request, id, mark, left);
        if (*out == API_WAIT_CLIENT_GONE || *out == API_WAIT_STOPPING)
            return true;
    }
}
