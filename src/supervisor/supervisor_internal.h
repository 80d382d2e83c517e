/* What the files of the supervisor share. */
#ifndef SUPERVISOR_SUPERVISOR_INTERNAL_H
#define SUPERVISOR_SUPERVISOR_INTERNAL_H

#include "supervisor/supervisor.h"
#include "supervisor/supervisor_process.h"

#include <pthread.h>

enum { SUPERVISOR_MAX_ASKS = 64 };

/* One question of a thread that waits; it lives on that thread's stack. */
struct supervisor_ask {
    struct supervisor_ask *next;
    int64_t n; /* its number on the channel */
    bool for_planner;
    json_t *doc; /* owned by the thread that asks */
    bool sent, answered;
    bool tried_again; /* its process died once */
    json_t *answer;   /* NULL: error says why */
    struct error error;
};

/* What somebody wants of the running job. */
enum supervisor_wish {
    SUPERVISOR_CANCEL,
    SUPERVISOR_INTERRUPT,
    SUPERVISOR_SKIP,
    SUPERVISOR_WISHES
};

/* A job that is over and not yet written down as such. */
struct supervisor_ending {
    json_t *doc;  /* owned: "done" or "failed"; NULL: none waits */
    double again; /* when to try next, clock_seconds */
    bool told;    /* that it cannot be written */
};

struct supervisor {
    struct supervisor_options options;
    struct settings settings;
    pthread_t thread;
    int wake[2]; /* a pipe */

    /* The thread's own. */
    struct supervisor_process worker, planner;
    char job[JOB_ID_BYTES]; /* the worker has it; "": none */
    bool cancelling;        /* it is not wanted any more */
    struct supervisor_ending ending;
    double backoff_seconds, start_again; /* of the worker */
    double planner_used;
    int64_t planner_asked; /* the question that the planner is at; 0: none */
    double expire_again, claim_again;
    double stop_deadline;
    bool stop_sent;

    pthread_mutex_t lock;
    pthread_cond_t answered;
    /* Guarded by lock. */
    struct supervisor_ask *asks;
    int n_asks;
    int64_t last_n;
    int64_t unwanted; /* the last question of the planner that was given up; 0: none */
    char wishes[SUPERVISOR_WISHES][JOB_ID_BYTES]; /* "": none */
    bool stopping;
    double grace_seconds;
    struct supervisor_status status;
};

/* supervisor_loop.c: the thread. */
void *supervisor_loop(void *supervisor);

/* supervisor_jobs.c: jobs on their way through the worker. */
void supervisor_jobs_take(struct supervisor *s);
void supervisor_jobs_hear(struct supervisor *s, const json_t *doc, const char *is);
/* The worker is gone: the job runs again, or fails.  give_back: the attempt does not count. */
void supervisor_jobs_lost(struct supervisor *s, const char *reason, bool out_of_memory,
                          bool give_back);
/* Writes down a job's end that could not be written when it came. */
void supervisor_jobs_settle(struct supervisor *s);

/* supervisor_ask.c: questions and answers. */
void supervisor_asks_send(struct supervisor *s);
void supervisor_asks_hear(struct supervisor *s, const json_t *doc);
bool supervisor_asks_any(struct supervisor *s, bool for_planner);
/* A process is gone: its questions are asked once more, then fail.  all: it never was ready, so
 * that nothing that waits for it has a chance. */
void supervisor_asks_lost(struct supervisor *s, bool for_planner, bool all, const char *reason);
/* No more questions: all that wait fail. */
void supervisor_asks_end(struct supervisor *s);

#endif
