/* Questions to the worker and the planner, and the threads that wait for the answers. */
#include "base/clock.h"
#include "supervisor/supervisor_internal.h"
#include "supervisor/supervisor_protocol.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double look_seconds = 0.25; /* between looks at who waits */

static const struct {
    const char *what;
    bool for_planner;
} whats[] = {
    {"plan", true},
    {"memory", false},
    {"unload", false},
};

static bool find_what(const char *what, bool *for_planner)
{
    for (size_t i = 0; i < sizeof whats / sizeof whats[0]; i++)
        if (strcmp(what, whats[i].what) == 0) {
            *for_planner = whats[i].for_planner;
            return true;
        }
    return false;
}

static void remove_locked(struct supervisor *s, struct supervisor_ask *ask)
{
    for (struct supervisor_ask **p = &s->asks; *p; p = &(*p)->next)
        if (*p == ask) {
            *p = ask->next;
            s->n_asks--;
            return;
        }
}

/* Puts the question at the end of the line. */
static bool add(struct supervisor *s, struct supervisor_ask *ask, struct error *err)
{
    bool ok = false;

    pthread_mutex_lock(&s->lock);
    if (s->stopping)
        error_set(err, ERROR_BUSY, "the server is stopping");
    else if (s->n_asks >= SUPERVISOR_MAX_ASKS)
        error_set(err, ERROR_BUSY, "%d questions wait for an answer already", s->n_asks);
    else
        ok = true;
    if (ok) {
        struct supervisor_ask **last = &s->asks;
        while (*last)
            last = &(*last)->next;
        *last = ask;
        s->n_asks++;
        ask->n = ++s->last_n;
        json_object_set_new(ask->doc, "n", json_integer(ask->n));
        if (ask->for_planner)
            json_object_set_new(ask->doc, "worker_bytes",
                                json_integer((json_int_t)s->status.resident_bytes));
    }
    pthread_mutex_unlock(&s->lock);
    return ok;
}

/* Conditions wait for a time of day; the deadline itself is not moved by changes of the clock. */
static void wait_locked(struct supervisor *s, double seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    const double whole = floor(seconds);
    until.tv_sec += (time_t)whole;
    until.tv_nsec += (long)((seconds - whole) * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&s->answered, &s->lock, &until);
}

static bool wait_for(struct supervisor *s, struct supervisor_ask *ask,
                     const struct supervisor_patience *p, struct error *err)
{
    const double deadline = clock_seconds() + p->timeout_ms * 1e-3;
    bool gone = false;

    pthread_mutex_lock(&s->lock);
    while (!ask->answered && !gone && clock_seconds() < deadline) {
        wait_locked(s, fmin(look_seconds, fmax(0.001, deadline - clock_seconds())));
        if (ask->answered || !p->is_gone)
            continue;
        pthread_mutex_unlock(&s->lock);
        gone = p->is_gone(p->ctx);
        pthread_mutex_lock(&s->lock);
    }
    remove_locked(s, ask);
    const bool is_left = ask->sent && !ask->answered && ask->for_planner;
    if (is_left)
        s->unwanted = ask->n;
    pthread_mutex_unlock(&s->lock);
    if (is_left)
        supervisor_wake(s);
    if (gone && !ask->answered)
        return error_set(err, ERROR_CANCELLED, "nobody waits for the answer any more");
    if (!ask->answered)
        return error_set(err, ERROR_BUSY, "no answer within %.1f seconds", p->timeout_ms * 1e-3);
    if (!ask->answer)
        *err = ask->error;
    return ask->answer != NULL;
}

bool supervisor_ask(struct supervisor *s, const char *op, const json_t *request, json_t **answer,
                    const struct supervisor_patience *patience, struct error *err)
{
    struct supervisor_ask ask = {0};

    *answer = NULL;
    if (!find_what(op, &ask.for_planner))
        return error_set(err, ERROR_INVALID, "there is no question '%.40s'", op);
    /* A copy: reference counts may not be shared with the thread that writes. */
    ask.doc = json_pack("{s:s, s:s, s:o}", "op", "ask", "what", op, "request",
                        request ? json_deep_copy(request) : json_null());
    if (!ask.doc)
        return error_set(err, ERROR_MEMORY, "no memory for a question");
    bool ok = add(s, &ask, err);
    if (ok) {
        supervisor_wake(s);
        ok = wait_for(s, &ask, patience, err);
    }
    json_decref(ask.doc);
    *answer = ask.answer;
    return ok;
}

