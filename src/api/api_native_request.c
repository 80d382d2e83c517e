#include "api/api_native_request.h"

#include "base/parse.h"
#include "config/settings.h"
#include "image/builtin_upscaler.h"
#include "request/gen_job.h"
#include "request/resize_target.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TEXT_SHOWN = 60, WARNINGS_MAX = 16 };

/* Fields that the original has and that are no field of the canonical request, or not in the same
 * shape: taken care of one by one, or without effect. */
static const struct {
    const char *key;
    const char *without_effect; /* the warning, or NULL */
} own_fields[] = {
    {"image", NULL},
    {"mask", NULL},
    {"mask_options", NULL},
    {"input", NULL},
    {"mode", NULL},
    {"width", NULL},
    {"height", NULL},
    {"seed", NULL},
    {"fileType", NULL},
    {"file_type", NULL},
    {"sampler_name", NULL},
    {"scheduler_type", NULL},
    {"loras", NULL},
    {"hires", NULL},
    {"resize_mode", NULL},
    {"resize_to", NULL},
    {"resize_by", NULL},
    {"resized_by", NULL},
    {"image_guidance_scale", "image_guidance_scale has no effect: it belongs to models that edit "
                             "pictures by instruction"},
    {"tiling", "tiling has no effect: tileable pictures cannot be made"},
    {"restore_faces", "restore_faces has no effect: there is no network for faces"},
};

/* Words that the original's scheduler_type took although they name a sampler. */
static const struct {
    const char *word, *sampler, *scheduler;
} old_schedulers[] = {
    {"default", NULL, "Automatic"},          {"pndm", "PLMS", "Automatic"},
    {"euler", "Euler", "Automatic"},         {"euler_a", "Euler a", "Automatic"},
    {"heun", "Heun", "Automatic"},           {"lms", "LMS", "Automatic"},
    {"dpm_2", "DPM2", "Automatic"},          {"dpm_2_a", "DPM2 a", "Automatic"},
    {"dpm_solver", "DPM++ 2M", "Automatic"}, {"dpm_solver++", "DPM++ 2M", "Automatic"},
    {"dpm_fast", "DPM fast", "Automatic"},   {"dpm_adaptive", "DPM adaptive", "Automatic"},
};

/* One body on its way to a canonical request. */
struct reading {
    struct api_native_request *out;
    struct api_call *call;
    const json_t *body;
    bool is_img2img;
};

static void warn(struct reading *r, const char *text)
{
    if (json_array_size(r->out->warnings) < WARNINGS_MAX)
        json_array_append_new(r->out->warnings, json_string(text));
}

static bool reject(struct reading *r, const char *key, const json_t *value, const char *allowed,
                   struct error *err)
{
    char text[TEXT_SHOWN] = "an object";
    if (json_is_string(value))
        snprintf(text, sizeof text, "\"%.50s\"", json_string_value(value));
    else if (json_is_number(value))
        snprintf(text, sizeof text, "%.10g", json_number_value(value));
    else if (json_is_boolean(value))
        snprintf(text, sizeof text, "%s", json_is_true(value) ? "true" : "false");
    else if (json_is_array(value))
        snprintf(text, sizeof text, "a list");
    return api_fail(r->call, err, 0, key, "%s is %s: it has to be %s", key, text, allowed);
}

/* A number, or text that is one. */
static bool as_number(const json_t *value, double *out)
{
    struct error ignored;
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    return json_is_string(value) &&
           parse_double(out, json_string_value(value), -1e15, 1e15, &ignored);
}

static json_t *number_json(double n)
{
    return n >= -9e15 && n <= 9e15 && floor(n) == n ? json_integer((json_int_t)n) : json_real(n);
}

static bool set(json_t *object, const char *key, json_t *value, struct error *err)
{
    return json_object_set_new_nocheck(object, key, value) == 0 ||
           error_set(err, ERROR_MEMORY, "no memory for the request");
}

static bool is_given(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value && !json_is_null(value);
}

static bool is_own(const char *key, const char **warning)
{
    for (size_t i = 0; i < sizeof own_fields / sizeof own_fields[0]; i++)
        if (strcmp(own_fields[i].key, key) == 0) {
            *warning = own_fields[i].without_effect;
            return true;
        }
    return false;
}

