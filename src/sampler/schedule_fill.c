#include "sampler/schedule_fill.h"

#include <math.h>

static double sigma_min(const struct schedule_inputs *in)
{
    return in->train->sigma[0];
}

static double sigma_max(const struct schedule_inputs *in)
{
    return in->train->sigma[in->train->n - 1];
}

/* Place i of n equal ones from 0 to 1, both ends included; a single one stands at 0. */
static double ramp(int i, int n)
{
    return n > 1 ? (double)i / (n - 1) : 0;
}

/* k-diffusion's get_sigmas. */
void schedule_fill_uniform(double *sigmas, int n, const struct schedule_inputs *in)
{
    for (int i = 0; i < n; i++)
        sigmas[i] = schedule_sigma(in->train, (in->train->n - 1) * (1 - ramp(i, n)));
}

/* Karras et al. 2022, equation 5, with rho = 7. */
void schedule_fill_karras(double *sigmas, int n, const struct schedule_inputs *in)
{
    const double rho = 7, from = pow(sigma_max(in), 1 / rho), to = pow(sigma_min(in), 1 / rho);
    for (int i = 0; i < n; i++)
        sigmas[i] = pow(from + ramp(i, n) * (to - from), rho);
}

/* Polyexponential with rho = 1, its default, is the same. */
void schedule_fill_exponential(double *sigmas, int n, const struct schedule_inputs *in)
{
    const double from = log(sigma_max(in)), to = log(sigma_min(in));
    for (int i = 0; i < n; i++)
        sigmas[i] = exp(from + ramp(i, n) * (to - from));
}

/* Stability's spacing: one more timestep than steps, the last one dropped. */
void schedule_fill_sgm_uniform(double *sigmas, int n, const struct schedule_inputs *in)
{
    for (int i = 0; i < n; i++)
        sigmas[i] = schedule_sigma(in->train, (in->train->n - 1) * (1 - (double)i / n));
}

/* "Align Your Steps" (Sabour et al. 2024), the closed form for a Gaussian. */
void schedule_fill_kl_optimal(double *sigmas, int n, const struct schedule_inputs *in)
{
    const double from = atan(sigma_max(in)), to = atan(sigma_min(in));
    for (int i = 0; i < n; i++)
        sigmas[i] = tan(from + ramp(i, n) * (to - from));
}

/* The tables of the same paper, with log-linear interpolation between their 11 points. */
void schedule_fill_align_your_steps(double *sigmas, int n, const struct schedule_inputs *in)
{
    enum { POINTS = 11 };
    static const double sd1[POINTS] = {14.615, 6.475, 3.861, 2.697, 1.886, 1.396,
                                       0.963,  0.652, 0.399, 0.152, 0.029};
    static const double sdxl[POINTS] = {14.615, 6.315, 3.771, 2.181, 1.342, 0.862,
                                        0.555,  0.380, 0.234, 0.113, 0.029};
    const double *points = in->sdxl ? sdxl : sd1;

    for (int i = 0; i < n; i++) {
        const double place = ramp(i, n) * (POINTS - 1);
        const int low = place >= POINTS - 1 ? POINTS - 2 : (int)place;
        const double part = place - low;
        sigmas[i] = exp((1 - part) * log(points[low]) + part * log(points[low + 1]));
    }
}

void schedule_fill_simple(double *sigmas, int n, const struct schedule_inputs *in)
{
    const double stride = (double)in->train->n / n;
    for (int i = 0; i < n; i++)
        sigmas[i] = in->train->sigma[in->train->n - 1 - (int)(i * stride)];
}

/* diffusers' "leading" spacing with steps_offset 1. */
void schedule_fill_ddim(double *sigmas, int n, const struct schedule_inputs *in)
{
    const int stride = in->train->n / n;
    for (int i = 0; i < n; i++)
        sigmas[i] = in->train->sigma[(n - 1 - i) * stride + 1];
}

/* Distribution function of Beta(0.6, 0.6) at x <= 1/2, by the power series of the incomplete beta
 * function (DLMF 8.17.8): the terms fall at least as fast as 2^-k. */
static double beta_distribution(double x)
{
    const double a = 0.6;
    const double whole = exp(2 * lgamma(a) - lgamma(2 * a));
    double term = 1, sum = 1 / a;
    for (int k = 1; k < 80; k++) {
        term *= (k - a) / k * x;
        sum += term / (a + k);
    }
    return pow(x, a) * sum / whole;
}

static double beta_quantile(double p)
{
    if (p > 0.5) /* the distribution is symmetric */
        return 1 - beta_quantile(1 - p);
    double low = 0, high = 0.5;
    for (int i = 0; i < 60; i++) {
        const double mid = (low + high) / 2;
        if (beta_distribution(mid) < p)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

/* "Beta sampling is all you need" (Lee et al. 2024). */
void schedule_fill_beta(double *sigmas, int n, const struct schedule_inputs *in)
{
    for (int i = 0; i < n; i++)
        sigmas[i] =
            schedule_sigma(in->train, beta_quantile(1 - (double)i / n) * (in->train->n - 1));
}
