/* Bodies of the native API's /txt2img and /img2img: the original's fields and defaults, and every
 * field of the canonical request besides, made into a canonical request.
 *
 * Lenient where the original was (numbers as text, resize modes by name or number, unknown fields);
 * what cannot be meant is an error instead of a job that fails later. */
#ifndef API_API_NATIVE_REQUEST_H
#define API_API_NATIVE_REQUEST_H

#include "api/api_input.h"

struct api_native_request {
    json_t *canonical; /* owned */
    json_t
        *payload; /* owned: what GET /queue/{id} shows of the request, under the original's keys */
    json_t *warnings;             /* owned array of sentences */
    struct api_input image, mask; /* owned; zeroes without */
};

/* is_img2img: the picture is required, and the prompt must not be empty.  Otherwise a picture is
 * ignored. */
bool api_native_request_read(struct api_native_request *out, struct api_call *call, json_t *body,
                             bool is_img2img, struct error *err) MUST_CHECK;

/* The canonical request alone, for plans: no picture is needed or read. */
bool api_native_request_plan(struct api_native_request *out, struct api_call *call, json_t *body,
                             bool is_img2img, struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void api_native_request_clear(struct api_native_request *r);

#endif
