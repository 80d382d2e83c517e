/* Samplers and schedulers under the names that AUTOMATIC1111's clients know. */
#ifndef API_SDAPI_SAMPLERS_H
#define API_SDAPI_SAMPLERS_H

#include "api/sdapi_request.h"

/* Handlers of GET /sdapi/v1/samplers and schedulers. */
bool sdapi_samplers_list(struct api_call *call, struct error *err);
bool sdapi_samplers_list_schedulers(struct api_call *call, struct error *err);

/* Writes sampler and scheduler into r->canonical.  An unknown sampler is 400 "Sampler not found";
 * an unknown scheduler is Automatic, as in the original, with a warning. */
bool sdapi_samplers_write(struct sdapi_request *r, struct api_call *call,
                          struct error *err) MUST_CHECK;

#endif
