/* First order: Euler, Euler ancestral, DDIM. */
#include "sampler/sampler_internal.h"

#include <math.h>

/* Karras et al. 2022, algorithm 1 without the second-order correction. */
bool sampler_euler_run(const struct sampler_run *r, struct error *err)
{
    float *denoised = r->scratch;

    for (int i = 0; i < r->n_steps; i++) {
        if (!r->denoise(r->denoise_ctx, denoised, r->x, r->sigmas[i], err))
            return false;
        sampler_step_euler(r->x, r->n, r->x, denoised, r->sigmas[i], r->sigmas[i + 1]);
    }
    return true;
}

bool sampler_euler_run_ancestral(const struct sampler_run *r, struct error *err)
{
    float *denoised = r->scratch;

    for (int i = 0; i < r->n_steps; i++) {
        const struct sampler_step to = sampler_step_ancestral(r->sigmas[i], r->sigmas[i + 1]);
        if (!r->denoise(r->denoise_ctx, denoised, r->x, r->sigmas[i], err))
            return false;
        sampler_step_euler(r->x, r->n, r->x, denoised, r->sigmas[i], to.down);
        if (r->sigmas[i + 1] > 0 &&
            !sampler_step_noise(r, denoised, to.up, r->sigmas[i], r->sigmas[i + 1], err))
            return false;
    }
    return true;
}

/* Song et al. 2020 with eta 0.  In x / sqrt(alpha) its update is Euler's, so only the scale of what
 * comes out differs: the state of unit variance at the last sigma, which is not 0. */
bool sampler_euler_run_ddim(const struct sampler_run *r, struct error *err)
{
    if (!sampler_euler_run(r, err))
        return false;
    const double last = r->sigmas[r->n_steps];
    sampler_step_mix(r->x, r->n, 1 / sqrt(1 + last * last), r->x, 0, r->x);
    return true;
}
