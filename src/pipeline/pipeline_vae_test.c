/* Whole runs with another VAE than the model's own. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "pipeline/pipeline.h"

#include <stdlib.h>
#include <string.h>

static const char model_path[] = "assets/demo-model",
                  tiny_path[] = "tests/data/taesd-random.safetensors";

static struct gen_request small_request(void)
{
    struct gen_request r = gen_request_defaults();
    r.prompt = "a red circle on a blue background";
    r.width = 96;
    r.height = 128;
    r.steps = 2;
    r.seed = 5;
    return r;
}

/* The first picture of a run, cleared by the caller; bounds may be NULL. */
static struct image draw(struct pipeline *p, const struct gen_request *r, const struct image *input,
                         const struct plan_bounds *bounds, struct plan_levers *levers)
{
    struct gen_plan plan = {0};
    struct gen_result out = {0};
    struct image image = {0};
    struct error err = {0};

    bool ok = pipeline_plan(&plan, p, r, bounds, &err);
    if (ok && levers)
        *levers = plan.levers;
    ok =
        ok && pipeline_run(&out, p, r, &plan, &(struct pipeline_input){.image = input}, NULL, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    if (ok) {
        image = out.images[0];
        out.images[0] = (struct image){0};
    }
    pipeline_result_clear(&out);
    gen_plan_clear(&plan);
    return image;
}

static bool same(const struct image *a, const struct image *b)
{
    return a->px && b->px && a->width == b->width && a->height == b->height &&
           memcmp(a->px, b->px, image_bytes(a)) == 0;
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

    CHECK(same(&own, &copy) && same(&own, &again));
    CHECK(tiny.px && !same(&own, &tiny));
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
    CHECK(same(&input, &banded));

    r.mode = GEN_IMG2IMG;
    struct image again = draw(p, &r, &input, NULL, NULL);
    struct image again_banded = draw(p, &r, &input, &bounds, NULL);
    CHECK(same(&again, &again_banded) && !same(&again, &input));
    r.denoising_strength = 0; /* no step: what the encoder and the decoder make of it */
    r.seed++;
    struct image kept = draw(p, &r, &input, NULL, NULL);
    r.seed++;
    struct image kept_too = draw(p, &r, &input, NULL, NULL);
    CHECK(same(&kept, &kept_too)); /* a tiny encoder draws no noise */
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
    struct error err = {0};

    if (!cpu_backend_open(&b, 2, NULL, &err) || !pipeline_open(&p, model_path, NULL, b, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    draws_with_the_vae_that_was_set(p);
    draws_the_same_with_the_tiny_one_in_bands(p);
    pipeline_close(p);
    b->fn->close(b);
    return TEST_END();
}
