/* Jobs on their way from the queue through the worker to their end. */
#include "base/clock.h"
#include "supervisor/supervisor_internal.h"
#include "supervisor/supervisor_protocol.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OUTPUTS = 512 };

static const double try_again_seconds = 1; /* what the disk refused */

static void forget_job(struct supervisor *s)
{
    s->job[0] = 0;
    s->cancelling = false;
    json_decref(s->ending.doc);
    s->ending = (struct supervisor_ending){0};
    pthread_mutex_lock(&s->lock);
    struct supervisor_status *t = &s->status;
    t->job[0] = t->phase[0] = 0;
    t->step = t->steps = t->batch = t->batches = 0;
    t->progress = t->started = 0;
    t->seconds_left = -1;
    t->reserved_bytes = 0;
    pthread_mutex_unlock(&s->lock);
}

static void remember_job(struct supervisor *s, const char *id)
{
    job_set_text(s->job, sizeof s->job, id);
    pthread_mutex_lock(&s->lock);
    job_set_text(s->status.job, sizeof s->status.job, id);
    s->status.started = (double)clock_unix_ms() * 1e-3;
    s->status.seconds_left = -1;
    pthread_mutex_unlock(&s->lock);
}

/* Adds the path of an input that the job has. */
static bool add_input(struct supervisor *s, json_t *doc, const char *key, const char *id,
                      enum job_files_kind kind, struct error *err)
{
    char path[JOB_FILES_PATH_BYTES];

    return job_files_input(job_queue_files(s->options.queue), path, id, kind, err) &&
           (json_object_set_new(doc, key, json_string(path)) == 0 ||
            error_set(err, ERROR_INVALID, "the path %s is not UTF-8", path));
}

/* The line that hands the job over. */
static bool make_run(struct supervisor *s, json_t **out, const struct job *j, struct error *err)
{
    char outputs[JOB_FILES_PATH_BYTES];
    struct json request;

    *out = NULL;
    if (!j->request)
        return error_set(err, ERROR_CORRUPT, "job %s has no request", j->id);
    if (!json_read_bytes(&request, "request", j->request, strlen(j->request), JOB_TEXT_MAX_BYTES,
                         err))
        return false;
    bool ok = job_files_outputs(job_queue_files(s->options.queue), outputs, err);
    if (ok) {
        *out = json_pack("{s:s, s:s, s:O, s:s}", "op", "run", "id", j->id, "job", request.root,
                         "outputs", outputs);
        ok = *out || error_set(err, ERROR_MEMORY, "no memory to hand over a job");
    }
    ok = ok && (!j->has_image || add_input(s, *out, "input", j->id, JOB_FILES_IMAGE, err)) &&
         (!j->has_mask || add_input(s, *out, "mask", j->id, JOB_FILES_MASK, err));
    json_clear(&request);
    return ok;
}

/* The worker said how the job ended, or we say so in its place; written down by settle. */
static void end_job(struct supervisor *s, json_t *doc)
{
    json_decref(s->ending.doc);
    s->ending = (struct supervisor_ending){.doc = doc};
    supervisor_jobs_settle(s);
}

static void fail_job(struct supervisor *s, const struct error *why)
{
    end_job(s, json_pack("{s:s, s:s, s:o}", "is", "failed", "id", s->job, "error",
                         supervisor_protocol_error(why)));
}

void supervisor_jobs_take(struct supervisor *s)
{
    struct job j = {0};
    bool found = false;
    struct error err = {0};
    json_t *doc = NULL;

    if (s->job[0] || !s->worker.ready || s->stop_deadline > 0 || clock_seconds() < s->claim_again)
        return;
    if (!job_queue_next(s->options.queue, &j, &found, &err)) {
        if (s->claim_again == 0)
            log_event(s->options.log, LOG_ERROR, "queue_unreadable", "reason=\"%.300s\"", err.text);
        s->claim_again = clock_seconds() + try_again_seconds;
        return;
    }
    s->claim_again = 0;
    if (!found)
        return;
    remember_job(s, j.id);
    log_event(s->options.log, LOG_INFO, "job_begins", "job=%s attempt=%d", j.id, j.attempts);
    if (make_run(s, &doc, &j, &err)) {
        s->worker.sign = clock_seconds();
        /* A worker that is gone is noticed by the end of its channel, and the job with it. */
        supervisor_process_tell(&s->worker, doc);
    } else {
        fail_job(s, &err);
    }
    json_decref(doc);
    job_clear(&j);
}

static void hear_started(struct supervisor *s, const json_t *doc)
{
    struct error err = {0};
    const double reserved = supervisor_protocol_number(doc, "reserved_bytes", 0);

    pthread_mutex_lock(&s->lock);
    s->status.reserved_bytes = reserved > 0 ? (uint64_t)reserved : 0;
    pthread_mutex_unlock(&s->lock);
    if (!job_queue_start(s->options.queue, s->job, &err) && err.code != ERROR_INVALID)
        log_event(s->options.log, LOG_WARN, "job_state", "job=%s reason=\"%.300s\"", s->job,
                  err.text);
}

