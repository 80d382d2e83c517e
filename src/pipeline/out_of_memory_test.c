/* Fails the n-th allocation of a generation for n = 1, 2, ... until one passes: each is one clean
 * error, and the next generation draws the right picture.  The linker puts the functions called
 * __wrap_x in the place of x (GNU ld's --wrap; see src/CMakeLists.txt). */
#include "pipeline/pipeline_testing.h"
#include "pipeline/upscale.h"
#include "pipeline/upscale_testing.h"

#include <stdatomic.h>

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

static struct gen_request request(enum gen_mode mode)
{
    struct gen_request r = pipeline_testing_request();
    r.mode = mode;
    r.steps = 1;
    r.denoising_strength = 1;
    return r;
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

static void opens_a_model_or_says_why_not(struct backend *b, const char *path,
                                          const char *tokenizer)
{
    for (int n = 1;; n = next(n)) {
        struct pipeline *p = NULL;
        struct error err = {0};
        fail_at(n);
        bool ok = pipeline_open(&p, path, tokenizer, b, &err);
        bool passed = judge("model", n, ok, &err);
        if (ok)
            pipeline_close(p);
        if (passed)
            break;
    }
}

/* What is drawn, and what is opened for it each time. */
struct drawing {
    const char *what;
    struct pipeline *p;
    struct gen_request r;
    struct pipeline_testing_run run;
    const struct lora_set_place *loras; /* NULL: none are opened */
    bool may_leave_out; /* a LoRA or a word's file, with a warning; then the picture is another */
    int every;          /* of the failures, after which the right picture is drawn again */
};

static bool generate(struct gen_result *out, const struct drawing *d, struct error *err)
{
    if (d->loras)
        pipeline_set_loras(d->p, &d->r, d->loras);
    return pipeline_testing_generate(out, d->p, &d->r, &d->run, err);
}

/* Nothing is left out silently. */
static bool is_told(const struct drawing *d, bool ok, const struct gen_result *out)
{
    return ok && d->may_leave_out && out->warnings.n > 0;
}

static void draws_or_says_why_not(const struct drawing *d)
{
    struct gen_result want, out;
    struct error err = {0};

    fail_at(0);
    CHECK(generate(&want, d, &err) && want.images && !want.warnings.n);
    for (int n = 1; want.images; n = next(n)) {
        err = (struct error){0};
        fail_at(n);
        bool ok = generate(&out, d, &err);
        bool passed = false;
        if (is_told(d, ok, &out))
            fail_at(0);
        else
            passed = judge(d->what, n, ok, &err);
        CHECK(ok || !out.images);
        pipeline_result_clear(&out);
        if (passed)
            break;
        if (n % d->every != 0)
            continue;
        CHECK(generate(&out, d, &err) && !out.warnings.n);
        CHECK(pipeline_testing_same_first(&out, &want));
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

static void draws_in_two_passes_or_says_why_not(struct pipeline *p, const char *upscaler)
{
    struct drawing d = {.what = "two passes", .p = p, .r = request(GEN_TXT2IMG), .every = 4};
    struct error err = {0};

    d.r.hires.enabled = true;
    d.r.hires.steps = 1;
    d.r.hires.width = 96; /* covered by 96x96, and cut */
    d.r.hires.height = 64;
    d.r.hires.upscaler = "Lanczos";
    d.r.hires.prompt = "a blue circle";
    draws_or_says_why_not(&d);
    d.what = "two passes of latents";
    d.r.hires.upscaler = "Latent (bicubic)";
    d.r.hires.prompt = NULL;
    d.r.subseed_strength = 0.5;
    d.r.seed_resize_width = d.r.seed_resize_height = 128;
    draws_or_says_why_not(&d);
    d.what = "two passes with a network between";
    d.r = request(GEN_TXT2IMG);
    d.r.hires.enabled = true;
    d.r.hires.steps = 1;
    d.r.hires.width = 96;
    d.r.hires.height = 64;
    d.r.hires.upscaler_path = upscaler;
    CHECK(pipeline_set_upscaler(p, upscaler, &err));
    draws_or_says_why_not(&d);
    CHECK(pipeline_set_upscaler(p, NULL, &err));
}

static void draws_under_a_mask_or_says_why_not(struct pipeline *p)
{
    struct drawing d = {.what = "a mask", .p = p, .r = request(GEN_IMG2IMG), .every = 4};
    struct image picture = {0};
    struct mask mask = {0};
    struct error err = {0};

    CHECK(image_init(&picture, 96, 80, &err) && mask_init(&mask, 48, 40, &err));
    memset(picture.px, 90, image_bytes(&picture));
    memset(mask.px, 0, mask_bytes(&mask));
    memset(mask.px + 48 * 10, 255, 48 * 4);
    d.r.input = (struct gen_input){96, 80, true};
    d.r.inpaint.fill = MASK_BLEND_NOISE;
    d.r.inpaint.full_res = true;
    d.run = (struct pipeline_testing_run){.image = &picture, .mask = &mask};
    draws_or_says_why_not(&d);
    image_clear(&picture);
    mask_clear(&mask);
}

/* Texts that change, chunks, parts of an answer, and a word whose vector is in a file. */
static void draws_from_prompt_syntax_or_says_why_not(struct pipeline *p)
{
    struct drawing d = {.what = "prompt syntax", .p = p, .r = request(GEN_TXT2IMG), .every = 4};
    char dir[] = "/tmp/out-of-memory-XXXXXX", path[64];
    const struct model *m = pipeline_model(p);
    struct error err = {0};

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/zq_red.safetensors", dir);
    CHECK(pipeline_testing_write_word(path, m, 1, model_view(m)->clip[0].width));
    CHECK(pipeline_set_embeddings(p, dir, &err));
    d.r.steps = 2;
    d.r.prompt = "a [red:blue:1] (circle:1.2) BREAK [star|zq_red] AND blue :0.5";
    d.r.negative_prompt = "[green:(star):1]";
    d.may_leave_out = true; /* the word then is one like others */
    draws_or_says_why_not(&d);
    CHECK(pipeline_set_embeddings(p, NULL, &err));
    unlink(path);
    rmdir(dir);
}

static void enlarges_or_says_why_not(struct backend *b, const char *path)
{
    struct image in = {0}, want = {0};
    struct error err = {0};
    bool passed = false;

    CHECK(image_init(&in, 16, 12, &err));
    memset(in.px, 90, image_bytes(&in));
    for (int n = 0; !passed; n = next(n)) {
        const struct upscale_bounds bounds = {.base_bytes = 1};
        struct upscaler *u = NULL;
        struct upscale_plan plan = {0};
        struct image out = {0};
        err = (struct error){0};
        fail_at(n);
        const bool ok = upscale_open(&u, path, b, &err) &&
                        upscale_plan(&plan, u, in.width, in.height, &bounds, &err) &&
                        upscale_run(&out, u, &plan, &in, NULL, NULL, &err);
        if (n == 0) {
            CHECK(ok);
            want = out;
            out = (struct image){0};
        } else {
            passed = judge("enlarging", n, ok, &err);
            CHECK(passed == (out.px != NULL));
        }
        CHECK(!passed || pipeline_testing_same(&out, &want));
        image_clear(&out);
        upscale_plan_clear(&plan);
        upscale_close(u);
    }
    image_clear(&in);
    image_clear(&want);
}

struct files {
    char sdxl[PIPELINE_TESTING_PATH_BYTES], refiner[PIPELINE_TESTING_PATH_BYTES];
    char lora[PIPELINE_TESTING_PATH_BYTES];
};

/* Two encoders, size conditions; a LoRA by its path and by a tag; a refiner. */
static void draws_with_sdxl_or_says_why_not(struct backend *b, const struct files *f,
                                            const struct image *input)
{
    const struct lora_set_place place = {.dir = "/tmp"};
    struct drawing d = {.what = "SDXL", .r = request(GEN_TXT2IMG), .every = 4};
    struct error err = {0};
    char prompt[128];

    opens_a_model_or_says_why_not(b, f->sdxl, pipeline_testing_tokenizer);
    CHECK(pipeline_open(&d.p, f->sdxl, pipeline_testing_tokenizer, b, &err));
    if (!d.p)
        return;
    draws_or_says_why_not(&d);
    d.what = "SDXL, LoRA";
    d.loras = &place;
    d.may_leave_out = true;
    d.r.loras[d.r.n_loras++] = (struct gen_lora){.name = f->lora, .is_path = true, .scale = 0.5};
    const char *const name = strrchr(f->lora, '/') + 1;
    snprintf(prompt, sizeof prompt, "a red circle <lora:%.*s:0.5>",
             (int)(strrchr(name, '.') - name), name);
    d.r.prompt = prompt;
    draws_or_says_why_not(&d);
    pipeline_set_loras(d.p, NULL, NULL);

    d = (struct drawing){.what = "SDXL, refiner", .p = d.p, .r = request(GEN_IMG2IMG), .every = 4};
    d.r.steps = 2;
    d.r.refiner_switch_at = 0.5;
    d.run.image = input;
    CHECK(pipeline_set_refiner(d.p, f->refiner, &err));
    draws_or_says_why_not(&d);
    pipeline_close(d.p);
}

/* Lists of operations and a few latents; anything of a network's size belongs into the arena. */
static void allocates_nothing_large(struct pipeline *p)
{
    const struct drawing d = {.p = p, .r = request(GEN_TXT2IMG), .every = 4};
    struct gen_result out;
    struct error err = {0};

    fail_at(0);
    CHECK(generate(&out, &d, &err));
    CHECK(largest_bytes > 0 && largest_bytes < 256 << 10);
    pipeline_result_clear(&out);
}

int main(void)
{
    char upscaler[] = "/tmp/out-of-memory-XXXXXX";
    struct backend *b = NULL;
    struct pipeline *p = NULL;
    struct image input = {0};
    struct files f;
    struct error err = {0};
    const int file = mkstemp(upscaler);

    opens_a_device_or_says_why_not();
    if (file < 0 || close(file) != 0 || !pipeline_testing_open(&b, &p) ||
        !image_init(&input, 64, 64, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    memset(input.px, 90, image_bytes(&input));
    upscale_testing_write(upscaler, false, "", 2, NULL);
    const bool made = pipeline_testing_make_model(f.sdxl, "tiny-sdxl", NULL) &&
                      pipeline_testing_make_model(f.refiner, "tiny-refiner", NULL) &&
                      pipeline_testing_make_model(f.lora, "tiny-sdxl", "4");
    CHECK(made);
    opens_a_model_or_says_why_not(b, pipeline_testing_model, NULL);
    reads_prompts_or_says_why_not(p);
    draws_or_says_why_not(
        &(struct drawing){.what = "txt2img", .p = p, .r = request(GEN_TXT2IMG), .every = 1});
    draws_or_says_why_not(&(struct drawing){.what = "img2img",
                                            .p = p,
                                            .r = request(GEN_IMG2IMG),
                                            .run = {.image = &input},
                                            .every = 1});
    draws_in_two_passes_or_says_why_not(p, upscaler);
    draws_under_a_mask_or_says_why_not(p);
    draws_from_prompt_syntax_or_says_why_not(p);
    enlarges_or_says_why_not(b, upscaler);
    allocates_nothing_large(p);
    if (made)
        draws_with_sdxl_or_says_why_not(b, &f, &input);
    unlink(upscaler);
    unlink(f.sdxl);
    unlink(f.refiner);
    unlink(f.lora);
    image_clear(&input);
    pipeline_testing_close(b, p);
    return TEST_END();
}

#endif
