#include "sampler/sampler.h"

#include "sampler/sampler_internal.h"
#include "sampler/sampler_name.h"

#include <math.h>
#include <string.h>

const struct sampler_options sampler_options_default = {
    .eta = -1, .s_tmax = (double)INFINITY, .s_noise = 1};

const struct sampler sampler_rows[] = {
    {.name = "Euler",
     .aliases = {"k_euler"},
     .n_scratch = 1,
     .evaluations = 1,
     .schedule = SCHEDULE_UNIFORM,
     .run = sampler_euler_run},
    {.name = "Euler a",
     .aliases = {"k_euler_a", "k_euler_ancestral", "euler_ancestral"},
     .n_scratch = 2,
     .evaluations = 1,
     .schedule = SCHEDULE_UNIFORM,
     .noise = SAMPLER_NOISE_DRAWN,
     .eta = 1,
     .run = sampler_euler_run_ancestral},
    {.name = "Heun",
     .aliases = {"k_heun"},
     .n_scratch = 3,
     .evaluations = 2,
     .schedule = SCHEDULE_UNIFORM,
     .run = sampler_second_order_run_heun},
    {.name = "DPM2",
     .aliases = {"k_dpm_2", "dpm_2"},
     .n_scratch = 2,
     .evaluations = 2,
     .schedule = SCHEDULE_KARRAS,
     .discards_penultimate = true,
     .run = sampler_second_order_run_dpm2},
    {.name = "DPM2 a",
     .aliases = {"k_dpm_2_a", "k_dpm_2_ancestral", "dpm_2_a", "dpm_2_ancestral"},
     .n_scratch = 3,
     .evaluations = 2,
     .schedule = SCHEDULE_KARRAS,
     .discards_penultimate = true,
     .noise = SAMPLER_NOISE_DRAWN,
     .eta = 1,
     .run = sampler_second_order_run_dpm2_ancestral},
    {.name = "DPM++ 2S a",
     .aliases = {"k_dpmpp_2s_a", "k_dpmpp_2s_ancestral", "dpmpp_2s_a", "dpmpp_2s_ancestral"},
     .n_scratch = 2,
     .evaluations = 2,
     .schedule = SCHEDULE_KARRAS,
     .noise = SAMPLER_NOISE_DRAWN,
     .eta = 1,
     .run = sampler_second_order_run_2s_ancestral},
    {.name = "DPM++ 2M",
     .aliases = {"k_dpmpp_2m", "dpmpp_2m"},
     .n_scratch = 2,
     .evaluations = 1,
     .schedule = SCHEDULE_KARRAS,
     .run = sampler_multistep_run_2m},
    {.name = "DPM++ SDE",
     .aliases = {"k_dpmpp_sde", "dpmpp_sde"},
     .n_scratch = 2,
     .evaluations = 2,
     .schedule = SCHEDULE_KARRAS,
     .noise = SAMPLER_NOISE_BROWNIAN,
     .eta = 1,
     .run = sampler_sde_run},
    {.name = "DPM++ 2M SDE",
     .aliases = {"k_dpmpp_2m_sde", "dpmpp_2m_sde"},
     .n_scratch = 3,
     .evaluations = 1,
     .schedule = SCHEDULE_EXPONENTIAL,
     .noise = SAMPLER_NOISE_BROWNIAN,
     .eta = 1,
     .run = sampler_sde_run_2m},
    {.name = "DPM++ 2M SDE Heun",
     .aliases = {"k_dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun"},
     .n_scratch = 3,
     .evaluations = 1,
     .schedule = SCHEDULE_EXPONENTIAL,
     .noise = SAMPLER_NOISE_BROWNIAN,
     .eta = 1,
     .run = sampler_sde_run_2m_heun},
    {.name = "DPM++ 3M SDE",
     .aliases = {"k_dpmpp_3m_sde", "dpmpp_3m_sde"},
     .n_scratch = 4,
     .evaluations = 1,
     .schedule = SCHEDULE_EXPONENTIAL,
     .discards_penultimate = true,
     .noise = SAMPLER_NOISE_BROWNIAN,
     .eta = 1,
     .run = sampler_sde_run_3m},
    {.name = "DPM fast",
     .aliases = {"k_dpm_fast", "dpm_fast"},
     .n_scratch = 4,
     .evaluations = 1,
     .schedule = SCHEDULE_SGM_UNIFORM,
     .keeps_own_schedule = true,
     .ends_trained = true,
     .run = sampler_dpm_run_fast},
    {.name = "DPM adaptive",
     .aliases = {"k_dpm_adaptive", "k_dpm_ad", "dpm_adaptive"},
     .n_scratch = 5,
     .evaluations = 1,
     .typical_evaluations = 36,
     .schedule = SCHEDULE_SGM_UNIFORM,
     .keeps_own_schedule = true,
     .ends_trained = true,
     .run = sampler_dpm_run_adaptive},
    {.name = "LMS",
     .aliases = {"k_lms"},
     .n_scratch = 4,
     .evaluations = 1,
     .schedule = SCHEDULE_UNIFORM,
     .run = sampler_multistep_run_lms},
    {.name = "DDIM",
     .n_scratch = 2,
     .evaluations = 1,
     .schedule = SCHEDULE_DDIM,
     .ends_trained = true,
     .starts_unit = true,
     .run = sampler_euler_run_ddim},
    {.name = "PLMS",
     .n_scratch = 4,
     .evaluations = 1,
     .more_evaluations = 1,
     .schedule = SCHEDULE_DDIM,
     .ends_trained = true,
     .starts_unit = true,
     .run = sampler_multistep_run_plms},
    {.name = "UniPC",
     .aliases = {"uni_pc"},
     .n_scratch = 5,
     .evaluations = 1,
     .schedule = SCHEDULE_SGM_UNIFORM,
     .ends_trained = true,
     .starts_unit = true,
     .run = sampler_unipc_run},
    {.name = "LCM",
     .aliases = {"k_lcm"},
     .n_scratch = 2,
     .evaluations = 1,
     .schedule = SCHEDULE_SGM_UNIFORM,
     .noise = SAMPLER_NOISE_DRAWN,
     .eta = 1,
     .run = sampler_euler_run_lcm},
    {.name = NULL},
};

