/* The second pass with the demo model: every upscaler, sizes, prompts, memory, cancelling. */
#include "image/builtin_upscaler.h"
#include "pipeline/pipeline_testing.h"

static struct gen_request hires_request(void)
{
    struct gen_request r = pipeline_testing_request();
    r.cfg_scale = 5;
    r.hires.enabled = true;
    r.hires.steps = 2;
    r.hires.denoising_strength = 0.5;
    return r;
}

/* Every name makes another picture of the same size, but for filters that are the same. */
static void enlarges_with_every_upscaler(struct pipeline *p)
{
    const struct builtin_upscaler *row;
    struct gen_result all[12] = {0};
    size_t n = 0;

    for (; (row = builtin_upscaler_at(n)); n++) {
        struct gen_request r = hires_request();
        r.hires.upscaler = row->name;
        all[n] = pipeline_testing_draw(p, &r, NULL);
        CHECK(all[n].images && all[n].images[0].width == 128 && all[n].images[0].height == 128);
        CHECK(all[n].steps == 4 && pipeline_testing_is_within_plan("two passes", &all[n]));
        CHECK(row->is_latent == (all[n].seconds[PLAN_HIRES_ENCODE] == 0));
        for (size_t k = 0; k < n; k++) {
            const struct builtin_upscaler *other = builtin_upscaler_at(k);
            /* None is resized as A1111 does it, with Lanczos; twice the size, the nearest place is
             * the same by either count, and an antialiased triangle is the plain one. */
            const bool alike =
                (row->keeps_size && strcmp(other->name, "Lanczos") == 0) ||
                (strstr(row->name, "(nearest-exact)") && strstr(other->name, "(nearest)")) ||
                (row->latent == LATENT_RESIZE_BILINEAR_ANTIALIASED &&
                 other->latent == LATENT_RESIZE_BILINEAR && other->is_latent);
            if (pipeline_testing_same_first(&all[k], &all[n]) != alike)
                fprintf(stderr, "%s and %s are%s the same\n", other->name, row->name,
                        alike ? " not" : "");
            CHECK(pipeline_testing_same_first(&all[k], &all[n]) == alike);
        }
    }
    CHECK(n == 9);
    while (n > 0)
        pipeline_result_clear(&all[--n]);
}

/* What comes out is the first pass's picture, enlarged, and the more of it the less is forgotten.
 */
static void keeps_the_first_passs_picture(struct pipeline *p)
{
    struct gen_request r = hires_request();
    struct gen_request first = r;
    struct image large;
    struct error err = {0};
    double far[3] = {0};

    first.hires.enabled = false;
    first.steps = r.steps = 8;
    struct gen_result small = pipeline_testing_draw(p, &first, NULL);
    if (!small.images || !resize_image(&large, &small.images[0], 128, 128, RESIZE_LANCZOS, &err))
        return;
    for (int i = 0; i < 3; i++) {
        r.hires.upscaler = "Lanczos";
        r.hires.denoising_strength = (double[]){0, 0.2, 1}[i];
        struct gen_result out = pipeline_testing_draw(p, &r, NULL);
        CHECK(out.steps == (i == 0 ? 8 : 10));
        if (out.images)
            far[i] = pipeline_testing_distance(&out.images[0], &large);
        pipeline_result_clear(&out);
    }
    CHECK(far[0] == 0 && far[0] < far[1] && far[1] < far[2]);
    image_clear(&large);
    pipeline_result_clear(&small);
}

