#include "base/test.h"
#include "sampler/sampler.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 24, STEPS = 12, MAX_SCRATCH = 8 };

static const struct schedule_betas SD = {1000, 0.00085, 0.012, true, false};

/* Counts calls, and fails at call number fail_at. */
struct stub {
    float answer;
    int calls, fail_at;
};

static bool knows_the_answer(void *ctx, float *denoised, const float *x, double sigma,
                             struct error *err)
{
    struct stub *s = ctx;
    (void)x;
    if (++s->calls == s->fail_at)
        return error_set(err, ERROR_CANCELLED, "stopped at %g", sigma);
    for (int i = 0; i < N; i++)
        denoised[i] = s->answer;
    return true;
}

static bool constant_noise(void *ctx, float *out, size_t n, double from, double to,
                           struct error *err)
{
    CHECK(from > to && to > 0);
    struct stub *s = ctx;
    if (++s->calls == s->fail_at)
        return error_set(err, ERROR_CANCELLED, "no noise");
    for (size_t i = 0; i < n; i++)
        out[i] = i % 2 ? 1.0f : -1.0f;
    return true;
}

/* The closed form of the reference: D(x, s) = x / (1 + s^2) + 0.15 sin(3 x / (1 + s)) + 0.05. */
static bool closed_form(void *ctx, float *denoised, const float *x, double sigma, struct error *err)
{
    (void)ctx, (void)err;
    for (int i = 0; i < N; i++)
        denoised[i] = (float)((double)x[i] / (1 + sigma * sigma) +
                              0.15 * sin(3 * (double)x[i] / (1 + sigma)) + 0.05);
    return true;
}

static bool closed_noise(void *ctx, float *out, size_t n, double from, double to, struct error *err)
{
    (void)from, (void)to;
    struct stub *s = ctx;
    (void)err;
    s->calls++;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(sqrt(2.0) * sin(0.7 * (double)i + 1.3 * s->calls));
    return true;
}

static void every_sampler_reaches_a_known_answer(const struct schedule_inputs *in)
{
    for (const struct sampler *s = sampler_rows; s->name; s++) {
        for (int n_steps = 1; n_steps <= 9; n_steps++) {
            float x[N], scratch[MAX_SCRATCH * N];
            double sigmas[16];
            struct stub model = {.answer = 0.25f}, noise = {0};
            struct error err = {0};
            CHECK(s->n_scratch <= MAX_SCRATCH && sampler_sigmas_room(n_steps) <= 16);
            CHECK(sampler_sigmas(sigmas, s, SCHEDULE_AUTOMATIC, n_steps, in, &err));
            for (int i = 0; i < N; i++)
                x[i] = (float)(sampler_noise_scale(s, sigmas[0]) * sin(1.0 + i));
            const struct sampler_run run = {.x = x,
                                            .n = N,
                                            .sigmas = sigmas,
                                            .n_steps = n_steps,
                                            .denoise = knows_the_answer,
                                            .denoise_ctx = &model,
                                            .noise = constant_noise,
                                            .noise_ctx = &noise,
                                            .scratch = scratch};
            CHECK(s->run(&run, &err));
            /* Some end at the lowest trained sigma, so a part of the noise remains. */
            const double left = sigmas[n_steps] / sigmas[0];
            const double bound = 1e-5 + left * (sampler_noise_scale(s, sigmas[0]) + 0.3);
            for (int i = 0; i < N; i++)
                CHECK(fabs((double)x[i] - 0.25) < bound);
            CHECK(model.calls == sampler_evaluations(s, n_steps) || s->typical_evaluations);
            CHECK(noise.calls == (s->noise ? s->evaluations * (n_steps - 1) : 0) ||
                  s->noise == SAMPLER_NOISE_DRAWN);
            CHECK(noise.calls == n_steps - 1 || s->noise != SAMPLER_NOISE_DRAWN);
        }
    }
}

