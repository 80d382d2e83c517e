#include "supervisor/supervisor.h"

#include "base/thread.h"
#include "supervisor/supervisor_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct supervisor_options defaults = {
    .first_backoff_seconds = 0.25,
    .longest_backoff_seconds = 30,
    .silence_seconds = 120,
    .planner_idle_seconds = 60,
};

static double or_default(double value, double otherwise)
{
    return value > 0 ? value : otherwise;
}

static void fill_options(struct supervisor *s, const struct supervisor_options *o)
{
    struct supervisor_options *mine = &s->options;

    *mine = *o;
    s->settings = *o->settings;
    mine->settings = &s->settings;
    mine->first_backoff_seconds =
        or_default(o->first_backoff_seconds, defaults.first_backoff_seconds);
    mine->longest_backoff_seconds =
        or_default(o->longest_backoff_seconds, defaults.longest_backoff_seconds);
    mine->silence_seconds = or_default(o->silence_seconds, defaults.silence_seconds);
    mine->planner_idle_seconds = or_default(o->planner_idle_seconds, defaults.planner_idle_seconds);
    s->status.seconds_left = -1;
}

static bool open_pipe(int fds[2], struct error *err)
{
    if (pipe(fds) != 0)
        return error_set_errno(err, errno, "cannot make a pipe");
    for (int i = 0; i < 2; i++) {
        const int flags = fcntl(fds[i], F_GETFL);
        if (flags < 0 || fcntl(fds[i], F_SETFL, flags | O_NONBLOCK) != 0 ||
            fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0) {
            error_set_errno(err, errno, "cannot set up a pipe");
            close(fds[0]);
            close(fds[1]);
            return false;
        }
    }
    return true;
}

bool supervisor_open(struct supervisor **out, const struct supervisor_options *o, struct error *err)
{
    struct supervisor *s = calloc(1, sizeof *s);

    *out = NULL;
    if (!s)
        return error_set(err, ERROR_MEMORY, "no memory for a supervisor");
    fill_options(s, o);
    if (!open_pipe(s->wake, err)) {
        free(s);
        return false;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->answered, NULL);
    if (thread_start(&s->thread, supervisor_loop, s, 0, err)) {
        *out = s;
        return true;
    }
    close(s->wake[0]);
    close(s->wake[1]);
    pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->lock);
    free(s);
    return false;
}

void supervisor_stop(struct supervisor *s, double grace_seconds)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    if (!s->stopping)
        s->grace_seconds = grace_seconds > 0 ? grace_seconds : 0;
    s->stopping = s->status.stopping = true;
    pthread_mutex_unlock(&s->lock);
    supervisor_wake(s);
}

void supervisor_close(struct supervisor *s, double grace_seconds)
{
    if (!s)
        return;
    supervisor_stop(s, grace_seconds);
    pthread_join(s->thread, NULL);
    close(s->wake[0]);
    close(s->wake[1]);
    pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* A full pipe wakes as well as one more byte. */
void supervisor_wake(struct supervisor *s)
{
    ssize_t n;

    do {
        n = write(s->wake[1], "", 1);
    } while (n < 0 && errno == EINTR);
}

static void wish(struct supervisor *s, enum supervisor_wish what, const char *id)
{
    pthread_mutex_lock(&s->lock);
    /* One that comes late, of a job that is over, does not push out the running job's. */
    if (!s->wishes[what][0] || strcmp(s->wishes[what], s->status.job) != 0)
        job_set_text(s->wishes[what], sizeof s->wishes[what], id);
    pthread_mutex_unlock(&s->lock);
    supervisor_wake(s);
}

bool supervisor_cancel(struct supervisor *s, const char *id, enum job_queue_cancel *how,
                       struct error *err)
{
    enum job_queue_cancel what;

    if (!job_queue_cancel(s->options.queue, &what, id, err))
        return false;
    if (what == JOB_QUEUE_CANCEL_ASKED)
        wish(s, SUPERVISOR_CANCEL, id);
    if (how)
        *how = what;
    return true;
}

/* Of the running job only; a wish for another one would be dropped by the thread. */
static bool wish_of_running(struct supervisor *s, enum supervisor_wish what, const char *id)
{
    char running[JOB_ID_BYTES];

    pthread_mutex_lock(&s->lock);
    memcpy(running, s->status.job, sizeof running);
    pthread_mutex_unlock(&s->lock);
    if (!running[0] || (id && strcmp(id, running) != 0))
        return false;
    wish(s, what, running);
    return true;
}

bool supervisor_interrupt(struct supervisor *s, const char *id)
{
    return wish_of_running(s, SUPERVISOR_INTERRUPT, id);
}

bool supervisor_skip(struct supervisor *s, const char *id)
{
    return wish_of_running(s, SUPERVISOR_SKIP, id);
}

void supervisor_status(struct supervisor *s, struct supervisor_status *out)
{
    pthread_mutex_lock(&s->lock);
    *out = s->status;
    pthread_mutex_unlock(&s->lock);
}
