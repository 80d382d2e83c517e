/* Whole runs with the demo model that lies in the repository. */
#include "pipeline/pipeline_testing.h"

/* A backend's function table that counts arenas. */
struct counting {
    struct backend_functions fn; /* first: the two are the same pointer */
    const struct backend_functions *real;
    int arenas;
};

static bool count_arena(struct backend *b, void **arena, size_t bytes, struct error *err)
{
    union {
        const struct backend_functions *in;
        struct counting *out;
    } edge = {.in = b->fn};
    edge.out->arenas++;
    return edge.out->real->arena_new(b, arena, bytes, err);
}

static void takes_no_arena_for_the_second_run(struct backend *b)
{
    struct counting counting = {.fn = *b->fn, .real = b->fn};
    struct gen_request r = pipeline_testing_request();
    struct pipeline *p = NULL;
    struct error err = {0};

    counting.fn.arena_new = count_arena;
    b->fn = &counting.fn;
    CHECK(pipeline_open(&p, pipeline_testing_model, NULL, b, &err));
    if (p) {
        struct gen_result first = pipeline_testing_draw(p, &r, NULL);
        CHECK(counting.arenas == 1);
        struct gen_result second = pipeline_testing_draw(p, &r, NULL);
        CHECK(counting.arenas == 1);
        CHECK(pipeline_testing_same_first(&first, &second));
        pipeline_result_clear(&first);
        pipeline_result_clear(&second);
    }
    pipeline_close(p);
    b->fn = counting.real;
}

static struct gen_result with_threads(const char *isa, int n_threads, bool *exists)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;
    struct gen_request r = pipeline_testing_request();
    struct gen_result out = {0};
    struct error err = {0};

    *exists = cpu_backend_open(&b, n_threads, isa, &err);
    if (!*exists)
        return out;
    CHECK(pipeline_open(&p, pipeline_testing_model, NULL, b, &err));
    if (p)
        out = pipeline_testing_draw(p, &r, NULL);
    pipeline_close(p);
    b->fn->close(b);
    return out;
}

static void draws_the_same_for_any_number_of_threads(void)
{
    static const char *const isas[] = {"portable", "avx2", "avx512", "amx", "neon"};
    int n_checked = 0;

    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        bool exists;
        struct gen_result one = with_threads(isas[i], 1, &exists);
        if (!exists)
            continue;
        n_checked++;
        for (int n = 2; n <= 3; n++) {
            struct gen_result more = with_threads(isas[i], n, &exists);
            if (!pipeline_testing_same_first(&one, &more))
                fprintf(stderr, "%s with %d threads: ", isas[i], n);
            CHECK(pipeline_testing_same_first(&one, &more));
            pipeline_result_clear(&more);
        }
        pipeline_result_clear(&one);
    }
    CHECK(n_checked >= 1);
}

static bool count_down(void *ctx)
{
    int *left = ctx;
    return --*left <= 0;
}

static void stops_when_asked_and_runs_again(struct pipeline *p)
{
    struct gen_request r = pipeline_testing_request();
    struct gen_result want = pipeline_testing_draw(p, &r, NULL);
    int asked = 1 << 20;
    const struct watch counter = {.ctx = &asked, .cancelled = count_down};
    struct gen_result out;
    struct error err = {0};

    CHECK(pipeline_testing_generate(&out, p, &r, &(struct pipeline_testing_run){.watch = &counter},
                                    &err) &&
          pipeline_testing_same_first(&want, &out));
    pipeline_result_clear(&out);
    const int n_ops = (1 << 20) - asked;
    CHECK(n_ops > 100);

    /* In the text encoder, the denoiser and the decoder. */
    const int at[] = {1, 7, n_ops / 2, n_ops};
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        asked = at[i];
        err = (struct error){0};
        CHECK(!pipeline_testing_generate(&out, p, &r,
                                         &(struct pipeline_testing_run){.watch = &counter}, &err));
        CHECK(err.code == ERROR_CANCELLED && !out.images);
        pipeline_result_clear(&out);
        out = pipeline_testing_draw(p, &r, NULL);
        CHECK(pipeline_testing_same_first(&want, &out));
        pipeline_result_clear(&out);
    }
    pipeline_result_clear(&want);
}

struct seen {
    double last[PLAN_PHASES];
    bool sound;
};

static void see(void *ctx, enum plan_phase phase, double done, double total)
{
    struct seen *s = ctx;
    s->sound = s->sound && done >= s->last[phase] && done <= total;
    s->last[phase] = done;
}

