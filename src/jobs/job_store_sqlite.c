#include "jobs/job_store_sqlite.h"

#include "base/assert.h"
#include "jobs/job_store_sqlite_schema.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 5000, VALUE_MAX_BYTES = 1 << 20 };

#define SHORT_COLUMNS                                                                              \
    "seq, id, state, attempts, cancel_asked, inputs, created, started, finished, family, owner, "  \
    "outputs, bytes, error_code, error_text"
#define ALL_COLUMNS SHORT_COLUMNS ", request, wire, result"

enum side_name { WRITER, READER };

enum {
    BEGIN,
    COMMIT,
    ROLLBACK,
    ACCEPT,
    FIRST,
    CLAIM,
    MOVE,
    STATE,
    ASK_CANCEL,
    REMOVE,
    GET,
    LIST,
    TOTALS,
    AHEAD,
    OLDEST,
    N_STATEMENTS
};

static const struct {
    enum side_name side;
    const char *sql;
} statement[N_STATEMENTS] = {
    [BEGIN] = {WRITER, "BEGIN IMMEDIATE"},
    [COMMIT] = {WRITER, "COMMIT"},
    [ROLLBACK] = {WRITER, "ROLLBACK"},
    [ACCEPT] = {WRITER, "INSERT INTO jobs(id, state, attempts, created, family, owner, request, "
                        "wire, inputs, bytes) VALUES(?1, 0, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"},
    [FIRST] = {WRITER, "SELECT " ALL_COLUMNS " FROM jobs WHERE state = 0 ORDER BY seq LIMIT 1"},
    [CLAIM] = {WRITER, "UPDATE jobs SET state = 1, attempts = attempts + 1, started = ?2, "
                       "error_code = '', error_text = '' WHERE seq = ?1"},
    /* A done job that becomes an error keeps the time of its end. */
    [MOVE] = {WRITER,
              "UPDATE jobs SET state = ?3,"
              " started = CASE WHEN ?3 = 0 THEN 0.0 ELSE started END,"
              " finished = CASE WHEN ?3 < 3 THEN 0.0 WHEN ?2 = 3 THEN finished ELSE ?4 END,"
              " error_code = ?5, error_text = ?6, result = ?7, outputs = ?8, bytes = bytes + ?9,"
              " attempts = attempts - ?10 WHERE id = ?1 AND state = ?2 RETURNING bytes"},
    [STATE] = {WRITER, "SELECT state FROM jobs WHERE id = ?1"},
    [ASK_CANCEL] = {WRITER, "UPDATE jobs SET cancel_asked = 1 WHERE id = ?1 AND state IN (1, 2) "
                            "RETURNING bytes"},
    [REMOVE] = {WRITER, "DELETE FROM jobs WHERE id = ?1 AND state >= 3 RETURNING state, bytes"},
    [GET] = {READER, "SELECT " ALL_COLUMNS " FROM jobs WHERE id = ?1"},
    [LIST] = {READER, "SELECT " SHORT_COLUMNS " FROM jobs WHERE (created, id) < (?1, ?2)"
                      " AND ((1 << state) & ?3) AND (?4 IS NULL OR owner = ?4)"
                      " ORDER BY created DESC, id DESC LIMIT ?5"},
    [TOTALS] = {READER, "SELECT state, count(*), sum(bytes) FROM jobs GROUP BY state"},
    [AHEAD] = {READER, "SELECT count(*) FROM jobs WHERE state = 0 AND seq < "
                       "(SELECT seq FROM jobs WHERE id = ?1 AND state = 0)"},
    [OLDEST] = {READER, "SELECT " SHORT_COLUMNS " FROM jobs WHERE state >= 3"
                        " ORDER BY finished, seq LIMIT ?1"},
};

struct side {
    pthread_mutex_t lock;
    bool has_lock;
    /* Guarded by lock. */
    sqlite3 *db;
};

struct store {
    struct side side[2];
    /* Each guarded by the lock of its side. */
    sqlite3_stmt *stmt[N_STATEMENTS];
};

static void reset(struct store *s, int which)
{
    sqlite3_reset(s->stmt[which]);
    sqlite3_clear_bindings(s->stmt[which]);
}

static bool fail(struct store *s, enum side_name side, const char *what, struct error *err)
{
    return job_store_sqlite_schema_fail(err, s->side[side].db, what);
}

/* Ends a statement of the writer that was stepped to rc: right only when it is done. */
static bool ended(struct store *s, int which, int rc, struct error *err)
{
    const bool ok = rc == SQLITE_DONE || fail(s, WRITER, "cannot write to the job database", err);
    reset(s, which);
    return ok;
}

