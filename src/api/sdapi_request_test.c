#include "api/sdapi_options.h"
#include "api/sdapi_request.h"
#include "base/test.h"
#include "config/settings.h"
#include "library/library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct settings settings;
static struct api api = {.settings = &settings};

static void open_api(void)
{
    const struct library_settings folders = {.demo_model = "assets/demo-model"};
    struct settings_origins origins;
    struct error err;

    settings_defaults(&settings, &origins);
    CHECK(sdapi_options_open(&api.sdapi_options, &err));
    CHECK(library_open(&api.library, &folders, &err));
}

static void close_api(void)
{
    library_close(api.library);
    sdapi_options_close(api.sdapi_options);
}

struct result {
    bool ok;
    struct api_call call;
    struct sdapi_request request;
    struct error err;
};

static struct result read_text(const char *text, enum sdapi_endpoint endpoint)
{
    struct result r = {.call = {.api = &api}};
    json_t *body = json_loads(text, 0, NULL);

    CHECK(body);
    r.ok = sdapi_request_read(&r.request, &r.call, body, endpoint, &r.err);
    json_decref(body);
    return r;
}

/* Every member of `want` stands so in the canonical request; null: it is not there. */
static void check_canonical(const char *text, enum sdapi_endpoint endpoint, const char *want)
{
    struct result r = read_text(text, endpoint);
    json_t *expected = json_loads(want, 0, NULL), *value;
    const char *key;

    CHECK(r.ok);
    if (!r.ok)
        fprintf(stderr, "%s: %s\n", text, r.err.text);
    CHECK(expected);
    json_object_foreach(expected, key, value)
    {
        json_t *got = json_object_get(r.request.canonical, key);
        if (json_is_null(value) ? got != NULL : !json_equal(got, value)) {
            char *all = json_dumps(r.request.canonical, 0);
            fprintf(stderr, "%s: %s: %s\n", text, key, all);
            free(all);
            CHECK(false);
        }
    }
    json_decref(expected);
    sdapi_request_clear(&r.request);
}

static void check_refused(const char *text, enum sdapi_endpoint endpoint, int status,
                          const char *field, const char *message)
{
    struct result r = read_text(text, endpoint);

    CHECK(!r.ok);
    CHECK(r.call.error_status == status);
    CHECK(field ? r.call.error_field && strcmp(r.call.error_field, field) == 0
                : !r.call.error_field);
    CHECK(strstr(r.err.text, message));
    sdapi_request_clear(&r.request);
}

static void defaults_are_the_originals(void)
{
    check_canonical("{}", SDAPI_TXT2IMG,
                    "{\"mode\": \"txt2img\", \"prompt\": null, \"steps\": 50, \"cfg_scale\": 7.0,"
                    " \"width\": 512, \"height\": 512, \"sampler_name\": \"Euler\","
                    " \"scheduler_type\": \"Automatic\", \"seed\": null, \"hires\": null,"
                    " \"file_type\": \"png\", \"s_tmax\": null, \"preview\": true}");
    check_canonical("{}", SDAPI_IMG2IMG,
                    "{\"mode\": \"img2img\", \"exact_size\": true, \"img2img_rule\": \"webui\","
                    " \"denoising_strength\": 0.75, \"mask\": {\"blur_x\": 4, \"blur_y\": 4,"
                    " \"round\": true, \"fill\": 0, \"full_res\": true, \"padding\": 0,"
                    " \"invert\": false}}");
    check_canonical("{\"steps\": null, \"width\": null}", SDAPI_TXT2IMG,
                    "{\"steps\": 50, \"width\": 512}");
}

