/* Random numbers, noise schedules and samplers. */
#include "refcheck.h"
#include "sampler/rng.h"
#include "sampler/sampler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STEPS = 1000, MAX_N = 1 << 16 };

/* Philox numbers go through the logarithm and cosine of another library than the reference's. */
static const double PHILOX_LIMIT = 1e-6;

/* The reference ran in double; here the state between steps is float32. */
static const double SAMPLER_LIMIT = 1e-6;

static double array_error(const float *have, const json_t *want)
{
    const size_t n = json_array_size(want);
    float *numbers = calloc(n ? n : 1, sizeof *numbers);

    if (!numbers)
        return INFINITY;
    for (size_t i = 0; i < n; i++)
        numbers[i] = (float)json_number_value(json_array_get(want, i));
    const double error = refcheck_error(have, numbers, n);
    free(numbers);
    return error;
}

static double draw_error(struct rng *g, const json_t *want)
{
    const size_t n = json_array_size(want);
    float *have = n && n <= MAX_N ? calloc(n, sizeof *have) : NULL;

    if (!have)
        return INFINITY;
    rng_normal(g, have, n);
    const double error = array_error(have, want);
    free(have);
    return error;
}

/* torch_cpu.SEED.LENGTH; torch_cpu_twice.SEED: two draws of one generator; philox.SEED.CALL: the
 * draw of that number, from 0. */
static void check_draw(struct refcheck *r, const char *key, const json_t *want)
{
    char row[128];
    struct rng g;
    char *end = NULL;
    const char *dot = strchr(key, '.');
    const bool philox = strncmp(key, "philox.", 7) == 0;

    snprintf(row, sizeof row, "rng %s", key);
    if (!dot || (!philox && strncmp(key, "torch_cpu", 9) != 0)) {
        refcheck_skip(r, row, "no such generator");
        return;
    }
    rng_init(&g, philox ? RNG_PHILOX : RNG_CPU, strtoull(dot + 1, &end, 10));
    if (philox) {
        const unsigned long calls = *end == '.' ? strtoul(end + 1, NULL, 10) : 0;
        float ignored;
        for (unsigned long i = 0; i < calls && i < MAX_STEPS; i++)
            rng_normal(&g, &ignored, 1);
        refcheck_row(r, row, draw_error(&g, want), PHILOX_LIMIT);
    } else if (strncmp(key, "torch_cpu_twice.", 16) == 0) {
        const double first = draw_error(&g, json_array_get(want, 0));
        refcheck_row(r, row, fmax(first, draw_error(&g, json_array_get(want, 1))), 0);
    } else {
        refcheck_row(r, row, draw_error(&g, want), 0);
    }
}

static void check_rng(struct refcheck *r)
{
    char path[REFCHECK_MAX_PATH];
    const char *key;
    json_t *want;

    refcheck_expect_path(r, path, "rng.json");
    json_t *root = refcheck_json(r, path, "rng.json");
    json_object_foreach(root, key, want) check_draw(r, key, want);
    json_decref(root);
}

static double number_error(double have, double want)
{
    return fabs(have - want) / fmax(fabs(want), 1e-300);
}

static void check_train_sigmas(struct refcheck *r, const struct schedule_train *t, const char *key,
                               const json_t *want)
{
    static const char prefix[] = "train_sigmas_every_";
    size_t i;
    json_t *value;
    double error = 0;

    if (strcmp(key, "sigma_min") == 0)
        error = number_error(t->sigma[0], json_number_value(want));
    else if (strcmp(key, "sigma_max") == 0)
        error = number_error(t->sigma[t->n - 1], json_number_value(want));
    else if (strncmp(key, prefix, sizeof prefix - 1) == 0) {
        const size_t stride = strtoul(key + sizeof prefix - 1, NULL, 10);
        json_array_foreach(want, i, value)
        {
            const bool inside = stride && i * stride < (size_t)t->n;
            error =
                fmax(error, inside ? number_error(t->sigma[i * stride], json_number_value(value))
                                   : INFINITY);
        }
    } else {
        return;
    }
    refcheck_row(r, key, error, REFCHECK_SINGLE);
}

/* KIND.STEPS */
static void check_schedule(struct refcheck *r, const struct schedule_inputs *in, const char *key,
                           const json_t *want)
{
    char row[128], name[64];
    double sigmas[MAX_STEPS + 1], error = 0;
    struct error err = {0};

    snprintf(row, sizeof row, "schedule %s", key);
    snprintf(name, sizeof name, "%s", key);
    char *dot = strrchr(name, '.');
    const long n = dot ? strtol(dot + 1, NULL, 10) : 0;
    if (dot)
        *dot = '\0';
    const struct schedule *s = schedule_find(name);
    if (!s || n < 1 || n > MAX_STEPS) {
        refcheck_skip(r, row, "no such schedule");
        return;
    }
    if (!schedule_build(sigmas, s->kind, (int)n, in, &err)) {
        refcheck_fail(r, row, err.text);
        return;
    }
    if (json_array_size(want) != (size_t)n + 1)
        error = INFINITY;
    for (size_t i = 0; i <= (size_t)n && error < INFINITY; i++) {
        const double value = json_number_value(json_array_get(want, i));
        error = fmax(error, value > 0 ? number_error(sigmas[i], value) : fabs(sigmas[i]));
    }
    refcheck_row(r, row, error, REFCHECK_SINGLE);
}

/* The reference's closed-form model and noise, as its key "denoiser" describes them. */
struct closed_form {
    size_t n;
    int draws;
};

