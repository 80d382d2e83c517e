#include "api/openai_request.h"

#include "api/api_native_request.h"
#include "api/openai_models.h"
#include "config/settings.h"
#include "library/library.h"

#include <stdio.h>
#include <string.h>

enum { NATIVE_SIDE = 512 };

/* How far an edit may leave the picture it begins with. */
static const double strength_faithful = 0.45, strength_free = 0.75;

static bool set(json_t *object, const char *key, json_t *value, struct error *err)
{
    return json_object_set_new(object, key, value) == 0 ||
           error_set(err, ERROR_MEMORY, "no memory for the request");
}

static bool is_given(const json_t *body, const char *key)
{
    const json_t *value = json_object_get(body, key);
    return value && !json_is_null(value);
}

/* A number that clients of forms send as text. */
static bool set_unless_given(json_t *native, const char *key, json_t *value, struct error *err)
{
    if (!is_given(native, key))
        return set(native, key, value, err);
    json_decref(value);
    return true;
}

static int steps_of(const char *quality)
{
    static const struct {
        const char *quality;
        int steps;
    } row[] = {{"low", 15}, {"high", 40}, {"hd", 40}};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (strcmp(row[i].quality, quality) == 0)
            return row[i].steps;
    return 25;
}

/* Everything that is no field of OpenAI's, for the native reader. */
static json_t *extensions(const json_t *body)
{
    static const char *const pictures[] = {"image", "images", "mask"};
    json_t *out = json_object(), *value;
    const char *key;

    json_object_foreach((json_t *)body, key, value)
    {
        bool is_picture = false;
        for (size_t i = 0; i < sizeof pictures / sizeof pictures[0]; i++)
            is_picture = is_picture || strncmp(key, pictures[i], strlen(pictures[i])) == 0;
        if (!is_picture && !openai_fields_is_known(key) && json_object_set(out, key, value) != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

static bool set_size(struct openai_request *r, struct api_call *call, json_t *native,
                     const struct library_entry *model, struct error *err)
{
    int side = model->native_side > 0 ? model->native_side : NATIVE_SIDE, width, height;

    if (!openai_fields_size(&width, &height, call, r->fields.size,
                            (int)call->api->settings->max_side, err))
        return false;
    if (r->kind == OPENAI_GENERATION)
        return set_unless_given(native, "width", json_integer(width ? width : side), err) &&
               set_unless_given(native, "height", json_integer(height ? height : side), err);
    return !width ||
           set(native, "resize_to", json_pack("{s:i, s:i}", "width", width, "height", height), err);
}

static bool set_picture(struct openai_request *r, json_t *native, struct error *err)
{
    bool faithful = strcmp(r->fields.input_fidelity, "high") == 0;
    json_t *strength = json_object_get(native, "strength");

    if (r->kind == OPENAI_GENERATION)
        return true;
    if (is_given(native, "strength") && !is_given(native, "denoising_strength") &&
        json_object_set(native, "denoising_strength", strength) != 0)
        return error_set(err, ERROR_MEMORY, "no memory for the request");
    json_object_del(native, "strength");
    if (r->body.mask.bytes &&
        !set(native, "mask_options", json_pack("{s:b, s:i}", "invert", 1, "fill", 1), err))
        return false; /* there, what is white is painted; here, what is transparent */
    return set_unless_given(native, "denoising_strength",
                            json_real(faithful ? strength_faithful : strength_free), err) &&
           set_unless_given(native, "resize_mode", json_integer(1), err);
}

static bool set_output(struct openai_request *r, json_t *native, struct error *err)
{
    const char *format = r->fields.output_format;

    return set(native, "fileType",
               json_string(strcmp(format, "jpeg") == 0 ? "jpg"
                           : *format                   ? format
                                                       : "png"),
               err) &&
           set(native, "jpeg_quality",
               json_integer(r->fields.output_compression > 0 ? r->fields.output_compression : 1),
               err) &&
           set(native, "n_iter", json_integer(r->fields.n), err) &&
           (!r->fields.partial_images || (set(native, "preview", json_true(), err) &&
                                          set(native, "preview_every_seconds", json_real(1), err)));
}

static bool warn(struct openai_request *r, const char *text, struct error *err)
{
    return json_array_append_new(r->warnings, json_string(text)) == 0 ||
           error_set(err, ERROR_MEMORY, "no memory for the request");
}

/* What this server cannot do is refused, or told. */
static bool check(struct openai_request *r, struct api_call *call, struct error *err)
{
    const struct openai_fields *f = &r->fields;

    if (r->kind != OPENAI_VARIATION && !f->prompt[0])
        return api_fail(call, err, 400, "prompt", "Missing required parameter: 'prompt'.");
    if (strcmp(f->background, "transparent") == 0)
        return api_fail(call, err, 400, "background",
                        "Invalid value for 'background': transparent pictures cannot be made here; "
                        "allowed: opaque, auto.");
    if (f->stream && f->n > 1)
        return api_fail(call, err, 400, "n",
                        "Invalid value for 'n': a stream has one picture; allowed: 1.");
    if (f->stream && strcmp(f->response_format, "url") == 0)
        return api_fail(call, err, 400, "response_format",
                        "Invalid value for 'response_format': a stream brings b64_json.");
    return r->body.n_images < 2 ||
           warn(r, "only the first image is used: the model begins with one", err);
}

/* Translates by way of the native API's fields. */
static bool translate(struct openai_request *r, struct api_call *call,
                      const struct library_entry *model, json_t *native, struct error *err)
{
    struct api_native_request n = {0};
    const struct openai_fields *f = &r->fields;

    bool ok = set(native, "prompt", json_string(f->prompt), err) &&
              set(native, "model", json_string(model->name), err) &&
              set_unless_given(native, "steps", json_integer(steps_of(f->quality)), err) &&
              set_size(r, call, native, model, err) && set_picture(r, native, err) &&
              set_output(r, native, err) &&
              api_native_request_plan(&n, call, native, r->kind != OPENAI_GENERATION, err);
    if (ok)
        ok = json_array_extend(r->warnings, n.warnings) == 0 ||
             error_set(err, ERROR_MEMORY, "no memory for the request");
    if (ok)
        r->canonical = json_incref(n.canonical);
    api_native_request_clear(&n);
    return ok;
}

static bool wants_url(const struct openai_fields *f)
{
    if (f->response_format[0])
        return strcmp(f->response_format, "url") == 0;
    return strncmp(f->model, "dall-e", 6) == 0;
}

bool openai_request_read(struct openai_request *out, struct api_call *call,
                         enum openai_request_kind kind, struct error *err)
{
    const struct library_entry *model = NULL;
    json_t *native = NULL;

    *out = (struct openai_request){.kind = kind, .warnings = json_array()};
    bool ok = (out->warnings || error_set(err, ERROR_MEMORY, "no memory for the request")) &&
              openai_body_read(&out->body, call, kind != OPENAI_GENERATION, err) &&
              openai_fields_read(&out->fields, call, out->body.fields, out->body.is_form, err) &&
              check(out, call, err) && openai_models_find(call, out->fields.model, &model, err);
    if (ok) {
        native = extensions(out->body.fields);
        ok = native ? translate(out, call, model, native, err)
                    : error_set(err, ERROR_MEMORY, "no memory for the request");
    }
    out->as_url = ok && wants_url(&out->fields);
    json_decref(native);
    library_entry_free(model);
    return ok;
}

void openai_request_clear(struct openai_request *r)
{
    json_decref(r->canonical);
    json_decref(r->warnings);
    openai_body_clear(&r->body);
    *r = (struct openai_request){0};
}
