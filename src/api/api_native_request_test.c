#include "api/api_native_request.h"
#include "api/api_submit.h"
#include "base/test.h"
#include "config/settings.h"

#include <stdlib.h>
#include <string.h>

static struct settings settings;
static struct api api = {.settings = &settings};
static struct api_call call;
static struct api_native_request request;
static struct error err;

/* 1x1, red. */
#define PNG                                                                                        \
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"

static bool read_body(const char *text, bool is_img2img)
{
    json_t *body = json_loads(text, 0, NULL);
    struct http_request r = {.fd = -1, .query = "", .path = "/"};

    call = (struct api_call){.api = &api, .request = &r};
    err = (struct error){0};
    api_native_request_clear(&request);
    bool ok = body && api_native_request_read(&request, &call, body, is_img2img, &err);
    json_decref(body);
    return ok;
}

/* What becomes of a body, in the canonical request's words, keys sorted. */
static bool becomes(const char *text, bool is_img2img, const char *want)
{
    if (!read_body(text, is_img2img)) {
        fprintf(stderr, "%s: %s\n", text, err.text);
        return false;
    }
    json_t *wanted = json_loads(want, 0, NULL);
    const char *key;
    json_t *value;
    bool same = wanted != NULL;
    json_object_foreach(wanted, key, value)
    {
        json_t *got = json_object_get(request.canonical, key);
        if (json_is_null(value) ? got != NULL : !got || !json_equal(got, value)) {
            char *shown = got ? json_dumps(got, JSON_ENCODE_ANY) : NULL;
            fprintf(stderr, "%s: %s is %s\n", text, key, shown ? shown : "absent");
            free(shown);
            same = false;
        }
    }
    json_decref(wanted);
    struct gen_limits limits = api_submit_limits(&api);
    struct gen_job job;
    bool sound = gen_job_read(&job, request.canonical, &limits, &err);
    if (sound)
        gen_job_clear(&job);
    else
        fprintf(stderr, "%s: %s\n", text, err.text);
    return same && sound;
}

static void has_the_originals_defaults(void)
{
    CHECK(
        becomes("{}", false,
                "{\"mode\":\"txt2img\",\"width\":512,\"height\":512,\"steps\":30,\"cfg_scale\":7.0,"
                "\"sampler_name\":\"DPM++ 2M\",\"scheduler_type\":\"Karras\",\"file_type\":\"jpg\","
                "\"seed\":null,\"hires\":null}"));
    CHECK(becomes("{\"prompt\":null,\"steps\":null,\"width\":null}", false,
                  "{\"steps\":30,\"width\":512,\"prompt\":null}"));
    CHECK(becomes("{\"image\":\"" PNG "\",\"prompt\":\"x\"}", true,
                  "{\"mode\":\"img2img\",\"denoising_strength\":0.75,\"width\":null,"
                  "\"resize_to\":null,\"resize_by\":null}"));
    CHECK(request.image.width == 1 && strcmp(request.image.format, "png") == 0);
    CHECK(strncmp(json_string_value(json_object_get(request.payload, "image")),
                  "[BASE64_IMAGE_DATA_", 19) == 0);
}

static void rounds_sizes_as_the_original(void)
{
    static const struct {
        const char *asked;
        int becomes;
    } row[] = {{"515", 512}, {"516", 520}, {"\"768\"", 768}, {"511.9", 512}, {"64", 64}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char text[80], want[40];
        snprintf(text, sizeof text, "{\"width\":%s}", row[i].asked);
        snprintf(want, sizeof want, "{\"width\":%d}", row[i].becomes);
        CHECK(becomes(text, false, want));
    }
    CHECK(!read_body("{\"width\":\"wide\"}", false) && strstr(err.text, "width is \"wide\""));
}