static bool is_called(const struct gen_job_field *f, const char *key)
{
    bool is = strcmp(f->key, key) == 0;
    for (int i = 0; i < GEN_JOB_MAX_ALIASES && f->aliases[i]; i++)
        is = is || strcmp(f->aliases[i], key) == 0;
    return is;
}

static const struct gen_job_field *find_field(const char *object, const char *key)
{
    for (const struct gen_job_field *f = gen_job_fields; f->key; f++) {
        bool same = object ? f->object && strcmp(f->object, object) == 0 : !f->object;
        if (same && is_called(f, key))
            return f;
    }
    return NULL;
}

/* The value as the canonical reader takes it: numbers that came as text become numbers. */
static json_t *coerce(const struct gen_job_field *f, json_t *value)
{
    double n;
    bool is_number = f->kind == GEN_JOB_INT || f->kind == GEN_JOB_NUMBER || f->kind == GEN_JOB_SEED;

    if (is_number && as_number(value, &n))
        return number_json(n);
    return json_incref(value);
}

/* Copies the members of an object that the canonical request knows ("mask"), or of the request
 * itself (object NULL). */
static bool copy_fields(struct reading *r, const json_t *from, const char *object, json_t *to,
                        struct error *err)
{
    const char *key, *warning = NULL;
    json_t *value;
    char text[160];

    json_object_foreach((json_t *)from, key, value)
    {
        const struct gen_job_field *f = find_field(object, key);
        if (json_is_null(value) || (!object && is_own(key, &warning))) {
            bool is_set = !json_is_null(value) && !json_is_false(value);
            if (warning && is_set)
                warn(r, warning);
            warning = NULL;
            continue;
        }
        if (!f) {
            snprintf(text, sizeof text, "there is no field '%s%s%.60s'", object ? object : "",
                     object ? "." : "", key);
            warn(r, text);
        } else if (!set(to, f->key, coerce(f, value), err)) {
            return false;
        }
    }
    return true;
}

static bool read_side(struct reading *r, const char *key, struct error *err)
{
    const json_t *value = json_object_get(r->body, key);
    double side = 512;

    if (is_given(r->body, key) && !as_number(value, &side))
        return reject(r, key, value, "a number of pixels", err);
    int rounded = fabs(side) < RESIZE_TARGET_MAX_SIDE ? resize_target_round((int)side)
                                                      : RESIZE_TARGET_MAX_SIDE;
    return set(r->out->canonical, key, json_integer(rounded), err);
}

/* Absent, -1 and what is no number mean a random one. */
static bool read_seed(struct reading *r, struct error *err)
{
    double seed = -1;
    as_number(json_object_get(r->body, "seed"), &seed);
    if (seed < 0)
        return true;
    return set(r->out->canonical, "seed", number_json(floor(seed)), err);
}

static bool read_scheduler(struct reading *r, struct error *err)
{
    const json_t *sampler = json_object_get(r->body, "sampler_name");
    const json_t *scheduler = json_object_get(r->body, "scheduler_type");
    const char *sampler_name = json_string_value(sampler);
    const char *name = json_string_value(scheduler);
    json_t *c = r->out->canonical;

    if (is_given(r->body, "sampler_name") && !sampler_name)
        return reject(r, "sampler_name", sampler, "the name of a sampler", err);
    if (is_given(r->body, "scheduler_type") && !name)
        return reject(r, "scheduler_type", scheduler, "the name of a scheduler", err);
    if (name && !name[0])
        name = "Karras";
    for (size_t i = 0; name && i < sizeof old_schedulers / sizeof old_schedulers[0]; i++)
        if (strcasecmp(old_schedulers[i].word, name) == 0) {
            name = old_schedulers[i].scheduler;
            if (!sampler_name || !sampler_name[0])
                sampler_name = old_schedulers[i].sampler;
            break;
        }
    if (!sampler_name || !sampler_name[0]) {
        sampler_name = "DPM++ 2M";
        name = name ? name : "Karras";
    }
    return set(c, "sampler_name", json_string(sampler_name), err) &&
           (!name || set(c, "scheduler_type", json_string(name), err));
}

