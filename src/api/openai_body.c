#include "api/openai_body.h"

#include "http/http_multipart.h"
#include "image/image_format.h"

#include <string.h>

/* "image", "image[]" and "image[0]" are one field. */
static bool is_named(const char *name, const char *want)
{
    size_t len = strlen(want);
    return strncmp(name, want, len) == 0 && (!name[len] || name[len] == '[');
}

/* Whether any place of the mask is not opaque: where none is, nothing would be painted anew. */
static bool has_hole(bool *out, const struct api_input *mask, struct error *err)
{
    struct image_file file;

    if (!image_format_read_alpha(&file, mask->bytes, mask->n_bytes, image_default_limits(), err))
        return false;
    *out = file.alpha != NULL; /* NULL when opaque everywhere */
    image_format_clear(&file);
    return true;
}

/* In this API a mask's opacity tells, so one that has none was meant otherwise. */
static bool check_mask(struct openai_body *b, struct api_call *call, struct error *err)
{
    struct image_probe probe;
    bool hole = false;

    if (!b->mask.bytes)
        return true;
    if (!image_format_probe(&probe, b->mask.bytes, b->mask.n_bytes, image_default_limits(), err))
        return false;
    if (!probe.has_alpha)
        return api_fail(call, err, 400, "mask",
                        "Invalid value for 'mask': it has no transparency; what is to be painted "
                        "anew is transparent in it.");
    if (b->mask.width != b->image.width || b->mask.height != b->image.height)
        return api_fail(
            call, err, 400, "mask",
            "Invalid value for 'mask': it is %dx%d and the image %dx%d; both have to be "
            "of one size.",
            b->mask.width, b->mask.height, b->image.width, b->image.height);
    if (!has_hole(&hole, &b->mask, err)) {
        call->error_field = "mask";
        call->error_status = 400;
        return false;
    }
    return hole || api_fail(call, err, 400, "mask",
                            "Invalid value for 'mask': it is opaque everywhere; what is to be "
                            "painted anew is transparent in it.");
}

/* Makes sure that what is required is there. */
static bool check(struct openai_body *b, struct api_call *call, bool wants_image, struct error *err)
{
    if (wants_image && !b->image.bytes)
        return api_fail(call, err, 400, "image", "Missing required parameter: 'image'.");
    return check_mask(b, call, err);
}

static bool take_part(struct openai_body *b, struct api_call *call,
                      const struct http_multipart_part *p, bool wants_image, struct error *err)
{
    if (wants_image && is_named(p->name, "image"))
        return b->n_images++ > 0 ||
               api_input_bytes(&b->image, call, "image", p->bytes, p->n_bytes, err);
    if (wants_image && strcmp(p->name, "mask") == 0)
        return b->mask.bytes || api_input_bytes(&b->mask, call, "mask", p->bytes, p->n_bytes, err);
    json_t *text = json_stringn(p->bytes, p->n_bytes);
    if (!text)
        return api_fail(call, err, 400, NULL, "The form's part '%.60s' is not UTF-8.", p->name);
    return json_object_set_new(b->fields, p->name, text) == 0 ||
           error_set(err, ERROR_MEMORY, "no memory for the form");
}

static bool read_form(struct openai_body *b, struct api_call *call, const char *type,
                      bool wants_image, struct error *err)
{
    struct http_multipart form;
    const struct http_request *r = call->request;

    b->is_form = true;
    b->fields = json_object();
    if (!b->fields)
        return error_set(err, ERROR_MEMORY, "no memory for the form");
    if (!http_multipart_read(&form, type, r->body, r->body_bytes, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < form.n; i++)
        ok = take_part(b, call, &form.parts[i], wants_image, err);
    http_multipart_clear(&form);
    return ok && check(b, call, wants_image, err);
}

/* {"image_url": "data:..."}, or the text itself. */
static bool read_reference(struct api_input *out, struct api_call *call, const char *field,
                           const json_t *value, struct error *err)
{
    const json_t *url = json_is_object(value) ? json_object_get(value, "image_url") : value;

    if (json_is_object(url)) /* as chat messages have it */
        url = json_object_get(url, "url");
    if (json_is_object(value) && json_object_get(value, "file_id"))
        return api_fail(call, err, 400, field,
                        "Invalid value for '%s': there are no stored files here; send the picture "
                        "as a data URL.",
                        field);
    if (!json_is_string(url))
        return api_fail(call, err, 400, field,
                        "Invalid value for '%s': it has to be {\"image_url\": \"data:...\"}.",
                        field);
    return api_input_base64(out, call, field, url, err);
}

static bool read_references(struct openai_body *b, struct api_call *call, struct error *err)
{
    const json_t *images = json_object_get(b->fields, "images");
    const json_t *image = json_object_get(b->fields, "image");
    const json_t *mask = json_object_get(b->fields, "mask");

    if (json_is_array(image))
        images = image;
    if (json_is_array(images)) {
        b->n_images = (int)json_array_size(images);
        image = json_array_get(images, 0);
    } else if (image && !json_is_null(image)) {
        b->n_images = 1;
    }
    return (!image || json_is_null(image) ||
            read_reference(&b->image, call, "image", image, err)) &&
           (!mask || json_is_null(mask) || read_reference(&b->mask, call, "mask", mask, err));
}

bool openai_body_read(struct openai_body *out, struct api_call *call, bool wants_image,
                      struct error *err)
{
    const char *type = http_request_header(call->request, "Content-Type");

    *out = (struct openai_body){0};
    if (http_multipart_is(type))
        return read_form(out, call, type, wants_image, err);
    return api_read_json(call, &out->fields, false, err) &&
           (!wants_image || read_references(out, call, err)) && check(out, call, wants_image, err);
}

void openai_body_clear(struct openai_body *b)
{
    json_decref(b->fields);
    api_input_clear(&b->image);
    api_input_clear(&b->mask);
    *b = (struct openai_body){0};
}
