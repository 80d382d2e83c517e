/* Starts the worker, hands it the queue's jobs one after the other, and stays standing when it
 * falls.
 *
 * Processes of one program: the server, in which this runs; the worker, which computes; the
 * planner, which answers questions about plans while the worker computes and ends when nobody asks
 * any more. They talk over a socket pair each (channel/), one JSON object a line;
 * supervisor_protocol.h is the list of them.  A job costs an attempt when the worker dies with it.
 * No tensors here, and nothing of what a job means: a request is JSON that is passed on.
 *
 * All functions may be called from any thread, but open and close from one, and none beside close.
 * Those without an error answer at once; the job's end is seen in the queue. */
#ifndef SUPERVISOR_SUPERVISOR_H
#define SUPERVISOR_SUPERVISOR_H

#include "base/json.h"
#include "base/log.h"
#include "config/settings.h"
#include "jobs/job_queue.h"

struct supervisor; /* one owner */

/* Zeroes stand for the defaults.  Everything but settings is borrowed until supervisor_close. */
struct supervisor_options {
    const struct settings *settings; /* of the server: its processes get the same; copied */
    struct job_queue *queue;
    const struct log *log;        /* may be NULL */
    const char *program;          /* what to run as worker; NULL: this program */
    const char *const *arguments; /* in front of the role's, NULL behind the last; NULL: none */
    double first_backoff_seconds; /* before a worker that died is started again: 0.25, doubled by */
    double longest_backoff_seconds; /* each death, up to 30; a job that ends well resets it */
    double silence_seconds;         /* a worker that does not move for so long is killed: 120 */
    double planner_idle_seconds;    /* the planner ends when nobody asked for so long: 60 */
};

/* Starts the worker and begins with what is queued.  Fails only where there is no memory or no
 * thread: a worker that cannot be started is tried again, and told of in the log and the status. */
bool supervisor_open(struct supervisor **out, const struct supervisor_options *o,
                     struct error *err) MUST_CHECK;

/* Begins to stop, and does not wait: no more jobs are taken, questions that wait fail at once with
 * ERROR_BUSY, and so do later ones.  The first grace_seconds count.  Accepts NULL. */
void supervisor_stop(struct supervisor *s, double grace_seconds);

/* Takes no more jobs, gives the running one grace_seconds to end and gives it back to the queue
 * otherwise, attempt not counted; ends all processes.  Accepts NULL. */
void supervisor_close(struct supervisor *s, double grace_seconds);

/* There may be something to do: a job was submitted.  Quick; call it after job_queue_submit. */
void supervisor_wake(struct supervisor *s);

/* Cancels a job that is queued or runs: job_queue_cancel, and the worker is told.  It has ended or
 * will within a moment.  *how, unless NULL, says which. */
bool supervisor_cancel(struct supervisor *s, const char *id, enum job_queue_cancel *how,
                       struct error *err) MUST_CHECK;

/* Ends the running job early and well: the state of the picture is decoded, what is left of it and
 * of later batches is left out, and the job is done.  id NULL: whichever runs.  False: it does not
 * run (any more). */
bool supervisor_interrupt(struct supervisor *s, const char *id);

/* The same for the batch that is drawn now only; the next one of n_iter follows. */
bool supervisor_skip(struct supervisor *s, const char *id);

/* How long somebody waits for an answer. */
struct supervisor_patience {
    int timeout_ms;
    bool (*is_gone)(void *ctx); /* nobody wants it any more; asked a few times a second, from the
                                 * thread that waits; NULL: never */
    void *ctx;
};

/* Asks a question and waits for the answer.  request may be NULL; *answer is owned by the caller.
 * An error of the other side comes back as it is: ERROR_NOT_FOUND when there is no such model, ...
 * ERROR_BUSY: no answer within timeout_ms; ERROR_CANCELLED: is_gone said so.  The planner leaves a
 * question that nobody waits for.
 *
 *   "plan"    planner  {"job": canonical JSON, "input": {"width", "height"}, "mask": there is one}:
 *                      what `plan --json` prints, for the worker as it stands now; where it fits
 *                      nowhere {"refused": why, "largest": {"width", "height"} or null}
 *   "memory"  worker   null: {"resident_bytes", "peak_bytes", "model", "reserved_bytes"}
 *   "unload"  worker   null: models leave memory, after the job that runs; the answer is "memory"'s
 */
bool supervisor_ask(struct supervisor *s, const char *op, const json_t *request, json_t **answer,
                    const struct supervisor_patience *patience, struct error *err) MUST_CHECK;

enum { SUPERVISOR_NAME_BYTES = 256 };

struct supervisor_status {
    int worker_pid;                         /* 0: none at the moment */
    bool worker_up;                         /* it said that it is ready */
    int restarts;                           /* of the worker, since the server started */
    char last_death[SUPERVISOR_NAME_BYTES]; /* a sentence: why the worker ended last; "" */
    int planner_pid;
    char confinement[SUPERVISOR_NAME_BYTES]; /* what the worker got: "landlock, rlimits"; "" */
    char model[SUPERVISOR_NAME_BYTES];       /* loaded now; "": none */
    uint64_t resident_bytes;                 /* of the worker, as it last said */
    uint64_t reserved_bytes; /* what the running job's plan has set aside; 0: none runs */
    char job[JOB_ID_BYTES];  /* running now; "" */
    char phase[JOB_PHASE_BYTES];
    int step, steps;     /* of the job's batch; zeroes before the first */
    int batch, batches;  /* of n_iter, from 1 on */
    double progress;     /* 0..1 over the whole job */
    double seconds_left; /* below 0: unknown */
    double started;      /* of the job, seconds since 1970; 0 */
    bool stopping;
};

void supervisor_status(struct supervisor *s, struct supervisor_status *out);

#endif
