/* The second pass with the demo model: every upscaler, sizes, prompts, memory, cancelling. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "image/builtin_upscaler.h"
#include "pipeline/pipeline.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const char model_path[] = "assets/demo-model";

static struct gen_request hires_request(void)
{
    struct gen_request r = gen_request_defaults();
    r.prompt = "a red circle on a blue background";
    r.width = 64;
    r.height = 64;
    r.steps = 2;
    r.cfg_scale = 5;
    r.seed = 5;
    r.hires.enabled = true;
    r.hires.steps = 2;
    r.hires.denoising_strength = 0.5;
    return r;
}

static bool generate(struct gen_result *out, struct pipeline *p, const struct gen_request *r,
                     const struct watch *watch, struct error *err)
{
    struct gen_plan plan = {0};

    *out = (struct gen_result){0};
    bool ok =
        pipeline_plan(&plan, p, r, NULL, err) && pipeline_run(out, p, r, &plan, NULL, watch, err);
    gen_plan_clear(&plan);
    return ok;
}

static struct gen_result picture(struct pipeline *p, const struct gen_request *r)
{
    struct gen_result out;
    struct error err = {0};

    bool ok = generate(&out, p, r, NULL, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok && out.n_images == r->batch_size);
    return out;
}

static bool same(const struct image *a, const struct image *b)
{
    return a && b && a->px && b->px && a->width == b->width && a->height == b->height &&
           memcmp(a->px, b->px, image_bytes(a)) == 0;
}

static bool same_first(const struct gen_result *a, const struct gen_result *b)
{
    return a->images && b->images && same(&a->images[0], &b->images[0]);
}

static void enlarges_with_every_upscaler(struct pipeline *p)
{
    const struct builtin_upscaler *row;
    struct gen_result first = {0};

    for (size_t i = 0; (row = builtin_upscaler_at(i)); i++) {
        struct gen_request r = hires_request();
        r.hires.upscaler = row->name;
        struct gen_result out = picture(p, &r);
        CHECK(out.images && out.images[0].width == 128 && out.images[0].height == 128);
        CHECK(out.steps == 4);
        CHECK(SANITIZED || !out.measured_peak_bytes ||
              out.measured_peak_bytes <= out.planned_peak_bytes);
        if (i == 0)
            first = out;
        else
            CHECK(!same_first(&first, &out) || row->keeps_size);
        if (i > 0)
            pipeline_result_clear(&out);
    }
    pipeline_result_clear(&first);
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
    enlarges_with_every_upscaler(p);
    pipeline_close(p);
    b->fn->close(b);
    return TEST_END();
}