static void every_sampler_passes_failures_on(const struct schedule_inputs *in)
{
    for (const struct sampler *s = sampler_rows; s->name; s++) {
        double sigmas[8];
        struct error err = {0};
        CHECK(sampler_sigmas(sigmas, s, SCHEDULE_KARRAS, 4, in, &err));
        const int calls = s->typical_evaluations ? 12 : sampler_evaluations(s, 4);
        for (int fail_at = 1; fail_at <= calls; fail_at++) {
            float x[N] = {0}, scratch[MAX_SCRATCH * N];
            struct stub model = {.fail_at = fail_at}, noise = {0};
            err = (struct error){0};
            const struct sampler_run run = {.x = x,
                                            .n = N,
                                            .sigmas = sigmas,
                                            .n_steps = 4,
                                            .denoise = knows_the_answer,
                                            .denoise_ctx = &model,
                                            .noise = constant_noise,
                                            .noise_ctx = &noise,
                                            .scratch = scratch};
            CHECK(!s->run(&run, &err) && err.code == ERROR_CANCELLED);
        }
        if (s->noise) {
            float x[N] = {0}, scratch[MAX_SCRATCH * N];
            struct stub model = {0}, noise = {.fail_at = 2};
            const struct sampler_run run = {.x = x,
                                            .n = N,
                                            .sigmas = sigmas,
                                            .n_steps = 4,
                                            .denoise = knows_the_answer,
                                            .denoise_ctx = &model,
                                            .noise = constant_noise,
                                            .noise_ctx = &noise,
                                            .scratch = scratch};
            CHECK(!s->run(&run, &err));
        }
    }
}

/* Runs 12 steps of the closed form on a named schedule, as k-diffusion ran it: with all its sigmas.
 */
static void run_closed_form(float *x, const struct sampler *s, enum schedule_kind kind,
                            const struct schedule_inputs *in)
{
    double sigmas[STEPS + 2];
    float scratch[MAX_SCRATCH * N];
    struct stub noise = {0};
    struct error err = {0};
    CHECK(s->keeps_own_schedule ? sampler_sigmas(sigmas, s, kind, STEPS, in, &err)
                                : schedule_build(sigmas, kind, STEPS, in, &err));
    for (int i = 0; i < N; i++)
        x[i] = (float)(sigmas[0] * 1.2 * sin(1.7 * i + 0.3));
    const struct sampler_run run = {.x = x,
                                    .n = N,
                                    .sigmas = sigmas,
                                    .n_steps = STEPS,
                                    .denoise = closed_form,
                                    .noise = closed_noise,
                                    .noise_ctx = &noise,
                                    .scratch = scratch};
    CHECK(s->run(&run, &err));
}

/* The reference runs in double; here the state is rounded to float32 after every step, which the
 * chaotic term of the closed form can amplify.
 * The bound is about 1e-6 of the largest number of a row. */
static bool is_near(double got, double want)
{
    return fabs(got - want) <= 1.5e-6 * fmax(1, fabs(want));
}