static bool run_locked(struct store *s, int which, struct error *err)
{
    return ended(s, which, sqlite3_step(s->stmt[which]), err);
}

/* Opens and closes the writer's transaction with its lock. */
static bool begin(struct store *s, struct error *err)
{
    pthread_mutex_lock(&s->side[WRITER].lock);
    if (run_locked(s, BEGIN, err))
        return true;
    pthread_mutex_unlock(&s->side[WRITER].lock);
    return false;
}

static bool end(struct store *s, bool ok, struct error *err)
{
    ok = ok && run_locked(s, COMMIT, err);
    if (!ok && !sqlite3_get_autocommit(s->side[WRITER].db)) {
        sqlite3_step(s->stmt[ROLLBACK]); /* what went wrong is told already */
        reset(s, ROLLBACK);
    }
    pthread_mutex_unlock(&s->side[WRITER].lock);
    return ok;
}

static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
    /* Failures of binding (no memory) show in the step: NOT NULL refuses, or the text is compared
     * with nothing.  The texts outlive the step. */
    if (text)
        sqlite3_bind_text(stmt, at, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(stmt, at);
}

/* A text of a row.  The file is not believed: it keeps to the bound, or the job is refused. */
static bool get_text(char **out, sqlite3_stmt *stmt, int at, size_t max, struct error *err)
{
    const char *text = (const char *)sqlite3_column_text(stmt, at);
    const size_t len = (size_t)sqlite3_column_bytes(stmt, at);

    *out = NULL;
    if (!text)
        return true;
    if (len > max || memchr(text, 0, len))
        return error_set(err, ERROR_CORRUPT, "the job database holds a text of %zu bytes", len);
    *out = malloc(len + 1);
    if (!*out)
        return error_set(err, ERROR_MEMORY, "no memory for a job's text");
    memcpy(*out, text, len);
    (*out)[len] = 0;
    return true;
}

static void get_field(char *out, size_t room, sqlite3_stmt *stmt, int at)
{
    job_set_text(out, room, (const char *)sqlite3_column_text(stmt, at));
}

static bool get_job(struct job *j, sqlite3_stmt *stmt, bool all, struct error *err)
{
    *j = (struct job){.seconds_left = -1};
    j->seq = sqlite3_column_int64(stmt, 0);
    get_field(j->id, sizeof j->id, stmt, 1);
    const int state = sqlite3_column_int(stmt, 2);
    if (!job_id_is_valid(j->id) || state < 0 || state >= JOB_N_STATES)
        return error_set(err, ERROR_CORRUPT, "the job database holds a row that is no job");
    j->state = (enum job_state)state;
    j->attempts = sqlite3_column_int(stmt, 3);
    j->cancel_asked = sqlite3_column_int(stmt, 4) != 0;
    j->has_image = (sqlite3_column_int(stmt, 5) & 1) != 0;
    j->has_mask = (sqlite3_column_int(stmt, 5) & 2) != 0;
    j->created = sqlite3_column_double(stmt, 6);
    j->started = sqlite3_column_double(stmt, 7);
    j->finished = sqlite3_column_double(stmt, 8);
    get_field(j->family, sizeof j->family, stmt, 9);
    get_field(j->owner, sizeof j->owner, stmt, 10);
    j->bytes = sqlite3_column_int64(stmt, 12);
    get_field(j->error_code, sizeof j->error_code, stmt, 13);
    get_field(j->error_text, sizeof j->error_text, stmt, 14);
    j->progress = j->state == JOB_DONE ? 1 : 0;
    if (get_text(&j->outputs, stmt, 11, JOB_OUTPUTS_MAX_BYTES, err) &&
        (!all || (get_text(&j->request, stmt, 15, JOB_TEXT_MAX_BYTES, err) &&
                  get_text(&j->wire, stmt, 16, JOB_TEXT_MAX_BYTES, err) &&
                  get_text(&j->result, stmt, 17, JOB_TEXT_MAX_BYTES, err))))
        return true;
    job_clear(j);
    return false;
}

