/* What AUTOMATIC1111's clients read of pictures that are done. */
#ifndef API_SDAPI_ANSWER_H
#define API_SDAPI_ANSWER_H

#include "api/sdapi_request.h"
#include "jobs/job.h"

/* What the answer needs of the request after it is gone. */
struct sdapi_answer {
    enum sdapi_endpoint endpoint;
    json_t *parameters; /* owned: as they are shown */
    json_t *warnings;   /* owned */
    int64_t subseed;    /* as it was queued */
};

struct sdapi_answer *sdapi_answer_new(const struct sdapi_request *r); /* NULL: no memory */
void sdapi_answer_free(void *answer);                                 /* accepts NULL */

/* {"images", "parameters", "info"}, and beside them "memory" and "warnings".  ctx is a struct
 * sdapi_answer; the shape is that of struct api_late. */
json_t *sdapi_answer_json(void *ctx, struct api_call *call, const struct job *job,
                          struct error *err);

#endif
