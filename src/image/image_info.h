/* Everything a picture's file tells without being unpacked: what POST /img-info,
 * POST /sdapi/v1/png-info and `diffusionapi info` answer from.
 *
 *     struct image_info info;
 *     if (image_info_read(&info, bytes, len, image_default_limits(), err)) {
 *         json_t *reply = image_info_json_native(&info, err);
 *         ...
 *         image_info_clear(&info);
 *     }
 */
#ifndef IMAGE_IMAGE_INFO_H
#define IMAGE_IMAGE_INFO_H

#include "image/image_format.h"

#include <jansson.h>

struct image_info {
    struct image_probe picture;
    char *infotext; /* owned UTF-8; NULL when the file has none */
    /* The other texts, owned, bounded as image_meta.h says. */
    struct image_item *items;
    size_t n_items;
};

/* Bytes of foreign origin.  Errors as those of image_format_probe.  limits bound the picture's size
 * although no pixel is read, so that an upload is refused by one rule. */
bool image_info_read(struct image_info *out, const void *bytes, size_t len,
                     struct image_limits limits, struct error *err) MUST_CHECK;
bool image_info_load(struct image_info *out, const char *path, struct error *err) MUST_CHECK;
void image_info_clear(struct image_info *info);

/* Objects that the caller owns, or NULL with the reason in err (an infotext beyond infotext.h's
 * bounds, no memory).
 * Native: {"status": "success", "info", "items", "parameters"}, parameters as infotext_json_native.
 * sdapi: {"info", "items", "parameters"}, parameters as infotext_json_sdapi, {} without infotext.
 */
json_t *image_info_json_native(const struct image_info *info, struct error *err) MUST_CHECK;
json_t *image_info_json_sdapi(const struct image_info *info, struct error *err) MUST_CHECK;

#endif
