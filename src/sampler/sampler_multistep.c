/* One evaluation per step, with memory of earlier ones: DPM++ 2M and LMS. */
#include "sampler/sampler_internal.h"

#include <math.h>

enum { LMS_ORDER = 4 };

/* Lu et al. 2022, DPM-Solver++(2M), in log sigma. */
bool sampler_multistep_run_2m(const struct sampler_run *r, struct error *err)
{
    float *denoised = r->scratch, *before = denoised + r->n;

    for (int i = 0; i < r->n_steps; i++) {
        const double from = r->sigmas[i], to = r->sigmas[i + 1], keep = to / from;
        if (!r->denoise(r->denoise_ctx, denoised, r->x, from, err))
            return false;
        if (i == 0 || to == 0) {
            sampler_step_euler(r->x, r->n, r->x, denoised, from, to);
        } else {
            const double ratio = log(r->sigmas[i - 1] / from) / log(from / to);
            const double extra = 1 / (2 * ratio);
            for (size_t k = 0; k < r->n; k++) {
                const double guess = (1 + extra) * (double)denoised[k] - extra * (double)before[k];
                r->x[k] = (float)(keep * (double)r->x[k] + (1 - keep) * guess);
            }
        }
        float *swap = before;
        before = denoised;
        denoised = swap;
    }
    return true;
}

/* Lagrange's basis polynomial of node j among sigmas[i], sigmas[i - 1], ... at sigma. */
static double lagrange(const double *sigmas, int i, int order, int j, double sigma)
{
    double product = 1;
    for (int k = 0; k < order; k++)
        if (k != j)
            product *= (sigma - sigmas[i - k]) / (sigmas[i - j] - sigmas[i - k]);
    return product;
}

/* Its integral over the step.  Gauss' rule with two points is exact for the cubics of order 4. */
static double lms_weight(const double *sigmas, int i, int order, int j)
{
    const double middle = (sigmas[i] + sigmas[i + 1]) / 2, half = (sigmas[i + 1] - sigmas[i]) / 2;
    const double offset = half / sqrt(3.0);
    return half * (lagrange(sigmas, i, order, j, middle - offset) +
                   lagrange(sigmas, i, order, j, middle + offset));
}

/* Adams and Bashforth on unequal steps, as in k-diffusion. */
bool sampler_multistep_run_lms(const struct sampler_run *r, struct error *err)
{
    for (int i = 0; i < r->n_steps; i++) {
        float *slope = r->scratch + (size_t)(i % LMS_ORDER) * r->n;
        if (!r->denoise(r->denoise_ctx, slope, r->x, r->sigmas[i], err))
            return false;
        sampler_step_mix(slope, r->n, 1 / r->sigmas[i], r->x, -1 / r->sigmas[i], slope);

        const int order = i + 1 < LMS_ORDER ? i + 1 : LMS_ORDER;
        double weight[LMS_ORDER] = {0};
        const float *slopes[LMS_ORDER] = {slope, slope, slope, slope};
        for (int j = 0; j < order; j++) {
            weight[j] = lms_weight(r->sigmas, i, order, j);
            slopes[j] = r->scratch + (size_t)((i - j) % LMS_ORDER) * r->n;
        }
        for (size_t k = 0; k < r->n; k++) {
            double x = (double)r->x[k];
            for (int j = 0; j < LMS_ORDER; j++)
                x += weight[j] * (double)slopes[j][k];
            r->x[k] = (float)x;
        }
    }
    return true;
}
