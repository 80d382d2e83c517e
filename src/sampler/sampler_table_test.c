/* What holds for every sampler on every schedule, and numbers for those that k-diffusion lacks. */
#include "base/test.h"
#include "sampler/brownian.h"
#include "sampler/sampler.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 24, MAX_SCRATCH = 8, MAX_STEPS = 40 };

/* Stable Diffusion 1.x, and the same with zero terminal signal-to-noise ratio. */
static const struct schedule_betas BETAS[2] = {{1000, 0.00085, 0.012, true, false},
                                               {1000, 0.00085, 0.012, true, true}};

struct bench {
    const struct sampler *sampler;
    enum schedule_kind kind;
    int n_steps;
    int skip; /* steps that img2img leaves out */
    const struct schedule_inputs *in;
    const struct sampler_options *options;
    bool is_erratic; /* the model answers something else each time ... */
    bool is_nan;     /* ... or no number */
    float x[N];
    double sigmas[MAX_STEPS + 2];
    int calls, draws;
};

/* D(x, s) = x / (1 + s^2) + 0.15 sin(3 x / (1 + s)) + 0.05, as in tests/sampler_values.py. */
static bool model(void *ctx, float *denoised, const float *x, double sigma, struct error *err)
{
    struct bench *b = ctx;
    (void)err;
    CHECK(isfinite(sigma) && sigma > 0);
    b->calls++;
    for (int i = 0; i < N; i++) {
        denoised[i] = (float)((double)x[i] / (1 + sigma * sigma) +
                              0.15 * sin(3 * (double)x[i] / (1 + sigma)) + 0.05);
        if (b->is_erratic)
            denoised[i] = (float)sin(i + 1e3 * b->calls);
        if (b->is_nan)
            denoised[i] = NAN;
    }
    return true;
}

static bool noise(void *ctx, float *out, size_t n, double from, double to, struct error *err)
{
    struct bench *b = ctx;
    (void)err;
    CHECK(from > to && to > 0);
    b->draws++;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(sqrt(2.0) * sin(0.7 * (double)i + 1.3 * b->draws));
    return true;
}

static bool motion(void *ctx, float *out, size_t n, double from, double to, struct error *err)
{
    struct bench *b = ctx;
    (void)err;
    b->draws++;
    brownian_noise(5, out, n, from, to);
    return true;
}

static bool run_with(struct bench *b, sampler_noise_fn draw)
{
    const struct sampler *s = b->sampler;
    float scratch[MAX_SCRATCH * N];
    struct error err = {0};

    for (int i = 0; i < MAX_SCRATCH * N; i++)
        scratch[i] = NAN; /* nobody reads what it has not written */
    if (!s || s->n_scratch > MAX_SCRATCH ||
        !sampler_sigmas(b->sigmas, s, b->kind, b->n_steps, b->in, &err))
        return false;
    const double *sigmas = b->sigmas + b->skip;
    for (int i = 0; i < N; i++)
        b->x[i] = (float)(sampler_noise_scale(s, sigmas[0]) * sin(1.7 * i + 0.3));
    const struct sampler_run run = {.x = b->x,
                                    .n = N,
                                    .sigmas = sigmas,
                                    .n_steps = b->n_steps - b->skip,
                                    .denoise = model,
                                    .denoise_ctx = b,
                                    .noise = draw,
                                    .noise_ctx = b,
                                    .options = b->options,
                                    .scratch = scratch};
    return s->run(&run, &err);
}

static bool is_tame(const struct bench *b, double bound)
{
    for (int i = 0; i < N; i++)
        if (!isfinite(b->x[i]) || fabs((double)b->x[i]) > bound)
            return false;
    return true;
}

/* Few steps, every place where img2img can enter, both kinds of models: finite and about as large
 * as the model's answers, and with the number of evaluations that was promised. */
static void every_sampler_on_every_schedule_ends_well(const struct schedule_inputs *in)
{
    static const int steps[] = {1, 2, 3, 4, 7, 11};
    for (const struct sampler *s = sampler_rows; s->name; s++)
        for (int kind = 0; kind < SCHEDULE_KINDS; kind++)
            for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++)
                for (int skip = 0; skip < steps[k]; skip++) {
                    struct bench b = {.sampler = s,
                                      .kind = (enum schedule_kind)kind,
                                      .n_steps = steps[k],
                                      .skip = skip,
                                      .in = in};
                    /* Methods that extrapolate overshoot over steps this long. */
                    const bool ok =
                        run_with(&b, s->noise == SAMPLER_NOISE_BROWNIAN ? motion : noise) &&
                        is_tame(&b, 40 + 4 * b.sigmas[skip]);
                    if (!ok)
                        fprintf(stderr, "%s, %s, %d steps from %d: %g\n", s->name,
                                schedule_rows[kind].name, steps[k], skip, (double)b.x[0]);
                    CHECK(ok);
                    CHECK(s->typical_evaluations ||
                          b.calls == sampler_evaluations(s, steps[k] - skip));
                    CHECK(s->noise || b.draws == 0);
                }
}