static void takes_any_size_steps_sampler_and_prompt(struct pipeline *p)
{
    struct gen_request r = hires_request();
    struct gen_result plain = pipeline_testing_draw(p, &r, NULL);

    r.hires.width = 160;
    r.hires.height = 96;
    struct gen_result cut = pipeline_testing_draw(p, &r, NULL);
    CHECK(cut.images && cut.images[0].width == 160 && cut.images[0].height == 96);
    r.hires.upscaler = "Nearest";
    struct gen_result cut_pixels = pipeline_testing_draw(p, &r, NULL);
    CHECK(cut_pixels.images && cut_pixels.images[0].width == 160);
    r = hires_request();
    r.hires.steps = 3;
    struct gen_result steps = pipeline_testing_draw(p, &r, NULL);
    CHECK(steps.steps == 5 && !pipeline_testing_same_first(&plain, &steps));
    r = hires_request();
    r.hires.sampler = sampler_find("DPM++ 2M", NULL);
    struct gen_result sampler = pipeline_testing_draw(p, &r, NULL);
    CHECK(!pipeline_testing_same_first(&plain, &sampler));
    r = hires_request();
    r.hires.prompt = "a green square on a yellow background, and many more words than the first";
    struct gen_result prompt = pipeline_testing_draw(p, &r, NULL);
    CHECK(!pipeline_testing_same_first(&plain, &prompt));
    r.hires.prompt = r.prompt;
    struct gen_result same_prompt = pipeline_testing_draw(p, &r, NULL);
    CHECK(pipeline_testing_same_first(&plain, &same_prompt));
    r = hires_request();
    r.prompt = "a [red:blue:0.5] circle"; /* texts change, and the second pass has its own share */
    struct gen_result edited = pipeline_testing_draw(p, &r, NULL);
    CHECK(edited.images && edited.seconds[PLAN_HIRES_TEXT] > 0);

    pipeline_result_clear(&plain);
    pipeline_result_clear(&cut);
    pipeline_result_clear(&cut_pixels);
    pipeline_result_clear(&steps);
    pipeline_result_clear(&sampler);
    pipeline_result_clear(&prompt);
    pipeline_result_clear(&same_prompt);
    pipeline_result_clear(&edited);
}

static void draws_a_batch_as_single_pictures(struct pipeline *p)
{
    for (int i = 0; i < 2; i++) {
        struct gen_request r = hires_request();
        r.hires.upscaler = i ? "Lanczos" : "Latent";
        r.batch_size = 2;
        struct gen_result both = pipeline_testing_draw(p, &r, NULL);
        r.batch_size = 1;
        r.seed++;
        struct gen_result second = pipeline_testing_draw(p, &r, NULL);
        /* The products of two pictures have other shapes, whose sums round differently. */
        CHECK(both.images && second.images &&
              pipeline_testing_furthest(&both.images[1], &second.images[0]) <= 1);
        CHECK(pipeline_testing_is_within_plan("two passes", &both));
        pipeline_result_clear(&both);
        pipeline_result_clear(&second);
    }
}

static struct gen_result with_threads(int n_threads, const char *upscaler)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;
    struct gen_request r = hires_request();
    struct gen_result out = {0};
    struct error err = {0};

    r.hires.upscaler = upscaler;
    if (!cpu_backend_open(&b, n_threads, NULL, &err))
        return out;
    if (pipeline_open(&p, pipeline_testing_model, NULL, b, &err))
        out = pipeline_testing_draw(p, &r, NULL);
    pipeline_close(p);
    b->fn->close(b);
    return out;
}

static void draws_the_same_for_any_number_of_threads(void)
{
    static const char *const names[] = {"Latent (bicubic)", "Lanczos"};
    for (int i = 0; i < 2; i++) {
        struct gen_result one = with_threads(1, names[i]), three = with_threads(3, names[i]);
        CHECK(pipeline_testing_same_first(&one, &three));
        pipeline_result_clear(&one);
        pipeline_result_clear(&three);
    }
}

/* Streaming, tiling and keeping everything: the same bits. */
static void draws_the_same_under_every_lever(struct pipeline *p)
{
    static const struct {
        enum memory_optimization lever;
        enum tri how;
    } row[] = {{MEMORY_SEQUENTIAL_CPU_OFFLOAD, TRI_TRUE},
               {MEMORY_VAE_TILING, TRI_TRUE},
               {MEMORY_MODEL_CPU_OFFLOAD, TRI_FALSE}};
    struct gen_request r = hires_request();

    r.hires.upscaler = "Lanczos";
    struct gen_result want = pipeline_testing_draw(p, &r, NULL);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct plan_bounds b = gen_plan_no_bounds(0);
        b.optimization[row[i].lever] = row[i].how;
        b.on.on[row[i].lever] = row[i].how == TRI_TRUE;
        struct gen_result out =
            pipeline_testing_draw(p, &r, &(struct pipeline_testing_run){.bounds = &b});
        CHECK(pipeline_testing_same_first(&want, &out) &&
              pipeline_testing_is_within_plan("two passes", &out));
        pipeline_result_clear(&out);
    }
    pipeline_result_clear(&want);
}