static void fields_find_their_places(void)
{
    check_canonical(
        "{\"steps\": \"20\", \"width\": 519.0, \"seed\": 0, \"subseed\": -1,"
        " \"s_tmax\": 0, \"s_noise\": 1, \"eta\": 1.0, \"seed_resize_from_w\": 0}",
        SDAPI_TXT2IMG,
        "{\"steps\": 20, \"width\": 512, \"seed\": 0, \"subseed\": null,"
        " \"s_tmax\": null, \"s_noise\": 1, \"eta\": 1.0, \"seed_resize_from_w\": null}");
    check_canonical("{\"enable_hr\": true, \"hr_scale\": 1.5, \"hr_upscaler\": \"Lanczos\","
                    " \"denoising_strength\": 0.4, \"hr_resize_x\": 0, \"hr_prompt\": \"p\","
                    " \"hr_sampler_name\": \"DPM++ 2M Karras\"}",
                    SDAPI_TXT2IMG,
                    "{\"hires\": {\"enabled\": true, \"scale\": 1.5, \"upscaler\": \"Lanczos\","
                    " \"denoising_strength\": 0.4, \"prompt\": \"p\","
                    " \"sampler_name\": \"DPM++ 2M\", \"scheduler_type\": \"Karras\"},"
                    " \"denoising_strength\": null}");
    check_canonical("{\"mask_blur\": 9, \"inpainting_mask_invert\": 1, \"inpaint_full_res\": 0,"
                    " \"inpainting_fill\": 2}",
                    SDAPI_IMG2IMG,
                    "{\"mask\": {\"blur_x\": 9, \"blur_y\": 9, \"round\": true, \"fill\": 2,"
                    " \"full_res\": false, \"padding\": 0, \"invert\": true}}");
    check_canonical("{\"prompt\": \"a <lora:x:1><lora:y> b\", \"disable_extra_networks\": true}",
                    SDAPI_TXT2IMG, "{\"prompt\": \"a  b\"}");
    check_canonical("{\"upscaler_1\": \"Lanczos\", \"upscaling_resize\": 3}", SDAPI_EXTRA,
                    "{\"mode\": \"upscale\", \"upscaler_1\": \"Lanczos\", \"upscaler_2\": null,"
                    " \"upscaling_resize\": 3, \"upscaling_resize_w\": null}");
    check_canonical("{\"resize_mode\": 1, \"upscaling_resize_w\": 100}", SDAPI_EXTRA,
                    "{\"upscaling_resize\": null, \"upscaling_resize_w\": 100,"
                    " \"upscaling_resize_h\": 512}");
}

static void options_reach_the_request(void)
{
    check_canonical("{\"override_settings\": {\"CLIP_stop_at_last_layers\": 2,"
                    " \"samples_format\": \"jpeg\", \"randn_source\": \"GPU\","
                    " \"sd_model_checkpoint\": \"demo\", \"img2img_fix_steps\": true,"
                    " \"live_previews_enable\": false, \"sd_vae\": \"Automatic\"}}",
                    SDAPI_IMG2IMG,
                    "{\"clip_skip\": 2, \"file_type\": \"jpg\", \"rng\": \"philox\","
                    " \"model\": \"demo\", \"img2img_rule\": \"webui_all\", \"preview\": false,"
                    " \"vae\": null}");
    check_canonical("{\"model\": \"demo\", \"clip_skip\": 2}", SDAPI_TXT2IMG,
                    "{\"model\": \"demo\", \"clip_skip\": 2}");
    check_canonical("{\"infotext\": \"a ball\\nSteps: 7, Sampler: Heun, CFG scale: 3, Seed: 9,"
                    " Size: 64x72, Clip skip: 2\", \"steps\": 8}",
                    SDAPI_TXT2IMG,
                    "{\"prompt\": \"a ball\", \"steps\": 8, \"seed\": 9, \"width\": 64,"
                    " \"height\": 72, \"sampler_name\": \"Heun\", \"clip_skip\": 2}");
}

static void refusals_name_the_field(void)
{
    check_refused("{\"steps\": \"x\"}", SDAPI_TXT2IMG, 422, "steps", "whole number");
    check_refused("{\"prompt\": {}}", SDAPI_TXT2IMG, 422, "prompt", "text");
    check_refused("{\"script_name\": \"x\"}", SDAPI_TXT2IMG, 422, NULL, "Script 'x' not found");
    check_refused("{\"sampler_name\": \"x\"}", SDAPI_TXT2IMG, 400, NULL, "Sampler not found");
    check_refused("{\"enable_hr\": true, \"hr_checkpoint_name\": \"x\"}", SDAPI_TXT2IMG, 422,
                  "hr_checkpoint_name", "cannot be another");
    check_refused("{\"override_settings\": {\"sd_model_checkpoint\": \"x\"}}", SDAPI_TXT2IMG, 0,
                  "sd_model_checkpoint", "no model 'x'");
}

static void messages_get_this_apis_names(void)
{
    struct error err = {.text = "hires.scale is 1 to 8, not 9"};

    const char *name = sdapi_fields_rename(&err, SDAPI_TXT2IMG);
    CHECK(name && strcmp(name, "hr_scale") == 0);
    CHECK(strcmp(err.text, "hr_scale is 1 to 8, not 9") == 0);
}

int main(void)
{
    open_api();
    defaults_are_the_originals();
    fields_find_their_places();
    options_reach_the_request();
    refusals_name_the_field();
    messages_get_this_apis_names();
    close_api();
    return TEST_END();
}