static void has_every_name_of_the_interface(void)
{
    static const char *const names[] = {"Euler",
                                        "Euler a",
                                        "Heun",
                                        "DPM2",
                                        "DPM++ 2S a",
                                        "DPM++ 2M",
                                        "DPM++ 2M Karras",
                                        "DPM++ SDE",
                                        "DPM++ SDE Karras",
                                        "DPM fast",
                                        "DPM adaptive",
                                        "LMS",
                                        "LMS Karras",
                                        "DDIM",
                                        "PLMS",
                                        "UniPC",
                                        "DPM2 a",
                                        "DPM++ 2M SDE",
                                        "DPM++ 2M SDE Heun",
                                        "DPM++ 3M SDE",
                                        "LCM",
                                        "DPM++ 2M SDE Heun Karras",
                                        "dpmpp_3m_sde_exponential",
                                        "k_dpmpp_sde_ka"};
    static const char *const schedules[] = {
        "Automatic",       "Uniform",     "Karras",     "Exponential",
        "Polyexponential", "SGM Uniform", "KL Optimal", "Align Your Steps",
        "Simple",          "Normal",      "DDIM",       "Beta"};
    const size_t n = sizeof names / sizeof names[0], n_good = n - 1;
    for (size_t i = 0; i < n; i++) {
        enum schedule_kind kind;
        const struct sampler *s = sampler_find(names[i], &kind);
        CHECK((s != NULL) == (i < n_good));
        CHECK(!s || (kind == SCHEDULE_KARRAS) == (strstr(names[i], "Karras") != NULL));
    }
    CHECK(sizeof schedules / sizeof schedules[0] == SCHEDULE_KINDS);
    for (int i = 0; i < SCHEDULE_KINDS; i++)
        CHECK(schedule_find(schedules[i]) == &schedule_rows[i]);
    struct error err = {0};
    CHECK(!sampler_unknown(&err, "none") && strstr(err.text, "LCM")); /* the list is whole */
}

/* Printed by tests/sampler_values.py, which follows the papers in states of unit variance. */
static void agrees_with_the_papers(const struct schedule_inputs *in)
{
    static const struct sampler_options half = {.eta = 0.5, .s_tmax = 1e9, .s_noise = 1};
    static const struct sampler_options churn = {
        .eta = -1, .s_churn = 1.5, .s_tmin = 0.1, .s_tmax = 10, .s_noise = 1.1};
    static const struct {
        const char *name;
        enum schedule_kind kind;
        const struct sampler_options *options;
        double first[3];
    } row[] = {
        {"PLMS", 0, NULL, {0.8415055112887975, 1.2422736822135296, -0.8083961814461034}},
        {"UniPC", 0, NULL, {0.6588336600729051, 1.1744213347136123, -0.7065065814685619}},
        {"DDIM", 0, NULL, {0.6106665050582607, 1.0852509223004634, -0.634879844227837}},
        {"DDIM", 0, &half, {0.7836943452918979, 0.8791106038474007, -0.8142664927664118}},
        {"LCM", 0, NULL, {-0.6924749008588398, -0.1257548678788344, 0.6359200461663457}},
        {"Euler",
         SCHEDULE_SGM_UNIFORM,
         &churn,
         {0.08057994172725193, 0.33981861494282556, -0.2954158455494124}},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct bench b = {.sampler = sampler_find(row[i].name, NULL),
                          .kind = row[i].kind,
                          .n_steps = 6,
                          .in = in,
                          .options = row[i].options};
        CHECK(run_with(&b, noise));
        for (int k = 0; k < 3; k++) {
            if (fabs((double)b.x[k] - row[i].first[k]) > 1e-6)
                fprintf(stderr, "%s: %.9g, expected %.9g\n", row[i].name, (double)b.x[k],
                        row[i].first[k]);
            CHECK(fabs((double)b.x[k] - row[i].first[k]) <= 1e-6);
        }
    }
}

static void difference_of(double *out, const char *a, const struct sampler_options *options_a,
                          const char *b, const struct schedule_inputs *in)
{
    struct bench one = {.sampler = sampler_find(a, NULL),
                        .kind = SCHEDULE_KARRAS,
                        .n_steps = 9,
                        .in = in,
                        .options = options_a};
    struct bench two = {
        .sampler = sampler_find(b, NULL), .kind = SCHEDULE_KARRAS, .n_steps = 9, .in = in};
    CHECK(run_with(&one, noise) && run_with(&two, noise) && one.draws == 0);
    *out = 0;
    for (int i = 0; i < N; i++)
        *out = fmax(*out, fabs((double)one.x[i] - (double)two.x[i]));
}

