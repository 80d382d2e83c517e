/* A1111's modules/infotext_utils.py and modules/processing_scripts say which keys mean what. */
#include "image/infotext_json.h"

#include "base/parse.h"
#include "image/image_text.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Longer texts are no numbers. */
enum { NUMBER_BYTES = 64 };

static json_t *make_text(const char *text)
{
    json_t *value = json_string(text);
    struct buf clean;

    if (value || image_text_is_utf8(text))
        return value;
    buf_init(&clean, 3 * strlen(text));
    image_text_from_utf8(&clean, text, strlen(text));
    value = clean.failed ? NULL : json_stringn(clean.bytes, clean.len);
    buf_clear(&clean);
    return value;
}

/* Sets key, which may hold bytes that are not UTF-8, to value, which it takes over. */
static bool set(json_t *object, const char *key, json_t *value)
{
    json_t *name = image_text_is_utf8(key) ? NULL : make_text(key);
    int failed = json_object_set_new(object, name ? json_string_value(name) : key, value);

    json_decref(name);
    return failed == 0;
}

static bool set_text(json_t *object, const char *key, const char *value)
{
    return set(object, key, make_text(value));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Copies a number as Python's int() and float() take it: blanks around it do not count, nor does an
 * underscore between digits. */
static bool copy_number(char out[NUMBER_BYTES], const char *text)
{
    static const char blanks[] = " \t\r\n\v\f";
    size_t n = 0;

    text += strspn(text, blanks);
    for (const char *p = text; *p && !strchr(blanks, *p); p++) {
        if (*p == '_' && p > text && is_digit(p[-1]) && is_digit(p[1]))
            continue;
        if (n + 1 == NUMBER_BYTES)
            return false;
        out[n++] = *p;
        if (strchr(blanks, p[1]) && p[1 + strspn(p + 1, blanks)] != 0)
            return false;
    }
    out[n] = 0;
    return n > 0;
}

static bool read_int(int64_t *out, const char *text)
{
    char number[NUMBER_BYTES];
    struct error ignored;
    return copy_number(number, text) && parse_int64(out, number, INT64_MIN, INT64_MAX, &ignored);
}

static bool read_real(double *out, const char *text)
{
    char number[NUMBER_BYTES];
    struct error ignored;
    return copy_number(number, text) && parse_double(out, number, -DBL_MAX, DBL_MAX, &ignored);
}

static json_t *typed(const char *text)
{
    int64_t whole;
    double real;

    if (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0)
        return json_boolean(text[0] == 't' || text[0] == 'T');
    if (strchr(text, '.'))
        return read_real(&real, text) ? json_real(real) : make_text(text);
    return read_int(&whole, text) ? json_integer(whole) : make_text(text);
}

/* Hands the object over, or nothing. */
static json_t *finish(json_t *object, bool ok)
{
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

json_t *infotext_json_native(const struct infotext *info)
{
    json_t *out = json_object();

    if (!info->prompt[0] && !info->negative_prompt[0] && info->n_pairs == 0)
        return out;
    bool ok = out && set_text(out, "prompt", info->prompt) &&
              set_text(out, "negative_prompt", info->negative_prompt);
    for (size_t i = 0; ok && i < info->n_pairs; i++) {
        const char *key = info->pairs[i].key;
        if (strcmp(key, "prompt") != 0 && strcmp(key, "negative_prompt") != 0)
            ok = set(out, key, typed(info->pairs[i].value));
    }
    return finish(out, ok);
}

/* Splits "512x768"; false for anything else. */
static bool split_size(char width[NUMBER_BYTES], char height[NUMBER_BYTES], const char *text)
{
    size_t w = strspn(text, "0123456789"), h = 0;

    if (w == 0 || w >= NUMBER_BYTES || text[w] != 'x')
        return false;
    h = strspn(text + w + 1, "0123456789");
    if (h == 0 || h >= NUMBER_BYTES || text[w + 1 + h] != 0)
        return false;
    memcpy(width, text, w);
    width[w] = 0;
    memcpy(height, text + w + 1, h + 1);
    return true;
}

static bool set_part(json_t *object, const char *key, const char *part, const char *value)
{
    struct buf name;

    buf_init(&name, INFOTEXT_MAX_BYTES);
    buf_add(&name, key, strlen(key));
    buf_add(&name, part, strlen(part) + 1);
    bool ok = !name.failed && set_text(object, name.bytes, value);
    buf_clear(&name);
    return ok;
}

/* What A1111 fills in.  A NULL text stands for the number beside it, or false where that is -1. */
static const struct {
    const char *key, *text;
    int number;
} assumed[] = {
    {"Clip skip", "1", 0},
    {"Hires resize-1", NULL, 0},
    {"Hires resize-2", NULL, 0},
    {"Hires sampler", "Use same sampler", 0},
    {"Hires schedule type", "Use same scheduler", 0},
    {"Hires checkpoint", "Use same checkpoint", 0},
    {"Hires prompt", "", 0},
    {"Hires negative prompt", "", 0},
    {"Mask mode", "Inpaint masked", 0},
    {"Masked content", "original", 0},
    {"Inpaint area", "Whole picture", 0},
    {"Masked area padding", NULL, 32},
    {"RNG", "GPU", 0},
    {"Schedule type", "Automatic", 0},
    {"Schedule max sigma", NULL, 0},
    {"Schedule min sigma", NULL, 0},
    {"Schedule rho", NULL, 0},
    {"VAE Encoder", "Full", 0},
    {"VAE Decoder", "Full", 0},
    {"FP8 weight", "Disable", 0},
    {"Refiner switch by sampling steps", NULL, -1},
};

/* Any bracket that no backslash hides emphasizes something. */
static bool has_emphasis(const char *prompt)
{
    for (; *prompt; prompt++) {
        if (*prompt == '\\' && prompt[1])
            prompt++;
        else if ((*prompt == '(' || *prompt == '[') && prompt[1])
            return true;
    }
    return false;
}

static bool assume_rest(json_t *out, const struct infotext *info)
{
    bool ok = true;

    for (size_t i = 0; ok && i < sizeof assumed / sizeof assumed[0]; i++) {
        if (json_object_get(out, assumed[i].key))
            continue;
        json_t *value = assumed[i].text         ? make_text(assumed[i].text)
                        : assumed[i].number < 0 ? json_false()
                                                : json_integer(assumed[i].number);
        ok = json_object_set_new(out, assumed[i].key, value) == 0;
    }
    if (ok && !json_object_get(out, "Emphasis") &&
        (has_emphasis(info->prompt) || has_emphasis(info->negative_prompt)))
        ok = set_text(out, "Emphasis", "Original");
    return ok;
}

static json_t *with_sizes_split(const struct infotext *info)
{
    json_t *out = json_object();
    char width[NUMBER_BYTES], height[NUMBER_BYTES];
    bool ok = out != NULL;

    for (size_t i = 0; ok && i < info->n_pairs; i++) {
        const char *key = info->pairs[i].key, *value = info->pairs[i].value;
        if (split_size(width, height, value))
            ok = set_part(out, key, "-1", width) && set_part(out, key, "-2", height);
        else if (value[0])
            ok = set_text(out, key, value);
    }
    ok = ok && set_text(out, "Prompt", info->prompt) &&
         set_text(out, "Negative prompt", info->negative_prompt);
    return finish(out, ok);
}

json_t *infotext_json_sdapi(const struct infotext *info)
{
    json_t *out = with_sizes_split(info);
    return finish(out, out && assume_rest(out, info));
}

enum kind { TEXT, INT, REAL, BOOL, CHOICE };

/* Where a key goes.  choices: the words that stand for 0, 1, 2... */
static const struct field {
    const char *key, *name;
    enum kind kind;
    bool option; /* one of the override_settings */
    const char *choices[4];
} fields[] = {
    {"Steps", "steps", INT, false, {0}},
    {"Sampler", "sampler_name", TEXT, false, {0}},
    {"Schedule type", "scheduler", TEXT, false, {0}},
    {"CFG scale", "cfg_scale", REAL, false, {0}},
    {"Image CFG scale", "image_cfg_scale", REAL, false, {0}},
    {"Seed", "seed", INT, false, {0}},
    {"Size-1", "width", INT, false, {0}},
    {"Size-2", "height", INT, false, {0}},
    {"Variation seed", "subseed", INT, false, {0}},
    {"Variation seed strength", "subseed_strength", REAL, false, {0}},
    {"Seed resize from-1", "seed_resize_from_w", INT, false, {0}},
    {"Seed resize from-2", "seed_resize_from_h", INT, false, {0}},
    {"Denoising strength", "denoising_strength", REAL, false, {0}},
    {"Tiling", "tiling", BOOL, false, {0}},
    {"Eta", "eta", REAL, false, {0}},
    {"Sigma churn", "s_churn", REAL, false, {0}},
    {"Sigma tmin", "s_tmin", REAL, false, {0}},
    {"Sigma tmax", "s_tmax", REAL, false, {0}},
    {"Sigma noise", "s_noise", REAL, false, {0}},
    {"Hires upscale", "hr_scale", REAL, false, {0}},
    {"Hires resize-1", "hr_resize_x", INT, false, {0}},
    {"Hires resize-2", "hr_resize_y", INT, false, {0}},
    {"Hires upscaler", "hr_upscaler", TEXT, false, {0}},
    {"Hires steps", "hr_second_pass_steps", INT, false, {0}},
    {"Hires sampler", "hr_sampler_name", TEXT, false, {0}},
    {"Hires schedule type", "hr_scheduler", TEXT, false, {0}},
    {"Hires checkpoint", "hr_checkpoint_name", TEXT, false, {0}},
    {"Hires prompt", "hr_prompt", TEXT, false, {0}},
    {"Hires negative prompt", "hr_negative_prompt", TEXT, false, {0}},
    {"Refiner", "refiner_checkpoint", TEXT, false, {0}},
    {"Refiner switch at", "refiner_switch_at", REAL, false, {0}},
    {"Resize mode", "resize_mode", INT, false, {0}},
    {"Mask blur", "mask_blur", INT, false, {0}},
    {"Mask mode",
     "inpainting_mask_invert",
     CHOICE,
     false,
     {"Inpaint masked", "Inpaint not masked"}},
    {"Masked content",
     "inpainting_fill",
     CHOICE,
     false,
     {"fill", "original", "latent noise", "latent nothing"}},
    {"Inpaint area", "inpaint_full_res", CHOICE, false, {"Whole picture", "Only masked"}},
    {"Masked area padding", "inpaint_full_res_padding", INT, false, {0}},
    {"Model hash", "sd_model_checkpoint", TEXT, true, {0}},
    {"Model", "sd_model_checkpoint", TEXT, true, {0}}, /* a name says more than a hash */
    {"VAE", "sd_vae", TEXT, true, {0}},
    {"Clip skip", "CLIP_stop_at_last_layers", INT, true, {0}},
    {"ENSD", "eta_noise_seed_delta", INT, true, {0}},
    {"RNG", "randn_source", TEXT, true, {0}},
};

/* NULL in *out for a value that is none of this kind; false for no memory. */
static bool convert(json_t **out, const struct field *f, const char *text)
{
    int64_t whole;
    double real;

    *out = NULL;
    switch (f->kind) {
    case INT:
        if (!read_int(&whole, text))
            return true;
        *out = json_integer(whole);
        break;
    case REAL:
        if (!read_real(&real, text))
            return true;
        *out = json_real(real);
        break;
    case BOOL:
        *out = json_boolean(strcasecmp(text, "true") == 0);
        break;
    case CHOICE:
        for (int i = 0; i < 4 && f->choices[i]; i++)
            if (strcasecmp(text, f->choices[i]) == 0)
                *out = json_integer(i);
        return true;
    default:
        *out = make_text(text);
    }
    return *out != NULL;
}

static bool set_field(json_t *request, json_t *options, const struct field *f, const char *text)
{
    json_t *value;

    if (!convert(&value, f, text))
        return false;
    return !value || json_object_set_new(f->option ? options : request, f->name, value) == 0;
}

/* Whether the text tells of a second pass, as A1111 decides. */
static bool has_hires(const json_t *pairs)
{
    return json_object_get(pairs, "Denoising strength") &&
           (json_object_get(pairs, "Hires upscale") || json_object_get(pairs, "Hires upscaler") ||
            json_object_get(pairs, "Hires resize-1"));
}

json_t *infotext_json_settings(const struct infotext *info)
{
    json_t *pairs = with_sizes_split(info), *request = json_object(), *options = json_object();
    bool ok = pairs && request && options;

    ok = ok && set_text(request, "prompt", info->prompt) &&
         set_text(request, "negative_prompt", info->negative_prompt);
    for (size_t i = 0; ok && i < sizeof fields / sizeof fields[0]; i++) {
        const char *text = json_string_value(json_object_get(pairs, fields[i].key));
        ok = !text || set_field(request, options, &fields[i], text);
    }
    if (ok && has_hires(pairs))
        ok = json_object_set_new(request, "enable_hr", json_true()) == 0;
    if (ok && json_object_size(options) > 0)
        ok = json_object_set(request, "override_settings", options) == 0;
    json_decref(options);
    json_decref(pairs);
    return finish(request, ok);
}
