/* The queue: accepts jobs, says which runs next, follows it to its end, and forgets old ones with
 * their files.
 *
 * All functions may be called from any thread at any time.  Changes are durable when they return.
 * Counts are read without waiting for anybody; reading a job waits for other readers only.
 * Progress lives in memory: after a restart an unfinished job begins again. */
#ifndef JOBS_JOB_QUEUE_H
#define JOBS_JOB_QUEUE_H

#include "base/log.h"
#include "jobs/job.h"
#include "jobs/job_files.h"
#include "jobs/job_store.h"

struct job_queue; /* one owner */

struct job_queue_settings {
    const char *folder;     /* data folder; copied */
    const struct log *log;  /* borrowed, may be NULL */
    int max_queued;         /* more are refused with ERROR_FULL; at least 1 */
    int max_attempts;       /* of one job, 1..100; 2 is the default of the program */
    double keep_seconds;    /* of jobs in a last state; 0: for ever */
    int64_t keep_jobs;      /* the newest so many jobs in a last state; 0: all */
    int64_t keep_bytes;     /* of their files; 0: all */
    bool set_damaged_aside; /* a damaged database is moved away with all files (see
                               job_files_set_aside) and the queue begins empty; else refused */
};

/* Opens the data folder, and puts in order what a crash has left: jobs found loading or processing
 * run again or, out of attempts, fail; jobs whose files are gone fail; files without job go.
 * ERROR_CORRUPT names the database, what is wrong with it, and how to go on. */
bool job_queue_open(struct job_queue **out, const struct job_queue_settings *s,
                    struct error *err) MUST_CHECK;

/* Accepts NULL.  No other call may be under way.  Jobs stay as they are on disk. */
void job_queue_close(struct job_queue *q);

/* Told after every change that somebody may wait for (a new job, a state, progress), on the thread
 * that made it and without locks held: it must be quick, and may write to a pipe.  Set once, before
 * threads use the queue. */
typedef void (*job_queue_changed_fn)(void *ctx, const char *id);
void job_queue_on_change(struct job_queue *q, job_queue_changed_fn fn, void *ctx);

/* For clients' side of the server. */

struct job_submission {
    const char *family;  /* required */
    const char *owner;   /* NULL is "" */
    const char *request; /* canonical JSON, at most JOB_TEXT_MAX_BYTES */
    const char *wire;    /* may be NULL; at most JOB_TEXT_MAX_BYTES */
    const void *image;   /* input files; NULL: none */
    size_t image_bytes;
    const void *mask;
    size_t mask_bytes;
};

/* On true the job is on disk and will end in a last state, and id is its name.  ERROR_FULL: the
 * queue is full. */
bool job_queue_submit(struct job_queue *q, char id[JOB_ID_BYTES], const struct job_submission *s,
                      struct error *err) MUST_CHECK;

/* The whole job with its progress; ERROR_NOT_FOUND.  The caller clears *out. */
bool job_queue_get(struct job_queue *q, struct job *out, const char *id,
                   struct error *err) MUST_CHECK;

/* Without request, wire and result; see job_store.h.  The caller clears *out. */
bool job_queue_list(struct job_queue *q, struct job_list *out, const struct job_filter *f,
                    struct error *err) MUST_CHECK;

/* The cursor of the page behind j: text for clients, read back into f by job_queue_use_cursor.
 * room is JOB_QUEUE_CURSOR_BYTES.  id_room keeps the id that f borrows. */
enum { JOB_QUEUE_CURSOR_BYTES = 80 };
void job_queue_cursor(char out[JOB_QUEUE_CURSOR_BYTES], const struct job *j);
bool job_queue_use_cursor(struct job_filter *f, char id_room[JOB_ID_BYTES], const char *cursor,
                          struct error *err) MUST_CHECK;

/* Queued jobs before this one. */
bool job_queue_ahead(struct job_queue *q, int64_t *out, const char *id,
                     struct error *err) MUST_CHECK;

struct job_queue_counts {
    int64_t n[JOB_N_STATES];
    int64_t final_bytes;
};

/* Wait-free; the numbers may be of slightly different moments. */
struct job_queue_counts job_queue_counts(const struct job_queue *q);

enum job_queue_cancel {
    JOB_QUEUE_CANCELLED,    /* it was queued, and will not run */
    JOB_QUEUE_CANCEL_ASKED, /* it runs: the worker must be told; noted on disk meanwhile */
    JOB_QUEUE_CANCEL_LATE,  /* it had ended */
};
bool job_queue_cancel(struct job_queue *q, enum job_queue_cancel *out, const char *id,
                      struct error *err) MUST_CHECK;

/* Removes a job in a last state, with its files; ERROR_INVALID for others. */
bool job_queue_remove(struct job_queue *q, const char *id, struct error *err) MUST_CHECK;

/* Borrowed; paths of inputs and outputs. */
const struct job_files *job_queue_files(const struct job_queue *q);

/* For the supervisor.  The functions on one job fail with ERROR_INVALID where the table of moves
 * does not allow them. */

/* Takes the first queued job, which is loading from now on, one more attempt counted.  The caller
 * clears *out. */
bool job_queue_next(struct job_queue *q, struct job *out, bool *found,
                    struct error *err) MUST_CHECK;

/* The model is loaded and the work begins: loading to processing. */
bool job_queue_start(struct job_queue *q, const char *id, struct error *err) MUST_CHECK;

/* In memory only; unknown ids are ignored.  preview may be NULL: as before. */
struct job_progress {
    const char *phase;
    double progress;     /* 0..1 */
    double seconds_left; /* below 0: unknown */
    const char *preview; /* name in outputs/ */
};
void job_queue_progress(struct job_queue *q, const char *id, const struct job_progress *p);

/* Done.  result is JSON; outputs are n names of files that stand in outputs/, synced and renamed.
 * Other files of the job there are removed. */
bool job_queue_finish(struct job_queue *q, const char *id, const char *result,
                      const char *const *outputs, size_t n, struct error *err) MUST_CHECK;

/* Failed for good: the same would happen again. */
bool job_queue_fail(struct job_queue *q, const char *id, const char *code, const char *text,
                    struct error *err) MUST_CHECK;

/* The worker stopped because it was asked to. */
bool job_queue_cancelled(struct job_queue *q, const char *id, struct error *err) MUST_CHECK;

/* The worker died or had to stop.  The job runs again, at its old place in line; out of attempts it
 * fails with the reason, and where a cancel was asked it is cancelled.  *out, unless NULL, is the
 * state it has now.  give_back: the attempt does not count, because the server is stopping. */
bool job_queue_requeue(struct job_queue *q, const char *id, const char *code, const char *reason,
                       bool give_back, enum job_state *out, struct error *err) MUST_CHECK;

/* Retention: removes what is too old or too much, longest finished first, rows and files together.
 * Bytes alone never remove the job that finished last.  Runs by itself after each end of a job; to
 * be called every minute or so for the age.  *removed, unless NULL, counts. */
bool job_queue_expire(struct job_queue *q, int *removed, struct error *err) MUST_CHECK;

/* The database's own check of itself; takes its time. */
bool job_queue_check(struct job_queue *q, struct error *err) MUST_CHECK;

#endif
