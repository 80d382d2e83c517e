/* Waiting for a job: sleeps until it changes, a time is over, the client is gone, or the server
 * ends.
 *
 * Hangs on the queue's notice of changes (job_queue_on_change), so nobody polls the database. */
#ifndef API_API_WAIT_H
#define API_API_WAIT_H

#include "api/api.h"
#include "jobs/job_queue.h"

struct api_wait; /* who waits; one owner */

bool api_wait_open(struct api_wait **out, struct error *err) MUST_CHECK;
void api_wait_close(struct api_wait *w); /* accepts NULL; nobody may wait any more */

/* For job_queue_on_change; ctx is the struct api_wait. */
void api_wait_changed(void *ctx, const char *id);

/* Wakes everybody, now and from now on. */
void api_wait_stop(struct api_wait *w);

enum api_wait_end {
    API_WAIT_ENDED,       /* the job is in a last state, which *job tells */
    API_WAIT_TIME,        /* it is not, and the time is over */
    API_WAIT_CLIENT_GONE, /* nobody reads the answer any more */
    API_WAIT_STOPPING,    /* the server ends; the job stays as it is on disk */
};

/* Waits until the job ends.  *job, which starts as zeroes, is the job as it was last seen; the
 * caller clears it.  seconds below 0: for as long as it takes.  ERROR_NOT_FOUND when the job was
 * removed meanwhile. */
bool api_wait_for_end(struct api_call *call, enum api_wait_end *out, struct job *job,
                      const char *id, double seconds, struct error *err) MUST_CHECK;

/* Waits for the next change of the job after a moment that the caller marks first with
 * api_wait_mark: nothing that happens between the two is missed.  API_WAIT_ENDED means here that it
 * changed, or that it may have. */
uint64_t api_wait_mark(struct api_wait *w);
enum api_wait_end api_wait_for_change(struct api_wait *w, const struct http_request *r,
                                      const char *id, uint64_t since, double seconds);

#endif
