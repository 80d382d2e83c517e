#include "jobs/job_queue.h"

#include "base/clock.h"
#include "base/parse.h"
#include "jobs/job_queue_internal.h"
#include "jobs/job_store_sqlite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { EXPIRE_BATCH = 64, CANCEL_TRIES = 8 };

static double now_seconds(void)
{
    return (double)clock_unix_ms() * 1e-3;
}

static void tell(struct job_queue *q, const char *id)
{
    if (q->changed)
        q->changed(q->changed_ctx, id);
}

/* A database that is new while there are files of jobs: the old one was lost, and a sweep would
 * remove every result. */
static bool open_store(struct job_queue *q, struct error *err)
{
    char path[JOB_FILES_PATH_BYTES];
    struct stat st;
    bool any = false;

    if (!job_files_database(&q->files, path, err))
        return false;
    if (stat(path, &st) != 0 || st.st_size == 0) {
        if (!job_files_any(&q->files, &any, err))
            return false;
        if (any)
            return error_set(err, ERROR_CORRUPT,
                             "%.300s: is missing or empty, but there are files of jobs", path);
    }
    return job_store_sqlite_open(&q->store, path, err);
}

static bool open_or_set_aside(struct job_queue *q, struct error *err)
{
    char aside[JOB_FILES_PATH_BYTES];

    if (open_store(q, err))
        return true;
    if (err->code != ERROR_CORRUPT)
        return false;
    if (!q->settings.set_damaged_aside) {
        char why[sizeof err->text];
        memcpy(why, err->text, sizeof why);
        return error_set(err, ERROR_CORRUPT,
                         "%.700s. Nothing was changed. Put a backup of the data folder in place, "
                         "or let the server move database, inputs and outputs to %.200s/"
                         "damaged-<time> and begin with an empty queue",
                         why, q->files.folder);
    }
    const struct error damage = *err;
    if (!job_files_set_aside(&q->files, aside, err) || !open_store(q, err))
        return false;
    log_event(q->settings.log, LOG_ERROR, "job_database_damaged",
              "moved_to=\"%s\" reason=\"%.300s\"", aside, damage.text);
    return true;
}

bool job_queue_open(struct job_queue **out, const struct job_queue_settings *s, struct error *err)
{
    *out = NULL;
    if (s->max_queued < 1 || s->max_attempts < 1 || s->max_attempts > 100 ||
        !(s->keep_seconds >= 0) || s->keep_jobs < 0 || s->keep_bytes < 0)
        return error_set(err, ERROR_INVALID, "the settings of the queue are out of range");
    struct job_queue *q = calloc(1, sizeof *q);
    if (!q || pthread_mutex_init(&q->lock, NULL) != 0) {
        free(q);
        return error_set(err, ERROR_MEMORY, "no memory for a queue");
    }
    q->settings = *s;
    q->settings.folder = NULL;
    atomic_flag_clear(&q->expiring);
    if (!job_files_open(&q->files, s->folder, err) || !open_or_set_aside(q, err) ||
        !job_queue_recover(q, err) || !job_queue_expire(q, NULL, err)) {
        job_queue_close(q);
        return false;
    }
    *out = q;
    return true;
}

