#include "api/sdapi_fields.h"

#include "base/parse.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Words for the columns. */
#define TXT (1u << SDAPI_TXT2IMG)
#define IMG (1u << SDAPI_IMG2IMG)
#define GEN (TXT | IMG)
#define ONE (1u << SDAPI_EXTRA)
#define MANY (1u << SDAPI_EXTRA_BATCH)
#define UPS (ONE | MANY)
#define TO(key) .canonical = (key)
#define HIRES(key) .object = "hires", .canonical = (key)
#define MASK(key) .object = "mask", .canonical = (key)
#define ROW(key, kind, fallback, where, ...)                                                       \
    {                                                                                              \
        key, SDAPI_##kind, fallback, where, __VA_ARGS__                                            \
    }
#define PLAIN .flags = 0

const struct sdapi_field sdapi_fields[] = {
    ROW("prompt", TEXT, "\"\"", GEN, TO("prompt")),
    ROW("negative_prompt", TEXT, "\"\"", GEN, TO("negative_prompt")),
    ROW("styles", LIST, "null", GEN, .no_effect = "styles has no effect: there are no styles here"),
    ROW("seed", INT, "-1", GEN, TO("seed"), .flags = SDAPI_NATURAL),
    ROW("subseed", INT, "-1", GEN, TO("subseed"), .flags = SDAPI_NATURAL),
    ROW("subseed_strength", NUMBER, "0", GEN, TO("subseed_strength")),
    ROW("seed_resize_from_h", INT, "-1", GEN, TO("seed_resize_from_h"), .flags = SDAPI_POSITIVE),
    ROW("seed_resize_from_w", INT, "-1", GEN, TO("seed_resize_from_w"), .flags = SDAPI_POSITIVE),
    ROW("sampler_name", TEXT, "null", GEN, PLAIN),
    ROW("sampler_index", TEXT, "\"Euler\"", GEN, PLAIN),
    ROW("scheduler", TEXT, "null", GEN, PLAIN),
    ROW("batch_size", INT, "1", GEN, TO("batch_size")),
    ROW("n_iter", INT, "1", GEN, TO("n_iter")),
    ROW("steps", INT, "50", GEN, TO("steps")),
    ROW("cfg_scale", NUMBER, "7.0", GEN, TO("cfg_scale")),
    ROW("width", INT, "512", GEN, TO("width")),
    ROW("height", INT, "512", GEN, TO("height")),
    ROW("restore_faces", BOOL, "null", GEN,
        .no_effect = "restore_faces has no effect: there is no network for faces"),
    ROW("tiling", BOOL, "null", GEN,
        .no_effect = "tiling has no effect: tileable pictures cannot be made"),
    ROW("eta", NUMBER, "null", GEN, TO("eta"), .flags = SDAPI_NATURAL),
    ROW("s_min_uncond", NUMBER, "null", GEN, .no_effect = "s_min_uncond has no effect"),
    ROW("s_churn", NUMBER, "null", GEN, TO("s_churn")),
    ROW("s_tmax", NUMBER, "null", GEN, TO("s_tmax"), .flags = SDAPI_POSITIVE),
    ROW("s_tmin", NUMBER, "null", GEN, TO("s_tmin")),
    ROW("s_noise", NUMBER, "null", GEN, TO("s_noise")),
    ROW("do_not_save_samples", BOOL, "false", GEN, PLAIN),
    ROW("do_not_save_grid", BOOL, "false", GEN, PLAIN),
    ROW("send_images", BOOL, "true", GEN, PLAIN),
    ROW("save_images", BOOL, "false", GEN, PLAIN),
    ROW("override_settings", OBJECT, "null", GEN, PLAIN),
    ROW("override_settings_restore_afterwards", BOOL, "true", GEN, PLAIN),
    ROW("refiner_checkpoint", TEXT, "null", GEN, TO("refiner_checkpoint"), .flags = SDAPI_NAME),
    ROW("refiner_switch_at", NUMBER, "null", GEN, TO("refiner_switch_at")),
    ROW("disable_extra_networks", BOOL, "false", GEN, PLAIN),
    ROW("comments", OBJECT, "null", GEN, PLAIN),
    ROW("enable_hr", BOOL, "false", TXT, HIRES("enabled")),
    ROW("firstphase_width", INT, "0", TXT,
        .no_effect = "firstphase_width has no effect: say hr_scale or hr_resize_x"),
    ROW("firstphase_height", INT, "0", TXT,
        .no_effect = "firstphase_height has no effect: say hr_scale or hr_resize_y"),
    ROW("hr_scale", NUMBER, "2.0", TXT, HIRES("scale")),
    ROW("hr_upscaler", TEXT, "null", TXT, HIRES("upscaler")),
    ROW("hr_second_pass_steps", INT, "0", TXT, HIRES("steps"), .flags = SDAPI_POSITIVE),
    ROW("hr_resize_x", INT, "0", TXT, HIRES("width"), .flags = SDAPI_POSITIVE),
    ROW("hr_resize_y", INT, "0", TXT, HIRES("height"), .flags = SDAPI_POSITIVE),
    ROW("hr_checkpoint_name", TEXT, "null", TXT, PLAIN),
    ROW("hr_sampler_name", TEXT, "null", TXT, HIRES("sampler_name"), .flags = SDAPI_NAME),
    ROW("hr_scheduler", TEXT, "null", TXT, HIRES("scheduler_type"), .flags = SDAPI_NAME),
    ROW("hr_prompt", TEXT, "\"\"", TXT, HIRES("prompt")),
    ROW("hr_negative_prompt", TEXT, "\"\"", TXT, HIRES("negative_prompt")),
    ROW("denoising_strength", NUMBER, "0.75", TXT, HIRES("denoising_strength")),
    ROW("denoising_strength", NUMBER, "0.75", IMG, TO("denoising_strength")),
    ROW("force_task_id", TEXT, "null", GEN, PLAIN),
    ROW("infotext", TEXT, "null", GEN, PLAIN),
    ROW("script_name", TEXT, "null", GEN, PLAIN),
    ROW("script_args", LIST, "[]", GEN, PLAIN),
    ROW("alwayson_scripts", OBJECT, "{}", GEN, PLAIN),
    ROW("firstpass_image", TEXT, "null", TXT,
        .no_effect = "firstpass_image has no effect: send the picture to img2img"),
    ROW("init_images", LIST, "null", IMG, PLAIN),
    ROW("resize_mode", INT, "0", IMG, TO("resize_mode")),
    ROW("image_cfg_scale", NUMBER, "null", IMG,
        .no_effect = "image_cfg_scale has no effect: it belongs to models that edit pictures by "
                     "instruction",
        .harmless = "1.5"),
    ROW("mask", TEXT, "null", IMG, PLAIN),
    ROW("mask_blur_x", INT, "4", IMG, MASK("blur_x")),
    ROW("mask_blur_y", INT, "4", IMG, MASK("blur_y")),
    ROW("mask_blur", INT, "null", IMG, PLAIN),
    ROW("mask_round", BOOL, "true", IMG, MASK("round")),
    ROW("inpainting_fill", INT, "0", IMG, MASK("fill")),
    ROW("inpaint_full_res", BOOL, "true", IMG, MASK("full_res")),
    ROW("inpaint_full_res_padding", INT, "0", IMG, MASK("padding")),
    ROW("inpainting_mask_invert", INT, "0", IMG, MASK("invert"), .flags = SDAPI_AS_BOOL),
    ROW("initial_noise_multiplier", NUMBER, "null", IMG,
        .no_effect = "initial_noise_multiplier has no effect: it is always 1", .harmless = "1"),
    ROW("latent_mask", TEXT, "null", IMG,
        .no_effect = "latent_mask has no effect: send the mask as mask"),
    ROW("include_init_images", BOOL, "false", IMG, PLAIN),

    ROW("image", TEXT, "\"\"", ONE, PLAIN),
    ROW("imageList", LIST, "[]", MANY, PLAIN),
    ROW("resize_mode", INT, "0", UPS, PLAIN),
    ROW("show_extras_results", BOOL, "true", UPS, PLAIN),
    ROW("gfpgan_visibility", NUMBER, "0", UPS,
        .no_effect = "gfpgan_visibility has no effect: there is no network for faces"),
    ROW("codeformer_visibility", NUMBER, "0", UPS,
        .no_effect = "codeformer_visibility has no effect: there is no network for faces"),
    ROW("codeformer_weight", NUMBER, "0", UPS, PLAIN),
    ROW("upscaling_resize", NUMBER, "2", UPS, TO("upscaling_resize")),
    ROW("upscaling_resize_w", INT, "512", UPS, TO("upscaling_resize_w")),
    ROW("upscaling_resize_h", INT, "512", UPS, TO("upscaling_resize_h")),
    ROW("upscaling_crop", BOOL, "true", UPS, TO("upscaling_crop")),
    ROW("upscaler_1", TEXT, "\"None\"", UPS, TO("upscaler_1")),
    ROW("upscaler_2", TEXT, "\"None\"", UPS, TO("upscaler_2"), .flags = SDAPI_NAME),
    ROW("extras_upscaler_2_visibility", NUMBER, "0", UPS, TO("upscaler_2_visibility")),
    ROW("upscale_first", BOOL, "false", UPS, TO("upscale_first")),
    {.key = NULL},
};