static bool closed_form_denoise(void *ctx, float *denoised, const float *x, double sigma,
                                struct error *err)
{
    const struct closed_form *c = ctx;

    (void)err;
    for (size_t i = 0; i < c->n; i++)
        denoised[i] = (float)((double)x[i] / (1 + sigma * sigma) +
                              0.15 * sin(3 * (double)x[i] / (1 + sigma)) + 0.05);
    return true;
}

static bool closed_form_noise(void *ctx, float *out, size_t n, double from, double to,
                              struct error *err)
{
    struct closed_form *c = ctx;

    (void)from, (void)to, (void)err;
    c->draws++;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(sqrt(2.0) * sin(0.7 * (double)i + 1.3 * c->draws));
    return true;
}

/* "...; 12 steps; ...": the number is written only in the description. */
static int steps_of(const json_t *root)
{
    const char *text = json_string_value(json_object_get(root, "denoiser"));
    const char *end = text ? strstr(text, " steps") : NULL;

    if (!end)
        return 0;
    while (end > text && end[-1] >= '0' && end[-1] <= '9')
        end--;
    const long n = strtol(end, NULL, 10);
    return n >= 1 && n <= MAX_STEPS ? (int)n : 0;
}

/* All sigmas of a named schedule, as the reference ran them; the whole range for samplers that walk
 * through it on their own. */
static bool build_sigmas(double *sigmas, const struct sampler *s, enum schedule_kind kind,
                         int n_steps, const struct schedule_inputs *in, struct error *err)
{
    return s->keeps_own_schedule ? sampler_sigmas(sigmas, s, kind, n_steps, in, err)
                                 : schedule_build(sigmas, kind, n_steps, in, err);
}

/* NAME|SCHEDULE, or NAME */
static void check_sampler(struct refcheck *r, const struct schedule_inputs *in, int n_steps,
                          const char *key, const json_t *want)
{
    char row[128], name[96];
    double sigmas[MAX_STEPS + 1];
    enum schedule_kind kind = SCHEDULE_AUTOMATIC;
    struct error err = {0};
    struct closed_form c = {.n = json_array_size(want)};

    snprintf(row, sizeof row, "sampler %s", key);
    snprintf(name, sizeof name, "%s", key);
    char *bar = strchr(name, '|');
    if (bar)
        *bar = ' ';
    const struct sampler *s = sampler_find(name, &kind);
    if (!s || (kind == SCHEDULE_AUTOMATIC && !s->keeps_own_schedule)) {
        refcheck_skip(r, row, "no such sampler");
        return;
    }
    float *x = calloc(c.n + 1, sizeof *x);
    float *scratch = calloc((size_t)s->n_scratch * c.n + 1, sizeof *scratch);
    if (!x || !scratch || !build_sigmas(sigmas, s, kind, n_steps, in, &err)) {
        refcheck_fail(r, row, x && scratch ? err.text : "no memory");
    } else {
        for (size_t i = 0; i < c.n; i++)
            x[i] = (float)(sigmas[0] * 1.2 * sin(1.7 * (double)i + 0.3));
        const struct sampler_run run = {.x = x,
                                        .n = c.n,
                                        .sigmas = sigmas,
                                        .n_steps = n_steps,
                                        .denoise = closed_form_denoise,
                                        .denoise_ctx = &c,
                                        .noise = closed_form_noise,
                                        .noise_ctx = &c,
                                        .scratch = scratch};
        if (s->run(&run, &err))
            refcheck_row(r, row, array_error(x, want), SAMPLER_LIMIT);
        else
            refcheck_fail(r, row, err.text);
    }
    free(x);
    free(scratch);
}

/* The schedules are those of the sd15 model beside the file. */
static bool init_train(struct refcheck *r, struct schedule_train *t)
{
    struct error err = {0};
    struct model *m = refcheck_model(r, "sd15", false);

    if (!m)
        return false;
    const struct schedule_config *c = &model_view(m)->schedule;
    /* As written in the configuration: a float of 0.00085 is not 0.00085. */
    const struct schedule_betas betas = {.train_timesteps = c->train_timesteps,
                                         .beta_start = round((double)c->beta_start * 1e9) / 1e9,
                                         .beta_end = round((double)c->beta_end * 1e9) / 1e9,
                                         .scaled_linear = c->scaled_linear,
                                         .zero_snr = c->zero_snr};
    model_close(m);
    if (schedule_train_init(t, &betas, &err))
        return true;
    refcheck_fail(r, "samplers.json", err.text);
    return false;
}

static void check_samplers(struct refcheck *r)
{
    char path[REFCHECK_MAX_PATH];
    struct schedule_train train = {0};
    const char *key;
    json_t *want;

    refcheck_expect_path(r, path, "samplers.json");
    json_t *root = refcheck_json(r, path, "samplers.json");
    if (root && init_train(r, &train)) {
        const struct schedule_inputs in = {.train = &train};
        const int n_steps = steps_of(root);
        json_object_foreach(root, key, want) check_train_sigmas(r, &train, key, want);
        json_object_foreach(json_object_get(root, "schedules"), key, want)
            check_schedule(r, &in, key, want);
        if (n_steps == 0)
            refcheck_fail(r, "samplers.json", "does not say how many steps it ran");
        else
            json_object_foreach(json_object_get(root, "samplers"), key, want)
                check_sampler(r, &in, n_steps, key, want);
    }
    schedule_train_clear(&train);
    json_decref(root);
}

void refcheck_sampler(struct refcheck *r)
{
    check_rng(r);
    check_samplers(r);
}
