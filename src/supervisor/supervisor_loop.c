/* The supervisor's thread: one loop over two channels, a pipe that wakes it, and a few deadlines.
 */
#include "base/clock.h"
#include "supervisor/supervisor_internal.h"
#include "supervisor/supervisor_protocol.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const double expire_seconds = 60, busy_seconds = 1, end_seconds = 2;

static const char *const wish_names[SUPERVISOR_WISHES] = {"cancel", "interrupt", "skip"};

static bool is_busy(const struct supervisor *s)
{
    return s->job[0] && !s->ending.doc;
}

static void publish(struct supervisor *s)
{
    pthread_mutex_lock(&s->lock);
    s->status.worker_pid = (int)s->worker.pid;
    s->status.worker_up = s->worker.ready;
    s->status.planner_pid = (int)s->planner.pid;
    pthread_mutex_unlock(&s->lock);
}

/* Starts a process and tells it its settings. */
static bool start(struct supervisor *s, struct supervisor_process *p, const char *role)
{
    const struct supervisor_options *o = &s->options;
    struct error err = {0};
    json_t *doc = NULL;

    bool ok = supervisor_process_start(p, role, o->program, o->arguments, &err);
    if (ok && supervisor_protocol_settings(&doc, role, &s->settings, &err))
        supervisor_process_tell(p, doc);
    json_decref(doc);
    if (ok)
        log_event(o->log, LOG_INFO, "process_started", "role=%s pid=%d", role, (int)p->pid);
    else
        log_event(o->log, LOG_ERROR, "process_not_started", "role=%s reason=\"%.300s\"", role,
                  err.text);
    publish(s);
    return ok;
}

static void back_off(struct supervisor *s)
{
    const struct supervisor_options *o = &s->options;

    s->backoff_seconds = s->backoff_seconds > 0
                             ? fmin(2 * s->backoff_seconds, o->longest_backoff_seconds)
                             : o->first_backoff_seconds;
    s->start_again = clock_seconds() + s->backoff_seconds;
}

static void keep_worker(struct supervisor *s)
{
    if (s->worker.pid || s->stop_deadline > 0 || clock_seconds() < s->start_again)
        return;
    if (!start(s, &s->worker, "worker"))
        back_off(s);
}

/* The worker is gone, or has to go. */
static void bury_worker(struct supervisor *s, bool give_back)
{
    char reason[SUPERVISOR_PROCESS_REASON_BYTES];
    bool out_of_memory;
    const int pid = (int)s->worker.pid;

    if (pid == 0)
        return;
    supervisor_process_end(&s->worker, end_seconds, reason, &out_of_memory);
    if (!s->stop_sent)
        log_event(s->options.log, LOG_WARN, "worker_ended", "pid=%d reason=\"%s\"", pid, reason);
    back_off(s);
    pthread_mutex_lock(&s->lock);
    s->status.restarts += !s->stop_sent;
    snprintf(s->status.last_death, sizeof s->status.last_death, "%s", reason);
    s->status.model[0] = 0;
    s->status.resident_bytes = 0;
    pthread_mutex_unlock(&s->lock);
    publish(s);
    supervisor_jobs_lost(s, reason, out_of_memory, give_back);
    supervisor_asks_lost(s, false, false, reason);
}

static void bury_planner(struct supervisor *s)
{
    char reason[SUPERVISOR_PROCESS_REASON_BYTES];
    const bool was_ready = s->planner.ready;
    bool ignored;

    supervisor_process_end(&s->planner, end_seconds, reason, &ignored);
    publish(s);
    supervisor_asks_lost(s, true, !was_ready, reason);
}

