/* Answers that wait for a job, for families whose clients do not ask twice.
 *
 * The handler's thread waits.  When the client leaves, the job is cancelled.  When it takes longer
 * than the setting late_answer_seconds, the answer begins: status 200 and a blank every ten
 * seconds, which JSON allows in front of a document, so that clients and proxies go on waiting.  An
 * error that comes later is a document in the family's shape inside that 200. */
#ifndef API_API_LATE_H
#define API_API_LATE_H

#include "api/api.h"
#include "jobs/job.h"

struct api_late {
    /* Makes the answer of a job that is done; the caller owns it.  NULL with err where it cannot.
     * May run after the handler has returned: call is a copy then. */
    json_t *(*answer)(void *ctx, struct api_call *call, const struct job *job, struct error *err);
    void (*free_ctx)(void *ctx); /* called once, whatever happens; may be NULL */
    void *ctx;
};

/* Replies with the answer, or fails with the job's own error (its code tells the status).  Owns
 * late->ctx from here on. */
bool api_late_reply(struct api_call *call, const char *id, const struct api_late *late,
                    struct error *err) MUST_CHECK;

/* The error of a job that ended without a result.  Returns false. */
bool api_late_error(const struct job *job, struct error *err);

#endif
