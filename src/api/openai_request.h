/* From OpenAI's fields to a canonical request.
 *
 * Fields that OpenAI does not have (negative_prompt, seed, steps, cfg_scale, sampler_name,
 * scheduler_type, loras, hires, ...) have the native API's meaning. */
#ifndef API_OPENAI_REQUEST_H
#define API_OPENAI_REQUEST_H

#include "api/openai_body.h"
#include "api/openai_fields.h"

enum openai_request_kind { OPENAI_GENERATION, OPENAI_EDIT, OPENAI_VARIATION };

struct openai_request {
    enum openai_request_kind kind;
    struct openai_body body;
    struct openai_fields fields; /* texts borrowed from body */
    json_t *canonical;           /* owned */
    json_t *warnings;            /* owned array of sentences */
    bool as_url;                 /* the answer has addresses instead of base64 */
};

/* Reads and checks the whole request.  The caller clears *out also after a failure. */
bool openai_request_read(struct openai_request *out, struct api_call *call,
                         enum openai_request_kind kind, struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void openai_request_clear(struct openai_request *r);

#endif
