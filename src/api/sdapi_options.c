#include "api/sdapi_options.h"

#include "base/thread.h"
#include "config/settings.h"
#include "library/library.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_MAX_BYTES = 1024, WARNINGS_MAX = 16 };

enum option_flags {
    FIXED = 1, /* POST takes it and changes nothing */
    MODEL = 2,
    VAE = 4,
};

struct option {
    const char *key;
    enum sdapi_kind kind;
    const char *fallback; /* as JSON */
    unsigned flags;
    double min, max; /* numbers */
    const char *const *choices;
};

static const char *const formats[] = {"png", "jpg", "jpeg", "webp", "avif", NULL};
static const char *const sources[] = {"CPU", "GPU", "NV", NULL};

static const struct option options[] = {
    {"samples_save", SDAPI_BOOL, "true", FIXED, 0, 0, NULL},
    {"samples_format", SDAPI_TEXT, "\"png\"", 0, 0, 0, formats},
    {"samples_filename_pattern", SDAPI_TEXT, "\"\"", FIXED, 0, 0, NULL},
    {"grid_save", SDAPI_BOOL, "false", FIXED, 0, 0, NULL},
    {"return_grid", SDAPI_BOOL, "false", FIXED, 0, 0, NULL},
    {"enable_pnginfo", SDAPI_BOOL, "true", FIXED, 0, 0, NULL},
    {"jpeg_quality", SDAPI_INT, "80", 0, 1, 100, NULL},
    {"outdir_samples", SDAPI_TEXT, "\"outputs\"", FIXED, 0, 0, NULL},
    {"outdir_txt2img_samples", SDAPI_TEXT, "\"outputs\"", FIXED, 0, 0, NULL},
    {"outdir_img2img_samples", SDAPI_TEXT, "\"outputs\"", FIXED, 0, 0, NULL},
    {"outdir_extras_samples", SDAPI_TEXT, "\"outputs\"", FIXED, 0, 0, NULL},
    {"outdir_grids", SDAPI_TEXT, "\"outputs\"", FIXED, 0, 0, NULL},
    {"outdir_save", SDAPI_TEXT, "\"outputs\"", FIXED, 0, 0, NULL},
    {"sd_model_checkpoint", SDAPI_TEXT, "null", MODEL, 0, 0, NULL},
    {"sd_checkpoint_hash", SDAPI_TEXT, "null", FIXED, 0, 0, NULL},
    {"sd_vae", SDAPI_TEXT, "\"Automatic\"", VAE, 0, 0, NULL},
    {"sd_lora", SDAPI_TEXT, "\"None\"", FIXED, 0, 0, NULL},
    {"CLIP_stop_at_last_layers", SDAPI_INT, "1", 0, 1, 12, NULL},
    {"randn_source", SDAPI_TEXT, "\"CPU\"", 0, 0, 0, sources},
    {"img2img_fix_steps", SDAPI_BOOL, "false", 0, 0, 0, NULL},
    {"initial_noise_multiplier", SDAPI_NUMBER, "1.0", FIXED, 0, 0, NULL},
    {"inpainting_mask_weight", SDAPI_NUMBER, "1.0", FIXED, 0, 0, NULL},
    {"img2img_color_correction", SDAPI_BOOL, "false", FIXED, 0, 0, NULL},
    {"eta_noise_seed_delta", SDAPI_INT, "0", FIXED, 0, 0, NULL},
    {"eta_ddim", SDAPI_NUMBER, "0.0", FIXED, 0, 0, NULL},
    {"eta_ancestral", SDAPI_NUMBER, "1.0", FIXED, 0, 0, NULL},
    {"live_previews_enable", SDAPI_BOOL, "true", 0, 0, 0, NULL},
    {"live_previews_image_format", SDAPI_TEXT, "\"jpeg\"", FIXED, 0, 0, NULL},
    {"live_preview_refresh_period", SDAPI_NUMBER, "1000.0", 0, 0, 3600000, NULL},
    {"show_progress_every_n_steps", SDAPI_INT, "10", 0, -1, 1000, NULL},
    {"face_restoration", SDAPI_BOOL, "false", FIXED, 0, 0, NULL},
    {"face_restoration_model", SDAPI_TEXT, "null", FIXED, 0, 0, NULL},
};
enum { N_OPTIONS = sizeof options / sizeof options[0] };