static void every_sampler_agrees_with_k_diffusion(const struct schedule_inputs *in)
{
    static const struct {
        const char *name;
        double first[3];
    } row[] = {
        {"Euler karras", {1.0092755439388934, 1.2132210102084922, -0.8827681924905417}},
        {"Euler a karras", {1.0144079312514316, 1.014292160536832, 0.574030383081613}},
        {"Heun karras", {1.114344401958885, 1.247400314673838, -0.94903638103918}},
        {"DPM2 karras", {1.1041902943161803, 1.248705849190497, -0.9451468386345354}},
        {"DPM2 a karras", {1.1855605041008315, 1.1986123297523457, 1.154191108217627}},
        {"LMS karras", {1.0890751465702238, 1.231537270446099, -0.9300502680982575}},
        {"DPM++ 2S a karras", {1.1374515218684151, 1.157477432170714, 1.0270250906816951}},
        {"DPM++ 2M karras", {1.1032144914045636, 1.2678115940989871, -0.9522517219935622}},
        {"DPM++ SDE karras", {0.9838485846886896, 0.9781184438853627, 0.42126223574429617}},
        {"DPM++ 2M SDE karras", {1.176200475360631, 1.172113930838298, 0.9055348528385779}},
        {"DPM++ 2M SDE Heun karras", {1.200308321415264, 1.197876904066984, 0.9767625537212661}},
        {"DPM++ 3M SDE karras", {1.0758113775519842, 1.1306272012527117, -0.15987050641182587}},
        {"DPM fast", {1.0213454351887024, 1.3051175514096796, -0.939119276422121}},
        {"DPM adaptive", {1.0404033905469101, 1.2745290516335948, -0.9363033741660516}},
        {"DPM++ 2M uniform", {1.1486220601998913, 1.3948946271981886, -1.0144094178533112}},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        float x[N] = {0};
        enum schedule_kind kind;
        const struct sampler *s = sampler_find(row[i].name, &kind);
        CHECK(s && (kind != SCHEDULE_AUTOMATIC || s->keeps_own_schedule));
        if (!s)
            continue;
        run_closed_form(x, s, kind, in);
        for (int k = 0; k < 3; k++)
            CHECK(is_near((double)x[k], row[i].first[k]));
    }
}

/* DDIM as its paper writes it, in a state of unit variance, step by step. */
static void ddim_agrees_with_its_paper(const struct schedule_inputs *in)
{
    const struct sampler *s = sampler_find("ddim", NULL);
    double sigmas[8], unit[N];
    float x[N], scratch[2 * N], denoised[N];
    struct error err = {0};
    CHECK(sampler_sigmas(sigmas, s, SCHEDULE_AUTOMATIC, 6, in, &err));
    CHECK(fabs(schedule_timestep(in->train, sigmas[0]) - 831) < 1e-6);
    CHECK(fabs(schedule_timestep(in->train, sigmas[5]) - 1) < 1e-6 &&
          sigmas[6] == in->train->sigma[0]);
    for (int i = 0; i < N; i++) {
        unit[i] = sin(1.7 * i + 0.3);
        x[i] = (float)(sampler_noise_scale(s, sigmas[0]) * unit[i]);
    }
    for (int step = 0; step < 6; step++) {
        const double alpha = 1 / (1 + sigmas[step] * sigmas[step]);
        const double next = 1 / (1 + sigmas[step + 1] * sigmas[step + 1]);
        float scaled[N];
        for (int i = 0; i < N; i++)
            scaled[i] = (float)(unit[i] / sqrt(alpha));
        CHECK(closed_form(NULL, denoised, scaled, sigmas[step], &err));
        for (int i = 0; i < N; i++) {
            const double clean = (double)denoised[i];
            const double noise = (unit[i] - sqrt(alpha) * clean) / sqrt(1 - alpha);
            unit[i] = sqrt(next) * clean + sqrt(1 - next) * noise;
        }
    }
    const struct sampler_run run = {
        .x = x, .n = N, .sigmas = sigmas, .n_steps = 6, .denoise = closed_form, .scratch = scratch};
    CHECK(s->run(&run, &err));
    for (int i = 0; i < N; i++)
        CHECK(fabs((double)x[i] - unit[i]) < 2e-6);
}