/* eta 0 leaves the deterministic sampler of the same order. */
static void eta_takes_the_noise_away(const struct schedule_inputs *in)
{
    static const struct sampler_options none = {.eta = 0, .s_tmax = 1e9, .s_noise = 1};
    double apart;
    difference_of(&apart, "Euler a", &none, "Euler", in);
    CHECK(apart < 1e-6);
    difference_of(&apart, "DPM2 a", &none, "DPM2", in);
    CHECK(apart < 1e-6);
    difference_of(&apart, "DPM++ 2M SDE", &none, "DPM++ 2M", in);
    CHECK(apart < 1e-5);
    difference_of(&apart, "DPM++ 3M SDE", &none, "DPM++ 2M", in);
    CHECK(apart < 0.1);
    for (const struct sampler *s = sampler_rows; s->name; s++) {
        static const struct sampler_options more = {.eta = 1, .s_tmax = 1e9, .s_noise = 1};
        struct bench b = {.sampler = s, .n_steps = 8, .in = in, .options = &more};
        CHECK(run_with(&b, noise) && is_tame(&b, 30));
        CHECK((b.draws > 0) ==
              (s->noise || s->run == sampler_find("DDIM", NULL)->run || s->keeps_own_schedule));
    }
}

/* Samplers that walk through the range on their own stop at the last sigma above 0; where that is
 * the first one, the guess is the answer. */
static void a_single_step_to_0_takes_the_guess(const struct schedule_inputs *in)
{
    for (const struct sampler *s = sampler_rows; s->name; s++) {
        struct bench b = {.sampler = s, .in = in};
        const double sigmas[2] = {9.5, 0};
        float scratch[MAX_SCRATCH * N], guess[N];
        struct error err = {0};
        for (int i = 0; i < N; i++)
            b.x[i] = (float)(9.5 * sin(1.7 * i + 0.3));
        const struct sampler_run run = {.x = b.x,
                                        .n = N,
                                        .sigmas = sigmas,
                                        .n_steps = 1,
                                        .denoise = model,
                                        .denoise_ctx = &b,
                                        .noise = noise,
                                        .noise_ctx = &b,
                                        .scratch = scratch};
        CHECK(model(&b, guess, b.x, sigmas[0], &err) && s->run(&run, &err));
        for (int i = 0; i < N; i++)
            CHECK(fabs((double)b.x[i] - (double)guess[i]) < 1e-6);
    }
}

/* Whatever the model does, the run with error control ends, and progress rises and stays below 1.
 */
static void error_control_ends(const struct schedule_inputs *in)
{
    const struct sampler *s = sampler_find("DPM adaptive", NULL);
    struct bench good = {.sampler = s, .n_steps = 20, .in = in};
    struct bench erratic = {.sampler = s, .n_steps = 20, .in = in, .is_erratic = true};
    struct bench nan = {.sampler = s, .n_steps = 20, .in = in, .is_nan = true};
    CHECK(run_with(&good, noise) && is_tame(&good, 5));
    CHECK(good.calls > 20 && good.calls < 2 * s->typical_evaluations);
    CHECK(run_with(&erratic, noise) && is_tame(&erratic, 100) && erratic.calls <= 331);
    CHECK(run_with(&nan, noise) && nan.calls <= 33);

    const int expected = sampler_evaluations(s, 20);
    double before = 0;
    for (int made = 1; made <= 331; made++) {
        const double now = sampler_progress(s, made, expected);
        CHECK(now > before && now < 1);
        before = now;
    }
    const struct sampler *exact = sampler_find("Euler", NULL);
    CHECK(sampler_progress(exact, 3, 4) == 0.75 && sampler_progress(exact, 4, 4) == 1);
    CHECK(sampler_progress(NULL, 7, 8) == 0.875 && sampler_progress(NULL, 8, 8) < 1);
}

/* A stochastic sampler that follows one motion comes to the same picture with more steps; the same
 * steps with independent draws do not. */
static void follows_one_motion(const struct schedule_inputs *in)
{
    static const int steps[] = {10, 20, 38};
    float x[3][N];
    double apart[2] = {0};
    for (int k = 0; k < 3; k++) {
        struct bench b = {.sampler = sampler_find("DPM++ 2M SDE", NULL),
                          .kind = SCHEDULE_KARRAS,
                          .n_steps = steps[k],
                          .in = in};
        CHECK(run_with(&b, motion));
        memcpy(x[k], b.x, sizeof b.x);
    }
    for (int i = 0; i < N; i++) {
        apart[0] += fabs((double)x[0][i] - (double)x[2][i]) / N;
        apart[1] += fabs((double)x[1][i] - (double)x[2][i]) / N;
    }
    CHECK(apart[1] < apart[0]);
}

int main(void)
{
    for (int i = 0; i < 2; i++) {
        struct schedule_train train;
        struct error err = {0};
        if (!schedule_train_init(&train, &BETAS[i], &err))
            return 1;
        const struct schedule_inputs in = {&train, i == 1};
        every_sampler_on_every_schedule_ends_well(&in);
        if (i == 0) {
            agrees_with_the_papers(&in);
            eta_takes_the_noise_away(&in);
            follows_one_motion(&in);
            a_single_step_to_0_takes_the_guess(&in);
        }
        error_control_ends(&in);
        schedule_train_clear(&train);
    }
    has_every_name_of_the_interface();
    return TEST_END();
}
