/* Pictures that clients send: base64 or data URLs in JSON, files in forms.
 *
 * What goes on is the file as it was sent; it was looked at as far as its header, so that its
 * format is known and its size allowed before anybody decodes it. */
#ifndef API_API_INPUT_H
#define API_API_INPUT_H

#include "api/api.h"

struct api_input {
    unsigned char *bytes; /* owned */
    size_t n_bytes;
    int width, height;  /* as it is shown, turned as its EXIF says */
    const char *format; /* "png", ... */
};

/* From the text of a JSON field: bare base64, or data:image/...;base64,....  Lenient as the
 * original: foreign characters are skipped.  ERROR_INVALID begins with the field's name. */
bool api_input_base64(struct api_input *out, struct api_call *call, const char *field,
                      const json_t *value, struct error *err) MUST_CHECK;

/* From bytes, which are copied. */
bool api_input_bytes(struct api_input *out, struct api_call *call, const char *field,
                     const void *bytes, size_t n_bytes, struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void api_input_clear(struct api_input *input);

/* A copy of a request body for log and store: each picture in it, at any depth, became
 * "[BASE64_IMAGE_DATA_<n>_chars]".  A text counts as one where it begins with "data:image/" or
 * stands in a member called image, images, init_images or mask and is longer than 100 characters.
 * NULL: no memory. */
json_t *api_input_without_pictures(const json_t *body);

#endif
