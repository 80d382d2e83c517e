/* The fields of OpenAI's image requests: one table, for JSON bodies and for forms.
 *
 * In a form numbers and booleans are text.  Absent and null fields have their default; unknown ones
 * are left to the caller, who gives them to the native API as extensions. */
#ifndef API_OPENAI_FIELDS_H
#define API_OPENAI_FIELDS_H

#include "api/api.h"

/* Texts are borrowed from the body; "" is "not said". */
struct openai_fields {
    const char *prompt, *model, *size, *quality, *style, *response_format, *output_format;
    const char *background, *moderation, *user, *input_fidelity;
    int n, output_compression, partial_images;
    bool stream;
};

/* Checks every field.  ERROR_INVALID names the field, its value and what is allowed. */
bool openai_fields_read(struct openai_fields *out, struct api_call *call, const json_t *body,
                        bool is_form, struct error *err) MUST_CHECK;

/* Is it a field of the table, so none of the extensions? */
bool openai_fields_is_known(const char *key);

/* "WxH" in pixels, to the nearest multiple of 8; *width is 0 for "auto" and "".  max_side is the
 * largest side allowed. */
bool openai_fields_size(int *width, int *height, struct api_call *call, const char *size,
                        int max_side, struct error *err) MUST_CHECK;

#endif
