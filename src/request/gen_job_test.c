#include "base/test.h"
#include "request/gen_job.h"
#include "request/gen_job_internal.h"

#include <stdlib.h>
#include <string.h>

static struct gen_limits limits(void)
{
    return gen_request_default_limits();
}

static bool read(struct gen_job *out, const char *text, struct error *err)
{
    const struct gen_limits l = limits();
    return gen_job_read_text(out, text, strlen(text), &l, err);
}

static char *rewrite(const char *text)
{
    struct gen_job j;
    struct error err = {0};
    char *out = NULL;

    if (!read(&j, text, &err) || !gen_job_write_text(&out, &j, &err))
        fprintf(stderr, "%s: %s\n", text, err.text);
    gen_job_clear(&j);
    return out;
}

static void reads_what_it_writes(void)
{
    static const struct {
        const char *in, *out;
    } row[] = {
        {"{}", "{\"mode\":\"txt2img\"}"},
        {"{\"mode\":\"txt2img\",\"steps\":20,\"prompt\":\"\"}", "{\"mode\":\"txt2img\"}"},
        {"{\"prompt\":\"a \\\"b\\\"\",\"steps\":7.0}",
         "{\"mode\":\"txt2img\",\"prompt\":\"a \\\"b\\\"\",\"steps\":7}"},
        {"{\"sampler\":\"dpm++ 2m karras\"}",
         "{\"mode\":\"txt2img\",\"sampler_name\":\"DPM++ 2M\",\"scheduler_type\":\"Karras\"}"},
        {"{\"sampler_name\":\"Euler Karras\",\"scheduler_type\":\"exponential\"}",
         "{\"mode\":\"txt2img\",\"sampler_name\":\"Euler\",\"scheduler_type\":\"Exponential\"}"},
        {"{\"loras\":[\"a\",{\"name\":\"b\",\"scale\":-0.5}]}",
         "{\"mode\":\"txt2img\",\"loras\":[{\"name\":\"a\",\"scale\":1.0},{\"name\":\"b\","
         "\"scale\":-0.5}]}"},
        {"{\"hires\":{\"enabled\":true,\"scale\":1.5,\"steps\":null}}",
         "{\"mode\":\"txt2img\",\"hires\":{\"enabled\":true,\"scale\":1.5}}"},
        {"{\"seed\":-1,\"subseed\":null}", "{\"mode\":\"txt2img\"}"},
        {"{\"seed\":4294967295}", "{\"mode\":\"txt2img\",\"seed\":4294967295}"},
        {"{\"fileType\":\"jpg\",\"jpeg_quality\":85}",
         "{\"mode\":\"txt2img\",\"file_type\":\"jpg\",\"quality\":85}"},
        {"{\"mode\":\"img2img\",\"resize_by\":{\"width\":2},\"mask\":null,\"size_policy\":"
         "\"refuse\"}",
         "{\"mode\":\"img2img\",\"resize_by\":{\"width\":2.0},\"size_policy\":\"refuse\"}"},
        {"{\"mode\":\"upscale\",\"upscaler_1\":\"Lanczos\"}",
         "{\"mode\":\"upscale\",\"upscaler_1\":\"Lanczos\"}"},
        {"{\"width\":null}", "{\"mode\":\"txt2img\"}"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        char *once = rewrite(row[i].in), *twice = once ? rewrite(once) : NULL;
        CHECK(once && strcmp(once, row[i].out) == 0);
        CHECK(twice && strcmp(twice, row[i].out) == 0);
        if (once && strcmp(once, row[i].out) != 0)
            fprintf(stderr, "got %s\nnot %s\n", once, row[i].out);
        free(once);
        free(twice);
    }
}

static void says_what_is_wrong(void)
{
    static const struct {
        const char *in, *says;
    } row[] = {
        {"[]", "object"},
        {"{\"steps\":0}", "steps is a whole number from 1 to 150, not 0"},
        {"{\"steps\":151}", "not 151"},
        {"{\"steps\":1.5}", "not 1.5"},
        {"{\"steps\":\"9\"}", "steps is a whole number from 1 to 150, not \"9\""},
        {"{\"steps\":1,\"num_inference_steps\":2}", "said twice"},
        {"{\"width\":100}", "width is a whole number from 64 to 4096, a multiple of 8, not 100"},
        {"{\"width\":8192}", "not 8192"},
        {"{\"cfg_scale\":101}", "cfg_scale is a number from 0 to 100, not 101"},
        {"{\"prompt\":7}", "prompt is a text, not 7"},
        {"{\"mode\":\"paint\"}", "mode is one of txt2img, img2img, upscale, not \"paint\""},
        {"{\"preview\":1}", "preview is true or false, not 1"},
        {"{\"seed\":4294967296}", "seed is a whole number from -1 to 4294967295"},
        {"{\"seed\":-2}", "not -2"},
        {"{\"sampler_name\":\"Owler\"}", "Owler"},
        {"{\"sampler_name\":1}", "the name of a sampler"},
        {"{\"scheduler_type\":\"never\"}", "never"},
        {"{\"stepz\":1}", "a request has no field 'stepz'; it has mode, prompt"},
        {"{\"hires\":true}", "hires is an object, not true"},
        {"{\"hires\":{\"zoom\":2}}", "hires has no field 'zoom'; it has enabled, scale"},
        {"{\"hires\":{\"scale\":9}}", "hires.scale is a number from 1 to 8, not 9"},
        {"{\"loras\":{}}", "loras is a list"},
        {"{\"loras\":[{\"scale\":1}]}", "loras is a list"},
        {"{\"loras\":[{\"name\":\"x\",\"scale\":\"1\"}]}", "the scale of LoRA 'x'"},
        {"{\"loras\":[{\"name\":\"x\",\"weight\":1}]}", "no field 'weight'"},
        {"{\"loras\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "at most 16"},
        {"{\"width\":4096,\"height\":4096,\"batch_size\":16,\"n_iter\":17}", "256 pictures"},
        {"{\"mode\":\"upscale\"}", "upscaler_1 is missing"},
        {"{\"mode\":\"upscale\",\"upscaler_1\":\"a\",\"upscaling_resize_w\":64}", "together"},
        {"{\"user\":\"0123456789012345678901234567890123456789012345678901234567890123x\"}",
         "user has 65 bytes; at most 64"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct gen_job j;
        struct error err = {0};
        CHECK(!read(&j, row[i].in, &err));
        CHECK(err.code == ERROR_INVALID);
        CHECK(strstr(err.text, row[i].says));
        if (!strstr(err.text, row[i].says))
            fprintf(stderr, "%s: %s\n", row[i].in, err.text);
        gen_job_clear(&j);
    }
}

static void knows_pixels_in_all(void)
{
    struct gen_limits l = limits();
    struct gen_job j;
    struct error err = {0};
    const char text[] = "{\"width\":512,\"height\":512}";

    l.max_pixels = 512 * 512 - 1;
    CHECK(!gen_job_read_text(&j, text, sizeof text - 1, &l, &err));
    CHECK(strstr(err.text, "512x512; at most 262143 pixels"));
    l.max_pixels++;
    CHECK(gen_job_read_text(&j, text, sizeof text - 1, &l, &err));
    CHECK(j.width == 512 && j.height == 512);
    gen_job_clear(&j);
}

/* A row's own extremes are good, what lies beyond is not, and its default is one of its values. */
static void holds_for_every_row(void)
{
    struct gen_limits l = limits();

    for (const struct gen_job_field *f = gen_job_fields; f->key; f++) {
        char label[GEN_JOB_LABEL_BYTES];
        json_t *fallback = gen_job_field_default(f);
        struct gen_job j = {0};
        struct error err = {0};

        gen_job_label(label, f);
        CHECK(fallback && f->help && f->modes);
        CHECK((f->kind == GEN_JOB_CHOICE) == (f->choices != NULL));
        json_t *root = json_object(), *home = root;
        if (f->object)
            json_object_set_new(root, f->object, home = json_object());
        json_object_set_new(home, f->key, fallback);
        if (strcmp(label, "mode") != 0 && !gen_job_read(&j, root, &l, &err))
            fprintf(stderr, "%s: %s\n", label, err.text), test_failures++;
        gen_job_clear(&j);
        if (f->kind == GEN_JOB_INT || f->kind == GEN_JOB_NUMBER || f->kind == GEN_JOB_SEED) {
            const double max = gen_job_field_max(f, &l);
            const double tries[] = {f->min, max, f->min - 1, max + 1};
            for (int i = 0; i < 4; i++) {
                json_object_set_new(home, f->key, json_real(tries[i]));
                bool ok = gen_job_read(&j, root, &l, &err);
                gen_job_clear(&j);
                CHECK(ok == (i < 2));
                CHECK(ok || strstr(err.text, label));
            }
        }
        json_decref(root);
    }
}

static void gives_seeds(void)
{
    struct gen_job j = gen_job_defaults();
    struct error err = {0};

    CHECK(gen_job_pick_seeds(&j, &err));
    CHECK(j.seed >= 0 && j.seed <= UINT32_MAX && j.subseed == -1);
    const int64_t seed = j.seed;
    j.subseed_strength = 0.5;
    CHECK(gen_job_pick_seeds(&j, &err) && j.seed == seed && j.subseed >= 0);
}

/* Texts live as long as the job, and no longer need the caller's document. */
static void keeps_its_texts(void)
{
    struct gen_job j;
    struct error err = {0};
    const struct gen_limits l = limits();
    json_t *root = json_pack("{s:s}", "prompt", "kept");

    CHECK(gen_job_read(&j, root, &l, &err));
    json_decref(root);
    CHECK(strcmp(j.prompt, "kept") == 0 && strcmp(j.negative_prompt, "") == 0);
    gen_job_clear(&j);
}

int main(void)
{
    reads_what_it_writes();
    says_what_is_wrong();
    knows_pixels_in_all();
    holds_for_every_row();
    gives_seeds();
    keeps_its_texts();
    return TEST_END();
}