/* In which phase it is asked to stop. */
struct stopper {
    enum plan_phase at;
    enum plan_phase now;
    bool reached;
};

static void see(void *ctx, enum plan_phase phase, double done, double total)
{
    struct stopper *s = ctx;
    (void)done;
    (void)total;
    s->now = phase;
}

static bool stop(void *ctx)
{
    struct stopper *s = ctx;
    s->reached = s->reached || s->now == s->at;
    return s->now == s->at;
}

static void stops_in_every_phase_and_runs_again(struct pipeline *p)
{
    static const enum plan_phase phases[] = {
        PLAN_TEXT_ENCODE,  PLAN_HIRES_TEXT,    PLAN_DENOISE,   PLAN_HIRES_DECODE,
        PLAN_HIRES_ENCODE, PLAN_HIRES_DENOISE, PLAN_VAE_DECODE};
    struct gen_request r = hires_request();

    r.hires.upscaler = "Lanczos";
    r.hires.prompt = "a blue circle";
    struct gen_result want = pipeline_testing_draw(p, &r, NULL);
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        struct stopper s = {.at = phases[i], .now = PLAN_PHASES};
        const struct watch watch = {.ctx = &s, .progress = see, .cancelled = stop};
        struct gen_result out;
        struct error err = {0};
        CHECK(!pipeline_testing_generate(&out, p, &r,
                                         &(struct pipeline_testing_run){.watch = &watch}, &err) &&
              err.code == ERROR_CANCELLED && s.reached);
        CHECK(!out.images);
    }
    struct gen_result again = pipeline_testing_draw(p, &r, NULL);
    CHECK(pipeline_testing_same_first(&want, &again));
    pipeline_result_clear(&want);
    pipeline_result_clear(&again);
}

static bool is_enough(void *ctx)
{
    int *left = ctx;
    return --*left <= 0;
}

/* In the first pass, then in the second one: the picture has its size all the same. */
static void finishes_with_what_there_is(struct pipeline *p)
{
    struct gen_request r = hires_request();

    for (int at = 1; at <= 5; at += 2) {
        int left = at;
        const struct watch watch = {.ctx = &left, .finish = is_enough};
        struct gen_result out;
        struct error err = {0};
        CHECK(pipeline_testing_generate(&out, p, &r,
                                        &(struct pipeline_testing_run){.watch = &watch}, &err) &&
              out.finished == (at < 5));
        CHECK(out.images && out.images[0].width == 128);
        pipeline_result_clear(&out);
    }
}

static void says_why_there_is_no_second_pass(struct pipeline *p)
{
    struct gen_request r = hires_request();

    r.hires.scale = 1;
    struct gen_result out = pipeline_testing_draw(p, &r, NULL);
    CHECK(out.images && out.images[0].width == 64 && out.warnings.n == 1);
    CHECK(strstr(out.warnings.text[0], "no second pass"));
    pipeline_result_clear(&out);
    r = hires_request();
    r.hires.prompt = "a circle <lora:x:1>";
    out = pipeline_testing_draw(p, &r, NULL);
    CHECK(out.warnings.n == 1 && strstr(out.warnings.text[0], "does nothing"));
    pipeline_result_clear(&out);
}

int main(void)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;

    if (!pipeline_testing_open(&b, &p))
        return 1;
    enlarges_with_every_upscaler(p);
    keeps_the_first_passs_picture(p);
    takes_any_size_steps_sampler_and_prompt(p);
    draws_a_batch_as_single_pictures(p);
    draws_the_same_under_every_lever(p);
    stops_in_every_phase_and_runs_again(p);
    finishes_with_what_there_is(p);
    says_why_there_is_no_second_pass(p);
    pipeline_testing_close(b, p);
    draws_the_same_for_any_number_of_threads();
    return TEST_END();
}
