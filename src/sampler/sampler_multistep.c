/* One evaluation per step, with memory of earlier ones: DPM++ 2M, LMS and PLMS. */
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

static void add_slopes(const struct sampler_run *r, const double weight[LMS_ORDER],
                       const float *const slopes[LMS_ORDER])
{
    for (size_t k = 0; k < r->n; k++) {
        double x = (double)r->x[k];
        for (int j = 0; j < LMS_ORDER; j++)
            x += weight[j] * (double)slopes[j][k];
        r->x[k] = (float)x;
    }
}

/* Adams and Bashforth on unequal steps, as in k-diffusion. */
bool sampler_multistep_run_lms(const struct sampler_run *r, struct error *err)
{
    for (int i = 0; i < r->n_steps; i++) {
        float *slope = r->scratch + (size_t)(i % LMS_ORDER) * r->n;
        if (!sampler_step_slope(r, slope, r->x, r->sigmas[i], err))
            return false;

        const int order = i + 1 < LMS_ORDER ? i + 1 : LMS_ORDER;
        double weight[LMS_ORDER] = {0};
        const float *slopes[LMS_ORDER] = {slope, slope, slope, slope};
        for (int j = 0; j < order; j++) {
            weight[j] = lms_weight(r->sigmas, i, order, j);
            slopes[j] = r->scratch + (size_t)((i - j) % LMS_ORDER) * r->n;
        }
        add_slopes(r, weight, slopes);
    }
    return true;
}

/* PLMS starts with the mean of the slopes at both ends of the step.  Rows 1 and 2 are still free.
 */
static bool start_plms(const struct sampler_run *r, const float *slope, struct error *err)
{
    float *there = r->scratch + r->n, *slope_there = there + r->n;
    const double step = r->sigmas[1] - r->sigmas[0];

    sampler_step_mix(there, r->n, 1, r->x, step, slope);
    if (!sampler_step_slope(r, slope_there, there, r->sigmas[1], err))
        return false;
    sampler_step_mix3(r->x, r->n, 1, r->x, step / 2, slope, step / 2, slope_there);
    return true;
}

/* Liu et al. 2022, "Pseudo numerical methods for diffusion models": Adams and Bashforth's weights
 * for equal steps, on the slopes of DDIM.  A single step is Euler's. */
bool sampler_multistep_run_plms(const struct sampler_run *r, struct error *err)
{
    static const double adams[LMS_ORDER][LMS_ORDER] = {
        {1},
        {3.0 / 2, -1.0 / 2},
        {23.0 / 12, -16.0 / 12, 5.0 / 12},
        {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24},
    };
    for (int i = 0; i < r->n_steps; i++) {
        float *slope = r->scratch + (size_t)(i % LMS_ORDER) * r->n;
        if (!sampler_step_slope(r, slope, r->x, r->sigmas[i], err))
            return false;
        if (i == 0 && r->n_steps > 1) {
            if (!start_plms(r, slope, err))
                return false;
            continue;
        }
        const int order = i + 1 < LMS_ORDER ? i + 1 : LMS_ORDER;
        double weight[LMS_ORDER] = {0};
        const float *slopes[LMS_ORDER] = {slope, slope, slope, slope};
        for (int j = 0; j < order; j++) {
            weight[j] = adams[order - 1][j] * (r->sigmas[i + 1] - r->sigmas[i]);
            slopes[j] = r->scratch + (size_t)((i - j) % LMS_ORDER) * r->n;
        }
        add_slopes(r, weight, slopes);
    }
    sampler_step_to_unit(r);
    return true;
}