static bool store_accept(void *ctx, struct job *j, struct error *err)
{
    struct store *s = ctx;
    sqlite3_stmt *st = s->stmt[ACCEPT];

    if (!begin(s, err))
        return false;
    bind_text(st, 1, j->id);
    sqlite3_bind_double(st, 2, j->created);
    bind_text(st, 3, j->family);
    bind_text(st, 4, j->owner);
    bind_text(st, 5, j->request);
    bind_text(st, 6, j->wire);
    sqlite3_bind_int(st, 7, (j->has_image ? 1 : 0) | (j->has_mask ? 2 : 0));
    sqlite3_bind_int64(st, 8, j->bytes);
    const bool ok = run_locked(s, ACCEPT, err);
    if (ok)
        j->seq = sqlite3_last_insert_rowid(s->side[WRITER].db);
    return end(s, ok, err);
}

static bool claim_locked(struct store *s, struct job *out, bool *found, double when,
                         struct error *err)
{
    sqlite3_stmt *first = s->stmt[FIRST];
    const int rc = sqlite3_step(first);

    if (rc == SQLITE_DONE)
        return ended(s, FIRST, rc, err);
    const bool ok = rc == SQLITE_ROW ? get_job(out, first, true, err)
                                     : fail(s, WRITER, "cannot read the job database", err);
    reset(s, FIRST);
    if (!ok)
        return false;
    *found = true;
    out->state = JOB_LOADING;
    out->attempts++;
    out->started = when;
    sqlite3_bind_int64(s->stmt[CLAIM], 1, out->seq);
    sqlite3_bind_double(s->stmt[CLAIM], 2, when);
    return run_locked(s, CLAIM, err);
}

static bool store_claim(void *ctx, struct job *out, bool *found, double when, struct error *err)
{
    struct store *s = ctx;

    *found = false;
    *out = (struct job){0};
    if (!begin(s, err))
        return false;
    const bool ok = end(s, claim_locked(s, out, found, when, err), err);
    if (!ok) {
        job_clear(out);
        *found = false;
    }
    return ok;
}

/* Why a statement on one job met no row. */
static bool missed_locked(struct store *s, const char *id, const char *wanted, struct error *err)
{
    sqlite3_stmt *st = s->stmt[STATE];
    bind_text(st, 1, id);
    const int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        error_set(err, ERROR_INVALID, "job %s is %s, not %s", id,
                  job_state_name((enum job_state)sqlite3_column_int(st, 0)), wanted);
    else if (rc == SQLITE_DONE)
        error_set(err, ERROR_NOT_FOUND, "Job %s not found", id);
    else
        fail(s, WRITER, "cannot read the job database", err);
    reset(s, STATE);
    return false;
}

static bool move_locked(struct store *s, const char *id, enum job_state from,
                        const struct job_change *change, int64_t *bytes, struct error *err)
{
    sqlite3_stmt *st = s->stmt[MOVE];

    bind_text(st, 1, id);
    sqlite3_bind_int(st, 2, (int)from);
    sqlite3_bind_int(st, 3, (int)change->to);
    sqlite3_bind_double(st, 4, change->when);
    bind_text(st, 5, change->error_code ? change->error_code : "");
    bind_text(st, 6, change->error_text ? change->error_text : "");
    bind_text(st, 7, change->result);
    bind_text(st, 8, change->outputs);
    sqlite3_bind_int64(st, 9, change->more_bytes);
    sqlite3_bind_int(st, 10, change->give_back ? 1 : 0);
    int rc = sqlite3_step(st);
    const bool met = rc == SQLITE_ROW;
    if (met) {
        if (bytes)
            *bytes = sqlite3_column_int64(st, 0);
        rc = sqlite3_step(st);
    }
    return ended(s, MOVE, rc, err) && (met || missed_locked(s, id, job_state_name(from), err));
}

static bool store_move(void *ctx, const char *id, enum job_state from,
                       const struct job_change *change, int64_t *bytes, struct error *err)
{
    struct store *s = ctx;

    if (!job_may_move(from, change->to))
        return error_set(err, ERROR_INVALID, "job %s is %s and cannot become %s", id,
                         job_state_name(from), job_state_name(change->to));
    return begin(s, err) && end(s, move_locked(s, id, from, change, bytes, err), err);
}

static bool ask_cancel_locked(struct store *s, const char *id, struct error *err)
{
    sqlite3_stmt *st = s->stmt[ASK_CANCEL];
    bind_text(st, 1, id);
    int rc = sqlite3_step(st);
    const bool met = rc == SQLITE_ROW;
    if (met)
        rc = sqlite3_step(st);
    return ended(s, ASK_CANCEL, rc, err) && (met || missed_locked(s, id, "running", err));
}

static bool store_ask_cancel(void *ctx, const char *id, struct error *err)
{
    struct store *s = ctx;
    return begin(s, err) && end(s, ask_cancel_locked(s, id, err), err);
}