static void hear_progress(struct supervisor *s, const json_t *doc)
{
    const char *preview = supervisor_protocol_text(doc, "preview");
    const struct job_progress p = {
        .phase = supervisor_protocol_text(doc, "phase"),
        .progress = supervisor_protocol_number(doc, "progress", 0),
        .seconds_left = supervisor_protocol_number(doc, "seconds_left", -1),
        .preview = *preview ? preview : NULL,
    };

    pthread_mutex_lock(&s->lock);
    struct supervisor_status *t = &s->status;
    job_set_text(t->phase, sizeof t->phase, p.phase);
    t->progress = fmax(t->progress, p.progress);
    t->seconds_left = p.seconds_left;
    t->step = (int)json_integer_value(json_object_get(doc, "step"));
    t->steps = (int)json_integer_value(json_object_get(doc, "steps"));
    t->batch = (int)json_integer_value(json_object_get(doc, "batch"));
    t->batches = (int)json_integer_value(json_object_get(doc, "batches"));
    pthread_mutex_unlock(&s->lock);
    job_queue_progress(s->options.queue, s->job, &p);
}

void supervisor_jobs_hear(struct supervisor *s, const json_t *doc, const char *is)
{
    if (!s->job[0] || s->ending.doc || strcmp(supervisor_protocol_text(doc, "id"), s->job) != 0)
        return; /* of a job that is over */
    s->worker.sign = clock_seconds();
    if (strcmp(is, "started") == 0)
        hear_started(s, doc);
    else if (strcmp(is, "progress") == 0)
        hear_progress(s, doc);
    else
        end_job(s, json_deep_copy(doc));
}

static bool finish(struct supervisor *s, const json_t *doc, struct error *err)
{
    const json_t *outputs = json_object_get(doc, "outputs");
    const char *names[MAX_OUTPUTS];
    const size_t n = json_array_size(outputs);
    char *result = json_dumps(json_object_get(doc, "result"), JSON_COMPACT);

    if (!result || n == 0 || n > MAX_OUTPUTS) {
        free(result);
        return error_set(err, ERROR_INVALID, "the worker told of no result");
    }
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(outputs, i));
        names[i] = name ? name : "";
    }
    const bool ok = job_queue_finish(s->options.queue, s->job, result, names, n, err);
    free(result);
    return ok;
}

/* Writes one end down.  *text is what is logged of it. */
static bool write_end(struct supervisor *s, const json_t *doc, struct error *why, struct error *err)
{
    if (strcmp(supervisor_protocol_text(doc, "is"), "done") == 0) {
        if (finish(s, doc, err))
            return true;
        if (err->code == ERROR_IO || err->code == ERROR_MEMORY)
            return false; /* it may go better in a moment */
        *why = *err;
    } else {
        supervisor_protocol_read_error(why, json_object_get(doc, "error"));
        if (why->code == ERROR_CANCELLED)
            return job_queue_cancelled(s->options.queue, s->job, err);
    }
    return job_queue_fail(s->options.queue, s->job, error_code_name(why->code), why->text, err);
}

static void log_end(struct supervisor *s, const struct error *why)
{
    char reason[400];

    if (why->code == ERROR_NONE || why->code == ERROR_CANCELLED) {
        log_event(s->options.log, LOG_INFO, why->code == ERROR_NONE ? "job_done" : "job_cancelled",
                  "job=%s", s->job);
        return;
    }
    log_quote(reason, sizeof reason, why->text);
    log_event(s->options.log, LOG_WARN, "job_failed", "job=%s code=%s reason=%s", s->job,
              error_code_name(why->code), reason);
}

void supervisor_jobs_settle(struct supervisor *s)
{
    struct error why = {0}, err = {0};

    if (!s->job[0] || !s->ending.doc || clock_seconds() < s->ending.again)
        return;
    const bool ok = write_end(s, s->ending.doc, &why, &err);
    if (ok || (err.code != ERROR_IO && err.code != ERROR_MEMORY)) {
        if (ok)
            log_end(s, &why);
        else
            log_event(s->options.log, LOG_WARN, "job_state", "job=%s reason=\"%.300s\"", s->job,
                      err.text);
        s->backoff_seconds = 0;
        forget_job(s);
        return;
    }
    if (!s->ending.told)
        log_event(s->options.log, LOG_ERROR, "job_end_unwritten", "job=%s reason=\"%.300s\"",
                  s->job, err.text);
    s->ending.told = true;
    s->ending.again = clock_seconds() + try_again_seconds;
}

void supervisor_jobs_lost(struct supervisor *s, const char *reason, bool out_of_memory,
                          bool give_back)
{
    enum job_state state = JOB_QUEUED;
    struct error err = {0};

    if (!s->job[0] || s->ending.doc)
        return; /* its end is known and waits for the disk */
    if (job_queue_requeue(s->options.queue, s->job, out_of_memory ? "memory" : "worker_died",
                          reason, give_back, &state, &err))
        log_event(s->options.log, LOG_WARN, "job_lost", "job=%s now=%s reason=\"%s\"", s->job,
                  job_state_name(state), reason);
    else
        log_event(s->options.log, LOG_ERROR, "job_state", "job=%s reason=\"%.300s\"", s->job,
                  err.text);
    forget_job(s);
}