bool sdapi_fields_is_said(const json_t *value)
{
    return json_is_true(value) || (json_is_number(value) && json_number_value(value) != 0) ||
           (json_is_string(value) && json_string_length(value) > 0) || json_array_size(value) > 0 ||
           json_object_size(value) > 0;
}

static bool as_number(const json_t *value, double *out)
{
    struct error ignored;

    if (json_is_boolean(value))
        *out = json_is_true(value);
    else if (json_is_number(value))
        *out = json_number_value(value);
    else
        return json_is_string(value) &&
               parse_double(out, json_string_value(value), -1e15, 1e15, &ignored);
    return true;
}

static json_t *coerce_bool(const json_t *value)
{
    static const char *const words[] = {"false", "off", "no",  "f", "n", "0",
                                        "true",  "on",  "yes", "t", "y", "1"};
    const char *text = json_string_value(value);
    double n;

    for (int i = 0; text && i < 12; i++)
        if (strcasecmp(words[i], text) == 0)
            return json_boolean(i >= 6);
    if (!text && as_number(value, &n) && (n == 0 || n == 1))
        return json_boolean(n != 0);
    return NULL;
}

json_t *sdapi_fields_coerce(enum sdapi_kind kind, json_t *value)
{
    double n;

    switch (kind) {
    case SDAPI_TEXT:
        if (json_is_string(value))
            return json_incref(value);
        if (json_is_integer(value))
            return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return json_is_real(value) ? json_sprintf("%.15g", json_real_value(value)) : NULL;
    case SDAPI_INT:
        if (json_is_integer(value))
            return json_incref(value);
        return as_number(value, &n) && floor(n) == n && fabs(n) < 9e15 ? json_integer((json_int_t)n)
                                                                       : NULL;
    case SDAPI_NUMBER:
        if (json_is_number(value))
            return json_incref(value);
        return as_number(value, &n) ? json_real(n) : NULL;
    case SDAPI_BOOL:
        return json_is_boolean(value) ? json_incref(value) : coerce_bool(value);
    case SDAPI_LIST:
        return json_is_array(value) ? json_incref(value) : NULL;
    case SDAPI_OBJECT:
        return json_is_object(value) ? json_incref(value) : NULL;
    }
    return NULL;
}

