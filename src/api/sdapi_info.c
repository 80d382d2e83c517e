#include "api/sdapi_info.h"

#include "api/api_result.h"
#include "image/infotext.h"
#include "library/library.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Members that are the request's own. */
static const char *const from_parameters[] = {
    "prompt", "negative_prompt", "subseed_strength",   "cfg_scale",
    "steps",  "batch_size",      "seed_resize_from_w", "seed_resize_from_h",
};

/* Keys of an infotext that other members tell already. */
static const char *const told[] = {"Steps",
                                   "Sampler",
                                   "Schedule type",
                                   "CFG scale",
                                   "Seed",
                                   "Size",
                                   "Model hash",
                                   "Model",
                                   "VAE",
                                   "VAE hash",
                                   "Denoising strength",
                                   "Clip skip",
                                   "RNG",
                                   "Version",
                                   "User",
                                   "Variation seed",
                                   "Variation seed strength"};

static bool is_told(const char *key)
{
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        if (strcmp(told[i], key) == 0)
            return true;
    return false;
}

/* What else the picture's text tells: the second pass, LoRAs, masks. */
static json_t *extra_parameters(const json_t *infotexts)
{
    const json_t *first = json_array_get(infotexts, 0);
    json_t *out = json_object();
    struct infotext info;
    struct error ignored;

    if (!out || !first ||
        !infotext_parse(&info, json_string_value(first), json_string_length(first), &ignored))
        return out;
    for (size_t i = 0; i < info.n_pairs; i++)
        if (!is_told(info.pairs[i].key))
            json_object_set_new(out, info.pairs[i].key, json_string(info.pairs[i].value));
    infotext_clear(&info);
    return out;
}

static json_t *repeated(const json_t *value, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append(list, (json_t *)value);
    return list;
}

/* The pictures' seeds stay the same and the variations' rise where there is a variation. */
static json_t *subseeds(const struct sdapi_answer *a, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(
            list, json_integer((json_int_t)(a->subseed < 0 ? -1 : a->subseed + (int64_t)i)));
    return list;
}

static json_t *timestamp(const struct job *job)
{
    char text[24] = "0";
    time_t at = (time_t)job->started;
    struct tm local;

    if (job->started > 0 && localtime_r(&at, &local))
        strftime(text, sizeof text, "%Y%m%d%H%M%S", &local);
    return json_string(text);
}

static json_t *sampler_name(const struct sdapi_answer *a)
{
    const char *keys[] = {"sampler_name", "sampler_index"};
    for (int i = 0; i < 2; i++) {
        json_t *name = json_object_get(a->parameters, keys[i]);
        if (json_is_string(name) && json_string_length(name) > 0)
            return json_incref(name);
    }
    return json_null();
}

/* How much of the noise img2img or a second pass began with. */
static json_t *strength(const struct sdapi_answer *a)
{
    bool counts =
        a->endpoint == SDAPI_IMG2IMG || json_is_true(json_object_get(a->parameters, "enable_hr"));
    json_t *value = counts ? json_object_get(a->parameters, "denoising_strength") : NULL;
    return value ? json_incref(value) : json_null();
}

static json_t *clip_skip(const json_t *infotexts)
{
    const json_t *first = json_array_get(infotexts, 0);
    struct infotext info;
    struct error ignored;
    int skip = 1;

    if (first &&
        infotext_parse(&info, json_string_value(first), json_string_length(first), &ignored)) {
        const char *text = infotext_find(&info, "Clip skip");
        if (text)
            skip = (int)strtol(text, NULL, 10);
        infotext_clear(&info);
    }
    return json_integer(skip);
}

static json_t *or_null(json_t *value)
{
    return value ? json_incref(value) : json_null();
}

static void set_lists(json_t *info, const struct sdapi_answer *a, const json_t *result, size_t n)
{
    const json_t *prompt = json_object_get(a->parameters, "prompt");
    const json_t *negative = json_object_get(a->parameters, "negative_prompt");
    json_t *styles = json_object_get(a->parameters, "styles");
    json_t *infotexts = json_object_get(result, "infotexts");

    json_object_set_new(info, "all_prompts", repeated(prompt, n));
    json_object_set_new(info, "all_negative_prompts", repeated(negative, n));
    json_object_set_new(info, "all_seeds", or_null(json_object_get(result, "seeds")));
    json_object_set_new(info, "all_subseeds", subseeds(a, n));
    json_object_set_new(info, "infotexts", or_null(infotexts));
    json_object_set_new(info, "styles", json_is_array(styles) ? json_incref(styles) : json_array());
    json_object_set_new(info, "extra_generation_params", extra_parameters(infotexts));
    json_object_set_new(info, "clip_skip", clip_skip(infotexts));
}

/* Models that see the masked picture beside the noise. */
static bool is_inpainting(struct api_call *call, const char *name)
{
    const struct library_entry *e = NULL;
    struct error ignored;

    if (!name || !library_find(call->api->library, LIBRARY_MODEL, name, &e, &ignored))
        return false;
    bool is = strstr(e->family, "inpainting") != NULL;
    library_entry_free(e);
    return is;
}

static void set_model(json_t *info, struct api_call *call, const json_t *result)
{
    const json_t *model = json_object_get(result, "model");
    const char *name = json_string_value(json_object_get(model, "name"));

    json_object_set_new(info, "is_using_inpainting_conditioning",
                        json_boolean(is_inpainting(call, name)));

    json_object_set_new(info, "sd_model_name", or_null(json_object_get(model, "name")));
    json_object_set_new(info, "sd_model_hash", or_null(json_object_get(model, "hash")));
    json_object_set_new(info, "sd_vae_name", or_null(json_object_get(result, "vae")));
    json_object_set_new(info, "sd_vae_hash", json_null());
}

json_t *sdapi_info_text(const struct sdapi_answer *a, struct api_call *call, const struct job *job,
                        const json_t *result, const json_t *warnings)
{
    static const char *const from_result[] = {
        "seed", "width", "height", "requested_width", "requested_height", "memory"};
    json_t *info = json_object();
    size_t n = (size_t)api_result_count(job);

    for (size_t i = 0; i < sizeof from_parameters / sizeof from_parameters[0]; i++)
        json_object_set_new(info, from_parameters[i],
                            or_null(json_object_get(a->parameters, from_parameters[i])));
    for (size_t i = 0; i < sizeof from_result / sizeof from_result[0]; i++)
        json_object_set_new(info, from_result[i], or_null(json_object_get(result, from_result[i])));
    json_object_set_new(info, "subseed", json_integer((json_int_t)a->subseed));
    json_object_set_new(info, "sampler_name", sampler_name(a));
    json_object_set_new(info, "restore_faces", json_false());
    json_object_set_new(info, "face_restoration_model", json_null());
    json_object_set_new(info, "denoising_strength", strength(a));
    json_object_set_new(info, "index_of_first_image", json_integer(0));
    json_object_set_new(info, "job_timestamp", timestamp(job));
    json_object_set_new(info, "version", json_string(call->api->version));
    set_lists(info, a, result, n);
    set_model(info, call, result);
    if (json_array_size(warnings) > 0)
        json_object_set(info, "warnings", (json_t *)warnings);

    char *text = info ? json_dumps(info, JSON_COMPACT | JSON_REAL_PRECISION(15)) : NULL;
    json_t *value = text ? json_string(text) : NULL;
    free(text);
    json_decref(info);
    return value;
}
