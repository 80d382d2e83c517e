#include "sampler/sampler_internal.h"

#include <math.h>

struct sampler_step sampler_step_ancestral(double from, double to)
{
    struct sampler_step s;
    s.up = sqrt(to * to * (from * from - to * to) / (from * from));
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

void sampler_step_euler(float *out, size_t n, const float *x, const float *denoised, double from,
                        double to)
{
    /* x + (x - denoised) / from * (to - from), with the terms collected. */
    sampler_step_mix(out, n, to / from, x, 1 - to / from, denoised);
}

bool sampler_step_noise(const struct sampler_run *r, float *row, double amount, double from,
                        double to, struct error *err)
{
    if (!r->noise(r->noise_ctx, row, r->n, from, to, err))
        return false;
    sampler_step_mix(r->x, r->n, 1, r->x, amount, row);
    return true;
}
