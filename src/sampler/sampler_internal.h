/* The families of samplers behind sampler_rows, and the steps they share. */
#ifndef SAMPLER_SAMPLER_INTERNAL_H
#define SAMPLER_SAMPLER_INTERNAL_H

#include "sampler/sampler.h"

bool sampler_euler_run(const struct sampler_run *r, struct error *err);
bool sampler_euler_run_ancestral(const struct sampler_run *r, struct error *err);
bool sampler_euler_run_ddim(const struct sampler_run *r, struct error *err);
bool sampler_euler_run_lcm(const struct sampler_run *r, struct error *err);
bool sampler_second_order_run_heun(const struct sampler_run *r, struct error *err);
bool sampler_second_order_run_dpm2(const struct sampler_run *r, struct error *err);
bool sampler_second_order_run_dpm2_ancestral(const struct sampler_run *r, struct error *err);
bool sampler_second_order_run_2s_ancestral(const struct sampler_run *r, struct error *err);
bool sampler_multistep_run_2m(const struct sampler_run *r, struct error *err);
bool sampler_multistep_run_lms(const struct sampler_run *r, struct error *err);
bool sampler_multistep_run_plms(const struct sampler_run *r, struct error *err);
bool sampler_sde_run(const struct sampler_run *r, struct error *err);
bool sampler_sde_run_2m(const struct sampler_run *r, struct error *err);
bool sampler_sde_run_2m_heun(const struct sampler_run *r, struct error *err);
bool sampler_sde_run_3m(const struct sampler_run *r, struct error *err);
bool sampler_dpm_run_fast(const struct sampler_run *r, struct error *err);
bool sampler_dpm_run_adaptive(const struct sampler_run *r, struct error *err);
bool sampler_unipc_run(const struct sampler_run *r, struct error *err);

/* The run's options, with own_eta where they leave eta to the sampler. */
struct sampler_options sampler_step_options(const struct sampler_run *r, double own_eta);

/* A step that falls to `down` and adds fresh noise of deviation `up` arrives at noise level `to`.
 */
struct sampler_step {
    double down, up;
};

/* k-diffusion's get_ancestral_step. */
struct sampler_step sampler_step_ancestral(double from, double to, double eta);

/* x = a * x + b * y, in double.  out may be x. */
void sampler_step_mix(float *out, size_t n, double a, const float *x, double b, const float *y);

/* x = a * x + b * y + c * z, in double and rounded once.  out may be any of them. */
void sampler_step_mix3(float *out, size_t n, double a, const float *x, double b, const float *y,
                       double c, const float *z);

/* Euler's step of the probability-flow ODE from sigma `from` to `to`.  out may be x. */
void sampler_step_euler(float *out, size_t n, const float *x, const float *denoised, double from,
                        double to);

/* Writes the noise for the way from sigma `from` to `to` to row: zeroes, without a draw, where
 * amount is 0. */
bool sampler_step_draw(const struct sampler_run *r, float *row, double amount, double from,
                       double to, struct error *err) MUST_CHECK;

/* Karras et al. 2022, algorithm 2: raises r->x from sigmas[i] to *sigma, which is sigmas[i] where
 * there is no churn.  row is room for the draw. */
bool sampler_step_churn(const struct sampler_run *r, float *row, int i, double *sigma,
                        struct error *err) MUST_CHECK;

/* What becomes of a state at sigma `last` for samplers that were written for unit variance. */
void sampler_step_to_unit(const struct sampler_run *r);

/* denoise, and the slope dx/dsigma instead of the clean latent. */
bool sampler_step_slope(const struct sampler_run *r, float *slope, const float *x, double sigma,
                        struct error *err) MUST_CHECK;

#endif
