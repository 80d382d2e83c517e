#include "base/test.h"
#include "sampler/schedule.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct schedule_betas SD = {1000, 0.00085, 0.012, true, false};

static bool is_near(double got, double want)
{
    return fabs(got - want) <= 1e-6 * fabs(want) + 1e-12;
}

/* From k-diffusion, four steps of Stable Diffusion's betas. */
static void gives_known_sigmas(const struct schedule_train *t)
{
    static const struct {
        const char *name;
        double sigma[4];
    } row[] = {
        {"karras", {14.614641229333643, 3.168603072959619, 0.44691820937343935, 0.02916715815172}},
        {"Exponential",
         {14.614641229333637, 1.8400239581355944, 0.231664131427149, 0.02916715815172}},
        {"polyexponential",
         {14.614641229333637, 1.8400239581355944, 0.231664131427149, 0.02916715815172}},
        {"uniform", {14.614641229333637, 2.9183071154268285, 0.9323579668348474, 0.02916715815172}},
        {"normal", {14.614641229333637, 2.9183071154268285, 0.9323579668348474, 0.02916715815172}},
        {"sgm_uniform",
         {14.614641229333637, 4.086081071209322, 1.6155802601603273, 0.695149519078429}},
    };
    const struct schedule_inputs in = {t, false};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        double got[5];
        struct error err = {0};
        const struct schedule *s = schedule_find(row[i].name);
        CHECK(s && schedule_build(got, s->kind, 4, &in, &err));
        for (int k = 0; k < 4; k++)
            CHECK(is_near(got[k], row[i].sigma[k]));
        CHECK(got[4] == 0);
    }
}

static void falls_to_zero_for_every_row(const struct schedule_train *t)
{
    static const int steps[] = {1, 2, 3, 7, 10, 11, 20, 31, 150, 999};
    for (int kind = SCHEDULE_AUTOMATIC; kind < SCHEDULE_KINDS; kind++) {
        CHECK(schedule_rows[kind].kind == (enum schedule_kind)kind);
        CHECK(schedule_find(schedule_rows[kind].name) == &schedule_rows[kind]);
        for (size_t k = 0; k < 2 * sizeof steps / sizeof steps[0]; k++) {
            double sigmas[1001];
            struct error err = {0};
            const int n = steps[k / 2];
            const struct schedule_inputs in = {t, k % 2 != 0};
            const bool ok = schedule_build(sigmas, (enum schedule_kind)kind, n, &in, &err);
            CHECK(ok == (kind != SCHEDULE_AUTOMATIC));
            if (!ok)
                continue;
            CHECK(sigmas[n] == 0 && sigmas[0] < 14.62);
            for (int i = 0; i < n; i++)
                CHECK(sigmas[i] > sigmas[i + 1]);
        }
    }
}

static void maps_sigma_to_timestep_and_back(const struct schedule_train *t)
{
    CHECK(is_near(t->sigma[0], 0.029167158151720367));
    CHECK(is_near(t->sigma[37], 0.19072287818214256));
    CHECK(is_near(t->sigma[999], 14.614641229333639));
    CHECK(schedule_timestep(t, 0.001) == 0 && schedule_timestep(t, 100) == 999);
    for (double step = 0; step < 999; step += 0.37)
        CHECK(fabs(schedule_timestep(t, schedule_sigma(t, step)) - step) < 1e-6);
}

static void refuses_bad_numbers(const struct schedule_train *t)
{
    static const struct {
        const char *why;
        struct schedule_betas betas;
    } row[] = {
        {"no timesteps", {0, 0.00085, 0.012, true, false}},
        {"too many timesteps", {1 << 30, 0.00085, 0.012, true, false}},
        {"no noise at the start", {1000, 0, 0.012, true, false}},
        {"falling", {1000, 0.5, 0.012, true, false}},
        {"nothing left", {1000, 0.00085, 1, false, false}},
        {"not a number", {1000, (double)NAN, 0.012, true, false}},
        {"underflow", {10000, 0.9, 0.99, false, false}},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct schedule_train bad;
        struct error err = {0};
        const bool ok = schedule_train_init(&bad, &row[i].betas, &err);
        if (ok)
            fprintf(stderr, "accepted: %s\n", row[i].why);
        CHECK(!ok && err.code == ERROR_CORRUPT);
        schedule_train_clear(&bad);
    }
    double sigmas[1];
    struct error err = {0};
    const struct schedule_inputs in = {t, false};
    CHECK(!schedule_build(sigmas, SCHEDULE_KARRAS, 0, &in, &err) && err.code == ERROR_INVALID);
    CHECK(!schedule_build(sigmas, SCHEDULE_SIMPLE, 1000, &in, &err) && err.code == ERROR_INVALID);
    CHECK(!schedule_find("karas") && !schedule_unknown(&err, "karas"));
    CHECK(strstr(err.text, "karas") && strstr(err.text, "Align Your Steps") &&
          strstr(err.text, "Beta"));
}