static bool remove_locked(struct store *s, struct job *j, struct error *err)
{
    sqlite3_stmt *st = s->stmt[REMOVE];
    bind_text(st, 1, j->id);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        j->state = (enum job_state)sqlite3_column_int(st, 0);
        j->bytes = sqlite3_column_int64(st, 1);
        rc = sqlite3_step(st);
        return ended(s, REMOVE, rc, err);
    }
    const bool ok = ended(s, REMOVE, rc, err);
    j->id[0] = 0;
    return ok;
}

static bool store_remove(void *ctx, struct job *jobs, size_t n, struct error *err)
{
    struct store *s = ctx;
    bool ok = true;

    if (!begin(s, err))
        return false;
    for (size_t i = 0; ok && i < n; i++)
        ok = remove_locked(s, &jobs[i], err);
    return end(s, ok, err);
}

static bool store_get(void *ctx, struct job *out, const char *id, struct error *err)
{
    struct store *s = ctx;
    bool ok = false;

    *out = (struct job){0};
    pthread_mutex_lock(&s->side[READER].lock);
    bind_text(s->stmt[GET], 1, id);
    const int rc = sqlite3_step(s->stmt[GET]);
    if (rc == SQLITE_ROW)
        ok = get_job(out, s->stmt[GET], true, err);
    else if (rc == SQLITE_DONE)
        error_set(err, ERROR_NOT_FOUND, "Job %.64s not found", id);
    else
        fail(s, READER, "cannot read the job database", err);
    reset(s, GET);
    pthread_mutex_unlock(&s->side[READER].lock);
    return ok;
}

/* Steps through a bound statement of the reader, at most max_n rows. */
static bool collect_locked(struct store *s, int which, struct job_list *out, int max_n,
                           struct error *err)
{
    int rc = SQLITE_DONE;
    bool ok = true;

    *out = (struct job_list){.jobs = calloc((size_t)max_n, sizeof(struct job))};
    if (!out->jobs)
        ok = error_set(err, ERROR_MEMORY, "no memory for a list of %d jobs", max_n);
    while (ok && out->n < (size_t)max_n && (rc = sqlite3_step(s->stmt[which])) == SQLITE_ROW) {
        ok = get_job(&out->jobs[out->n], s->stmt[which], false, err);
        out->n += ok;
    }
    if (ok && rc != SQLITE_DONE && rc != SQLITE_ROW)
        ok = fail(s, READER, "cannot read the job database", err);
    reset(s, which);
    if (!ok)
        job_list_clear(out);
    return ok;
}

static bool store_list(void *ctx, struct job_list *out, const struct job_filter *f,
                       struct error *err)
{
    struct store *s = ctx;
    sqlite3_stmt *st = s->stmt[LIST];

    *out = (struct job_list){0};
    if (f->max_n < 1 || f->max_n > JOB_STORE_PAGE_MAX)
        return error_set(err, ERROR_INVALID, "a page has 1 to %d jobs, not %d", JOB_STORE_PAGE_MAX,
                         f->max_n);
    pthread_mutex_lock(&s->side[READER].lock);
    sqlite3_bind_double(st, 1, f->after_id ? f->after_created : 1e300);
    bind_text(st, 2, f->after_id ? f->after_id : "");
    sqlite3_bind_int64(st, 3, f->states ? f->states : (1u << JOB_N_STATES) - 1);
    bind_text(st, 4, f->owner);
    sqlite3_bind_int(st, 5, f->max_n);
    const bool ok = collect_locked(s, LIST, out, f->max_n, err);
    pthread_mutex_unlock(&s->side[READER].lock);
    return ok;
}

static bool store_oldest_final(void *ctx, struct job_list *out, int max_n, struct error *err)
{
    struct store *s = ctx;

    ASSERT(max_n >= 1 && max_n <= JOB_STORE_PAGE_MAX);
    pthread_mutex_lock(&s->side[READER].lock);
    sqlite3_bind_int(s->stmt[OLDEST], 1, max_n);
    const bool ok = collect_locked(s, OLDEST, out, max_n, err);
    pthread_mutex_unlock(&s->side[READER].lock);
    return ok;
}

