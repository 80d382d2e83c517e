/* Fails the n-th allocation of a generation for n = 1, 2, ... until one passes: each is one clean
 * error, and the next generation draws the right picture.  The linker puts the functions called
 * __wrap_x in the place of x (GNU ld's --wrap; see src/CMakeLists.txt). */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "pipeline/pipeline.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifndef ALLOCATIONS_WRAPPED

int main(void)
{
    fprintf(stderr, "the linker here cannot replace the allocator\n");
    return 77;
}

#else

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *old, size_t n);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *old, size_t n);

static atomic_int calls, failing; /* failing: number of the call that fails; 0: none */
static atomic_size_t largest_bytes;

static bool is_refused(size_t bytes)
{
    if (bytes > largest_bytes)
        largest_bytes = bytes;
    return ++calls == failing;
}

void *__wrap_malloc(size_t n)
{
    return is_refused(n) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t each)
{
    return is_refused(n * each) ? NULL : __real_calloc(n, each);
}

void *__wrap_realloc(void *old, size_t n)
{
    return is_refused(n) ? NULL : __real_realloc(old, n);
}

static void fail_at(int n)
{
    calls = 0;
    largest_bytes = 0;
    failing = n;
}

static const char model_path[] = "assets/demo-model";

static struct gen_request request(enum gen_mode mode)
{
    struct gen_request r = gen_request_defaults();
    r.mode = mode;
    r.prompt = "a red circle on a blue background";
    r.width = 64;
    r.height = 64;
    r.steps = 1;
    r.denoising_strength = 1;
    return r;
}

static bool generate(struct gen_result *out, struct pipeline *p, const struct gen_request *r,
                     const struct pipeline_input *input, struct error *err)
{
    struct gen_plan plan = {0};

    *out = (struct gen_result){0};
    bool ok =
        pipeline_plan(&plan, p, r, NULL, err) && pipeline_run(out, p, r, &plan, input, NULL, err);
    gen_plan_clear(&plan);
    return ok;
}

/* True once the run got by without the allocation that would have failed. */
static bool judge(const char *what, int n, bool ok, const struct error *err)
{
    const bool reached = calls >= failing;

    fail_at(0);
    if (!reached) {
        CHECK(ok);
        return true;
    }
    if (ok || err->code != ERROR_MEMORY || !err->text[0])
        fprintf(stderr, "%s, allocation %d: %s, code %d, '%s'\n", what, n, ok ? "true" : "false",
                (int)err->code, err->text);
    CHECK(!ok && err->code == ERROR_MEMORY && err->text[0]);
    return false;
}

static void opens_a_device_or_says_why_not(void)
{
    for (int n = 1;; n++) {
        struct backend *b = NULL;
        struct error err = {0};
        fail_at(n);
        bool ok = cpu_backend_open(&b, 2, NULL, &err);
        bool passed = judge("device", n, ok, &err);
        if (ok)
            b->fn->close(b);
        if (passed)
            break;
    }
}

/* The first 200 one by one, then more and more of them left out. */
static int next(int n)
{
    return n < 200 ? n + 1 : n + n / 20;
}

static void opens_a_model_or_says_why_not(struct backend *b)
{
    for (int n = 1;; n = next(n)) {
        struct pipeline *p = NULL;
        struct error err = {0};
        fail_at(n);
        bool ok = pipeline_open(&p, model_path, NULL, b, &err);
        bool passed = judge("model", n, ok, &err);
        if (ok)
            pipeline_close(p);
        if (passed)
            break;
    }
}

static void draws_or_says_why_not(struct pipeline *p, const char *what, struct gen_request r,
                                  const struct pipeline_input *input)
{
    struct gen_result want, out;
    struct error err = {0};

    fail_at(0);
    CHECK(generate(&want, p, &r, input, &err) && want.images);
    for (int n = 1; want.images; n = next(n)) {
        err = (struct error){0};
        fail_at(n);
        bool ok = generate(&out, p, &r, input, &err);
        bool passed = judge(what, n, ok, &err);
        CHECK(passed || !out.images);
        pipeline_result_clear(&out);
        if (passed)
            break;
        CHECK(generate(&out, p, &r, input, &err));
        CHECK(out.images &&
              memcmp(out.images[0].px, want.images[0].px, image_bytes(&want.images[0])) == 0);
        pipeline_result_clear(&out);
    }
    pipeline_result_clear(&want);
}

