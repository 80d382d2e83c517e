#include "base/test.h"
#include "image/infotext_json.h"

#include <stdlib.h>
#include <string.h>

/* The object of a text, without blanks, keys in the order they were set. */
static char *dump(json_t *(*form)(const struct infotext *), const char *text)
{
    struct infotext info;
    struct error err;

    CHECK(infotext_parse(&info, text, strlen(text), &err));
    json_t *object = form(&info);
    char *out = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(object);
    infotext_clear(&info);
    return out;
}

static void check(json_t *(*form)(const struct infotext *), const char *text, const char *want)
{
    char *got = dump(form, text);
    if (!got || strcmp(got, want) != 0)
        fprintf(stderr, "got:  %s\nwant: %s\n", got ? got : "nothing", want);
    CHECK(got && strcmp(got, want) == 0);
    free(got);
}

/* The vectors of the original's contract, where A1111's grammar lets them stand. */
static void types_values_as_the_original_does(void)
{
    static const char *const row[][2] = {
        {"", "{}"},
        {"just prompt", "{\"prompt\":\"just prompt\",\"negative_prompt\":\"\"}"},
        {"p\nNegative prompt: n", "{\"prompt\":\"p\",\"negative_prompt\":\"n\"}"},
        {"p\nEE: 1e3, DD: 1.5e2, UU: 1_000, NN: nan, I2: -7, F2: .5, F3: 7.0",
         "{\"prompt\":\"p\",\"negative_prompt\":\"\",\"EE\":\"1e3\",\"DD\":150.0,\"UU\":1000,"
         "\"NN\":\"nan\",\"I2\":-7,\"F2\":0.5,\"F3\":7.0}"},
        {"p\nTiling: True, BB: false, Size: 512x768, Version: v1.0, XX: 1__0, YY: 1.2.3",
         "{\"prompt\":\"p\",\"negative_prompt\":\"\",\"Tiling\":true,\"BB\":false,"
         "\"Size\":\"512x768\",\"Version\":\"v1.0\",\"XX\":\"1__0\",\"YY\":\"1.2.3\"}"},
        {"p\nLoRAs: \"a:0.8, b:1.0\", Steps: 20, Seed: 99999999999999999999",
         "{\"prompt\":\"p\",\"negative_prompt\":\"\",\"LoRAs\":\"a:0.8, b:1.0\",\"Steps\":20,"
         "\"Seed\":\"99999999999999999999\"}"},
        {"one\r\ntwo\r\nNegative prompt: bad\r\nworse\r\nSteps: 20, CFG scale: 7.5, Seed: 42\r\n",
         "{\"prompt\":\"one\\ntwo\",\"negative_prompt\":\"bad\\nworse\",\"Steps\":20,"
         "\"CFG scale\":7.5,\"Seed\":42}"},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        check(infotext_json_native, row[i][0], row[i][1]);
}

static void fills_in_what_a1111_assumes(void)
{
    static const char rest[] =
        "\"Hires resize-1\":0,\"Hires resize-2\":0,\"Hires sampler\":\"Use same sampler\","
        "\"Hires schedule type\":\"Use same scheduler\","
        "\"Hires checkpoint\":\"Use same checkpoint\",\"Hires prompt\":\"\","
        "\"Hires negative prompt\":\"\",\"Mask mode\":\"Inpaint masked\","
        "\"Masked content\":\"original\",\"Inpaint area\":\"Whole picture\","
        "\"Masked area padding\":32,\"RNG\":\"GPU\",";
    static const char sigmas[] =
        "\"Schedule max sigma\":0,\"Schedule min sigma\":0,\"Schedule rho\":0,\"VAE "
        "Encoder\":\"Full\",\"VAE Decoder\":\"Full\",\"FP8 weight\":\"Disable\",\"Refiner switch "
        "by sampling steps\":false";
    char want[2000];

    snprintf(want, sizeof want,
             "{\"Steps\":\"20\",\"Schedule type\":\"Karras\",\"Seed\":\"1\",\"Size-1\":\"512\","
             "\"Size-2\":\"768\",\"Clip skip\":\"2\",\"Model\":\"a, b\",\"Prompt\":\"a\\nb "
             "(c:1.2)\",\"Negative prompt\":\"d\",%s%s,\"Emphasis\":\"Original\"}",
             rest, sigmas);
    check(infotext_json_sdapi,
          "a\nb (c:1.2)\nNegative prompt: d\nSteps: 20, Schedule type: Karras, Seed: 1, Size: "
          "512x768, Clip skip: 2, Model: \"a, b\", Empty: , ",
          want);
    snprintf(want, sizeof want,
             "{\"Prompt\":\"no \\\\(brackets\\\\)\",\"Negative prompt\":\"\",\"Clip skip\":\"1\","
             "%s\"Schedule type\":\"Automatic\",%s}",
             rest, sigmas);
    check(infotext_json_sdapi, "no \\(brackets\\)", want);
}

static void tells_a_request_what_to_set(void)
{
    check(infotext_json_settings, "a cat", "{\"prompt\":\"a cat\",\"negative_prompt\":\"\"}");
    check(infotext_json_settings,
          "a cat\nNegative prompt: dog\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG "
          "scale: 7, Seed: 42, Size: 512x768, Model hash: 0123456789, Model: tiny, VAE: ae.pt, "
          "Denoising strength: 0.5, Clip skip: 2, RNG: CPU, Hires resize: 1024x1536, Hires "
          "steps: 10, Hires upscaler: Latent, Version: v1.10.1",
          "{\"prompt\":\"a cat\",\"negative_prompt\":\"dog\",\"steps\":20,\"sampler_name\":\"DPM++ "
          "2M\",\"scheduler\":\"Karras\",\"cfg_scale\":7.0,\"seed\":42,\"width\":512,"
          "\"height\":768,\"denoising_strength\":0.5,\"hr_resize_x\":1024,\"hr_resize_y\":1536,"
          "\"hr_upscaler\":\"Latent\",\"hr_second_pass_steps\":10,\"enable_hr\":true,"
          "\"override_settings\":{\"sd_model_checkpoint\":\"tiny\",\"sd_vae\":\"ae.pt\","
          "\"CLIP_stop_at_last_layers\":2,\"randn_source\":\"CPU\"}}");
    check(infotext_json_settings,
          "x\nSteps: many, CFG scale: none, Tiling: True, Masked content: latent noise, Mask "
          "mode: Inpaint not masked, Inpaint area: Only masked, Mask blur: 4",
          "{\"prompt\":\"x\",\"negative_prompt\":\"\",\"tiling\":true,\"mask_blur\":4,"
          "\"inpainting_mask_invert\":1,\"inpainting_fill\":2,\"inpaint_full_res\":1}");
}

int main(void)
{
    types_values_as_the_original_does();
    fills_in_what_a1111_assumes();
    tells_a_request_what_to_set();
    return TEST_END();
}
