/* UniPC (Zhao et al. 2023, "UniPC: a unified predictor-corrector framework") for the prediction of
 * the clean latent: variant B1(h) = h, order 3, lower orders at the start and at the end. */
#include "sampler/sampler_internal.h"

#include <math.h>

enum { ORDER = 3 };

/* Solves a * w = b for n up to ORDER, by elimination with pivots; a and b are overwritten. */
static void solve(double a[ORDER][ORDER], double b[ORDER], double w[ORDER], int n)
{
    for (int i = 0; i < n; i++) {
        int best = i;
        for (int row = i + 1; row < n; row++)
            if (fabs(a[row][i]) > fabs(a[best][i]))
                best = row;
        for (int col = 0; col < n; col++) {
            const double keep = a[i][col];
            a[i][col] = a[best][col];
            a[best][col] = keep;
        }
        const double keep = b[i];
        b[i] = b[best];
        b[best] = keep;
        for (int row = i + 1; row < n; row++) {
            const double factor = a[row][i] / a[i][i];
            for (int col = i; col < n; col++)
                a[row][col] -= factor * a[i][col];
            b[row] -= factor * b[i];
        }
    }
    for (int i = n - 1; i >= 0; i--) {
        w[i] = b[i];
        for (int col = i + 1; col < n; col++)
            w[i] -= a[i][col] * w[col];
        w[i] /= a[i][i];
    }
}

/* Theorem 3.1: the weights of the n differences whose places in units of h are r: their powers have
 * to give the integrals of phi. */
static void difference_weights(double w[ORDER], const double r[ORDER], int n, double h)
{
    double a[ORDER][ORDER], b[ORDER];
    double phi = expm1(-h) / -h - 1, factorial = 1;

    for (int i = 0; i < n; i++) {
        for (int col = 0; col < n; col++)
            a[i][col] = pow(r[col], i);
        b[i] = phi * factorial / -h;
        factorial *= i + 2;
        phi = phi / -h - 1 / factorial;
    }
    solve(a, b, w, n);
}

/* A step's result: keep * x + the sum of of_guess[j] * guess[j] + there * (the guess at its end).
 */
struct weights {
    double keep, of_guess[ORDER], there;
};

/* The weights of a step from sigmas[i], with `order` guesses.  corrector: with the one at its end.
 * guess[j] belongs to sigmas[i - j].  A step to 0 is the last one, of order 1, whose infinite h is
 * not used. */
static struct weights weights_of(const double *sigmas, int i, int order, bool corrector)
{
    const double h = log(sigmas[i] / sigmas[i + 1]);
    struct weights w = {.keep = sigmas[i + 1] / sigmas[i]};
    double r[ORDER] = {0}, rho[ORDER] = {0.5};

    w.of_guess[0] = 1 - w.keep;
    for (int j = 1; j < order; j++)
        r[j - 1] = log(sigmas[i] / sigmas[i - j]) / h;
    r[order - 1] = 1;
    const int n = corrector ? order : order - 1;
    if (n > 1)
        difference_weights(rho, r, n, h);
    for (int j = 1; j < order; j++) {
        const double part = h * rho[j - 1] / r[j - 1];
        w.of_guess[j] += part;
        w.of_guess[0] -= part;
    }
    if (corrector) {
        w.there = h * rho[order - 1];
        w.of_guess[0] -= w.there;
    }
    return w;
}

static void apply(const struct sampler_run *r, float *out, const struct weights *w, int order,
                  float *const guess[ORDER], const float *there)
{
    for (size_t k = 0; k < r->n; k++) {
        double x = w->keep * (double)r->x[k];
        for (int j = 0; j < order; j++)
            x += w->of_guess[j] * (double)guess[j][k];
        if (there)
            x += w->there * (double)there[k];
        out[k] = (float)x;
    }
}

static int order_of(int i, int n_steps)
{
    const int left = n_steps - i < ORDER ? n_steps - i : ORDER;
    return i + 1 < left ? i + 1 : left;
}

/* One evaluation per step: the guess at the predicted state also serves the next step. */
bool sampler_unipc_run(const struct sampler_run *r, struct error *err)
{
    float *predicted = r->scratch, *guess[ORDER + 1];

    for (size_t j = 0; j <= ORDER; j++)
        guess[j] = r->scratch + (j + 1) * r->n;
    if (!r->denoise(r->denoise_ctx, guess[0], r->x, r->sigmas[0], err))
        return false;
    for (int i = 0; i < r->n_steps; i++) {
        const int order = order_of(i, r->n_steps);
        struct weights w = weights_of(r->sigmas, i, order, false);
        if (i + 1 == r->n_steps) {
            apply(r, r->x, &w, order, guess, NULL);
            break;
        }
        float *there = guess[ORDER];
        apply(r, predicted, &w, order, guess, NULL);
        if (!r->denoise(r->denoise_ctx, there, predicted, r->sigmas[i + 1], err))
            return false;
        w = weights_of(r->sigmas, i, order, true);
        apply(r, r->x, &w, order, guess, there);
        for (int j = ORDER; j > 0; j--)
            guess[j] = guess[j - 1];
        guess[0] = there;
    }
    sampler_step_to_unit(r);
    return true;
}
