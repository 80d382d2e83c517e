#include "sampler/sampler_internal.h"

#include <math.h>
#include <string.h>

struct sampler_options sampler_step_options(const struct sampler_run *r, double own_eta)
{
    struct sampler_options o = r->options ? *r->options : sampler_options_default;
    if (!(o.eta >= 0))
        o.eta = own_eta;
    return o;
}

struct sampler_step sampler_step_ancestral(double from, double to, double eta)
{
    struct sampler_step s;
    s.up = eta * sqrt(to * to * (from * from - to * to) / (from * from));
    if (s.up > to)
        s.up = to;
    s.down = sqrt(to * to - s.up * s.up);
    return s;
}

void sampler_step_mix(float *out, size_t n, double a, const float *x, double b, const float *y)
{
    for (size_t k = 0; k < n; k++)
        out[k] = (float)(a * (double)x[k] + b * (double)y[k]);
}

void sampler_step_mix3(float *out, size_t n, double a, const float *x, double b, const float *y,
                       double c, const float *z)
{
    for (size_t k = 0; k < n; k++)
        out[k] = (float)(a * (double)x[k] + b * (double)y[k] + c * (double)z[k]);
}

void sampler_step_euler(float *out, size_t n, const float *x, const float *denoised, double from,
                        double to)
{
    /* x + (x - denoised) / from * (to - from), with the terms collected. */
    sampler_step_mix(out, n, to / from, x, 1 - to / from, denoised);
}

bool sampler_step_draw(const struct sampler_run *r, float *row, double amount, double from,
                       double to, struct error *err)
{
    if (amount == 0) {
        memset(row, 0, r->n * sizeof *row);
        return true;
    }
    return r->noise(r->noise_ctx, row, r->n, from, to, err);
}

bool sampler_step_churn(const struct sampler_run *r, float *row, int i, double *sigma,
                        struct error *err)
{
    const struct sampler_options o = sampler_step_options(r, 0);
    const double from = r->sigmas[i];
    const double gamma = fmin(o.s_churn / r->n_steps, sqrt(2.0) - 1);

    *sigma = from;
    if (!(gamma > 0) || from < o.s_tmin || from > o.s_tmax)
        return true;
    *sigma = from * (1 + gamma);
    if (!r->noise(r->noise_ctx, row, r->n, *sigma, from, err))
        return false;
    const double amount = o.s_noise * sqrt(*sigma * *sigma - from * from);
    sampler_step_mix(r->x, r->n, 1, r->x, amount, row);
    return true;
}

void sampler_step_to_unit(const struct sampler_run *r)
{
    const double last = r->sigmas[r->n_steps];
    sampler_step_mix(r->x, r->n, 1 / sqrt(1 + last * last), r->x, 0, r->x);
}

bool sampler_step_slope(const struct sampler_run *r, float *slope, const float *x, double sigma,
                        struct error *err)
{
    if (!r->denoise(r->denoise_ctx, slope, x, sigma, err))
        return false;
    sampler_step_mix(slope, r->n, 1 / sigma, x, -1 / sigma, slope);
    return true;
}
