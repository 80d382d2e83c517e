/* What job_queue.c shares with job_queue_recover.c and tests. */
#ifndef JOBS_JOB_QUEUE_INTERNAL_H
#define JOBS_JOB_QUEUE_INTERNAL_H

#include "jobs/job_queue.h"

#include <pthread.h>
#include <stdatomic.h>

enum { JOB_QUEUE_LIVE_MAX = 16 }; /* jobs that run at once, with room */

/* What is known of a running job only here. */
struct job_queue_live {
    char id[JOB_ID_BYTES]; /* "": free */
    double progress, seconds_left;
    char phase[JOB_PHASE_BYTES];
    char preview[JOB_FILE_NAME_BYTES];
};

struct job_queue {
    struct job_queue_settings settings; /* .folder is not used after opening */
    struct job_files files;
    struct job_store store;
    job_queue_changed_fn changed;
    void *changed_ctx;

    /* Every move adjusts them; a job is counted as queued before it is accepted, which makes the
     * limit exact. */
    _Atomic int64_t n[JOB_N_STATES];
    _Atomic int64_t final_bytes;
    atomic_flag expiring;

    pthread_mutex_t lock;
    /* Guarded by lock. */
    struct job_queue_live live[JOB_QUEUE_LIVE_MAX];
};

/* Brings rows and files together after a crash, and counts.  Nobody else uses q yet. */
bool job_queue_recover(struct job_queue *q, struct error *err) MUST_CHECK;

#endif