static bool read_file_type(struct reading *r, struct error *err)
{
    const char *key = is_given(r->body, "fileType") ? "fileType" : "file_type";
    const json_t *value = json_object_get(r->body, key);
    char name[16] = "jpg";

    if (is_given(r->body, key)) {
        if (!json_is_string(value) || json_string_length(value) >= sizeof name)
            return reject(r, key, value, "png, jpg, webp or avif", err);
        snprintf(name, sizeof name, "%s", json_string_value(value));
        for (char *c = name; *c; c++)
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
        if (strcmp(name, "jpeg") == 0)
            snprintf(name, sizeof name, "jpg");
    }
    return set(r->out->canonical, "file_type", json_string(name), err);
}

/* A name, or {name, scale}; other entries are left out, as in the original. */
static bool read_loras(struct reading *r, struct error *err)
{
    const json_t *list = json_object_get(r->body, "loras");
    json_t *loras, *entry;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) == 0)
        return true;
    if (r->is_img2img && r->call->api->settings->img2img_loras != TRI_TRUE) {
        warn(r, "LoRAs are left out of img2img; the setting img2img_loras lets them in");
        return true;
    }
    loras = json_array();
    json_array_foreach((json_t *)list, i, entry)
    {
        const json_t *name = json_is_string(entry) ? entry : json_object_get(entry, "name");
        const json_t *scale = json_object_get(entry, "scale");
        double n = 1;
        if (!json_is_string(name) || json_string_length(name) == 0)
            continue;
        if (scale && !json_is_null(scale) && !as_number(scale, &n)) {
            json_decref(loras);
            return reject(r, "loras", scale, "entries with a number as scale", err);
        }
        json_array_append_new(loras,
                              json_pack("{s:O, s:o}", "name", name, "scale", number_json(n)));
    }
    return set(r->out->canonical, "loras", loras, err);
}

static bool is_truthy(const json_t *value)
{
    return json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0) ||
           (json_is_string(value) && json_string_length(value) > 0);
}

/* Latent modes draw a second time; other upscalers just enlarge, unless second_pass says so. */
static bool set_second_pass(const json_t *body, json_t *hires, struct error *err)
{
    const json_t *pass = json_object_get(body, "second_pass");
    const char *name = json_string_value(json_object_get(hires, "upscaler"));
    const struct builtin_upscaler *builtin = name ? builtin_upscaler_find(name) : NULL;
    bool is_latent = builtin && builtin->is_latent;

    if (is_latent || is_truthy(pass))
        return true;
    return set(hires, "denoising_strength", json_integer(0), err);
}

static bool read_hires(struct reading *r, struct error *err)
{
    const json_t *body = json_object_get(r->body, "hires");
    json_t *copy, *hires;
    double scale = 2;

    if (!json_is_object(body) || !is_truthy(json_object_get(body, "enabled")))
        return true;
    if (r->is_img2img) {
        warn(r, "hires has no effect in img2img; resize_by enlarges");
        return true;
    }
    if (is_given(body, "scale") && !as_number(json_object_get(body, "scale"), &scale))
        return reject(r, "hires.scale", json_object_get(body, "scale"), "a number", err);
    if (scale <= 1 && !is_given(body, "width") && !is_given(body, "height"))
        return true;

    hires = json_pack("{s:b, s:f, s:s, s:i, s:f}", "enabled", 1, "scale", scale, "upscaler",
                      "Latent", "steps", 20, "denoising_strength", 0.4);
    copy = json_copy((json_t *)body);
    if (!hires || !copy) {
        json_decref(hires);
        json_decref(copy);
        return error_set(err, ERROR_MEMORY, "no memory for the request");
    }
    json_object_del(copy, "enabled");
    json_object_del(copy, "second_pass");
    bool ok = copy_fields(r, copy, "hires", hires, err) && set_second_pass(body, hires, err);
    json_decref(copy);
    if (!ok) {
        json_decref(hires);
        return false;
    }
    return set(r->out->canonical, "hires", hires, err);
}

