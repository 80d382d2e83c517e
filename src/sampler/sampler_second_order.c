/* Two evaluations of the model per step: Heun, DPM2, DPM2 ancestral, DPM++ 2S ancestral.  Where a
 * step ends without noise they all fall back to Euler's, as k-diffusion does. */
#include "sampler/sampler_internal.h"

#include <math.h>

static bool denoise_step(const struct sampler_run *r, float *out, const float *x, double sigma,
                         struct error *err)
{
    return r->denoise(r->denoise_ctx, out, x, sigma, err);
}

/* Karras et al. 2022, algorithm 2. */
bool sampler_second_order_run_heun(const struct sampler_run *r, struct error *err)
{
    float *denoised = r->scratch, *there = denoised + r->n, *denoised_there = there + r->n;

    for (int i = 0; i < r->n_steps; i++) {
        const double to = r->sigmas[i + 1];
        double from;
        if (!sampler_step_churn(r, denoised, i, &from, err) ||
            !denoise_step(r, denoised, r->x, from, err))
            return false;
        if (to == 0) {
            sampler_step_euler(r->x, r->n, r->x, denoised, from, to);
            continue;
        }
        sampler_step_euler(there, r->n, r->x, denoised, from, to);
        if (!denoise_step(r, denoised_there, there, to, err))
            return false;
        for (size_t k = 0; k < r->n; k++) {
            const double slope = ((double)r->x[k] - (double)denoised[k]) / from;
            const double slope_there = ((double)there[k] - (double)denoised_there[k]) / to;
            r->x[k] = (float)((double)r->x[k] + (slope + slope_there) / 2 * (to - from));
        }
    }
    return true;
}

/* Walks from `from` to `to` with the slope at their geometric mean, and adds up * noise.  denoised
 * holds the guess at `from`, and is overwritten. */
static bool midpoint_step(const struct sampler_run *r, float *denoised, double from, double to,
                          double up, const float *noise, struct error *err)
{
    float *middle = r->scratch + r->n;
    const double mid = sqrt(from * to);

    sampler_step_euler(middle, r->n, r->x, denoised, from, mid);
    if (!denoise_step(r, denoised, middle, mid, err))
        return false;
    for (size_t k = 0; k < r->n; k++) {
        const double slope = ((double)middle[k] - (double)denoised[k]) / mid;
        const double more = noise ? up * (double)noise[k] : 0;
        r->x[k] = (float)((double)r->x[k] + slope * (to - from) + more);
    }
    return true;
}

bool sampler_second_order_run_dpm2(const struct sampler_run *r, struct error *err)
{
    float *denoised = r->scratch;

    for (int i = 0; i < r->n_steps; i++) {
        const double to = r->sigmas[i + 1];
        double from;
        if (!sampler_step_churn(r, denoised, i, &from, err) ||
            !denoise_step(r, denoised, r->x, from, err))
            return false;
        if (to == 0)
            sampler_step_euler(r->x, r->n, r->x, denoised, from, to);
        else if (!midpoint_step(r, denoised, from, to, 0, NULL, err))
            return false;
    }
    return true;
}

bool sampler_second_order_run_dpm2_ancestral(const struct sampler_run *r, struct error *err)
{
    const struct sampler_options o = sampler_step_options(r, 1);
    float *denoised = r->scratch, *noise = denoised + 2 * r->n;

    for (int i = 0; i < r->n_steps; i++) {
        const double from = r->sigmas[i], to = r->sigmas[i + 1];
        const struct sampler_step part = sampler_step_ancestral(from, to, o.eta);
        if (!denoise_step(r, denoised, r->x, from, err) ||
            !sampler_step_draw(r, noise, part.up, from, to, err))
            return false;
        if (part.down == 0)
            sampler_step_mix(r->x, r->n, 1, denoised, part.up * o.s_noise, noise);
        else if (!midpoint_step(r, denoised, from, part.down, part.up * o.s_noise, noise, err))
            return false;
    }
    return true;
}

/* Lu et al. 2022, DPM-Solver++(2S), in log sigma with the middle at r = 1/2, on ancestral steps.
 * With sigma(t) = exp(-t) the factor exp(-h) is a quotient of sigmas, and -expm1(-h) is 1 minus it.
 */
bool sampler_second_order_run_2s_ancestral(const struct sampler_run *r, struct error *err)
{
    const struct sampler_options o = sampler_step_options(r, 1);
    float *denoised = r->scratch, *middle = denoised + r->n;

    for (int i = 0; i < r->n_steps; i++) {
        const double from = r->sigmas[i], to = r->sigmas[i + 1];
        const struct sampler_step part = sampler_step_ancestral(from, to, o.eta);
        const double mid = sqrt(from * part.down), keep = part.down / from;
        if (!denoise_step(r, denoised, r->x, from, err))
            return false;
        if (part.down > 0) {
            sampler_step_euler(middle, r->n, r->x, denoised, from, mid);
            if (!denoise_step(r, denoised, middle, mid, err))
                return false;
        }
        if (!sampler_step_draw(r, middle, part.up, from, to, err))
            return false;
        sampler_step_mix3(r->x, r->n, keep, r->x, 1 - keep, denoised, part.up * o.s_noise, middle);
    }
    return true;
}