static void tells_how_far_it_is(struct pipeline *p)
{
    struct gen_request r = pipeline_testing_request();
    struct seen seen = {.sound = true};
    const struct watch watch = {.ctx = &seen, .progress = see};
    struct gen_result out;
    struct error err = {0};

    CHECK(pipeline_testing_generate(&out, p, &r, &(struct pipeline_testing_run){.watch = &watch},
                                    &err));
    CHECK(seen.sound && out.steps == r.steps);
    CHECK(seen.last[PLAN_TEXT_ENCODE] == 1 && seen.last[PLAN_VAE_DECODE] == 1);
    CHECK(seen.last[PLAN_DENOISE] == r.steps && seen.last[PLAN_VAE_ENCODE] == 0);
    pipeline_result_clear(&out);
}

static void see_part(void *ctx, enum plan_phase phase, double done, double total)
{
    struct seen *s = ctx;
    s->sound = s->sound && done / total >= s->last[phase] - 1e-12 && done <= total;
    s->last[phase] = done / total;
}

/* A sampler that decides on its steps itself only estimates them. */
static void never_goes_back_where_it_can_only_estimate(struct pipeline *p)
{
    struct gen_request r = pipeline_testing_request();
    struct seen seen = {.sound = true};
    const struct watch watch = {.ctx = &seen, .progress = see_part};
    struct gen_result out;
    struct error err = {0};

    r.sampler = sampler_find("DPM adaptive", NULL);
    CHECK(pipeline_testing_generate(&out, p, &r, &(struct pipeline_testing_run){.watch = &watch},
                                    &err));
    CHECK(seen.sound && seen.last[PLAN_DENOISE] > 0.3);
    pipeline_result_clear(&out);
}

static void keeps_the_less_of_a_picture_the_stronger_it_is_told_to_change(struct pipeline *p)
{
    struct gen_request r = pipeline_testing_request();
    r.steps = 4;
    struct gen_result start = pipeline_testing_draw(p, &r, NULL);
    if (!start.images)
        return;

    r.mode = GEN_IMG2IMG;
    r.seed = 77;
    const double strength[] = {0, 0.25, 1};
    double far[3] = {0};
    for (int i = 0; i < 3; i++) {
        r.denoising_strength = strength[i];
        struct gen_result out =
            pipeline_testing_draw(p, &r, &(struct pipeline_testing_run){.image = &start.images[0]});
        CHECK(out.steps == (int)(4 * strength[i]));
        if (out.images)
            far[i] = pipeline_testing_distance(&out.images[0], &start.images[0]);
        pipeline_result_clear(&out);
    }
    CHECK(far[0] < 16 && far[0] < far[1] && far[1] < far[2]);
    pipeline_result_clear(&start);
}

static void refuses_input_of_another_size(struct pipeline *p)
{
    struct gen_request r = pipeline_testing_request();
    struct image wide = {0};
    struct gen_result out;
    struct error err = {0};

    r.mode = GEN_IMG2IMG;
    CHECK(image_init(&wide, 72, 64, &err));
    memset(wide.px, 0, image_bytes(&wide));
    CHECK(!pipeline_testing_generate(&out, p, &r, &(struct pipeline_testing_run){.image = &wide},
                                     &err) &&
          err.code == ERROR_INVALID);
    CHECK(strstr(err.text, "64x64") && !out.images);
    err = (struct error){0};
    CHECK(!pipeline_testing_generate(&out, p, &r, NULL, &err) && err.code == ERROR_INVALID);
    image_clear(&wide);
}

/* Whatever chance a sampler takes: none, draws, or a Brownian motion. */
static void draws_a_batch_as_single_pictures_of_following_seeds(struct pipeline *p)
{
    static const char *const samplers[] = {"Euler", "Euler a", "DPM++ SDE"};
    for (size_t i = 0; i < sizeof samplers / sizeof samplers[0]; i++) {
        struct gen_request r = pipeline_testing_request();
        r.sampler = sampler_find(samplers[i], NULL);
        r.batch_size = 2;
        struct gen_result both = pipeline_testing_draw(p, &r, NULL);
        r.batch_size = 1;
        struct gen_result first = pipeline_testing_draw(p, &r, NULL);
        r.seed++;
        struct gen_result second = pipeline_testing_draw(p, &r, NULL);

        CHECK(pipeline_testing_same_first(&both, &first) &&
              !pipeline_testing_same_first(&first, &second));
        CHECK(both.images && second.images &&
              pipeline_testing_same(&both.images[1], &second.images[0]));
        pipeline_result_clear(&both);
        pipeline_result_clear(&first);
        pipeline_result_clear(&second);
    }
}

