/* From AUTOMATIC1111's requests to the canonical one. */
#ifndef API_SDAPI_REQUEST_H
#define API_SDAPI_REQUEST_H

#include "api/api_input.h"
#include "api/sdapi_fields.h"

struct sdapi_request {
    enum sdapi_endpoint endpoint;
    json_t *parameters; /* owned: the request with all defaults */
    json_t *canonical;  /* owned */
    json_t *warnings;   /* owned array of sentences */
};

/* Reads and checks everything but the pictures, which stay texts in parameters.  The caller clears
 * *out also after a failure. */
bool sdapi_request_read(struct sdapi_request *out, struct api_call *call, const json_t *body,
                        enum sdapi_endpoint endpoint, struct error *err) MUST_CHECK;

/* Submits it; a refusal names the field as this API does and has its status. */
struct api_submitted;
bool sdapi_request_submit(const struct sdapi_request *r, struct api_call *call,
                          struct api_submitted *out, const struct api_input *image,
                          const struct api_input *mask, struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void sdapi_request_clear(struct sdapi_request *r);

#endif
