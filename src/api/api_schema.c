#include "api/api_schema.h"

#include <string.h>

#define SHARED                                                                                     \
    {"width", "integer", "512", false, "pixels; rounded to a multiple of 8"},                      \
        {"height", "integer", "512", false, "pixels; rounded to a multiple of 8"},                 \
        {"steps", "integer", "30", false, "of the sampler"},                                       \
        {"cfg_scale", "number", "7.0", false, "how far the prompt is followed"},                   \
        {"sampler_name", "string", "\"DPM++ 2M Karras\"", false,                                   \
         "a name of /sampling_methods; a scheduler's name may stand behind it"},                   \
        {"scheduler_type", "string", "null", false,                                                \
         "a name of /sampling_methods; null: what stands in sampler_name, or Automatic"},          \
        {"seed", "integer", "null", false,                                                         \
         "the same seed draws the same picture; null or -1: a random one"},                        \
        {"fileType", "string", "\"jpg\"", false, "jpg, png, webp or avif"},                        \
    {                                                                                              \
        "loras", "array", "[]", false,                                                             \
            "names, or {\"name\", \"scale\"}; what is not there is "                               \
            "left out with a warning"                                                              \
    }

static const struct api_schema_field txt2img[] = {
    SHARED,
    {"hires", "object", "null", false,
     "second pass at a larger size; in effect where enabled is true and scale above 1.  Upscalers "
     "other than the Latent ones just enlarge, unless second_pass is true"},
    {.key = NULL},
};

#define IMG2IMG                                                                                    \
    {"resize_mode", "integer", "0", false,                                                         \
     "0 \"just resize\", 1 \"crop and resize\", 2 \"resize and fill\", 3 \"just resize "           \
     "(latent)\": the number or the words"},                                                       \
        {"resize_to", "object", "null", false, "{\"width\", \"height\"} in pixels"},               \
        {"resize_by", "number", "null", false,                                                     \
         "factor, or {\"width\", \"height\"} as factors; resized_by is as good"},                  \
        {"mask", "string", "null", false,                                                          \
         "picture in base64, white where the input is repainted"},                                 \
    {                                                                                              \
        "mask_options", "object", "null", false,                                                   \
            "blur_x, blur_y, fill, full_res, padding, invert, round"                               \
    }

static const struct api_schema_field img2img[] = {
    {"image", "string", NULL, true, "the picture in base64, bare or as a data: address"},
    {"prompt", "string", NULL, true, "what is to be seen"},
    SHARED,
    {"denoising_strength", "number", "0.75", false, "0 keeps the picture, 1 forgets it"},
    IMG2IMG,
    {.key = NULL},
};

static const struct api_schema_field plan[] = {
    {"mode", "string", "null", false,
     "txt2img or img2img; null: img2img where there is a picture or its size"},
    {"input", "object", "null", false, "{\"width\", \"height\"} of the picture to start from"},
    {"image", "string", "null", false, "or that picture itself, in base64"},
    SHARED,
    {"hires", "object", "null", false, "as in /txt2img"},
    IMG2IMG,
    {.key = NULL},
};

static const struct api_schema_field img_info[] = {
    {"image", "string", NULL, true, "a picture in base64, bare or as a data: address"},
    {.key = NULL},
};

const struct api_schema api_schema_all[] = {
    {"Txt2Img", 1u << GEN_JOB_TXT2IMG, txt2img},
    {"Img2Img", 1u << GEN_JOB_IMG2IMG, img2img},
    {"Plan", 1u << GEN_JOB_TXT2IMG | 1u << GEN_JOB_IMG2IMG, plan},
    {"ImgInfo", 0, img_info},
    {.name = NULL},
};

const struct api_schema *api_schema_find(const char *name)
{
    for (const struct api_schema *s = api_schema_all; s->name; s++)
        if (strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

static bool is_own(const struct api_schema *s, const char *key)
{
    for (const struct api_schema_field *f = s->own; f->key; f++)
        if (strcmp(f->key, key) == 0)
            return true;
    return false;
}

bool api_schema_has(const struct api_schema *s, const struct gen_job_field *f)
{
    /* Under these, our own rows tell what is different. */
    static const char *const hidden[] = {"mode",      "file_type", "mask",
                                         "resize_to", "resize_by", "exact_size"};

    if (!(f->modes & s->modes) || is_own(s, f->key))
        return false;
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (strcmp(f->object ? f->object : f->key, hidden[i]) == 0)
            return false;
    return !f->object || strcmp(f->object, "hires") != 0 || is_own(s, "hires");
}

const char *api_schema_type(const struct gen_job_field *f)
{
    switch (f->kind) {
    case GEN_JOB_INT:
    case GEN_JOB_SEED:
        return "integer";
    case GEN_JOB_NUMBER:
        return "number";
    case GEN_JOB_BOOL:
        return "boolean";
    case GEN_JOB_LORAS:
        return "array";
    case GEN_JOB_TEXT:
    case GEN_JOB_CHOICE:
    case GEN_JOB_SAMPLER:
    case GEN_JOB_SCHEDULER:
        break;
    }
    return "string";
}
