/* First order: Euler, Euler ancestral, DDIM, LCM. */
#include "sampler/sampler_internal.h"

#include <math.h>

/* Karras et al. 2022, algorithm 2 without the second-order correction. */
bool sampler_euler_run(const struct sampler_run *r, struct error *err)
{
    float *denoised = r->scratch;

    for (int i = 0; i < r->n_steps; i++) {
        double from;
        if (!sampler_step_churn(r, denoised, i, &from, err) ||
            !r->denoise(r->denoise_ctx, denoised, r->x, from, err))
            return false;
        sampler_step_euler(r->x, r->n, r->x, denoised, from, r->sigmas[i + 1]);
    }
    return true;
}

static bool run_ancestral(const struct sampler_run *r, double own_eta, struct error *err)
{
    const struct sampler_options o = sampler_step_options(r, own_eta);
    float *denoised = r->scratch, *noise = denoised + r->n;

    for (int i = 0; i < r->n_steps; i++) {
        const double from = r->sigmas[i], to = r->sigmas[i + 1];
        const struct sampler_step part = sampler_step_ancestral(from, to, o.eta);
        if (!r->denoise(r->denoise_ctx, denoised, r->x, from, err) ||
            !sampler_step_draw(r, noise, part.up, from, to, err))
            return false;
        const double keep = part.down / from;
        sampler_step_mix3(r->x, r->n, keep, r->x, 1 - keep, denoised, part.up * o.s_noise, noise);
    }
    return true;
}

bool sampler_euler_run_ancestral(const struct sampler_run *r, struct error *err)
{
    return run_ancestral(r, 1, err);
}

/* Song et al. 2020.  In x / sqrt(alpha) its update is the ancestral one, with Euler's as the case
 * of eta 0, so only the scale of what comes out differs: the state of unit variance at the last
 * sigma, which is not 0. */
bool sampler_euler_run_ddim(const struct sampler_run *r, struct error *err)
{
    if (!run_ancestral(r, 0, err))
        return false;
    sampler_step_to_unit(r);
    return true;
}

/* Luo et al. 2023, "Latent consistency models", algorithm 3: the clean latent, noised anew.  Their
 * boundary scaling is left out: it differs from 1 by less than 1e-5 from timestep 20 on. */
bool sampler_euler_run_lcm(const struct sampler_run *r, struct error *err)
{
    const struct sampler_options o = sampler_step_options(r, 1);
    float *denoised = r->scratch, *noise = denoised + r->n;

    for (int i = 0; i < r->n_steps; i++) {
        const double from = r->sigmas[i], to = r->sigmas[i + 1];
        if (!r->denoise(r->denoise_ctx, denoised, r->x, from, err) ||
            !sampler_step_draw(r, noise, to, from, to, err))
            return false;
        sampler_step_mix(r->x, r->n, 1, denoised, to * o.s_noise, noise);
    }
    return true;
}
