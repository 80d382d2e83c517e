/* The first thing a queue does: what a crash has left is put in order. */
#include "base/clock.h"
#include "jobs/job_queue_internal.h"

#include <string.h>

static double now_seconds(void)
{
    return (double)clock_unix_ms() * 1e-3;
}

/* Jobs found loading or processing: their attempt ended with the server. */
static bool end_attempts(struct job_queue *q, struct error *err)
{
    const struct job_filter running = {.states = 1u << JOB_LOADING | 1u << JOB_PROCESSING,
                                       .max_n = JOB_STORE_PAGE_MAX};
    struct job_list list = {0};
    bool ok = true, more = true;

    while (ok && more) {
        ok = q->store.list(q->store.ctx, &list, &running, err);
        more = list.n > 0;
        for (size_t i = 0; ok && i < list.n; i++)
            ok = job_queue_requeue(q, list.jobs[i].id, "server_stopped",
                                   "the server stopped while the job ran", false, NULL, err);
        job_list_clear(&list);
    }
    return ok;
}

struct sweep {
    struct job_queue *q;
    struct job job; /* the one asked for last: files of a job often follow each other */
};

static bool is_wanted(void *ctx, const char *id, const char *name, bool is_input)
{
    struct sweep *s = ctx;
    struct error err = {0};

    if (strcmp(s->job.id, id) != 0) {
        job_clear(&s->job);
        /* When the store cannot tell, the file stays. */
        if (!s->q->store.get(s->q->store.ctx, &s->job, id, &err))
            return err.code != ERROR_NOT_FOUND;
    }
    const char *rest = name + JOB_ID_BYTES - 1;
    if (is_input)
        return (s->job.has_image && strcmp(rest, ".image") == 0) ||
               (s->job.has_mask && strcmp(rest, ".mask") == 0);
    if (s->job.state != JOB_DONE || !s->job.outputs)
        return false;
    const char *at = strstr(s->job.outputs, name);
    for (const size_t len = strlen(name); at; at = strstr(at + 1, name))
        if (at[len] == '\n' && (at == s->job.outputs || at[-1] == '\n'))
            return true;
    return false;
}

static bool sweep(struct job_queue *q, struct error *err)
{
    struct sweep s = {.q = q};
    int removed = 0;

    const bool ok = job_files_sweep(&q->files, is_wanted, &s, &removed, err);
    job_clear(&s.job);
    if (ok && removed > 0)
        log_event(q->settings.log, LOG_WARN, "files_without_job", "removed=%d", removed);
    return ok;
}

/* A done job whose result is gone, or a queued one whose input is. */
static bool check_files(struct job_queue *q, const struct job *j, struct error *err)
{
    struct error why = {0};
    int64_t inputs = 0, outputs = 0;
    const bool has_inputs = job_files_measure_inputs(&q->files, j, &inputs, &why);
    const bool has_outputs =
        j->state != JOB_DONE || job_files_measure(&q->files, j->id, j->outputs, &outputs, &why);

    if (has_outputs && (has_inputs || j->state != JOB_QUEUED))
        return true;
    if (why.code != ERROR_NOT_FOUND) { /* a folder that cannot be read proves nothing */
        *err = why;
        return false;
    }
    const struct job_change change = {
        .to = JOB_ERROR,
        .when = now_seconds(),
        .error_code = "file_missing",
        .error_text = j->state == JOB_DONE ? "a result file of the job is gone"
                                           : "an input file of the job is gone",
        .more_bytes = inputs - j->bytes,
    };
    log_event(q->settings.log, LOG_WARN, "job_without_file", "job=%s", j->id);
    if (!q->store.move(q->store.ctx, j->id, j->state, &change, NULL, err))
        return false;
    job_files_clean_outputs(&q->files, j->id, NULL);
    return true;
}

static bool check_all_files(struct job_queue *q, struct error *err)
{
    struct job_filter f = {.states = 1u << JOB_QUEUED | 1u << JOB_DONE, .max_n = 200};
    struct job_list list = {0};
    char id[JOB_ID_BYTES];
    bool ok = true, more = true;

    while (ok && more) {
        ok = q->store.list(q->store.ctx, &list, &f, err);
        more = list.n == (size_t)f.max_n;
        for (size_t i = 0; ok && i < list.n; i++)
            ok = check_files(q, &list.jobs[i], err);
        if (list.n > 0) {
            f.after_created = list.jobs[list.n - 1].created;
            memcpy(id, list.jobs[list.n - 1].id, sizeof id);
            f.after_id = id;
        }
        job_list_clear(&list);
    }
    return ok;
}

bool job_queue_recover(struct job_queue *q, struct error *err)
{
    struct job_totals totals;

    if (!end_attempts(q, err) || !check_all_files(q, err) || !sweep(q, err) ||
        !q->store.totals(q->store.ctx, &totals, err))
        return error_prefix(err, "putting the queue in order");
    for (int i = 0; i < JOB_N_STATES; i++)
        atomic_store(&q->n[i], totals.n[i]);
    atomic_store(&q->final_bytes, totals.final_bytes);
    return true;
}
