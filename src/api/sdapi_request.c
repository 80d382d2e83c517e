#include "api/sdapi_request.h"

#include "api/api_submit.h"
#include "api/sdapi_loras.h"
#include "api/sdapi_options.h"
#include "api/sdapi_samplers.h"
#include "image/infotext_json.h"
#include "library/library.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { WARNINGS_MAX = 24, SCRIPT_NAME_SHOWN = 60 };

static bool no_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "no memory for the request");
}

static bool set(json_t *object, const char *key, json_t *value, struct error *err)
{
    return json_object_set_new_nocheck(object, key, value) == 0 || no_memory(err);
}

static void warn(struct sdapi_request *r, json_t *text)
{
    if (json_array_size(r->warnings) < WARNINGS_MAX)
        json_array_append_new(r->warnings, text);
    else
        json_decref(text);
}

static const char *text_of(const struct sdapi_request *r, const char *key)
{
    const char *text = json_string_value(json_object_get(r->parameters, key));
    return text ? text : "";
}

/* Sets what the text says where the body says nothing. */
static bool add_missing(json_t *body, const json_t *said, struct error *err)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)said, key, value)
    {
        json_t *own = json_object_get(body, key);
        if (json_is_object(own) && json_is_object(value)) {
            json_t *both = json_copy(value);
            if (!both || json_object_update(both, own) != 0) {
                json_decref(both);
                return no_memory(err);
            }
            if (!set(body, key, both, err))
                return false;
        } else if ((!own || json_is_null(own)) && json_object_set_nocheck(body, key, value) != 0) {
            return no_memory(err);
        }
    }
    return true;
}

/* A picture from elsewhere may name a model that is not here: the server's is taken then. */
static void drop_unknown(struct sdapi_request *r, struct api_call *call, json_t *said)
{
    static const struct {
        const char *key;
        enum library_kind kind;
    } row[] = {{"sd_model_checkpoint", LIBRARY_MODEL}, {"sd_vae", LIBRARY_VAE}};
    json_t *options = json_object_get(said, "override_settings");

    for (int i = 0; i < 2; i++) {
        const char *name = json_string_value(json_object_get(options, row[i].key));
        const struct library_entry *e = NULL;
        struct error ignored;
        if (!name || library_find_sound(call->api->library, row[i].kind, name, &e, &ignored)) {
            library_entry_free(e);
            continue;
        }
        warn(r, json_sprintf("infotext: there is no %s '%.60s'; the server's was taken",
                             library_kind_name(row[i].kind), name));
        json_object_del(options, row[i].key);
    }
}

/* "infotext": parameters as a picture has them, which fill what is not said otherwise. */
static bool read_infotext(struct sdapi_request *r, struct api_call *call, json_t *body,
                          struct error *err)
{
    const json_t *value = json_object_get(body, "infotext");
    const char *text = json_string_value(value);
    struct infotext info;

    if (!text || !*text)
        return true;
    if (!infotext_parse(&info, text, json_string_length(value), err)) {
        call->error_status = 422;
        call->error_field = "infotext";
        return false;
    }
    json_t *said = infotext_json_settings(&info);
    infotext_clear(&info);
    drop_unknown(r, call, said);
    bool ok = said ? add_missing(body, said, err) : no_memory(err);
    json_decref(said);
    return ok;
}

/* Old clients say mask_blur for both directions. */
static bool spread_mask_blur(json_t *body, struct error *err)
{
    static const char *const keys[] = {"mask_blur_x", "mask_blur_y"};
    json_t *both = json_object_get(body, "mask_blur");

    for (int i = 0; both && !json_is_null(both) && i < 2; i++) {
        const json_t *own = json_object_get(body, keys[i]);
        if ((!own || json_is_null(own)) && json_object_set_nocheck(body, keys[i], both) != 0)
            return no_memory(err);
    }
    return true;
}

static bool read_scripts(struct sdapi_request *r, struct api_call *call, struct error *err)
{
    const json_t *always = json_object_get(r->parameters, "alwayson_scripts");
    const char *script = text_of(r, "script_name"), *name;
    json_t *value;

    if (*script && strcasecmp(script, "none") != 0) {
        call->error_field = NULL;
        call->error_status = 422;
        return error_set(err, ERROR_INVALID, "Script '%.60s' not found", script);
    }
    json_object_foreach((json_t *)always, name, value)
        warn(r, json_sprintf("always on script '%.*s' not found; it was left out",
                             SCRIPT_NAME_SHOWN, name));
    return true;
}

/* Sides are cut to multiples of 8, as the original does it. */
static bool write_sides(struct sdapi_request *r, struct error *err)
{
    static const char *const sides[] = {"width", "height"};

    for (int i = 0; i < 2; i++) {
        json_int_t side = json_integer_value(json_object_get(r->parameters, sides[i]));
        if (side > 0 && side < 1 << 20 &&
            !set(r->canonical, sides[i], json_integer(side / 8 * 8), err))
            return false;
    }
    return true;
}

static bool write_hires(struct sdapi_request *r, struct api_call *call, struct error *err)
{
    json_t *hires = json_object_get(r->canonical, "hires");
    const char *other = text_of(r, "hr_checkpoint_name");

    if (!json_is_true(json_object_get(hires, "enabled"))) {
        json_object_del(r->canonical, "hires");
        return true;
    }
    if (*other && strcasecmp(other, "none") != 0 && strncasecmp(other, "use same", 8) != 0)
        return api_fail(call, err, 422, "hr_checkpoint_name",
                        "hr_checkpoint_name: the second pass has the checkpoint of the first one; "
                        "it cannot be another");
    if (json_number_value(json_object_get(hires, "scale")) < 1)
        return set(hires, "scale", json_integer(1), err);
    return true;
}

