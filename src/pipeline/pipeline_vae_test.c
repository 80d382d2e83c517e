/* Whole runs with another VAE than the model's own. */
#include "pipeline/pipeline_testing.h"

static const char tiny_path[] = "tests/data/taesd-random.safetensors";

static struct gen_request small_request(void)
{
    struct gen_request r = pipeline_testing_request();
    r.width = 96;
    r.height = 128;
    return r;
}

/* The first picture of a run, cleared by the caller; bounds may be NULL. */
static struct image draw(struct pipeline *p, const struct gen_request *r, const struct image *input,
                         const struct plan_bounds *bounds, struct plan_levers *levers)
{
    struct gen_result out = pipeline_testing_draw(
        p, r, &(struct pipeline_testing_run){.bounds = bounds, .image = input, .levers = levers});
    struct image image = {0};

    if (out.images) {
        image = out.images[0];
        out.images[0] = (struct image){0};
    }
    pipeline_result_clear(&out);
    return image;
}

static void set_vae(struct pipeline *p, const char *path)
{
    struct error err = {0};
    bool ok = pipeline_set_vae(p, path, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
}

static void draws_with_the_vae_that_was_set(struct pipeline *p)
{
    const struct gen_request r = small_request();
    struct image own = draw(p, &r, NULL, NULL, NULL);
    set_vae(p, "assets/demo-model/vae");
    struct image copy = draw(p, &r, NULL, NULL, NULL);
    set_vae(p, tiny_path);
    struct image tiny = draw(p, &r, NULL, NULL, NULL);
    set_vae(p, NULL);
    struct image again = draw(p, &r, NULL, NULL, NULL);

    CHECK(pipeline_testing_same(&own, &copy) && pipeline_testing_same(&own, &again));
    CHECK(tiny.px && !pipeline_testing_same(&own, &tiny));
    image_clear(&own);
    image_clear(&copy);
    image_clear(&tiny);
    image_clear(&again);
}

/* Both directions, with and without bands. */
static void draws_the_same_with_the_tiny_one_in_bands(struct pipeline *p)
{
    struct gen_request r = small_request();
    struct plan_bounds bounds = gen_plan_no_bounds(0);
    struct plan_levers levers = {0};

    bounds.on.on[MEMORY_VAE_TILING] = true;
    set_vae(p, tiny_path);
    struct image input = draw(p, &r, NULL, NULL, NULL);
    struct image banded = draw(p, &r, NULL, &bounds, &levers);
    CHECK(levers.vae == PLAN_VAE_EXACT && levers.band_rows > 0);
    CHECK(pipeline_testing_same(&input, &banded));

    r.mode = GEN_IMG2IMG;
    struct image again = draw(p, &r, &input, NULL, NULL);
    struct image again_banded = draw(p, &r, &input, &bounds, NULL);
    CHECK(pipeline_testing_same(&again, &again_banded) && !pipeline_testing_same(&again, &input));
    r.denoising_strength = 0; /* no step: what the encoder and the decoder make of it */
    r.seed++;
    struct image kept = draw(p, &r, &input, NULL, NULL);
    r.seed++;
    struct image kept_too = draw(p, &r, &input, NULL, NULL);
    CHECK(pipeline_testing_same(&kept, &kept_too)); /* a tiny encoder draws no noise */
    set_vae(p, NULL);
    image_clear(&input);
    image_clear(&banded);
    image_clear(&again);
    image_clear(&again_banded);
    image_clear(&kept);
    image_clear(&kept_too);
}

int main(void)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;

    if (!pipeline_testing_open(&b, &p))
        return 1;
    draws_with_the_vae_that_was_set(p);
    draws_the_same_with_the_tiny_one_in_bands(p);
    pipeline_testing_close(b, p);
    return TEST_END();
}