static struct supervisor_ask *next_unsent_locked(struct supervisor *s)
{
    for (struct supervisor_ask *a = s->asks; a; a = a->next) {
        const struct supervisor_process *p = a->for_planner ? &s->planner : &s->worker;
        if (!a->sent && !a->answered && p->ready && !(a->for_planner && s->planner_asked))
            return a;
    }
    return NULL;
}

/* What the planner works at for nobody. */
static void drop(struct supervisor *s)
{
    pthread_mutex_lock(&s->lock);
    const int64_t n = s->unwanted;
    s->unwanted = 0;
    pthread_mutex_unlock(&s->lock);
    if (n == 0 || n != s->planner_asked)
        return;
    json_t *doc = json_pack("{s:s, s:I}", "op", "drop", "n", (json_int_t)n);
    if (doc)
        supervisor_process_tell(&s->planner, doc);
    json_decref(doc);
}

void supervisor_asks_send(struct supervisor *s)
{
    drop(s);
    for (;;) {
        pthread_mutex_lock(&s->lock);
        struct supervisor_ask *ask = next_unsent_locked(s);
        json_t *doc = ask ? json_deep_copy(ask->doc) : NULL;
        const bool for_planner = ask && ask->for_planner;
        if (ask)
            ask->sent = true;
        if (for_planner && doc)
            s->planner_asked = ask->n;
        pthread_mutex_unlock(&s->lock);
        if (!ask)
            return;
        if (for_planner)
            s->planner_used = clock_seconds();
        if (doc) /* without memory the one who asks waits in vain, and is told so */
            supervisor_process_tell(for_planner ? &s->planner : &s->worker, doc);
        json_decref(doc);
    }
}

void supervisor_asks_hear(struct supervisor *s, const json_t *doc)
{
    const int64_t n = (int64_t)json_integer_value(json_object_get(doc, "n"));
    json_t *answer = json_object_get(doc, "answer");

    if (n == s->planner_asked)
        s->planner_asked = 0;
    pthread_mutex_lock(&s->lock);
    for (struct supervisor_ask *a = s->asks; a; a = a->next) {
        if (a->n != n || a->answered)
            continue;
        a->answer = answer ? json_deep_copy(answer) : NULL;
        if (!a->answer)
            supervisor_protocol_read_error(&a->error, json_object_get(doc, "error"));
        a->answered = true;
    }
    pthread_cond_broadcast(&s->answered);
    pthread_mutex_unlock(&s->lock);
}

bool supervisor_asks_any(struct supervisor *s, bool for_planner)
{
    bool any = false;

    pthread_mutex_lock(&s->lock);
    for (struct supervisor_ask *a = s->asks; a; a = a->next)
        any = any || (a->for_planner == for_planner && !a->answered);
    pthread_mutex_unlock(&s->lock);
    return any;
}

static void fail_locked(struct supervisor_ask *a, const char *reason)
{
    error_set(&a->error, ERROR_BUSY, "%s", reason);
    a->answered = true;
}

void supervisor_asks_lost(struct supervisor *s, bool for_planner, bool all, const char *reason)
{
    if (for_planner)
        s->planner_asked = 0;
    pthread_mutex_lock(&s->lock);
    for (struct supervisor_ask *a = s->asks; a; a = a->next) {
        if (a->for_planner != for_planner || a->answered || (!a->sent && !all))
            continue;
        if (a->tried_again || all)
            fail_locked(a, reason);
        a->tried_again = true;
        a->sent = false;
    }
    pthread_cond_broadcast(&s->answered);
    pthread_mutex_unlock(&s->lock);
}

void supervisor_asks_end(struct supervisor *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct supervisor_ask *a = s->asks; a; a = a->next)
        if (!a->answered)
            fail_locked(a, "the server is stopping");
    pthread_cond_broadcast(&s->answered);
    pthread_mutex_unlock(&s->lock);
}