void job_queue_close(struct job_queue *q)
{
    if (!q)
        return;
    if (q->store.close)
        q->store.close(q->store.ctx);
    job_files_close(&q->files);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

void job_queue_on_change(struct job_queue *q, job_queue_changed_fn fn, void *ctx)
{
    q->changed = fn;
    q->changed_ctx = ctx;
}

/* Counts one more queued job, unless the queue is full. */
static bool reserve(struct job_queue *q)
{
    int64_t n = atomic_load(&q->n[JOB_QUEUED]);
    while (n < q->settings.max_queued)
        if (atomic_compare_exchange_weak(&q->n[JOB_QUEUED], &n, n + 1))
            return true;
    return false;
}

static bool check_submission(const struct job_submission *s, struct error *err)
{
    if (!s->family || !s->request)
        return error_set(err, ERROR_INVALID, "a job has a family and a request");
    if (strlen(s->request) > JOB_TEXT_MAX_BYTES ||
        (s->wire && strlen(s->wire) > JOB_TEXT_MAX_BYTES))
        return error_set(err, ERROR_LIMIT, "the request has more than %d bytes of text",
                         JOB_TEXT_MAX_BYTES);
    if (strlen(s->family) >= JOB_FAMILY_BYTES || (s->owner && strlen(s->owner) >= JOB_OWNER_BYTES))
        return error_set(err, ERROR_INVALID, "the name of family or owner is too long");
    if (s->image_bytes > INT32_MAX || s->mask_bytes > INT32_MAX)
        return error_set(err, ERROR_LIMIT, "an input file has more than 2 GiB");
    return true;
}

static bool write_inputs(struct job_queue *q, struct job *j, const struct job_submission *s,
                         struct error *err)
{
    j->has_image = s->image != NULL;
    j->has_mask = s->mask != NULL;
    j->bytes = (int64_t)(s->image ? s->image_bytes : 0) + (int64_t)(s->mask ? s->mask_bytes : 0);
    return (!s->image || job_files_write_input(&q->files, j->id, JOB_FILES_IMAGE, s->image,
                                               s->image_bytes, err)) &&
           (!s->mask ||
            job_files_write_input(&q->files, j->id, JOB_FILES_MASK, s->mask, s->mask_bytes, err));
}

/* The store only reads the texts. */
static char *lent(const char *text)
{
    union {
        const char *in;
        char *out;
    } u = {text};
    return u.out;
}

bool job_queue_submit(struct job_queue *q, char id[JOB_ID_BYTES], const struct job_submission *s,
                      struct error *err)
{
    if (!check_submission(s, err))
        return false;
    if (!reserve(q))
        return error_set(err, ERROR_FULL, "the queue is full: %d jobs wait; try again later",
                         q->settings.max_queued);

    struct job j = {.created = now_seconds(), .request = lent(s->request), .wire = lent(s->wire)};
    job_new_id(j.id);
    job_set_text(j.family, sizeof j.family, s->family);
    job_set_text(j.owner, sizeof j.owner, s->owner);
    if (!write_inputs(q, &j, s, err) || !q->store.accept(q->store.ctx, &j, err)) {
        job_files_remove(&q->files, &j);
        atomic_fetch_sub(&q->n[JOB_QUEUED], 1);
        return error_prefix(err, "the job could not be stored");
    }
    memcpy(id, j.id, JOB_ID_BYTES);
    tell(q, id);
    return true;
}

static struct job_queue_live *find_live_locked(struct job_queue *q, const char *id)
{
    for (int i = 0; i < JOB_QUEUE_LIVE_MAX; i++)
        if (strcmp(q->live[i].id, id) == 0)
            return &q->live[i];
    return NULL;
}

static void add_live(struct job_queue *q, struct job *j)
{
    if (j->state != JOB_LOADING && j->state != JOB_PROCESSING)
        return;
    pthread_mutex_lock(&q->lock);
    const struct job_queue_live *live = find_live_locked(q, j->id);
    if (live) {
        j->progress = live->progress;
        j->seconds_left = live->seconds_left;
        memcpy(j->phase, live->phase, sizeof j->phase);
        memcpy(j->preview, live->preview, sizeof j->preview);
    }
    pthread_mutex_unlock(&q->lock);
}

/* id "" frees nothing; an id that is there begins anew. */
static void set_live(struct job_queue *q, const char *id, bool on)
{
    pthread_mutex_lock(&q->lock);
    struct job_queue_live *live = find_live_locked(q, id);
    if (on && !live)
        live = find_live_locked(q, "");
    if (live) {
        *live = (struct job_queue_live){.seconds_left = -1};
        if (on)
            memcpy(live->id, id, JOB_ID_BYTES);
    }
    pthread_mutex_unlock(&q->lock);
}

bool job_queue_get(struct job_queue *q, struct job *out, const char *id, struct error *err)
{
    *out = (struct job){0};
    if (!job_id_is_valid(id))
        return error_set(err, ERROR_NOT_FOUND, "Job %.64s not found", id);
    if (!q->store.get(q->store.ctx, out, id, err))
        return false;
    add_live(q, out);
    return true;
}

bool job_queue_list(struct job_queue *q, struct job_list *out, const struct job_filter *f,
                    struct error *err)
{
    if (!q->store.list(q->store.ctx, out, f, err))
        return false;
    for (size_t i = 0; i < out->n; i++)
        add_live(q, &out->jobs[i]);
    return true;
}

void job_queue_cursor(char out[JOB_QUEUE_CURSOR_BYTES], const struct job *j)
{
    snprintf(out, JOB_QUEUE_CURSOR_BYTES, "%.17g_%s", j->created, j->id);
}

bool job_queue_use_cursor(struct job_filter *f, char id_room[JOB_ID_BYTES], const char *cursor,
                          struct error *err)
{
    char number[40];
    const char *mid = strchr(cursor, '_');
    struct error why;

    if (!mid || mid - cursor >= (ptrdiff_t)sizeof number || !job_id_is_valid(mid + 1))
        return error_set(err, ERROR_INVALID, "the cursor is not one of this server");
    memcpy(number, cursor, (size_t)(mid - cursor));
    number[mid - cursor] = 0;
    if (!parse_double(&f->after_created, number, 0, 1e15, &why))
        return error_set(err, ERROR_INVALID, "the cursor is not one of this server");
    memcpy(id_room, mid + 1, JOB_ID_BYTES);
    f->after_id = id_room;
    return true;
}

bool job_queue_ahead(struct job_queue *q, int64_t *out, const char *id, struct error *err)
{
    return q->store.ahead(q->store.ctx, out, id, err);
}

struct job_queue_counts job_queue_counts(const struct job_queue *q)
{
    struct job_queue_counts c;
    for (int i = 0; i < JOB_N_STATES; i++)
        c.n[i] = atomic_load(&q->n[i]);
    c.final_bytes = atomic_load(&q->final_bytes);
    return c;
}

const struct job_files *job_queue_files(const struct job_queue *q)
{
    return &q->files;
}

/* A move with everything that follows from it in memory. */
static bool move(struct job_queue *q, const char *id, enum job_state from,
                 const struct job_change *change, struct error *err)
{
    int64_t bytes = 0;

    if (!q->store.move(q->store.ctx, id, from, change, &bytes, err))
        return false;
    atomic_fetch_sub(&q->n[from], 1);
    atomic_fetch_add(&q->n[change->to], 1);
    if (change->to != JOB_PROCESSING)
        set_live(q, id, false);
    if (job_is_final(change->to))
        atomic_fetch_add(&q->final_bytes, bytes);
    tell(q, id);
    return true;
}

/* After an end there may be too many; that this fails is no failure of the job. */
static void expire_after_end(struct job_queue *q)
{
    struct error err = {0};
    if (!job_queue_expire(q, NULL, &err))
        log_event(q->settings.log, LOG_WARN, "expire_failed", "reason=\"%.300s\"", err.text);
}

/* Moves a running job from whichever of the two states it is in.  out is the job before. */
static bool get_running(struct job_queue *q, struct job *out, const char *id, struct error *err)
{
    if (!job_queue_get(q, out, id, err))
        return false;
    if (out->state == JOB_LOADING || out->state == JOB_PROCESSING)
        return true;
    error_set(err, ERROR_INVALID, "job %s is %s, it does not run", id, job_state_name(out->state));
    job_clear(out);
    return false;
}

bool job_queue_cancel(struct job_queue *q, enum job_queue_cancel *out, const char *id,
                      struct error *err)
{
    const struct job_change change = {.to = JOB_CANCELLED, .when = now_seconds()};
    struct job j;

    /* The job may move between the look and the step; each time it comes closer to its end. */
    for (int i = 0; i < CANCEL_TRIES; i++) {
        if (!job_queue_get(q, &j, id, err))
            return false;
        const enum job_state state = j.state;
        job_clear(&j);
        bool ok = true;
        if (job_is_final(state)) {
            *out = JOB_QUEUE_CANCEL_LATE;
        } else if (state == JOB_QUEUED) {
            *out = JOB_QUEUE_CANCELLED;
            ok = move(q, id, state, &change, err);
            if (ok)
                expire_after_end(q);
        } else {
            *out = JOB_QUEUE_CANCEL_ASKED;
            ok = q->store.ask_cancel(q->store.ctx, id, err);
        }
        if (ok || err->code != ERROR_INVALID)
            return ok;
    }
    return error_set(err, ERROR_BUSY, "job %s changes too fast; try again", id);
}

/* Takes rows away, then their files: between the two a crash leaves files, which the sweep at the
 * next start removes. */
static bool drop(struct job_queue *q, struct job_list *list, size_t n, int *removed,
                 struct error *err)
{
    if (!q->store.remove(q->store.ctx, list->jobs, n, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        struct job *j = &list->jobs[i];
        if (!j->id[0])
            continue;
        job_files_remove(&q->files, j);
        atomic_fetch_sub(&q->n[j->state], 1);
        atomic_fetch_sub(&q->final_bytes, j->bytes);
        ++*removed;
    }
    return true;
}

bool job_queue_remove(struct job_queue *q, const char *id, struct error *err)
{
    struct job j;
    int removed = 0;

    if (!job_queue_get(q, &j, id, err))
        return false;
    bool ok =
        job_is_final(j.state) ||
        error_set(err, ERROR_INVALID, "job %s is %s; cancel it first", id, job_state_name(j.state));
    struct job_list list = {.jobs = &j, .n = 1};
    ok = ok && drop(q, &list, 1, &removed, err);
    if (ok && removed == 0)
        ok = error_set(err, ERROR_NOT_FOUND, "Job %s not found", id);
    job_clear(&j);
    return ok;
}

bool job_queue_next(struct job_queue *q, struct job *out, bool *found, struct error *err)
{
    if (!q->store.claim(q->store.ctx, out, found, now_seconds(), err))
        return false;
    if (!*found)
        return true;
    atomic_fetch_sub(&q->n[JOB_QUEUED], 1);
    atomic_fetch_add(&q->n[JOB_LOADING], 1);
    set_live(q, out->id, true);
    tell(q, out->id);
    return true;
}

bool job_queue_start(struct job_queue *q, const char *id, struct error *err)
{
    const struct job_change change = {.to = JOB_PROCESSING, .when = now_seconds()};
    return move(q, id, JOB_LOADING, &change, err);
}

void job_queue_progress(struct job_queue *q, const char *id, const struct job_progress *p)
{
    if (!id[0])
        return;
    pthread_mutex_lock(&q->lock);
    struct job_queue_live *live = find_live_locked(q, id);
    if (live) {
        if (p->progress > live->progress) /* false for NaN */
            live->progress = p->progress < 1 ? p->progress : 1;
        live->seconds_left = p->seconds_left >= 0 ? p->seconds_left : -1;
        if (p->phase)
            job_set_text(live->phase, sizeof live->phase, p->phase);
        if (p->preview && job_files_name_is_valid(id, p->preview))
            job_set_text(live->preview, sizeof live->preview, p->preview);
    }
    pthread_mutex_unlock(&q->lock);
    if (live)
        tell(q, id);
}

/* The names with a newline behind each. */
static bool join_names(char *out, const char *id, const char *const *names, size_t n,
                       struct error *err)
{
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t len = strlen(names[i]);
        if (!job_files_name_is_valid(id, names[i]))
            return error_set(err, ERROR_INVALID, "'%.64s' is no name of a file of job %s", names[i],
                             id);
        if (len + 1 > JOB_OUTPUTS_MAX_BYTES - used)
            return error_set(err, ERROR_LIMIT, "job %s has too many files", id);
        memcpy(out + used, names[i], len);
        out[used + len] = '\n';
        used += len + 1;
    }
    out[used] = 0;
    return true;
}

static bool finish_running(struct job_queue *q, const struct job *j, struct job_change *change,
                           struct error *err)
{
    if (!job_files_measure(&q->files, j->id, change->outputs, &change->more_bytes, err) ||
        (j->state == JOB_LOADING && !job_queue_start(q, j->id, err)))
        return false;
    job_files_clean_outputs(&q->files, j->id, change->outputs);
    return move(q, j->id, JOB_PROCESSING, change, err);
}

bool job_queue_finish(struct job_queue *q, const char *id, const char *result,
                      const char *const *outputs, size_t n, struct error *err)
{
    struct job j = {0};
    bool ok = false;

    if (strlen(result) > JOB_TEXT_MAX_BYTES)
        return error_set(err, ERROR_LIMIT, "the result has more than %d bytes", JOB_TEXT_MAX_BYTES);
    char *names = malloc(JOB_OUTPUTS_MAX_BYTES + 1);
    if (!names)
        return error_set(err, ERROR_MEMORY, "no memory for a list of files");
    struct job_change change = {
        .to = JOB_DONE, .when = now_seconds(), .result = result, .outputs = names};
    ok = join_names(names, id, outputs, n, err) && get_running(q, &j, id, err) &&
         finish_running(q, &j, &change, err);
    job_clear(&j);
    free(names);
    if (ok)
        expire_after_end(q);
    return ok;
}

/* Ends or stops a running job; its files in outputs/ go first, because afterwards a next attempt
 * may be writing new ones. */
static bool leave(struct job_queue *q, const struct job *j, const struct job_change *change,
                  struct error *err)
{
    job_files_clean_outputs(&q->files, j->id, NULL);
    if (!move(q, j->id, j->state, change, err))
        return false;
    if (job_is_final(change->to))
        expire_after_end(q);
    return true;
}

static bool end_running(struct job_queue *q, const char *id, enum job_state to, const char *code,
                        const char *text, struct error *err)
{
    char short_code[JOB_ERROR_CODE_BYTES], short_text[JOB_ERROR_TEXT_BYTES];
    const struct job_change change = {
        .to = to, .when = now_seconds(), .error_code = short_code, .error_text = short_text};
    struct job j;

    job_set_text(short_code, sizeof short_code, code);
    job_set_text(short_text, sizeof short_text, text);
    if (!get_running(q, &j, id, err))
        return false;
    const bool ok = leave(q, &j, &change, err);
    job_clear(&j);
    return ok;
}

bool job_queue_fail(struct job_queue *q, const char *id, const char *code, const char *text,
                    struct error *err)
{
    return end_running(q, id, JOB_ERROR, code, text, err);
}

bool job_queue_cancelled(struct job_queue *q, const char *id, struct error *err)
{
    return end_running(q, id, JOB_CANCELLED, "", "", err);
}

bool job_queue_requeue(struct job_queue *q, const char *id, const char *code, const char *reason,
                       bool give_back, enum job_state *out, struct error *err)
{
    char short_code[JOB_ERROR_CODE_BYTES], text[JOB_ERROR_TEXT_BYTES];
    struct job_change change = {.to = JOB_QUEUED,
                                .when = now_seconds(),
                                .error_code = short_code,
                                .error_text = text,
                                .give_back = give_back};
    struct job j;

    if (!get_running(q, &j, id, err))
        return false;
    job_set_text(short_code, sizeof short_code, code);
    job_set_text(text, sizeof text, reason);
    if (j.cancel_asked) {
        change.to = JOB_CANCELLED;
        change.error_code = change.error_text = "";
    } else if (!give_back && j.attempts >= q->settings.max_attempts) {
        change.to = JOB_ERROR;
        snprintf(text, sizeof text, "attempt %d of %d: %.1000s", j.attempts,
                 q->settings.max_attempts, reason);
    }
    change.give_back = give_back && change.to == JOB_QUEUED;
    const bool ok = leave(q, &j, &change, err);
    job_clear(&j);
    if (ok && out)
        *out = change.to;
    return ok;
}

static int64_t n_final(const struct job_queue *q)
{
    return atomic_load(&q->n[JOB_DONE]) + atomic_load(&q->n[JOB_ERROR]) +
           atomic_load(&q->n[JOB_CANCELLED]);
}

/* How many of the oldest have to go: one that may stay lets all after it stay. */
static size_t n_to_expire(const struct job_queue *q, const struct job_list *oldest)
{
    const struct job_queue_settings *s = &q->settings;
    int64_t n = n_final(q), bytes = atomic_load(&q->final_bytes);
    const double now = now_seconds();
    size_t i = 0;

    for (; i < oldest->n; i++, n--) {
        const bool old = s->keep_seconds > 0 && oldest->jobs[i].finished < now - s->keep_seconds;
        const bool many = n > 1 && ((s->keep_jobs > 0 && n > s->keep_jobs) ||
                                    (s->keep_bytes > 0 && bytes > s->keep_bytes));
        if (!old && !many)
            break;
        bytes -= oldest->jobs[i].bytes;
    }
    return i;
}

bool job_queue_expire(struct job_queue *q, int *removed, struct error *err)
{
    struct job_list oldest = {0};
    bool ok = true, more = true;
    int n_removed = 0;

    /* Whoever finds another thread at it leaves it to that one. */
    if (atomic_flag_test_and_set(&q->expiring))
        more = false;
    while (ok && more) {
        ok = q->store.oldest_final(q->store.ctx, &oldest, EXPIRE_BATCH, err);
        const size_t n = ok ? n_to_expire(q, &oldest) : 0;
        ok = ok && (n == 0 || drop(q, &oldest, n, &n_removed, err));
        more = n == EXPIRE_BATCH;
        job_list_clear(&oldest);
        if (!ok || !more)
            atomic_flag_clear(&q->expiring);
    }
    if (removed)
        *removed = n_removed;
    return ok;
}

bool job_queue_check(struct job_queue *q, struct error *err)
{
    return q->store.check(q->store.ctx, err);
}