static void hear_alive(struct supervisor *s, struct supervisor_process *p, const json_t *doc)
{
    const double ticks = supervisor_protocol_number(doc, "ticks", 0);
    const double resident = supervisor_protocol_number(doc, "resident_bytes", 0);
    const double cpu = supervisor_protocol_number(doc, "cpu_seconds", 0);

    /* A large operation takes minutes.  Once the job is not wanted any more, computing is no
     * excuse. */
    if (ticks != p->ticks || !is_busy(s) || (cpu != p->cpu_seconds && !s->cancelling))
        p->sign = clock_seconds();
    p->ticks = ticks;
    p->cpu_seconds = cpu;
    if (p != &s->worker)
        return;
    pthread_mutex_lock(&s->lock);
    s->status.resident_bytes = resident > 0 ? (uint64_t)resident : 0;
    job_set_text(s->status.model, sizeof s->status.model, supervisor_protocol_text(doc, "model"));
    pthread_mutex_unlock(&s->lock);
}

static void hear_ready(struct supervisor *s, struct supervisor_process *p, const json_t *doc)
{
    const char *confinement = supervisor_protocol_text(doc, "confinement");

    p->ready = true;
    p->sign = clock_seconds();
    publish(s);
    if (p != &s->worker)
        return;
    pthread_mutex_lock(&s->lock);
    job_set_text(s->status.confinement, sizeof s->status.confinement, confinement);
    pthread_mutex_unlock(&s->lock);
}

static void hear(struct supervisor *s, struct supervisor_process *p, const json_t *doc)
{
    const char *is = supervisor_protocol_text(doc, "is");

    if (strcmp(is, "ready") == 0)
        hear_ready(s, p, doc);
    else if (strcmp(is, "alive") == 0)
        hear_alive(s, p, doc);
    else if (strcmp(is, "answer") == 0)
        supervisor_asks_hear(s, doc);
    else if (p == &s->worker)
        supervisor_jobs_hear(s, doc, is);
}

/* Everything that has come.  False: the process is gone, or talks nonsense and is ended. */
static bool listen(struct supervisor *s, struct supervisor_process *p)
{
    for (;;) {
        enum channel_got got;
        struct json doc;
        struct error err = {0};
        if (!channel_read(p->channel, &got, &doc, &err)) {
            char reason[SUPERVISOR_PROCESS_REASON_BYTES];
            snprintf(reason, sizeof reason, "it said what cannot be understood: %.180s", err.text);
            supervisor_process_kill(p, reason);
            return false;
        }
        if (got != CHANNEL_DOCUMENT)
            return got == CHANNEL_NOTHING;
        hear(s, p, doc.root);
        json_clear(&doc);
    }
}

/* Cancel, interrupt, skip: of the job that runs, or of none. */
static void pass_on_wishes(struct supervisor *s)
{
    for (int i = 0; i < SUPERVISOR_WISHES; i++) {
        char id[JOB_ID_BYTES];
        pthread_mutex_lock(&s->lock);
        memcpy(id, s->wishes[i], sizeof id);
        s->wishes[i][0] = 0;
        pthread_mutex_unlock(&s->lock);
        if (!id[0] || strcmp(id, s->job) != 0)
            continue;
        s->cancelling = s->cancelling || i == SUPERVISOR_CANCEL;
        json_t *doc = json_pack("{s:s, s:s}", "op", wish_names[i], "id", id);
        supervisor_process_tell(&s->worker, doc);
        json_decref(doc);
    }
}

static void keep_planner(struct supervisor *s)
{
    const bool asked = supervisor_asks_any(s, true);
    json_t *stop;

    if (!s->planner.pid) {
        if (asked && !start(s, &s->planner, "planner")) {
            /* Questions come one at a time: one failed start fails those that wait. */
            supervisor_asks_lost(s, true, true, "the planner cannot be started");
        }
        s->planner_used = clock_seconds();
        return;
    }
    if (asked)
        s->planner_used = clock_seconds();
    if (clock_seconds() - s->planner_used < s->options.planner_idle_seconds)
        return;
    stop = json_pack("{s:s}", "op", "stop");
    supervisor_process_tell(&s->planner, stop);
    json_decref(stop);
    bury_planner(s);
}

