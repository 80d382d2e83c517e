/* An infotext as JSON, in the three forms that clients expect.  Each function returns an object
 * that the caller owns, or NULL when there was no memory.
 *
 * Bytes that are not UTF-8 become U+FFFD: JSON has no room for them. */
#ifndef IMAGE_INFOTEXT_JSON_H
#define IMAGE_INFOTEXT_JSON_H

#include "image/infotext.h"

#include <jansson.h>

/* The native API's: "prompt", "negative_prompt", then the keys as written.  "true" and "false" in
 * any case become booleans, a number with a point a real, one without an integer; everything else,
 * and numbers that 64 bits do not hold, stays text.  Empty for an empty text. */
json_t *infotext_json_native(const struct infotext *info);

/* A1111's, as /sdapi/v1/png-info answers: "Prompt", "Negative prompt", the keys as written with
 * text values, "WxH" as KEY-1 and KEY-2, empty values left out, and what A1111 assumes where a key
 * is missing. */
json_t *infotext_json_sdapi(const struct infotext *info);

/* What the text means as fields of a request to /sdapi/v1/txt2img or img2img, with their types:
 * "prompt", "steps", "sampler_name", "width", "hr_scale"...  Options (model, VAE, clip skip, RNG)
 * are in the object "override_settings".  Values that are not of their field's type are left out;
 * keys without a field too.  A client's own fields go before these. */
json_t *infotext_json_settings(const struct infotext *info);

#endif
