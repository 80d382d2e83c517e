/* DPM-Solver (Lu et al. 2022, "DPM-Solver: a fast ODE solver") as k-diffusion has it, with a fixed
 * budget and with error control.  Both walk from the first sigma to the last that is not 0, at
 * steps of their own; time is t = -log sigma, and a step has length h in it. */
#include "sampler/sampler_internal.h"

#include <math.h>
#include <string.h>

/* A state or slope inside a step: x times the state at its start and d[i] times the i-th guess of
 * the clean latent.  States are kept so, and rounded only where the model is asked: error control
 * lives on differences that float32 would drown. */
struct terms {
    double x, d[3];
};

/* Rows of scratch: the guesses at the start of a step and at its two inner points, room for a
 * state, and for error control the last accepted state of lower order. */
struct solver {
    const struct sampler_run *r;
    struct sampler_options options;
    float *guess[3];
    float *there;
    float *before;
    double begin, end; /* t */
    struct terms slope[3];
};

static struct solver solver_of(const struct sampler_run *r)
{
    struct solver s = {.r = r, .options = sampler_step_options(r, 0)};
    for (size_t i = 0; i < 3; i++)
        s.guess[i] = r->scratch + i * r->n;
    s.there = r->scratch + 3 * r->n;
    s.before = r->scratch + 4 * r->n;
    s.begin = -log(r->sigmas[0]);
    s.end = -log(r->sigmas[r->sigmas[r->n_steps] > 0 ? r->n_steps : r->n_steps - 1]);
    return s;
}

/* a + f * b */
static struct terms plus(struct terms a, double f, struct terms b)
{
    a.x += f * b.x;
    for (int i = 0; i < 3; i++)
        a.d[i] += f * b.d[i];
    return a;
}

/* First order to t + part * h. */
static struct terms order1(const struct solver *s, double t, double h, double part)
{
    const struct terms x = {.x = 1};
    return plus(x, -exp(-(t + part * h)) * expm1(part * h), s->slope[0]);
}

/* Second order, with slope[1] at `inner` of h. */
static struct terms order2(const struct solver *s, double t, double h, double inner)
{
    const double more = exp(-(t + h)) * expm1(h) / (2 * inner);
    return plus(plus(order1(s, t, h, 1), more, s->slope[0]), -more, s->slope[1]);
}

/* Third order's inner point at 2/3, from slope[1] at 1/3. */
static struct terms order3_inner(const struct solver *s, double t, double h)
{
    const double part = 2.0 / 3 * h, more = exp(-(t + part)) * 2 * (expm1(part) / part - 1);
    return plus(plus(order1(s, t, h, 2.0 / 3), more, s->slope[0]), -more, s->slope[1]);
}

/* Third order, with slope[2] at 2/3. */
static struct terms order3(const struct solver *s, double t, double h)
{
    const double more = exp(-(t + h)) * 1.5 * (expm1(h) / h - 1);
    return plus(plus(order1(s, t, h, 1), more, s->slope[0]), -more, s->slope[2]);
}

static double value(const struct solver *s, const struct terms *w, size_t k)
{
    double v = w->x * (double)s->r->x[k];
    for (int i = 0; i < 3; i++)
        if (w->d[i] != 0)
            v += w->d[i] * (double)s->guess[i][k];
    return v;
}

/* Asks the model at a state, for the slope there. */
static bool ask(struct solver *s, int i, struct terms state, double t, struct error *err)
{
    const struct sampler_run *r = s->r;
    const double sigma = exp(-t);
    const struct terms none = {0};

    for (size_t k = 0; k < r->n; k++)
        s->there[k] = (float)value(s, &state, k);
    if (!r->denoise(r->denoise_ctx, s->guess[i], s->there, sigma, err))
        return false;
    s->slope[i] = plus(none, 1 / sigma, state);
    s->slope[i].d[i] -= 1 / sigma;
    return true;
}

static bool ask_at_start(struct solver *s, double t, struct error *err)
{
    const struct terms x = {.x = 1};
    return ask(s, 0, x, t, err);
}

/* A run of one step to 0 leaves nothing to walk: the guess is the answer. */
static bool run_without_range(const struct solver *s, struct error *err)
{
    const struct sampler_run *r = s->r;
    if (!r->denoise(r->denoise_ctx, s->there, r->x, r->sigmas[0], err))
        return false;
    memcpy(r->x, s->there, r->n * sizeof *r->x);
    return true;
}

/* Where a step to t really goes, for the noise that is added there. */
static double fall_to(const struct solver *s, double from, double to, double *up)
{
    *up = 0;
    if (!(s->options.eta > 0))
        return to;
    const struct sampler_step part = sampler_step_ancestral(exp(-from), exp(-to), s->options.eta);
    const double down = fmin(s->end, -log(part.down));
    *up = sqrt(fmax(0, exp(-2 * to) - exp(-2 * down)));
    return down;
}

/* r->x becomes the state, with noise. */
static bool arrive(const struct solver *s, const struct terms *w, double up, double from, double to,
                   struct error *err)
{
    const struct sampler_run *r = s->r;

