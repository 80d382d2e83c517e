/* Where jobs are kept: a struct of functions, so that a database on the network can take the place
 * of the file.  job_queue is its only caller.
 *
 * Every change is durable when its function returns true, and all or nothing otherwise.  All
 * functions may be called from any thread.  Reading never waits for writing. */
#ifndef JOBS_JOB_STORE_H
#define JOBS_JOB_STORE_H

#include "jobs/job.h"

/* One step of a job to another state.  NULL texts are stored as none. */
struct job_change {
    enum job_state to;
    double when;            /* now: becomes finished, in the last states */
    const char *error_code; /* JOB_ERROR, and JOB_QUEUED again: why */
    const char *error_text; /* likewise */
    const char *result;     /* JOB_DONE */
    const char *outputs;    /* JOB_DONE */
    int64_t more_bytes;     /* added to the job's bytes; below 0 where files went */
    bool give_back;         /* JOB_QUEUED: the attempt does not count */
};

enum { JOB_STORE_PAGE_MAX = 1000 };

/* Newest first.  The page behind a job holds what is older than (created, id). */
struct job_filter {
    unsigned states;   /* bits 1 << state; 0: all */
    const char *owner; /* NULL: of everybody */
    double after_created;
    const char *after_id; /* NULL: from the newest on */
    int max_n;            /* 1..JOB_STORE_PAGE_MAX */
};

struct job_totals {
    int64_t n[JOB_N_STATES];
    int64_t final_bytes; /* files of the jobs in a last state */
};

struct job_store {
    void *ctx;

    /* Adds j as queued with the texts it holds; fills j->seq. */
    bool (*accept)(void *ctx, struct job *j, struct error *err);
    /* ERROR_NOT_FOUND when there is none.  The caller clears *out. */
    bool (*get)(void *ctx, struct job *out, const char *id, struct error *err);
    /* Without request, wire and result.  The caller clears *out. */
    bool (*list)(void *ctx, struct job_list *out, const struct job_filter *f, struct error *err);
    bool (*totals)(void *ctx, struct job_totals *out, struct error *err);
    /* Queued jobs that come before this one; 0 for one that is not queued. */
    bool (*ahead)(void *ctx, int64_t *out, const char *id, struct error *err);

    /* Moves the first queued job to loading, counting an attempt.  *found tells whether there was
     * one; the caller clears *out. */
    bool (*claim)(void *ctx, struct job *out, bool *found, double when, struct error *err);
    /* ERROR_NOT_FOUND, or ERROR_INVALID where the job is not in `from` or the table forbids it.
     * *bytes, unless NULL, is what the job's files have now. */
    bool (*move)(void *ctx, const char *id, enum job_state from, const struct job_change *change,
                 int64_t *bytes, struct error *err);
    /* Notes that somebody wants it stopped; ERROR_INVALID unless it is loading or processing. */
    bool (*ask_cancel)(void *ctx, const char *id, struct error *err);

    /* The longest finished jobs first, without long texts but with outputs. */
    bool (*oldest_final)(void *ctx, struct job_list *out, int max_n, struct error *err);
    /* Removes rows of jobs in a last state, all in one step.  State and bytes of each become what
     * the row said; where nothing was removed the id becomes "". */
    bool (*remove)(void *ctx, struct job *jobs, size_t n, struct error *err);

    /* ERROR_CORRUPT says what is wrong with the file.  Takes its time. */
    bool (*check)(void *ctx, struct error *err);
    void (*close)(void *ctx);
};

#endif