static bool store_totals(void *ctx, struct job_totals *out, struct error *err)
{
    struct store *s = ctx;
    sqlite3_stmt *st = s->stmt[TOTALS];
    int rc;
    bool ok = true;

    *out = (struct job_totals){0};
    pthread_mutex_lock(&s->side[READER].lock);
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        const int state = sqlite3_column_int(st, 0);
        if (state < 0 || state >= JOB_N_STATES)
            continue;
        out->n[state] = sqlite3_column_int64(st, 1);
        if (job_is_final((enum job_state)state))
            out->final_bytes += sqlite3_column_int64(st, 2);
    }
    if (rc != SQLITE_DONE)
        ok = fail(s, READER, "cannot read the job database", err);
    reset(s, TOTALS);
    pthread_mutex_unlock(&s->side[READER].lock);
    return ok;
}

static bool store_ahead(void *ctx, int64_t *out, const char *id, struct error *err)
{
    struct store *s = ctx;

    pthread_mutex_lock(&s->side[READER].lock);
    bind_text(s->stmt[AHEAD], 1, id);
    const bool ok = sqlite3_step(s->stmt[AHEAD]) == SQLITE_ROW ||
                    fail(s, READER, "cannot read the job database", err);
    *out = ok ? sqlite3_column_int64(s->stmt[AHEAD], 0) : 0;
    reset(s, AHEAD);
    pthread_mutex_unlock(&s->side[READER].lock);
    return ok;
}

static bool store_check(void *ctx, struct error *err)
{
    struct store *s = ctx;

    pthread_mutex_lock(&s->side[READER].lock);
    const bool ok = job_store_sqlite_schema_check(s->side[READER].db, false, err);
    pthread_mutex_unlock(&s->side[READER].lock);
    return ok;
}

static void store_close(void *ctx)
{
    struct store *s = ctx;

    if (!s)
        return;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s->stmt[i]);
    /* The writer last: it moves the log into the file. */
    for (int i = 1; i >= 0; i--) {
        sqlite3_close(s->side[i].db);
        if (s->side[i].has_lock)
            pthread_mutex_destroy(&s->side[i].lock);
    }
    free(s);
}

static bool open_side(struct store *s, enum side_name which, const char *path, struct error *err)
{
    struct side *side = &s->side[which];
    /* Locks are ours, so SQLite needs none of its own. */
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;

    if (pthread_mutex_init(&side->lock, NULL) != 0)
        return error_set(err, ERROR_MEMORY, "no memory for a lock");
    side->has_lock = true;
    if (sqlite3_open_v2(path, &side->db, flags, NULL) != SQLITE_OK) {
        if (!side->db)
            return error_set(err, ERROR_MEMORY, "no memory for a database");
        return fail(s, which, "cannot open it", err);
    }
    sqlite3_extended_result_codes(side->db, 1);
    sqlite3_busy_timeout(side->db, BUSY_MS);
    sqlite3_limit(side->db, SQLITE_LIMIT_LENGTH, VALUE_MAX_BYTES);
    sqlite3_db_config(side->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* cache_size below 0 counts KiB; the system caches the file as well. */
    return job_store_sqlite_schema_run(
        side->db,
        which == WRITER ? "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -1000;"
                          "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                        : "PRAGMA trusted_schema = OFF; PRAGMA cache_size = -1000;"
                          "PRAGMA query_only = ON;",
        "cannot set it up", err);
}

static bool prepare_all(struct store *s, struct error *err)
{
    for (int i = 0; i < N_STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->side[statement[i].side].db, statement[i].sql, -1,
                               SQLITE_PREPARE_PERSISTENT, &s->stmt[i], NULL) != SQLITE_OK)
            return fail(s, statement[i].side, "has not the tables it should have", err);
    return true;
}

bool job_store_sqlite_open(struct job_store *out, const char *path, struct error *err)
{
    *out = (struct job_store){0};
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_MEMORY, "no memory for a job store");
    if (!open_side(s, WRITER, path, err) ||
        !job_store_sqlite_schema_check(s->side[WRITER].db, true, err) ||
        !job_store_sqlite_schema_update(s->side[WRITER].db, err) ||
        !open_side(s, READER, path, err) || !prepare_all(s, err)) {
        /* A damaged file stays exactly as it was found, its log beside it. */
        if (s->side[WRITER].db)
            sqlite3_db_config(s->side[WRITER].db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        store_close(s);
        return error_prefix(err, "%.300s", path);
    }
    *out = (struct job_store){
        .ctx = s,
        .accept = store_accept,
        .get = store_get,
        .list = store_list,
        .totals = store_totals,
        .ahead = store_ahead,
        .claim = store_claim,
        .move = store_move,
        .ask_cancel = store_ask_cancel,
        .oldest_final = store_oldest_final,
        .remove = store_remove,
        .check = store_check,
        .close = store_close,
    };
    return true;
}
