/* What options mean for a request. */
#include "api/sdapi_options.h"

#include <string.h>
#include <strings.h>

/* Every value below was checked when it was set. */
static bool set(json_t *canonical, const char *key, json_t *value)
{
    return json_object_set_new_nocheck(canonical, key, value) == 0;
}

static bool set_text(json_t *canonical, const char *key, const json_t *options, const char *option)
{
    const char *text = json_string_value(json_object_get(options, option));
    return !text || !*text || set(canonical, key, json_string(text));
}

static bool set_format(json_t *canonical, const json_t *options)
{
    static const struct {
        const char *word, *type;
    } row[] = {{"png", "png"}, {"jpg", "jpg"}, {"jpeg", "jpg"}, {"webp", "webp"}, {"avif", "avif"}};
    const char *format = json_string_value(json_object_get(options, "samples_format"));
    json_t *quality = json_object_get(options, "jpeg_quality");
    const char *type = "png";

    for (size_t i = 0; format && i < sizeof row / sizeof row[0]; i++)
        if (strcasecmp(row[i].word, format) == 0)
            type = row[i].type;
    return set(canonical, "file_type", json_string(type)) &&
           (!quality || set(canonical, "quality", json_incref(quality)));
}

static bool set_preview(json_t *canonical, const json_t *options)
{
    json_t *every = json_object_get(options, "live_preview_refresh_period");
    json_t *steps = json_object_get(options, "show_progress_every_n_steps");
    double seconds = every ? json_number_value(every) / 1000 : 1;
    bool off = json_is_false(json_object_get(options, "live_previews_enable")) ||
               (steps && json_integer_value(steps) <= 0);

    return set(canonical, "preview", json_boolean(!off)) &&
           set(canonical, "preview_every_seconds", json_real(seconds > 1 ? seconds : 1));
}

bool sdapi_options_apply(json_t *canonical, const json_t *options, enum sdapi_endpoint endpoint,
                         struct error *err)
{
    const char *source = json_string_value(json_object_get(options, "randn_source"));
    json_t *layers = json_object_get(options, "CLIP_stop_at_last_layers");
    bool all_steps = json_is_true(json_object_get(options, "img2img_fix_steps"));
    bool ok = set_format(canonical, options);

    if (endpoint == SDAPI_TXT2IMG || endpoint == SDAPI_IMG2IMG) {
        ok = ok && set_text(canonical, "model", options, "sd_model_checkpoint") &&
             set_text(canonical, "vae", options, "sd_vae") && set_preview(canonical, options) &&
             (!layers || set(canonical, "clip_skip", json_incref(layers))) &&
             (!source || set(canonical, "rng",
                             json_string(strcasecmp(source, "CPU") == 0 ? "cpu" : "philox")));
        if (endpoint == SDAPI_IMG2IMG)
            ok = ok &&
                 set(canonical, "img2img_rule", json_string(all_steps ? "webui_all" : "webui"));
    }
    return ok || error_set(err, ERROR_MEMORY, "no memory for the request");
}
