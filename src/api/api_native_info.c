#include "api/api_native_info.h"

#include "base/base64.h"
#include "image/image_info.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The picture's file, which the caller frees.  A data address loses its head. */
static bool decode(struct api_call *call, const json_t *body, unsigned char **out, size_t *n_bytes,
                   struct error *err)
{
    const json_t *value = json_object_get(body, "image");
    const char *text = json_string_value(value);
    size_t len = text ? json_string_length(value) : 0;

    *out = NULL;
    if (len == 0)
        return api_fail(call, err, 400, "image", "No image data provided");
    const char *comma = strncasecmp(text, "data:", 5) == 0 ? memchr(text, ',', len) : NULL;
    if (comma) {
        len -= (size_t)(comma + 1 - text);
        text = comma + 1;
    }
    *out = malloc(base64_max_bytes(len));
    if (!*out)
        return error_set(err, ERROR_MEMORY, "no memory for the picture");
    if (!base64_decode(*out, n_bytes, text, len) || *n_bytes == 0)
        return api_fail(call, err, 400, "image",
                        "Invalid base64 image data: it is cut short, or no base64");
    return true;
}

bool api_native_info_read(struct api_call *call, struct error *err)
{
    struct image_info info = {0};
    unsigned char *bytes = NULL;
    size_t n_bytes = 0;
    json_t *body = NULL, *reply = NULL;

    bool ok = api_read_json(call, &body, true, err) && decode(call, body, &bytes, &n_bytes, err);
    if (ok && !image_info_read(&info, bytes, n_bytes, image_default_limits(), err)) {
        ok = false;
        call->error_field = "image";
        if (err->code == ERROR_CORRUPT || err->code == ERROR_LIMIT) {
            call->error_status = 400;
            error_prefix(err, "Failed to load image");
        }
    }
    if (ok) {
        reply = image_info_json_native(&info, err);
        ok = reply && api_reply_json(call, 200, reply, err);
    }
    image_info_clear(&info);
    free(bytes);
    json_decref(body);
    return ok;
}
