#include "http/http_deadline.h"

#include "base/clock.h"
#include "base/thread.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

struct http_deadline_place {
    int fd;      /* below 0: free */
    double when; /* clock_seconds; 0: none */
};

struct http_deadline {
    pthread_t thread;
    bool has_thread;
    int n_places;
    pthread_mutex_t lock;
    pthread_cond_t changed;

    /* Guarded by lock. */
    bool stop;
    struct http_deadline_place *places;
    double asleep_until; /* what the thread waits for; 0: for a change */
};

/* Shuts what is due and returns the next moment, or 0. */
static double cut_due_locked(struct http_deadline *d)
{
    double now = clock_seconds(), next = 0;

    for (int i = 0; i < d->n_places; i++) {
        struct http_deadline_place *p = &d->places[i];
        if (p->fd < 0 || p->when <= 0)
            continue;
        if (p->when <= now) {
            shutdown(p->fd, SHUT_RDWR);
            p->when = 0;
        } else if (next <= 0 || p->when < next) {
            next = p->when;
        }
    }
    return next;
}

static void *watch(void *arg)
{
    struct http_deadline *d = arg;

    pthread_mutex_lock(&d->lock);
    while (!d->stop) {
        double next = cut_due_locked(d);
        d->asleep_until = next;
        if (next <= 0) {
            pthread_cond_wait(&d->changed, &d->lock);
            continue;
        }
        /* Conditions wait for the wall clock (macOS has no other); a jump of it only makes the loop
         * look once more. */
        struct timespec until;
        double wait = next - clock_seconds();
        if (wait < 0.01)
            wait = 0.01;
        if (wait > 3600)
            wait = 3600;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)wait;
        until.tv_nsec += (long)((wait - (double)(time_t)wait) * 1e9);
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&d->changed, &d->lock, &until);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

bool http_deadline_open(struct http_deadline **out, int max_places, struct error *err)
{
    struct http_deadline *d = calloc(1, sizeof *d);

    *out = NULL;
    if (!d)
        return error_set(err, ERROR_MEMORY, "no memory for the server's connections");
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    d->n_places = max_places;
    d->places = calloc((size_t)max_places, sizeof *d->places);
    if (!d->places) {
        http_deadline_close(d);
        return error_set(err, ERROR_MEMORY, "no memory for the server's connections");
    }
    for (int i = 0; i < max_places; i++)
        d->places[i].fd = -1;
    if (!thread_start(&d->thread, watch, d, 64 << 10, err)) {
        http_deadline_close(d);
        return false;
    }
    d->has_thread = true;
    *out = d;
    return true;
}

void http_deadline_close(struct http_deadline *d)
{
    if (!d)
        return;
    if (d->has_thread) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_signal(&d->changed);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
    }
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d->places);
    free(d);
}

struct http_deadline_place *http_deadline_take(struct http_deadline *d, int fd)
{
    struct http_deadline_place *found = NULL;

    pthread_mutex_lock(&d->lock);
    for (int i = 0; i < d->n_places && !found; i++)
        if (d->places[i].fd < 0)
            found = &d->places[i];
    if (found)
        *found = (struct http_deadline_place){.fd = fd};
    pthread_mutex_unlock(&d->lock);
    return found;
}

void http_deadline_give(struct http_deadline *d, struct http_deadline_place *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&d->lock);
    *p = (struct http_deadline_place){.fd = -1};
    pthread_mutex_unlock(&d->lock);
}

void http_deadline_set(struct http_deadline *d, struct http_deadline_place *p, double seconds)
{
    if (!p)
        return;
    pthread_mutex_lock(&d->lock);
    p->when = seconds > 0 ? clock_seconds() + seconds : 0;
    /* Woken only for what comes before what it waits for: most moments are later ones. */
    if (p->when > 0 && (d->asleep_until <= 0 || p->when < d->asleep_until)) {
        d->asleep_until = p->when;
        pthread_cond_signal(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
}