static const struct sampler *find_plain(const char *text, size_t len)
{
    for (const struct sampler *s = sampler_rows; s->name; s++) {
        if (sampler_name_same(text, len, s->name))
            return s;
        for (int i = 0; i < SAMPLER_MAX_ALIASES && s->aliases[i]; i++)
            if (sampler_name_same(text, len, s->aliases[i]))
                return s;
    }
    return NULL;
}

const struct sampler *sampler_find(const char *name, enum schedule_kind *schedule)
{
    enum schedule_kind ignored;
    if (!schedule)
        schedule = &ignored;
    *schedule = SCHEDULE_AUTOMATIC;

    const size_t len = strlen(name);
    const struct sampler *s = find_plain(name, len);
    for (size_t i = 0; !s && i < SCHEDULE_KINDS; i++) {
        const size_t tail = strlen(schedule_rows[i].name);
        if (len <= tail + 1 || (name[len - tail - 1] != ' ' && name[len - tail - 1] != '_') ||
            !sampler_name_same(name + len - tail, tail, schedule_rows[i].name))
            continue;
        s = find_plain(name, len - tail - 1);
        if (s)
            *schedule = schedule_rows[i].kind;
    }
    return s;
}

bool sampler_unknown(struct error *err, const char *name)
{
    char list[480] = "";
    for (const struct sampler *s = sampler_rows; s->name; s++)
        sampler_name_list(list, sizeof list, s->name);
    return error_set(err, ERROR_INVALID, "there is no sampler '%.60s'; there are %s", name, list);
}

bool sampler_sigmas(double *sigmas, const struct sampler *s, enum schedule_kind schedule,
                    int n_steps, const struct schedule_inputs *in, struct error *err)
{
    const bool own = schedule == SCHEDULE_AUTOMATIC || s->keeps_own_schedule;
    const enum schedule_kind kind = own ? s->schedule : schedule;
    if (n_steps < 1 || n_steps >= SCHEDULE_MAX_STEPS)
        return error_set(err, ERROR_INVALID, "%d steps; 1 to %d are possible", n_steps,
                         SCHEDULE_MAX_STEPS - 1);
    if (!schedule_build(sigmas, kind, s->discards_penultimate ? n_steps + 1 : n_steps, in, err))
        return false;
    if (s->discards_penultimate)
        sigmas[n_steps] = sigmas[n_steps + 1];
    if (s->ends_trained && kind == s->schedule)
        sigmas[n_steps] = in->train->sigma[0];
    return true;
}

double sampler_noise_scale(const struct sampler *s, double sigma)
{
    return s->starts_unit ? sqrt(1 + sigma * sigma) : sigma;
}

int sampler_evaluations(const struct sampler *s, int n_steps)
{
    if (s->typical_evaluations && n_steps > 0)
        return s->typical_evaluations;
    if (n_steps < 2)
        return n_steps < 1 ? 0 : 1;
    return s->evaluations * (n_steps - 1) + 1 + s->more_evaluations;
}

double sampler_progress(const struct sampler *s, double made, double expected)
{
    const double tail = 1.0 / 8, part = made / fmax(1, expected);
    if ((s && !s->typical_evaluations) || part <= 1 - tail)
        return part;
    return 1 - tail * tail / (part - 1 + 2 * tail); /* begins with the slope the line had */
}