/* The folder holds no file of the names: a file's own memory is the file reader's business. */
static void reads_prompts_or_says_why_not(struct pipeline *p)
{
    struct gen_request r = request(GEN_TXT2IMG);
    struct error err = {0};

    r.prompt = "a (red:1.2) [circle|star] BREAK <lora:x:1> [a:b:1] AND blue <y:1> :0.5";
    r.negative_prompt = "[x:y:1] \\( BREAK BREAK";
    CHECK(pipeline_set_embeddings(p, "assets/demo-model/unet", &err));
    for (int n = 1;; n++) {
        err = (struct error){0};
        fail_at(n);
        bool ok = pipeline_read_prompts(&r, p, NULL, &err);
        if (judge("prompts", n, ok, &err))
            break;
    }
    CHECK(r.text[0].parts == 3 && r.text[0].chunks == 2);
    CHECK(pipeline_set_embeddings(p, NULL, &err));
}

static void draws_in_two_passes_or_says_why_not(struct pipeline *p)
{
    struct gen_request r = request(GEN_TXT2IMG);

    r.hires.enabled = true;
    r.hires.steps = 1;
    r.hires.width = 96; /* covered by 96x96, and cut */
    r.hires.height = 64;
    r.hires.upscaler = "Lanczos";
    r.hires.prompt = "a blue circle";
    draws_or_says_why_not(p, "two passes", r, NULL);
    r.hires.upscaler = "Latent (bicubic)";
    r.hires.prompt = NULL;
    r.subseed_strength = 0.5;
    r.seed_resize_width = r.seed_resize_height = 128;
    draws_or_says_why_not(p, "two passes of latents", r, NULL);
}

static void draws_under_a_mask_or_says_why_not(struct pipeline *p)
{
    struct gen_request r = request(GEN_IMG2IMG);
    struct image picture = {0};
    struct mask mask = {0};
    struct error err = {0};

    CHECK(image_init(&picture, 96, 80, &err) && mask_init(&mask, 48, 40, &err));
    memset(picture.px, 90, image_bytes(&picture));
    memset(mask.px, 0, mask_bytes(&mask));
    memset(mask.px + 48 * 10, 255, 48 * 4);
    r.input = (struct gen_input){96, 80, true};
    r.inpaint.fill = MASK_BLEND_NOISE;
    r.inpaint.full_res = true;
    draws_or_says_why_not(p, "a mask", r, &(struct pipeline_input){&picture, &mask});
    image_clear(&picture);
    mask_clear(&mask);
}

/* Lists of operations and a few latents; anything of a network's size belongs into the arena. */
static void allocates_nothing_large(struct pipeline *p)
{
    struct gen_request r = request(GEN_TXT2IMG);
    struct gen_result out;
    struct error err = {0};

    fail_at(0);
    CHECK(generate(&out, p, &r, NULL, &err));
    CHECK(largest_bytes > 0 && largest_bytes < 256 << 10);
    pipeline_result_clear(&out);
}

int main(void)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;
    struct image input = {0};
    struct error err = {0};

    opens_a_device_or_says_why_not();
    if (!cpu_backend_open(&b, 2, NULL, &err) || !pipeline_open(&p, model_path, NULL, b, &err) ||
        !image_init(&input, 64, 64, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    memset(input.px, 90, image_bytes(&input));
    opens_a_model_or_says_why_not(b);
    reads_prompts_or_says_why_not(p);
    draws_or_says_why_not(p, "txt2img", request(GEN_TXT2IMG), NULL);
    draws_or_says_why_not(p, "img2img", request(GEN_IMG2IMG),
                          &(struct pipeline_input){.image = &input});
    draws_in_two_passes_or_says_why_not(p);
    draws_under_a_mask_or_says_why_not(p);
    allocates_nothing_large(p);
    image_clear(&input);
    pipeline_close(p);
    b->fn->close(b);
    return TEST_END();
}

#endif