static void finds_names_as_people_write_them(void)
{
    static const struct {
        const char *text, *name;
        enum schedule_kind schedule;
    } row[] = {
        {"euler A", "Euler a", SCHEDULE_AUTOMATIC},
        {"k_euler_a", "Euler a", SCHEDULE_AUTOMATIC},
        {"DPM++ 2M Karras", "DPM++ 2M", SCHEDULE_KARRAS},
        {"dpmpp_2m_karras", "DPM++ 2M", SCHEDULE_KARRAS},
        {"Euler SGM Uniform", "Euler", SCHEDULE_SGM_UNIFORM},
        {"Heun align your steps", "Heun", SCHEDULE_ALIGN_YOUR_STEPS},
        {"DDIM", "DDIM", SCHEDULE_AUTOMATIC},
        {"Euler a DDIM", "Euler a", SCHEDULE_DDIM},
        {"Euler  Karras", NULL, SCHEDULE_AUTOMATIC},
        {"Karras", NULL, SCHEDULE_AUTOMATIC},
        {" Karras", NULL, SCHEDULE_AUTOMATIC},
        {"", NULL, SCHEDULE_AUTOMATIC},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        enum schedule_kind kind;
        const struct sampler *s = sampler_find(row[i].text, &kind);
        CHECK((s == NULL) == (row[i].name == NULL));
        CHECK(!s || strcmp(s->name, row[i].name) == 0);
        CHECK(kind == row[i].schedule);
    }
    struct error err = {0};
    CHECK(!sampler_unknown(&err, "Oiler") && err.code == ERROR_INVALID);
    for (const struct sampler *s = sampler_rows; s->name; s++) {
        CHECK(strstr(err.text, s->name) && sampler_find(s->name, NULL) == s);
        for (int i = 0; i < SAMPLER_MAX_ALIASES && s->aliases[i]; i++)
            CHECK(sampler_find(s->aliases[i], NULL) == s);
    }
}

static void drops_the_penultimate_sigma(const struct schedule_inputs *in)
{
    double all[8], got[8];
    struct error err = {0};
    CHECK(schedule_build(all, SCHEDULE_KARRAS, 5, in, &err));
    CHECK(sampler_sigmas(got, sampler_find("DPM2", NULL), SCHEDULE_AUTOMATIC, 4, in, &err));
    CHECK(memcmp(all, got, 4 * sizeof all[0]) == 0 && got[4] == 0);
    CHECK(!sampler_sigmas(got, sampler_find("DPM2", NULL), SCHEDULE_KARRAS, SCHEDULE_MAX_STEPS, in,
                          &err));
}

static bool repeats_the_reference(const struct schedule_inputs *in)
{
    const char *refs = getenv("DAPI_REFS");
    char path[1024];
    snprintf(path, sizeof path, "%s/expect/samplers.json", refs ? refs : "../shared/refs");
    json_t *root = json_load_file(path, 0, NULL);
    if (!root) {
        fprintf(stderr, "no reference numbers: %s\n", path);
        return false;
    }
    const char *key;
    json_t *value;
    int compared = 0;
    double worst = 0;
    json_object_foreach(json_object_get(root, "samplers"), key, value)
    {
        char name[64];
        enum schedule_kind kind;
        snprintf(name, sizeof name, "%s", key);
        char *bar = strchr(name, '|');
        if (bar)
            *bar = ' ';
        const struct sampler *s = sampler_find(name, &kind);
        CHECK(s);
        if (!s)
            continue;
        float x[N];
        run_closed_form(x, s, kind, in);
        for (size_t i = 0; i < N; i++) {
            const double want = json_number_value(json_array_get(value, i));
            if (!is_near((double)x[i], want))
                fprintf(stderr, "%s, %zu: %.9g, expected %.9g\n", key, i, (double)x[i], want);
            CHECK(is_near((double)x[i], want));
            worst = fmax(worst, fabs((double)x[i] - want));
        }
        compared++;
    }
    printf("%d rows of the reference, worst difference %.2g\n", compared, worst);
    CHECK(compared >= 26);
    json_decref(root);
    return true;
}

int main(void)
{
    struct schedule_train t;
    struct error err = {0};
    if (!schedule_train_init(&t, &SD, &err))
        return 1;
    const struct schedule_inputs in = {&t, false};
    every_sampler_reaches_a_known_answer(&in);
    every_sampler_passes_failures_on(&in);
    every_sampler_agrees_with_k_diffusion(&in);
    ddim_agrees_with_its_paper(&in);
    finds_names_as_people_write_them();
    drops_the_penultimate_sigma(&in);
    const bool complete = repeats_the_reference(&in);
    schedule_train_clear(&t);
    return !complete && !test_failures ? 77 : TEST_END();
}