struct sdapi_options {
    pthread_mutex_t lock;
    json_t *set; /* guarded by lock; owned: checked values, models and VAEs by their name */
};

bool sdapi_options_open(struct sdapi_options **out, struct error *err)
{
    struct sdapi_options *o = calloc(1, sizeof *o);

    *out = NULL;
    if (!o || !(o->set = json_object())) {
        free(o);
        return error_set(err, ERROR_MEMORY, "no memory for options");
    }
    pthread_mutex_init(&o->lock, NULL);
    *out = o;
    return true;
}

void sdapi_options_close(struct sdapi_options *o)
{
    if (!o)
        return;
    pthread_mutex_destroy(&o->lock);
    json_decref(o->set);
    free(o);
}

static const struct option *find(const char *key)
{
    for (size_t i = 0; i < N_OPTIONS; i++)
        if (strcmp(options[i].key, key) == 0)
            return &options[i];
    return NULL;
}

static json_t *copy_set(struct sdapi_options *o)
{
    pthread_mutex_lock(&o->lock);
    json_t *copy = json_deep_copy(o->set);
    pthread_mutex_unlock(&o->lock);
    return copy;
}

/* The name of what text means in the library; "" for what stands for none. */
static json_t *find_name(struct api_call *call, const struct option *o, const char *text,
                         struct error *err)
{
    const struct library_entry *e = NULL;
    enum library_kind kind = o->flags & MODEL ? LIBRARY_MODEL : LIBRARY_VAE;

    if (!*text || strcasecmp(text, "Automatic") == 0 || strcasecmp(text, "None") == 0)
        return json_string("");
    if (!library_find_sound(call->api->library, kind, text, &e, err)) {
        call->error_field = o->key;
        return NULL;
    }
    json_t *name = json_string(e->name);
    library_entry_free(e);
    if (!name)
        error_set(err, ERROR_MEMORY, "no memory for options");
    return name;
}

static bool is_choice(const struct option *o, const char *text)
{
    for (const char *const *c = o->choices; *c; c++)
        if (strcasecmp(*c, text) == 0)
            return true;
    return false;
}

static bool check_value(struct api_call *call, const struct option *o, const json_t *value,
                        struct error *err)
{
    double n = json_number_value(value);

    if (o->choices && !is_choice(o, json_string_value(value)))
        return api_fail(call, err, 422, o->key, "%s is \"%.40s\"; allowed: %s and the like", o->key,
                        json_string_value(value), o->choices[0]);
    if (json_is_string(value) && json_string_length(value) > TEXT_MAX_BYTES)
        return api_fail(call, err, 422, o->key, "%s is longer than %d bytes", o->key,
                        TEXT_MAX_BYTES);
    if (json_is_number(value) && (n < o->min || n > o->max))
        return api_fail(call, err, 422, o->key, "%s is %g: it has to be from %g to %g", o->key, n,
                        o->min, o->max);
    return true;
}

/* The value as it is kept; NULL with err. */
static json_t *read_value(struct api_call *call, const struct option *o, json_t *value,
                          struct error *err)
{
    json_t *read = sdapi_fields_coerce(o->kind, value);

    if (!read) {
        api_fail(call, err, 422, o->key, "%s: the value has to be %s", o->key,
                 sdapi_fields_kind_name(o->kind));
        return NULL;
    }
    if (!check_value(call, o, read, err)) {
        json_decref(read);
        return NULL;
    }
    if (!(o->flags & (MODEL | VAE)))
        return read;
    json_t *name = find_name(call, o, json_string_value(read), err);
    json_decref(read);
    return name;
}

/* Checked copies of what body sets; fixed and unknown ones are left out. */
static bool read_all(json_t **out, struct api_call *call, const json_t *body, struct error *err)
{
    const char *key;
    json_t *value;

    *out = json_object();
    json_object_foreach((json_t *)body, key, value)
    {
        const struct option *o = find(key);
        if (!o || o->flags & FIXED || json_is_null(value))
            continue;
        json_t *read = read_value(call, o, value, err);
        if (!read || json_object_set_new_nocheck(*out, o->key, read) != 0) {
            if (read)
                error_set(err, ERROR_MEMORY, "no memory for options");
            json_decref(*out);
            *out = NULL;
            return false;
        }
    }
    return *out || error_set(err, ERROR_MEMORY, "no memory for options");
}