static bool read_resize_mode(struct reading *r, struct error *err)
{
    static const char *const names[] = {"just resize", "crop and resize", "resize and fill",
                                        "just resize (latent)"};
    const json_t *value = json_object_get(r->body, "resize_mode");
    double n;

    if (!is_given(r->body, "resize_mode"))
        return true;
    if (as_number(value, &n) && n >= 0 && n <= 3 && floor(n) == n)
        return set(r->out->canonical, "resize_mode", json_integer((json_int_t)n), err);
    for (int i = 0; json_is_string(value) && i < 4; i++)
        if (strcasecmp(names[i], json_string_value(value)) == 0)
            return set(r->out->canonical, "resize_mode", json_integer(i), err);
    return reject(r, "resize_mode", value,
                  "\"just resize\", \"crop and resize\", \"resize and fill\", \"just resize "
                  "(latent)\", or 0 to 3",
                  err);
}

/* {"width", "height"} of a body's object, missing members from fallback (NULL: left out). */
static bool read_pair(struct reading *r, const char *key, const json_t *value,
                      const double *fallback, bool rounds, const char *canonical_key,
                      struct error *err)
{
    static const char *const sides[] = {"width", "height"};
    json_t *pair = json_object();
    double both;
    bool is_plain = !rounds && as_number(value, &both);

    if (!json_is_object(value) && !is_plain) {
        json_decref(pair);
        return reject(r, key, value,
                      rounds ? "an object with width and height"
                             : "a number, or an object with width and height",
                      err);
    }
    for (int i = 0; i < 2; i++) {
        const json_t *side = is_plain ? value : json_object_get(value, sides[i]);
        double n = fallback ? fallback[i] : 1;
        if (side && !json_is_null(side) && !as_number(side, &n)) {
            json_decref(pair);
            return reject(r, key, side, "made of numbers", err);
        }
        if (rounds)
            n = fabs(n) < RESIZE_TARGET_MAX_SIDE ? resize_target_round((int)n)
                                                 : RESIZE_TARGET_MAX_SIDE;
        if (n > 0)
            json_object_set_new(pair, sides[i], number_json(n));
    }
    return set(r->out->canonical, canonical_key, pair, err);
}

/* What counts as given: neither null, false, 0, "" nor {}. */
static const json_t *truthy_member(const json_t *body, const char *key)
{
    const json_t *value = json_object_get(body, key);
    bool is = is_truthy(value) || (json_is_object(value) && json_object_size(value) > 0);
    return is ? value : NULL;
}

static bool read_resize(struct reading *r, struct error *err)
{
    const json_t *to = truthy_member(r->body, "resize_to");
    const json_t *by = truthy_member(r->body, "resize_by");
    const json_t *older = truthy_member(r->body, "resized_by");
    double sides[2] = {512, 512};

    if (!read_resize_mode(r, err))
        return false;
    if (to) {
        as_number(json_object_get(r->body, "width"), &sides[0]);
        as_number(json_object_get(r->body, "height"), &sides[1]);
        return read_pair(r, "resize_to", to, sides, true, "resize_to", err);
    }
    if (by || older)
        return read_pair(r, by ? "resize_by" : "resized_by", by ? by : older, NULL, false,
                         "resize_by", err);
    return true;
}

static bool set_default(struct reading *r, const char *key, json_t *value, struct error *err)
{
    if (json_object_get(r->out->canonical, key)) {
        json_decref(value);
        return true;
    }
    return set(r->out->canonical, key, value, err);
}

static bool read_canonical(struct reading *r, struct error *err)
{
    json_t *c = r->out->canonical;
    const json_t *mask = json_object_get(r->body, "mask_options");
    json_t *options;

    if (!copy_fields(r, r->body, NULL, c, err) || !read_seed(r, err) || !read_scheduler(r, err) ||
        !read_file_type(r, err) || !read_loras(r, err) || !read_hires(r, err))
        return false;
    if (r->is_img2img) {
        if (!read_resize(r, err) || !set_default(r, "denoising_strength", json_real(0.75), err))
            return false;
        if (json_is_object(mask)) {
            options = json_object();
            if (!set(c, "mask", options, err) || !copy_fields(r, mask, "mask", options, err))
                return false;
        }
    } else if (!read_side(r, "width", err) || !read_side(r, "height", err)) {
        return false;
    }
    return set_default(r, "steps", json_integer(30), err) &&
           set_default(r, "cfg_scale", json_real(7.0), err) &&
           set(c, "mode", json_string(r->is_img2img ? "img2img" : "txt2img"), err);
}