/* Which of the sizes of an enlargement counts. */
static void choose_resize(struct sdapi_request *r)
{
    bool by_size = json_integer_value(json_object_get(r->parameters, "resize_mode")) == 1;

    if (by_size) {
        json_object_del(r->canonical, "upscaling_resize");
    } else {
        json_object_del(r->canonical, "upscaling_resize_w");
        json_object_del(r->canonical, "upscaling_resize_h");
    }
}

/* Fields that stable-diffusion.cpp's clients send to this path: they yield to override_settings,
 * and go before what is set for everybody. */
static bool add_foreign(struct sdapi_request *r, struct api_call *call, const json_t *body,
                        const json_t *override, json_t *options, struct error *err)
{
    const char *model = json_string_value(json_object_get(body, "model"));
    json_t *skip = json_object_get(body, "clip_skip");
    const struct library_entry *e = NULL;
    struct error ignored;

    if (model && *model && !json_object_get(override, "sd_model_checkpoint")) {
        if (library_find_sound(call->api->library, LIBRARY_MODEL, model, &e, &ignored)) {
            bool ok = set(options, "sd_model_checkpoint", json_string(e->name), err);
            library_entry_free(e);
            if (!ok)
                return false;
        } else {
            warn(r, json_sprintf("there is no model '%.60s'; the server's was taken", model));
        }
    }
    if (json_is_integer(skip) && json_integer_value(skip) >= 1 && json_integer_value(skip) <= 12 &&
        !json_object_get(override, "CLIP_stop_at_last_layers"))
        return json_object_set_nocheck(options, "CLIP_stop_at_last_layers", skip) == 0 ||
               no_memory(err);
    return true;
}

static bool write_options(struct sdapi_request *r, struct api_call *call, const json_t *body,
                          struct error *err)
{
    const json_t *override = json_object_get(r->parameters, "override_settings");
    bool keep =
        json_is_false(json_object_get(r->parameters, "override_settings_restore_afterwards"));
    json_t *options = NULL;

    if (!json_is_object(override))
        override = NULL;
    sdapi_options_warn(override, r->warnings);
    bool ok = sdapi_options_merge(&options, call, override, keep, err) &&
              add_foreign(r, call, body, override, options, err) &&
              sdapi_options_apply(r->canonical, options, r->endpoint, err);
    json_decref(options);
    return ok;
}

static bool write_generation(struct sdapi_request *r, struct api_call *call, const json_t *body,
                             struct error *err)
{
    bool is_img2img = r->endpoint == SDAPI_IMG2IMG;

    return set(r->canonical, "mode", json_string(is_img2img ? "img2img" : "txt2img"), err) &&
           (!is_img2img || set(r->canonical, "exact_size", json_true(), err)) &&
           write_sides(r, err) && write_hires(r, call, err) && sdapi_samplers_write(r, call, err) &&
           sdapi_loras_write(r, call, body, err) && read_scripts(r, call, err) &&
           write_options(r, call, body, err);
}

static bool write_upscale(struct sdapi_request *r, struct api_call *call, struct error *err)
{
    json_t *options = NULL;

    choose_resize(r);
    bool ok = set(r->canonical, "mode", json_string("upscale"), err) &&
              sdapi_options_merge(&options, call, NULL, false, err) &&
              sdapi_options_apply(r->canonical, options, r->endpoint, err);
    json_decref(options);
    return ok;
}

bool sdapi_request_read(struct sdapi_request *out, struct api_call *call, const json_t *body,
                        enum sdapi_endpoint endpoint, struct error *err)
{
    bool is_upscale = endpoint == SDAPI_EXTRA || endpoint == SDAPI_EXTRA_BATCH;
    json_t *copy = json_copy((json_t *)body);

    *out = (struct sdapi_request){
        .endpoint = endpoint, .canonical = json_object(), .warnings = json_array()};
    bool ok = (out->canonical && out->warnings && copy) || no_memory(err);
    ok = ok &&
         (is_upscale || (read_infotext(out, call, copy, err) && spread_mask_blur(copy, err))) &&
         sdapi_fields_read(&out->parameters, call, copy, endpoint, err) &&
         sdapi_fields_write(out->canonical, out->parameters, endpoint, out->warnings, err) &&
         (is_upscale ? write_upscale(out, call, err) : write_generation(out, call, copy, err));
    json_decref(copy);
    return ok;
}

/* What the store keeps of the request: nothing but fields of the table, so no password either. */
static json_t *make_wire(const struct sdapi_request *r)
{
    json_t *copy = json_copy(r->parameters);

    json_object_del(copy, "alwayson_scripts"); /* some bring pictures of their own */
    json_object_del(copy, "script_args");
    json_t *wire = copy ? api_input_without_pictures(copy) : NULL;
    json_decref(copy);
    return wire;
}

bool sdapi_request_submit(const struct sdapi_request *r, struct api_call *call,
                          struct api_submitted *out, const struct api_input *image,
                          const struct api_input *mask, struct error *err)
{
    json_t *wire = make_wire(r);
    const struct api_submission s = {
        .family = "sdapi", .request = r->canonical, .image = image, .mask = mask, .wire = wire};
    bool ok = api_submit(call, out, &s, err);

    json_decref(wire);
    if (!ok && err->code == ERROR_INVALID) {
        const char *field = sdapi_fields_rename(err, r->endpoint);
        call->error_status = 422;
        if (field || !call->error_field)
            call->error_field = field ? field : "body";
    }
    return ok;
}

void sdapi_request_clear(struct sdapi_request *r)
{
    json_decref(r->parameters);
    json_decref(r->canonical);
    json_decref(r->warnings);
    *r = (struct sdapi_request){0};
}