/* A process that should move and does not is ended. */
static void watch(struct supervisor *s)
{
    struct supervisor_process *const all[] = {&s->worker, &s->planner};
    const double silence = s->options.silence_seconds;
    char reason[80];

    snprintf(reason, sizeof reason, "it gave no sign of life for %.10g seconds", silence);
    for (int i = 0; i < 2; i++) {
        struct supervisor_process *p = all[i];
        /* The planner says nothing while it has nothing to do. */
        const bool should_move = p->pid && (!p->ready || p == &s->worker);
        if (should_move && clock_seconds() - p->sign > silence)
            supervisor_process_kill(p, reason);
    }
}

static void expire(struct supervisor *s)
{
    struct error err = {0};

    if (clock_seconds() < s->expire_again)
        return;
    s->expire_again = clock_seconds() + expire_seconds;
    if (!job_queue_expire(s->options.queue, NULL, &err))
        log_event(s->options.log, LOG_WARN, "retention", "reason=\"%.300s\"", err.text);
}

/* On the way out.  True: nothing is left to wait for. */
static bool wind_up(struct supervisor *s)
{
    pthread_mutex_lock(&s->lock);
    const bool stopping = s->stopping;
    const double grace = s->grace_seconds;
    pthread_mutex_unlock(&s->lock);
    if (!stopping)
        return false;
    if (s->stop_deadline <= 0)
        s->stop_deadline = clock_seconds() + grace;
    supervisor_asks_end(s);
    return !s->job[0] || clock_seconds() >= s->stop_deadline;
}

static void end_all(struct supervisor *s)
{
    json_t *stop = json_pack("{s:s}", "op", "stop");
    const bool unfinished = s->job[0] != 0;

    s->stop_sent = true;
    if (unfinished) /* its next attempt may begin at once, so this one must be over */
        supervisor_process_kill(&s->worker, "the server is stopping");
    else if (s->worker.pid)
        supervisor_process_tell(&s->worker, stop);
    if (s->planner.pid)
        supervisor_process_tell(&s->planner, stop);
    json_decref(stop);
    bury_worker(s, true);
    bury_planner(s);
    s->ending.again = 0;
    supervisor_jobs_settle(s);
}

static double earliest(const struct supervisor *s)
{
    const double now = clock_seconds();
    double wait = s->expire_again - now;

    if (s->job[0] || s->claim_again > 0 || (s->worker.pid && !s->worker.ready) ||
        s->stop_deadline > 0)
        wait = fmin(wait, busy_seconds);
    if (s->stop_deadline > 0)
        wait = fmin(wait, s->stop_deadline - now);
    if (!s->worker.pid)
        wait = fmin(wait, s->start_again - now);
    if (s->planner.pid)
        wait =
            fmin(wait, fmax(busy_seconds, s->planner_used + s->options.planner_idle_seconds - now));
    return fmax(0, wait);
}

static void wait_and_listen(struct supervisor *s)
{
    struct pollfd p[3] = {{.fd = s->wake[0], .events = POLLIN},
                          {.fd = -1, .events = POLLIN},
                          {.fd = -1, .events = POLLIN}};
    char drain[64];

    if (s->worker.channel)
        p[1].fd = channel_fd(s->worker.channel);
    if (s->planner.channel)
        p[2].fd = channel_fd(s->planner.channel);
    if (poll(p, 3, (int)(1000 * earliest(s)) + 1) <= 0)
        return;
    while (p[0].revents && read(s->wake[0], drain, sizeof drain) > 0)
        ;
    if (p[1].revents && !listen(s, &s->worker))
        bury_worker(s, false);
    if (p[2].revents && !listen(s, &s->planner))
        bury_planner(s);
}

void *supervisor_loop(void *supervisor)
{
    struct supervisor *s = supervisor;

    while (!wind_up(s)) {
        keep_worker(s);
        keep_planner(s);
        supervisor_jobs_settle(s);
        supervisor_jobs_take(s);
        pass_on_wishes(s);
        supervisor_asks_send(s);
        watch(s);
        expire(s);
        wait_and_listen(s);
    }
    end_all(s);
    return NULL;
}