/* The less is asked for, the nearer the picture stays to the one it came from. */
static void changes_a_picture_with_every_sampler(struct pipeline *p)
{
    static const double strengths[] = {0.1, 0.25, 0.5, 1};
    struct gen_request r = pipeline_testing_request();
    r.steps = 8;
    struct gen_result start = pipeline_testing_draw(p, &r, NULL);

    r.mode = GEN_IMG2IMG;
    r.prompt = "a green square on a yellow background";
    for (r.sampler = sampler_rows; start.images && r.sampler->name; r.sampler++) {
        double apart[4] = {0};
        for (int i = 0; i < 4; i++) {
            r.denoising_strength = strengths[i];
            struct gen_result out = pipeline_testing_draw(
                p, &r, &(struct pipeline_testing_run){.image = &start.images[0]});
            if (out.images)
                apart[i] = pipeline_testing_distance(&out.images[0], &start.images[0]);
            pipeline_result_clear(&out);
        }
        if (!(apart[0] < 8 && apart[1] < apart[3] && apart[3] > 20))
            fprintf(stderr, "%s: %g %g %g %g\n", r.sampler->name, apart[0], apart[1], apart[2],
                    apart[3]);
        CHECK(apart[0] < 8 && apart[1] < apart[3] && apart[3] > 20);
    }
    pipeline_result_clear(&start);
}

static void runs_unguided_at_scale_1(struct pipeline *p)
{
    struct gen_request r = pipeline_testing_request();
    struct gen_plan plan = {0};
    struct error err = {0};

    r.cfg_scale = 1;
    CHECK(pipeline_plan(&plan, p, &r, NULL, &err) && plan.phase[PLAN_DENOISE].batch == 1);
    gen_plan_clear(&plan);
    struct gen_result plain = pipeline_testing_draw(p, &r, NULL);
    r.negative_prompt = "a green square";
    struct gen_result other = pipeline_testing_draw(p, &r, NULL);
    CHECK(pipeline_testing_same_first(&plain, &other));
    r.cfg_scale = 1.5;
    struct gen_result guided = pipeline_testing_draw(p, &r, NULL);
    CHECK(!pipeline_testing_same_first(&plain, &guided));
    pipeline_result_clear(&plain);
    pipeline_result_clear(&other);
    pipeline_result_clear(&guided);
}

static void skips_layers_of_the_text_encoder_that_exist(struct pipeline *p)
{
    struct gen_request r = pipeline_testing_request();
    struct gen_result last = pipeline_testing_draw(p, &r, NULL);
    struct gen_result out;
    struct error err = {0};

    r.clip_skip = 2;
    struct gen_result skipped = pipeline_testing_draw(p, &r, NULL);
    CHECK(!pipeline_testing_same_first(&last, &skipped));
    r.clip_skip = model_view(pipeline_model(p))->clip[0].layers + 1;
    CHECK(!pipeline_testing_generate(&out, p, &r, NULL, &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "clip skip"));
    pipeline_result_clear(&last);
    pipeline_result_clear(&skipped);
}

static void plans_no_less_than_it_takes(struct pipeline *p)
{
#if !TEST_SANITIZED
    const int sides[] = {64, 128, 256};

    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++) {
        struct gen_request r = pipeline_testing_request();
        r.width = r.height = sides[i];
        struct gen_result out = pipeline_testing_draw(p, &r, NULL);
        CHECK(out.planned_peak_bytes > 0 && out.planned_peak_bytes >= out.measured_peak_bytes);
        if (out.planned_peak_bytes < out.measured_peak_bytes)
            fprintf(stderr, "%d: planned %zu, measured %zu\n", sides[i], out.planned_peak_bytes,
                    out.measured_peak_bytes);
        pipeline_result_clear(&out);
    }
#else
    (void)p;
#endif
}

int main(void)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;

    if (!pipeline_testing_open(&b, &p))
        return 1;
    plans_no_less_than_it_takes(p);
    takes_no_arena_for_the_second_run(b);
    stops_when_asked_and_runs_again(p);
    tells_how_far_it_is(p);
    never_goes_back_where_it_can_only_estimate(p);
    keeps_the_less_of_a_picture_the_stronger_it_is_told_to_change(p);
    refuses_input_of_another_size(p);
    draws_a_batch_as_single_pictures_of_following_seeds(p);
    changes_a_picture_with_every_sampler(p);
    runs_unguided_at_scale_1(p);
    skips_layers_of_the_text_encoder_that_exist(p);
    pipeline_testing_close(b, p);
    draws_the_same_for_any_number_of_threads();
    return TEST_END();
}