static bool keep_all(struct api_call *call, json_t *values, struct error *err)
{
    struct sdapi_options *o = call->api->sdapi_options;

    pthread_mutex_lock(&o->lock);
    bool ok = json_object_update(o->set, values) == 0;
    pthread_mutex_unlock(&o->lock);
    return ok || error_set(err, ERROR_MEMORY, "no memory for options");
}

bool sdapi_options_post(struct api_call *call, struct error *err)
{
    json_t *body = NULL, *values = NULL;

    bool ok = api_read_json(call, &body, true, err) && read_all(&values, call, body, err) &&
              keep_all(call, values, err);
    json_decref(body);
    json_decref(values);
    return ok && api_reply_json(call, 200, json_null(), err);
}

/* Title and hash of the model that requests without one get. */
static bool set_model(struct api_call *call, json_t *all, const char *name, struct error *err)
{
    const struct library_entry *e = NULL;
    struct error ignored;
    struct library *lib = call->api->library;

    if ((!name || !*name || !library_find(lib, LIBRARY_MODEL, name, &e, &ignored)) &&
        !library_default_model(lib, &e, &ignored))
        return true; /* there is none: null */
    bool ok = json_object_set_new(all, "sd_model_checkpoint", json_string(e->title)) == 0 &&
              json_object_set_new(all, "sd_checkpoint_hash",
                                  e->sha256[0] ? json_string(e->sha256) : json_null()) == 0;
    library_entry_free(e);
    return ok || error_set(err, ERROR_MEMORY, "no memory for options");
}

bool sdapi_options_get(struct api_call *call, struct error *err)
{
    json_t *set = copy_set(call->api->sdapi_options), *all = json_object();
    const char *model = json_string_value(json_object_get(set, "sd_model_checkpoint"));
    const char *vae = json_string_value(json_object_get(set, "sd_vae"));
    bool ok = set && all;

    for (size_t i = 0; ok && i < N_OPTIONS; i++)
        ok = json_object_set_new(all, options[i].key,
                                 json_loads(options[i].fallback, JSON_DECODE_ANY, NULL)) == 0;
    ok = ok && json_object_update(all, set) == 0;
    if (ok && vae && !*vae)
        ok = json_object_set_new(all, "sd_vae", json_string("Automatic")) == 0;
    ok = ok ? json_object_set_new(all, "sd_model_checkpoint", json_null()) == 0 &&
                  set_model(call, all, model, err)
            : error_set(err, ERROR_MEMORY, "no memory for options");
    json_decref(set);
    if (ok)
        return api_reply_json(call, 200, all, err);
    json_decref(all);
    return false;
}

bool sdapi_options_merge(json_t **out, struct api_call *call, const json_t *override, bool keep,
                         struct error *err)
{
    json_t *values = NULL;

    *out = copy_set(call->api->sdapi_options);
    if (!*out)
        return error_set(err, ERROR_MEMORY, "no memory for options");
    bool ok = !override ||
              (read_all(&values, call, override, err) && (!keep || keep_all(call, values, err)));
    if (ok && values && json_object_update(*out, values) != 0)
        ok = error_set(err, ERROR_MEMORY, "no memory for options");
    json_decref(values);
    if (!ok) {
        json_decref(*out);
        *out = NULL;
    }
    return ok;
}

void sdapi_options_warn(const json_t *override, json_t *warnings)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *) override, key, value)
    {
        const struct option *o = find(key);
        if (o && !(o->flags & FIXED))
            continue;
        json_t *fallback = o ? json_loads(o->fallback, JSON_DECODE_ANY, NULL) : NULL;
        bool same = json_equal(value, fallback) ||
                    (json_is_number(value) && json_is_number(fallback) &&
                     json_number_value(value) == json_number_value(fallback));
        if (!same && json_array_size(warnings) < WARNINGS_MAX)
            json_array_append_new(warnings, json_sprintf("the option '%.60s' has no effect", key));
        json_decref(fallback);
    }
}
