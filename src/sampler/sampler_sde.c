/* DPM-Solver++ for the diffusion SDE (Lu et al. 2022, section 5), as k-diffusion has it:
 * single-step, and multistep of second and third order.  Time is -log sigma; steps have length h in
 * it. */
#include "sampler/sampler_internal.h"

#include <math.h>

/* Walks from r->x at `from` towards `to` with one guess of the clean latent; noise is room for the
 * draw, and may be out. */
static bool walk(const struct sampler_run *r, float *out, const float *guess, float *noise,
                 double from, double to, struct error *err)
{
    const struct sampler_options o = sampler_step_options(r, 1);
    const struct sampler_step part = sampler_step_ancestral(from, to, o.eta);
    const double keep = part.down / from;

    if (!sampler_step_draw(r, noise, part.up, from, to, err))
        return false;
    sampler_step_mix3(out, r->n, keep, r->x, 1 - keep, guess, part.up * o.s_noise, noise);
    return true;
}

/* With the middle at half of h, the second guess alone decides on the step. */
bool sampler_sde_run(const struct sampler_run *r, struct error *err)
{
    float *denoised = r->scratch, *middle = denoised + r->n;

    for (int i = 0; i < r->n_steps; i++) {
        const double from = r->sigmas[i], to = r->sigmas[i + 1], mid = sqrt(from * to);
        if (!r->denoise(r->denoise_ctx, denoised, r->x, from, err))
            return false;
        if (to == 0)
            sampler_step_euler(r->x, r->n, r->x, denoised, from, to);
        else if (!walk(r, middle, denoised, middle, from, mid, err) ||
                 !r->denoise(r->denoise_ctx, denoised, middle, mid, err) ||
                 !walk(r, r->x, denoised, middle, from, to, err))
            return false;
    }
    return true;
}

/* What a multistep update is made of:
 * x = keep * x + now * guess + before * (the last) + oldest * (the one before that) + up * noise.
 */
struct weights {
    double keep, now, before, oldest, up;
};

static struct weights first_order(double h, double to, double eta)
{
    const double keep = exp(-h * (1 + eta));
    return (struct weights){.keep = keep, .now = 1 - keep, .up = to * sqrt(-expm1(-2 * eta * h))};
}

/* Two guesses; h_last is the length of the step before. */
static void add_second_order(struct weights *w, bool heun, double h, double h_last, double eta)
{
    const double q = h * (1 + eta), gone = -expm1(-q);
    const double slope = (heun ? 1 - gone / q : gone / 2) * h / h_last;
    w->now += slope;
    w->before -= slope;
}

/* Three guesses: d1 and d2 are the derivatives of the parabola through them, in units of h. */
static void add_third_order(struct weights *w, double h, const double h_last[2], double eta)
{
    const double q = h * (1 + eta);
    const double phi2 = 1 + expm1(-q) / q, phi3 = phi2 / q - 0.5;
    const double r0 = h_last[0] / h, r1 = h_last[1] / h;
    /* d1 = d10 + (d10 - d11) r0 / (r0 + r1), d2 = (d10 - d11) / (r0 + r1), and phi2 d1 - phi3 d2 is
     * added, with d10 = (now - before) / r0 and d11 = (before - oldest) / r1. */
    const double both = (phi2 * r0 - phi3) / (r0 + r1);
    const double d10 = (phi2 + both) / r0, d11 = -both / r1;
    w->now += d10;
    w->before += d11 - d10;
    w->oldest -= d11;
}

static void apply(const struct sampler_run *r, const struct weights *w, float *const guess[3],
                  const float *noise)
{
    for (size_t k = 0; k < r->n; k++) {
        double x = w->keep * (double)r->x[k] + w->now * (double)guess[0][k];
        if (w->before != 0)
            x += w->before * (double)guess[1][k];
        if (w->oldest != 0)
            x += w->oldest * (double)guess[2][k];
        r->x[k] = (float)(x + w->up * (double)noise[k]);
    }
}

/* scratch: `order` guesses, and a row for noise. */
static bool run_multistep(const struct sampler_run *r, int order, bool heun, struct error *err)
{
    const struct sampler_options o = sampler_step_options(r, 1);
    float *guess[3] = {r->scratch, r->scratch + r->n, r->scratch + (size_t)(order - 1) * r->n};
    float *noise = r->scratch + (size_t)order * r->n;
    double h_last[2] = {0, 0};

    for (int i = 0; i < r->n_steps; i++) {
        const double from = r->sigmas[i], to = r->sigmas[i + 1];
        if (!r->denoise(r->denoise_ctx, guess[0], r->x, from, err))
            return false;
        if (to == 0) {
            sampler_step_mix(r->x, r->n, 0, r->x, 1, guess[0]);
            continue;
        }
        const double h = log(from / to);
        struct weights w = first_order(h, to, o.eta);
        if (order > 2 && i > 1)
            add_third_order(&w, h, h_last, o.eta);
        else if (i > 0)
            add_second_order(&w, heun, h, h_last[0], o.eta);
        if (!sampler_step_draw(r, noise, w.up, from, to, err))
            return false;
        w.up *= o.s_noise;
        apply(r, &w, guess, noise);

        float *oldest = guess[order - 1];
        for (int j = order - 1; j > 0; j--)
            guess[j] = guess[j - 1];
        guess[0] = oldest;
        h_last[1] = h_last[0];
        h_last[0] = h;
    }
    return true;
}

bool sampler_sde_run_2m(const struct sampler_run *r, struct error *err)
{
    return run_multistep(r, 2, false, err);
}

bool sampler_sde_run_2m_heun(const struct sampler_run *r, struct error *err)
{
    return run_multistep(r, 2, true, err);
}

/* Its second step is that of "heun": both are exact for a straight line. */
bool sampler_sde_run_3m(const struct sampler_run *r, struct error *err)
{
    return run_multistep(r, 3, true, err);
}
