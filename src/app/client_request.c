#include "app/client_request.h"

#include "base/base64.h"
#include "base/fs.h"
#include "base/parse.h"

#include <stdlib.h>
#include <string.h>

enum { PICTURE_MAX_BYTES = 48 << 20, NAME_BYTES = 1024 };

static const double scale_min = -100, scale_max = 100;

/* Takes value; a NULL one is a lack of memory, which the end of client_request_make sees. */
static bool set(json_t *body, const char *key, json_t *value)
{
    return json_object_set_new(body, key, value) == 0;
}

static bool set_text(json_t *body, const char *key, const char *text)
{
    return !text || !*text || set(body, key, json_string(text));
}

static bool set_positive(json_t *body, const char *key, int64_t n)
{
    return n <= 0 || set(body, key, json_integer(n));
}

/* The file as base64 text. */
static bool set_file(json_t *body, const char *key, const char *path, struct error *err)
{
    char *bytes = NULL, *text = NULL;
    size_t len, n;

    if (!path)
        return true;
    if (!fs_read(&bytes, &len, path, PICTURE_MAX_BYTES, err))
        return error_prefix(err, "--%s", key);
    n = base64_text_bytes(len);
    text = malloc(n);
    if (text)
        base64_encode(text, bytes, len);
    bool ok = text && set(body, key, json_stringn(text, n));
    free(text);
    free(bytes);
    return ok || error_set(err, ERROR_MEMORY, "no memory for --%s", key);
}

/* "NAME" or "NAME:SCALE"; names are the server's. */
static bool add_lora(json_t *list, const char *text, struct error *err)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    double scale = 1;
    struct error ignored = {0};

    if (colon && !parse_double(&scale, colon + 1, scale_min, scale_max, &ignored)) {
        scale = 1; /* a colon of the name's own */
        len = strlen(text);
    }
    if (len == 0 || len >= NAME_BYTES)
        return error_set(err, ERROR_INVALID, "--lora is NAME or NAME:SCALE, not '%.80s'", text);
    return json_array_append_new(
               list, json_pack("{s:s%, s:f}", "name", text, len, "scale", scale)) == 0 ||
           error_set(err, ERROR_INVALID, "--lora: the name is not UTF-8");
}

static bool set_loras(json_t *body, const struct cli_options *o, struct error *err)
{
    json_t *list = json_array();

    for (int i = 0; list && i < o->n_loras; i++)
        if (!add_lora(list, o->loras[i], err)) {
            json_decref(list);
            return false;
        }
    return (list && set(body, "loras", list)) ||
           error_set(err, ERROR_MEMORY, "no memory for the request");
}

/* The server makes JPEG of what is not said; here the ending of --output says it. */
static bool set_file_type(json_t *body, const struct cli_options *o, struct error *err)
{
    static const char *const types[][2] = {{".png", "png"},   {".jpg", "jpg"},   {".jpeg", "jpg"},
                                           {".webp", "webp"}, {".avif", "avif"}, {NULL, NULL}};
    const char *dot = o->output ? strrchr(o->output, '.') : NULL;

    if (!o->output)
        return set(body, "fileType", json_string("png"));
    for (int i = 0; dot && types[i][0]; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return set(body, "fileType", json_string(types[i][1])) &&
                   set(body, "jpeg_quality", json_integer(o->settings.jpeg_quality));
    return error_set(err, ERROR_INVALID,
                     "--output ends in .png, .jpg, .jpeg, .webp or .avif, not '%.100s'", o->output);
}

static bool set_fields(json_t *body, const struct cli_options *o)
{
    const char *scheduler =
        o->scheduler ? o->scheduler->name : schedule_rows[o->sampler_suffix].name;

    return set_text(body, "prompt", o->prompt) &&
           set_text(body, "negative_prompt", o->negative_prompt) &&
           set_text(body, "model", o->settings.model) && set_text(body, "vae", o->settings.vae) &&
           set_positive(body, "width", o->width) && set_positive(body, "height", o->height) &&
           set(body, "steps", json_integer(o->steps)) &&
           (o->cfg_scale < 0 || set(body, "cfg_scale", json_real(o->cfg_scale))) &&
           set(body, "sampler_name", json_string(o->sampler->name)) &&
           set(body, "scheduler_type", json_string(scheduler)) &&
           set(body, "seed", json_integer(o->seed)) &&
           set(body, "rng", json_string(o->rng == RNG_CPU ? "cpu" : "philox")) &&
           set(body, "clip_skip", json_integer(o->clip_skip)) &&
           set(body, "batch_size", json_integer(o->batch_size)) &&
           (!o->image || set(body, "denoising_strength", json_real(o->denoising_strength))) &&
           (!o->refiner || (set_text(body, "refiner_checkpoint", o->refiner) &&
                            set(body, "refiner_switch_at", json_real(o->refiner_switch_at))));
}

bool client_request_make(json_t **out, const struct cli_options *o, struct error *err)
{
    json_t *body = json_object();

    if (!body || !set_fields(body, o)) {
        json_decref(body);
        return error_set(err, ERROR_INVALID, "a text of the request is not UTF-8");
    }
    if (!set_loras(body, o, err) || !set_file_type(body, o, err) ||
        !set_file(body, "image", o->image, err)) {
        json_decref(body);
        return false;
    }
    *out = body;
    return true;
}
