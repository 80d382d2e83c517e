/* From a canonical request to a job on disk, and its cancelling. */
#ifndef API_API_SUBMIT_H
#define API_API_SUBMIT_H

#include "api/api_input.h"
#include "jobs/job.h"
#include "request/gen_job.h"

/* What a family asks for. */
struct api_submission {
    const char *family;            /* "native", "sdapi", "openai" */
    json_t *request;               /* borrowed: canonical JSON, which is checked here */
    const struct api_input *image; /* borrowed; NULL: none */
    const struct api_input *mask;  /* borrowed; NULL: none */
    json_t *wire; /* borrowed: the body as the client sent it, with placeholders for pictures
                     (api_input_without_pictures); NULL: not kept */
};

struct api_submitted {
    char id[JOB_ID_BYTES];
    int64_t seed, subseed; /* as they were queued: numbers, where random ones were asked for */
};

/* Checks the request (ERROR_INVALID names the field), puts it into the queue and wakes the
 * supervisor.  On true the job is on disk.  ERROR_FULL: the queue is full; ERROR_BUSY: there is no
 * worker that could run it. */
bool api_submit(struct api_call *call, struct api_submitted *out, const struct api_submission *s,
                struct error *err) MUST_CHECK;

/* What requests may ask for, by the settings. */
struct gen_limits api_submit_limits(const struct api *api);

/* Stops the job wherever it is; a job that has ended is left alone. */
bool api_submit_cancel(struct api_call *call, const char *id, struct error *err) MUST_CHECK;

#endif