static void understands_seeds_and_numbers_as_text(void)
{
    CHECK(becomes("{\"seed\":5}", false, "{\"seed\":5}"));
    CHECK(becomes("{\"seed\":\"7\"}", false, "{\"seed\":7}"));
    CHECK(becomes("{\"seed\":-1}", false, "{\"seed\":null}"));
    CHECK(becomes("{\"seed\":\"no\"}", false, "{\"seed\":null}"));
    CHECK(becomes("{\"steps\":\"20\",\"cfg_scale\":\"5.5\"}", false,
                  "{\"steps\":20,\"cfg_scale\":5.5}"));
}

static void chooses_samplers_and_schedulers(void)
{
    CHECK(becomes("{\"sampler_name\":\"Euler a\"}", false,
                  "{\"sampler_name\":\"Euler a\",\"scheduler_type\":null}"));
    CHECK(becomes("{\"sampler_name\":\"DPM++ SDE Karras\",\"scheduler_type\":\"Exponential\"}",
                  false,
                  "{\"sampler_name\":\"DPM++ SDE Karras\",\"scheduler_type\":\"Exponential\"}"));
    CHECK(becomes("{\"scheduler_type\":\"euler_a\"}", false,
                  "{\"sampler_name\":\"Euler a\",\"scheduler_type\":\"Automatic\"}"));
    CHECK(becomes("{\"scheduler_type\":\"\"}", false,
                  "{\"sampler_name\":\"DPM++ 2M\",\"scheduler_type\":\"Karras\"}"));
    CHECK(becomes("{\"scheduler_type\":\"normal\"}", false,
                  "{\"sampler_name\":\"DPM++ 2M\",\"scheduler_type\":\"normal\"}"));
}

static void takes_loras_as_names_or_objects(void)
{
    CHECK(becomes("{\"loras\":[\"a\",{\"name\":\"b\",\"scale\":\"0.5\"},{\"x\":1},3]}", false,
                  "{\"loras\":[{\"name\":\"a\",\"scale\":1},{\"name\":\"b\",\"scale\":0.5}]}"));
    CHECK(becomes("{\"loras\":\"no list\"}", false, "{\"loras\":null}"));
    CHECK(!read_body("{\"loras\":[{\"name\":\"a\",\"scale\":\"big\"}]}", false));
    CHECK(becomes("{\"image\":\"" PNG "\",\"prompt\":\"x\",\"loras\":[\"a\"]}", true,
                  "{\"loras\":null}"));
    CHECK(json_array_size(request.warnings) == 1);
    settings.img2img_loras = TRI_TRUE;
    CHECK(becomes("{\"image\":\"" PNG "\",\"prompt\":\"x\",\"loras\":[\"a\"]}", true,
                  "{\"loras\":[{\"name\":\"a\",\"scale\":1}]}"));
    settings.img2img_loras = TRI_FALSE;
}

static void knows_when_hires_is_on(void)
{
    CHECK(becomes("{\"hires\":{\"enabled\":true}}", false,
                  "{\"hires\":{\"enabled\":true,\"scale\":2.0,\"upscaler\":\"Latent\",\"steps\":20,"
                  "\"denoising_strength\":0.4}}"));
    CHECK(becomes("{\"hires\":{\"enabled\":false,\"scale\":3}}", false, "{\"hires\":null}"));
    CHECK(becomes("{\"hires\":{\"enabled\":true,\"scale\":1}}", false, "{\"hires\":null}"));
    CHECK(becomes(
        "{\"hires\":{\"enabled\":true,\"upscaler\":\"Lanczos\",\"denoising_strength\":0.4}}", false,
        "{\"hires\":{\"enabled\":true,\"scale\":2.0,\"upscaler\":\"Lanczos\",\"steps\":20,"
        "\"denoising_strength\":0}}"));
    CHECK(
        becomes("{\"hires\":{\"enabled\":true,\"upscaler\":\"Lanczos\",\"denoising_strength\":0.3,"
                "\"second_pass\":true}}",
                false,
                "{\"hires\":{\"enabled\":true,\"scale\":2.0,\"upscaler\":\"Lanczos\",\"steps\":20,"
                "\"denoising_strength\":0.3}}"));
}