static void removes_the_final_signal(void)
{
    struct schedule_betas betas = SD;
    struct schedule_train t;
    struct error err = {0};
    betas.zero_snr = true;
    CHECK(schedule_train_init(&t, &betas, &err));
    CHECK(is_near(t.sigma[0], 0.029167158151720367));
    CHECK(fabs(t.sigma[999] - 4096) < 0.01);
    /* tests/sampler_values.py */
    CHECK(is_near(t.sigma[1], 0.04206756583188511) && is_near(t.sigma[500], 1.7745574742873307));
    CHECK(is_near(t.sigma[990], 245.9545622503817) && is_near(t.sigma[998], 2254.2379783370716));
    schedule_train_clear(&t);
}

/* The quantiles of Beta(0.6, 0.6) at 1, 3/4, 1/2 and 1/4 are 1, 0.815..., 0.5 and 0.184...: the
 * middle one and the symmetry are exact, whatever the series does. */
static void spreads_beta_symmetrically(const struct schedule_train *t)
{
    double s[5];
    struct error err = {0};
    const struct schedule_inputs in = {t, false};
    CHECK(schedule_build(s, SCHEDULE_BETA, 4, &in, &err));
    CHECK(is_near(s[0], t->sigma[999]) && is_near(s[2], schedule_sigma(t, 499.5)));
    CHECK(fabs(schedule_timestep(t, s[1]) + schedule_timestep(t, s[3]) - 999) < 1e-6);
    CHECK(schedule_timestep(t, s[3]) > 165 && schedule_timestep(t, s[3]) < 205);
}

static void enters_in_the_middle(void)
{
    static const struct {
        int n_steps;
        double strength;
        int start;
    } row[] = {{10, 0.6, 4}, {8, 0.25, 6}, {4, 1.0, 0}, {20, 0, 20}, {1, 0.5, 1}, {50, 0.75, 13}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        CHECK(schedule_img2img_start(row[i].n_steps, row[i].strength) == row[i].start);
}

static void check_schedule(const struct schedule_train *t, const char *key, const json_t *want)
{
    char name[32];
    double got[64];
    struct error err = {0};
    const char *dot = strchr(key, '.');
    const int n = (int)strtol(dot + 1, NULL, 10);
    snprintf(name, sizeof name, "%.*s", (int)(dot - key), key);
    const struct schedule *s = schedule_find(name);
    const struct schedule_inputs in = {t, false};
    CHECK(s && n < 64 && json_array_size(want) == (size_t)n + 1);
    CHECK(s && schedule_build(got, s->kind, n, &in, &err));
    for (int i = 0; i <= n; i++)
        CHECK(is_near(got[i], json_number_value(json_array_get(want, (size_t)i))));
}

static bool repeats_the_reference(const struct schedule_train *t)
{
    const char *refs = getenv("DAPI_REFS");
    char path[1024];
    snprintf(path, sizeof path, "%s/expect/samplers.json", refs ? refs : "../shared/refs");
    json_t *root = json_load_file(path, 0, NULL);
    if (!root) {
        fprintf(stderr, "no reference numbers: %s\n", path);
        return false;
    }
    size_t i;
    const char *key;
    json_t *value;
    json_array_foreach(json_object_get(root, "train_sigmas_every_37"), i, value)
        CHECK(is_near(t->sigma[i * 37], json_number_value(value)));
    json_object_foreach(json_object_get(root, "schedules"), key, value)
        check_schedule(t, key, value);
    json_decref(root);
    return true;
}

int main(void)
{
    struct schedule_train t;
    struct error err = {0};
    if (!schedule_train_init(&t, &SD, &err))
        return 1;
    gives_known_sigmas(&t);
    falls_to_zero_for_every_row(&t);
    maps_sigma_to_timestep_and_back(&t);
    refuses_bad_numbers(&t);
    removes_the_final_signal();
    spreads_beta_symmetrically(&t);
    enters_in_the_middle();
    const bool complete = repeats_the_reference(&t);
    schedule_train_clear(&t);
    return !complete && !test_failures ? 77 : TEST_END();
}