const char *sdapi_fields_kind_name(enum sdapi_kind kind)
{
    static const char *const names[] = {"text",    "a whole number", "a number",
                                        "boolean", "a list",         "an object"};
    return names[kind];
}

bool sdapi_fields_read(json_t **out, struct api_call *call, const json_t *body,
                       enum sdapi_endpoint endpoint, struct error *err)
{
    *out = json_object();
    bool ok = *out != NULL;
    for (const struct sdapi_field *f = sdapi_fields; ok && f->key; f++) {
        json_t *value = json_object_get(body, f->key);
        if (!(f->endpoints & 1u << endpoint))
            continue;
        bool given = value && !json_is_null(value);
        json_t *read = given ? sdapi_fields_coerce(f->kind, value)
                             : json_loads(f->fallback, JSON_DECODE_ANY, NULL);
        if (given && !read) {
            json_decref(*out);
            *out = NULL;
            return api_fail(call, err, 422, f->key, "%s: the value has to be %s", f->key,
                            sdapi_fields_kind_name(f->kind));
        }
        ok = json_object_set_new_nocheck(*out, f->key, read) == 0;
    }
    if (ok)
        return true;
    json_decref(*out);
    *out = NULL;
    return error_set(err, ERROR_MEMORY, "no memory for the request");
}

