/* Bodies of OpenAI's image requests: JSON, or a form with files, made into one shape. */
#ifndef API_OPENAI_BODY_H
#define API_OPENAI_BODY_H

#include "api/api_input.h"

struct openai_body {
    json_t *fields; /* owned object; of a form all values are texts */
    bool is_form;
    struct api_input image, mask; /* owned; zeroes without */
    int n_images;                 /* as many as were sent; the first one counts */
};

/* Reads what the request brings, pictures included.  wants_image: the picture is required, and
 * without it pictures are an error.  The caller clears *out also after a failure. */
bool openai_body_read(struct openai_body *out, struct api_call *call, bool wants_image,
                      struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void openai_body_clear(struct openai_body *b);

#endif
