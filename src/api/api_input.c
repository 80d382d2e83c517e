#include "api/api_input.h"

#include "base/base64.h"
#include "image/image_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PICTURE_TEXT_BYTES = 100 }; /* shorter texts are no pictures, as in the original */

/* Looks at bytes that *out owns already. */
static bool look(struct api_input *out, struct api_call *call, const char *field, struct error *err)
{
    struct image_probe probe;

    call->error_field = field;
    if (!image_format_probe(&probe, out->bytes, out->n_bytes, image_default_limits(), err)) {
        api_input_clear(out);
        if (err->code == ERROR_CORRUPT)
            err->code = ERROR_INVALID;
        return error_prefix(err, "Failed to decode input image: %s", field);
    }
    call->error_field = NULL;
    out->width = probe.width;
    out->height = probe.height;
    out->format = probe.format->name;
    return true;
}

/* Behind "data:...;base64,", or the whole text. */
static const char *without_prefix(const char *text, size_t *len)
{
    if (strncasecmp(text, "data:", 5) != 0)
        return text;
    const char *comma = memchr(text, ',', *len < 256 ? *len : 256);
    if (!comma)
        return text;
    *len -= (size_t)(comma + 1 - text);
    return comma + 1;
}

bool api_input_base64(struct api_input *out, struct api_call *call, const char *field,
                      const json_t *value, struct error *err)
{
    *out = (struct api_input){0};
    if (!json_is_string(value))
        return api_fail(call, err, 0, field, "%s: it is no text; it has to be a picture in base64",
                        field);
    size_t len = json_string_length(value);
    const char *text = without_prefix(json_string_value(value), &len);
    if (strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0)
        return api_fail(call, err, 0, field,
                        "%s: addresses are not fetched; send the picture in base64", field);

    out->bytes = malloc(base64_max_bytes(len));
    if (!out->bytes)
        return error_set(err, ERROR_MEMORY, "no memory for %s", field);
    if (!base64_decode(out->bytes, &out->n_bytes, text, len) || out->n_bytes == 0) {
        api_input_clear(out);
        return api_fail(call, err, 0, field,
                        "Failed to decode input image: %s: it is no picture in base64", field);
    }
    return look(out, call, field, err);
}

bool api_input_bytes(struct api_input *out, struct api_call *call, const char *field,
                     const void *bytes, size_t n_bytes, struct error *err)
{
    *out = (struct api_input){0};
    if (n_bytes == 0)
        return api_fail(call, err, 0, field, "%s: it is empty", field);
    out->bytes = malloc(n_bytes);
    if (!out->bytes)
        return error_set(err, ERROR_MEMORY, "no memory for %s", field);
    memcpy(out->bytes, bytes, n_bytes);
    out->n_bytes = n_bytes;
    return look(out, call, field, err);
}

void api_input_clear(struct api_input *input)
{
    free(input->bytes);
    *input = (struct api_input){0};
}

static bool holds_pictures(const char *key)
{
    static const char *const keys[] = {"image", "images",    "init_images",
                                       "mask",  "imageList", "data"};
    for (size_t i = 0; key && i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* key: of the member in which value stands, at whatever depth of arrays; NULL: none. */
static json_t *copy_without(const json_t *value, const char *key)
{
    const char *name;
    json_t *member, *copy;
    size_t i;

    if (json_is_string(value)) {
        size_t len = json_string_length(value);
        bool is_url = strncmp(json_string_value(value), "data:image/", 11) == 0;
        if (is_url || (len > PICTURE_TEXT_BYTES && holds_pictures(key)))
            return json_sprintf("[BASE64_IMAGE_DATA_%zu_chars]", len);
        return json_copy((json_t *)value);
    }
    if (json_is_object(value)) {
        copy = json_object();
        json_object_foreach((json_t *)value, name, member)
        {
            if (json_object_set_new_nocheck(copy, name, copy_without(member, name)) != 0) {
                json_decref(copy);
                return NULL;
            }
        }
        return copy;
    }
    if (json_is_array(value)) {
        copy = json_array();
        json_array_foreach((json_t *)value, i, member)
        {
            if (json_array_append_new(copy, copy_without(member, key)) != 0) {
                json_decref(copy);
                return NULL;
            }
        }
        return copy;
    }
    return json_copy((json_t *)value);
}

json_t *api_input_without_pictures(const json_t *body)
{
    return copy_without(body, NULL);
}