static bool is_no_name(const char *text)
{
    return !*text || strcasecmp(text, "none") == 0 || strncasecmp(text, "use same ", 9) == 0;
}

/* Does the value say anything that the canonical request has to know? */
static bool counts(const struct sdapi_field *f, const json_t *value)
{
    if (json_is_null(value))
        return false;
    if (f->flags & SDAPI_POSITIVE)
        return json_number_value(value) > 0;
    if (f->flags & SDAPI_NATURAL)
        return json_number_value(value) >= 0;
    if (f->flags & SDAPI_NAME)
        return !is_no_name(json_string_value(value));
    return !json_is_string(value) || json_string_length(value) > 0;
}

static void warn(const struct sdapi_field *f, const json_t *value, json_t *warnings)
{
    json_t *harmless = f->harmless ? json_loads(f->harmless, JSON_DECODE_ANY, NULL) : NULL;
    bool same = json_is_number(value) && json_is_number(harmless) &&
                json_number_value(value) == json_number_value(harmless);

    if (sdapi_fields_is_said(value) && !same)
        json_array_append_new(warnings, json_string(f->no_effect));
    json_decref(harmless);
}

/* The object that the field belongs into, made when it is first needed. */
static json_t *place(json_t *canonical, const char *object)
{
    if (!object)
        return canonical;
    if (!json_object_get(canonical, object))
        json_object_set_new(canonical, object, json_object());
    return json_object_get(canonical, object);
}

bool sdapi_fields_write(json_t *canonical, const json_t *parameters, enum sdapi_endpoint endpoint,
                        json_t *warnings, struct error *err)
{
    for (const struct sdapi_field *f = sdapi_fields; f->key; f++) {
        json_t *value = json_object_get(parameters, f->key);
        if (!(f->endpoints & 1u << endpoint))
            continue;
        if (f->no_effect)
            warn(f, value, warnings);
        if (!f->canonical || !counts(f, value))
            continue;
        value = f->flags & SDAPI_AS_BOOL ? json_boolean(json_integer_value(value) != 0)
                                         : json_incref(value);
        json_t *object = place(canonical, f->object);
        if (!object) {
            json_decref(value);
            return error_set(err, ERROR_MEMORY, "no memory for the request");
        }
        if (json_object_set_new_nocheck(object, f->canonical, value) != 0)
            return error_set(err, ERROR_MEMORY, "no memory for the request");
    }
    return true;
}

const char *sdapi_fields_rename(struct error *err, enum sdapi_endpoint endpoint)
{
    for (const struct sdapi_field *f = sdapi_fields; f->key; f++) {
        char name[64], rest[sizeof err->text];
        if (!f->canonical || !(f->endpoints & 1u << endpoint))
            continue;
        int len = snprintf(name, sizeof name, "%s%s%s", f->object ? f->object : "",
                           f->object ? "." : "", f->canonical);
        if (len < 0 || strncmp(err->text, name, (size_t)len) != 0 ||
            (err->text[len] != ' ' && err->text[len] != ':'))
            continue;
        snprintf(rest, sizeof rest, "%s", err->text + len);
        snprintf(err->text, sizeof err->text, "%s%.900s", f->key, rest);
        return f->key;
    }
    return NULL;
}