    if (!sampler_step_draw(r, s->there, up, exp(-from), exp(-to), err))
        return false;
    for (size_t k = 0; k < r->n; k++)
        r->x[k] = (float)(value(s, w, k) + up * s->options.s_noise * (double)s->there[k]);
    return true;
}

/* The inner slopes of a step of length h, and its end. */
static bool inner_slopes(struct solver *s, struct terms *w, int order, double t, double h,
                         struct error *err)
{
    if (order == 1) {
        *w = order1(s, t, h, 1);
        return true;
    }
    if (order == 2) {
        if (!ask(s, 1, order1(s, t, h, 0.5), t + 0.5 * h, err))
            return false;
        *w = order2(s, t, h, 0.5);
        return true;
    }
    if (!ask(s, 1, order1(s, t, h, 1.0 / 3), t + h / 3, err) ||
        !ask(s, 2, order3_inner(s, t, h), t + 2 * h / 3, err))
        return false;
    *w = order3(s, t, h);
    return true;
}

/* n_steps evaluations: as many steps of third order as fit, and the rest at the end. */
bool sampler_dpm_run_fast(const struct sampler_run *r, struct error *err)
{
    struct solver s = solver_of(r);
    const int n = r->n_steps / 3 + 1, rest = r->n_steps % 3;

    if (s.begin >= s.end)
        return run_without_range(&s, err);
    for (int i = 0; i < n; i++) {
        const double from = s.begin + (s.end - s.begin) * i / n;
        const double to = i + 1 < n ? s.begin + (s.end - s.begin) * (i + 1) / n : s.end;
        const int left = n - i; /* 3 3 ... 3 2 1, or 3 3 ... 3 rest */
        const int order = rest == 0 && left < 3 ? left : rest > 0 && left == 1 ? rest : 3;
        struct terms w;
        double up;
        const double down = fall_to(&s, from, to, &up);
        if (!ask_at_start(&s, from, err) || !inner_slopes(&s, &w, order, from, down - from, err) ||
            !arrive(&s, &w, up, from, to, err))
            return false;
    }
    return true;
}

/* k-diffusion's numbers.  H is in t; a step passes when its error changes h to no less than SAFETY
 * of itself. */
static const double FIRST_H = 0.05, RELATIVE = 0.05, ABSOLUTE = 0.0078, SAFETY = 0.81;

/* After so many tries the rest is walked in LAST_STEPS steps, whatever their error: a run ends. */
enum { MAX_TRIES = 100, LAST_STEPS = 10 };

/* The root mean square of the difference between the orders, in units of what is allowed. */
static double error_of(const struct solver *s, const struct terms *low, const struct terms *high)
{
    const struct terms apart = plus(*low, -1, *high);
    double sum = 0;

    for (size_t k = 0; k < s->r->n; k++) {
        const double size = fmax(fabs(value(s, low, k)), fabs((double)s->before[k]));
        const double part = value(s, &apart, k) / fmax(ABSOLUTE, RELATIVE * size);
        sum += part * part;
    }
    return sqrt(sum / (double)s->r->n);
}

/* The integral controller of the reference; p and d are 0 by default. */
static double step_factor(double error, bool is_stochastic)
{
    const double order = is_stochastic ? 1.5 : 3;
    return 1 + atan(pow(1 / (error + 1e-8), 1 / order) - 1);
}

/* One try of a step; *factor is what its error makes of h. */
static bool try_step(struct solver *s, double t, double h, struct terms *low, struct terms *high,
                     double *factor, struct error *err)
{
    if (!inner_slopes(s, high, 3, t, h, err))
        return false;
    *low = order2(s, t, h, 1.0 / 3);
    *factor = step_factor(error_of(s, low, high), s->options.eta > 0);
    return true;
}

/* The pair of orders 2 and 3.  A step that fails keeps the slope at its start. */
bool sampler_dpm_run_adaptive(const struct sampler_run *r, struct error *err)
{
    struct solver s = solver_of(r);
    double t = s.begin, h = FIRST_H, last_h = 0;
    bool fresh = true;

    if (s.begin >= s.end)
        return run_without_range(&s, err);
    memcpy(s.before, r->x, r->n * sizeof *r->x);
    for (int tries = 0; t < s.end - 1e-5; tries++) {
        if (last_h == 0 && tries >= MAX_TRIES)
            last_h = (s.end - t) / LAST_STEPS;
        struct terms low, high;
        double up, factor;
        const double to = fmin(s.end, t + (last_h > 0 ? last_h : h));
        const double down = fall_to(&s, t, to, &up);
        if ((fresh && !ask_at_start(&s, t, err)) ||
            !try_step(&s, t, down - t, &low, &high, &factor, err))
            return false;
        if (!isfinite(factor)) /* nothing to control: finish */
            tries = MAX_TRIES;
        fresh = factor >= SAFETY || last_h > 0 || !isfinite(factor);
        h *= isfinite(factor) ? factor : 1;
        if (!fresh)
            continue;
        for (size_t k = 0; k < r->n; k++)
            s.before[k] = (float)value(&s, &low, k);
        if (!arrive(&s, &high, up, t, to, err))
            return false;
        t = to;
    }
    return true;
}