static void understands_ways_to_resize(void)
{
#define I2I(more) "{\"image\":\"" PNG "\",\"prompt\":\"x\"," more "}"
    CHECK(becomes(I2I("\"resize_mode\":\"Crop and Resize\""), true, "{\"resize_mode\":1}"));
    CHECK(becomes(I2I("\"resize_mode\":2"), true, "{\"resize_mode\":2}"));
    CHECK(!read_body(I2I("\"resize_mode\":\"squeeze\""), true) && strstr(err.text, "just resize"));
    CHECK(becomes(I2I("\"resize_to\":{\"width\":515}"), true,
                  "{\"resize_to\":{\"width\":512,\"height\":512}}"));
    CHECK(becomes(I2I("\"resize_by\":2"), true, "{\"resize_by\":{\"width\":2,\"height\":2}}"));
    CHECK(becomes(I2I("\"resized_by\":{\"width\":1.5}"), true,
                  "{\"resize_by\":{\"width\":1.5,\"height\":1}}"));
    CHECK(becomes(I2I("\"resize_by\":\"1.5\""), true,
                  "{\"resize_by\":{\"width\":1.5,\"height\":1.5}}"));
    CHECK(becomes(I2I("\"resize_to\":{},\"resize_by\":0"), true,
                  "{\"resize_to\":null,\"resize_by\":null}"));
    CHECK(!read_body(I2I("\"resize_by\":\"twice\""), true));
}

static void demands_a_picture_and_a_prompt(void)
{
    CHECK(!read_body("{\"prompt\":\"x\"}", true) &&
          strcmp(err.text, "Image field is required") == 0);
    CHECK(!read_body("{\"image\":\"" PNG "\"}", true) &&
          strcmp(err.text, "Prompt field is required") == 0);
    CHECK(!read_body("{\"image\":\"aGVsbG8=\",\"prompt\":\"x\"}", true) &&
          strncmp(err.text, "Failed to decode input image", 28) == 0);
    CHECK(!read_body("{\"image\":\"!\",\"prompt\":\"x\"}", true));
    CHECK(!read_body("{\"image\":\"http://x/a.png\",\"prompt\":\"x\"}", true) &&
          strstr(err.text, "not fetched"));
    CHECK(!read_body("{\"image\":5,\"prompt\":\"x\"}", true));
    CHECK(read_body("{\"image\":\"data:image/png;base64," PNG "\",\"prompt\":\"x\"}", true));
}

static void warns_of_what_has_no_effect(void)
{
    CHECK(read_body("{\"tiling\":true,\"foo\":1,\"restore_faces\":false,\"bar\":null}", false));
    CHECK(json_array_size(request.warnings) == 2);
    CHECK(strstr(json_string_value(json_array_get(request.warnings, 1)), "'foo'"));
}

static void makes_file_types_ours(void)
{
    CHECK(becomes("{\"fileType\":\"JPEG\"}", false, "{\"file_type\":\"jpg\"}"));
    CHECK(becomes("{\"file_type\":\"webp\",\"jpeg_quality\":50}", false,
                  "{\"file_type\":\"webp\",\"quality\":50}"));
    CHECK(!read_body("{\"fileType\":5}", false));
}

int main(void)
{
    struct settings_origins origins;
    settings_defaults(&settings, &origins);
    has_the_originals_defaults();
    rounds_sizes_as_the_original();
    understands_seeds_and_numbers_as_text();
    chooses_samplers_and_schedulers();
    takes_loras_as_names_or_objects();
    knows_when_hires_is_on();
    understands_ways_to_resize();
    demands_a_picture_and_a_prompt();
    warns_of_what_has_no_effect();
    makes_file_types_ours();
    api_native_request_clear(&request);
    return TEST_END();
}