/* The original's key, the canonical one, and what stands there when the request says nothing. */
static bool make_payload(struct reading *r, struct error *err)
{
    static const struct {
        const char *key, *canonical, *fallback;
        bool img2img_only;
    } row[] = {
        {"prompt", "prompt", "\"\"", false},
        {"negative_prompt", "negative_prompt", "\"\"", false},
        {"steps", "steps", "30", false},
        {"cfg_scale", "cfg_scale", "7.0", false},
        {"width", "width", "512", false},
        {"height", "height", "512", false},
        {"model", "model", "\"\"", false},
        {"vae", "vae", "\"\"", false},
        {"sampler_name", "sampler_name", "null", false},
        {"scheduler_type", "scheduler_type", "\"Automatic\"", false},
        {"file_type", "file_type", "\"jpg\"", false},
        {"jpeg_quality", "quality", "null", false},
        {"batch_size", "batch_size", "1", false},
        {"n_iter", "n_iter", "1", false},
        {"clip_skip", "clip_skip", "1", false},
        {"loras", "loras", "[]", false},
        {"hires", "hires", "null", false},
        {"refiner_checkpoint", "refiner_checkpoint", "null", false},
        {"refiner_switch_at", "refiner_switch_at", "0.8", false},
        {"denoising_strength", "denoising_strength", "0.75", true},
        {"resize_mode", "resize_mode", "0", true},
        {"resize_to", "resize_to", "null", true},
        {"resize_by", "resize_by", "null", true},
        {"mask_options", "mask", "null", true},
    };
    json_t *p = r->out->payload;
    const json_t *image = json_object_get(r->body, "image");

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        json_t *value = json_object_get(r->out->canonical, row[i].canonical);
        if (row[i].img2img_only && !r->is_img2img)
            continue;
        value = value ? json_incref(value) : json_loads(row[i].fallback, JSON_DECODE_ANY, NULL);
        if (!set(p, row[i].key, value, err))
            return false;
    }
    if (!r->is_img2img || !json_is_string(image))
        return true;
    return set(p, "image", json_sprintf("[BASE64_IMAGE_DATA_%zu_chars]", json_string_length(image)),
               err);
}

static bool begin(struct reading *r, struct error *err)
{
    *r->out = (struct api_native_request){
        .canonical = json_object(), .payload = json_object(), .warnings = json_array()};
    return (r->out->canonical && r->out->payload && r->out->warnings) ||
           error_set(err, ERROR_MEMORY, "no memory for the request");
}

static bool read_pictures(struct reading *r, struct error *err)
{
    const json_t *image = json_object_get(r->body, "image");
    const json_t *prompt = json_object_get(r->body, "prompt");
    const json_t *mask = json_object_get(r->body, "mask");

    if (!is_truthy(image))
        return api_fail(r->call, err, 0, "image", "Image field is required");
    if (!is_truthy(prompt))
        return api_fail(r->call, err, 0, "prompt", "Prompt field is required");
    return api_input_base64(&r->out->image, r->call, "image", image, err) &&
           (!is_truthy(mask) || api_input_base64(&r->out->mask, r->call, "mask", mask, err));
}

bool api_native_request_read(struct api_native_request *out, struct api_call *call, json_t *body,
                             bool is_img2img, struct error *err)
{
    struct reading r = {.out = out, .call = call, .body = body, .is_img2img = is_img2img};
    bool ok = begin(&r, err) && (!is_img2img || read_pictures(&r, err)) &&
              read_canonical(&r, err) && make_payload(&r, err);
    if (!ok)
        api_native_request_clear(out);
    return ok;
}

bool api_native_request_plan(struct api_native_request *out, struct api_call *call, json_t *body,
                             bool is_img2img, struct error *err)
{
    struct reading r = {.out = out, .call = call, .body = body, .is_img2img = is_img2img};
    bool ok = begin(&r, err) && read_canonical(&r, err);
    if (!ok)
        api_native_request_clear(out);
    return ok;
}

void api_native_request_clear(struct api_native_request *r)
{
    json_decref(r->canonical);
    json_decref(r->payload);
    json_decref(r->warnings);
    api_input_clear(&r->image);
    api_input_clear(&r->mask);
    *r = (struct api_native_request){0};
}
