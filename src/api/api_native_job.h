/* A job as the native API shows it, and the stream of its progress. */
#ifndef API_API_NATIVE_JOB_H
#define API_API_NATIVE_JOB_H

#include "api/api.h"
#include "jobs/job.h"

struct api_native_job_wish {
    bool picture; /* the first picture in base64 */
    bool preview; /* the preview of a running job in base64 */
    bool request; /* the payload, and what the result tells */
    bool brief;   /* prompt, mode and size: what a list shows */
};

/* job is a whole one, not one of a listing.  The caller owns *out. */
bool api_native_job_json(struct api_call *call, json_t **out, const struct job *job,
                         const struct api_native_job_wish *wish, struct error *err) MUST_CHECK;

/* Replies with server-sent events: "state" when the state or the place in line changes, "progress",
 * "preview" with a picture as data: address, and "end" with the job, last.  The data of each holds
 * job_id and state. */
bool api_native_job_follow(struct api_call *call, const char *id, struct error *err) MUST_CHECK;

#endif
