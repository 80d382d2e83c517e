/* The families of samplers behind sampler_rows, and the steps they share. */
#ifndef SAMPLER_SAMPLER_INTERNAL_H
#define SAMPLER_SAMPLER_INTERNAL_H

#include "sampler/sampler.h"

bool sampler_euler_run(const struct sampler_run *r, struct error *err);
bool sampler_euler_run_ancestral(const struct sampler_run *r, struct error *err);
bool sampler_euler_run_ddim(const struct sampler_run *r, struct error *err);
bool sampler_second_order_run_heun(const struct sampler_run *r, struct error *err);
bool sampler_second_order_run_dpm2(const struct sampler_run *r, struct error *err);
bool sampler_second_order_run_dpm2_ancestral(const struct sampler_run *r, struct error *err);
bool sampler_second_order_run_2s_ancestral(const struct sampler_run *r, struct error *err);
bool sampler_multistep_run_2m(const struct sampler_run *r, struct error *err);
bool sampler_multistep_run_lms(const struct sampler_run *r, struct error *err);

/* A step that falls to `down` and adds fresh noise of deviation `up` arrives at noise level `to`.
 */
struct sampler_step {
    double down, up;
};

/* k-diffusion's get_ancestral_step with eta 1. */
struct sampler_step sampler_step_ancestral(double from, double to);

/* x = a * x + b * y, in double.  out may be x. */
void sampler_step_mix(float *out, size_t n, double a, const float *x, double b, const float *y);

/* Euler's step of the probability-flow ODE from sigma `from` to `to`.  out may be x. */
void sampler_step_euler(float *out, size_t n, const float *x, const float *denoised, double from,
                        double to);

/* Adds amount * noise for the way from sigma `from` to `to` to r->x; row is room for the draw. */
bool sampler_step_noise(const struct sampler_run *r, float *row, double amount, double from,
                        double to, struct error *err) MUST_CHECK;

#endif
