#include "sampler/schedule.h"

#include "sampler/sampler_name.h"
#include "sampler/schedule_fill.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct schedule schedule_rows[SCHEDULE_KINDS] = {
    {SCHEDULE_AUTOMATIC, "Automatic", NULL},
    {SCHEDULE_UNIFORM, "Uniform", schedule_fill_uniform},
    {SCHEDULE_KARRAS, "Karras", schedule_fill_karras},
    {SCHEDULE_EXPONENTIAL, "Exponential", schedule_fill_exponential},
    {SCHEDULE_POLYEXPONENTIAL, "Polyexponential", schedule_fill_exponential},
    {SCHEDULE_SGM_UNIFORM, "SGM Uniform", schedule_fill_sgm_uniform},
    {SCHEDULE_KL_OPTIMAL, "KL Optimal", schedule_fill_kl_optimal},
    {SCHEDULE_ALIGN_YOUR_STEPS, "Align Your Steps", schedule_fill_align_your_steps},
    {SCHEDULE_SIMPLE, "Simple", schedule_fill_simple},
    {SCHEDULE_NORMAL, "Normal", schedule_fill_uniform},
    {SCHEDULE_DDIM, "DDIM", schedule_fill_ddim},
    {SCHEDULE_BETA, "Beta", schedule_fill_beta},
};

static double beta_at(const struct schedule_betas *b, int i)
{
    const double part = (double)i / (b->train_timesteps - 1);
    if (!b->scaled_linear)
        return b->beta_start + (b->beta_end - b->beta_start) * part;
    const double from = sqrt(b->beta_start), to = sqrt(b->beta_end);
    const double root = from + (to - from) * part;
    return root * root;
}

/* Lin et al., "Common diffusion noise schedules and sample steps are flawed" (2023), algorithm 1,
 * on the square roots of the cumulated alphas.  The last is 2^-24 instead of 0, as in diffusers,
 * since sigma would be infinite. */
static void remove_final_signal(double *cumulated, int n)
{
    const double first = sqrt(cumulated[0]), last = sqrt(cumulated[n - 1]);
    for (int i = 0; i < n; i++) {
        const double root = (sqrt(cumulated[i]) - last) * first / (first - last);
        cumulated[i] = root * root;
    }
    cumulated[n - 1] = ldexp(1.0, -24);
}

bool schedule_train_init(struct schedule_train *t, const struct schedule_betas *b,
                         struct error *err)
{
    *t = (struct schedule_train){0};
    if (b->train_timesteps < 2 || b->train_timesteps > SCHEDULE_MAX_TIMESTEPS)
        return error_set(err, ERROR_CORRUPT, "%d training timesteps; 2 to %d are possible",
                         b->train_timesteps, SCHEDULE_MAX_TIMESTEPS);
    if (!(b->beta_start > 0 && b->beta_start <= b->beta_end && b->beta_end < 1))
        return error_set(err, ERROR_CORRUPT, "betas %g to %g do not rise between 0 and 1",
                         b->beta_start, b->beta_end);

    const size_t n = (size_t)b->train_timesteps;
    t->sigma = malloc(n * sizeof *t->sigma);
    t->log_sigma = malloc(n * sizeof *t->log_sigma);
    if (!t->sigma || !t->log_sigma)
        return error_set(err, ERROR_MEMORY, "no memory for %zu noise levels", n);
    t->n = b->train_timesteps;

    double product = 1;
    for (int i = 0; i < t->n; i++) {
        product *= 1 - beta_at(b, i);
        t->sigma[i] = product;
    }
    if (b->zero_snr)
        remove_final_signal(t->sigma, t->n);
    for (int i = 0; i < t->n; i++) {
        t->sigma[i] = sqrt((1 - t->sigma[i]) / t->sigma[i]);
        t->log_sigma[i] = log(t->sigma[i]);
        if (!isfinite(t->log_sigma[i]) || (i > 0 && t->sigma[i] <= t->sigma[i - 1]))
            return error_set(err, ERROR_CORRUPT, "betas %g to %g leave no noise level at step %d",
                             b->beta_start, b->beta_end, i);
    }
    return true;
}

void schedule_train_clear(struct schedule_train *t)
{
    free(t->sigma);
    free(t->log_sigma);
    *t = (struct schedule_train){0};
}

double schedule_timestep(const struct schedule_train *t, double sigma)
{
    if (!(sigma > t->sigma[0]))
        return 0;
    if (sigma >= t->sigma[t->n - 1])
        return t->n - 1;

    int low = 0, high = t->n - 1; /* sigma[low] <= sigma < sigma[high] */
    while (high - low > 1) {
        const int mid = low + (high - low) / 2;
        if (t->sigma[mid] <= sigma)
            low = mid;
        else
            high = mid;
    }
    const double span = t->log_sigma[high] - t->log_sigma[low];
    return low + (log(sigma) - t->log_sigma[low]) / span;
}

double schedule_sigma(const struct schedule_train *t, double timestep)
{
    if (!(timestep > 0))
        return t->sigma[0];
    if (timestep >= t->n - 1)
        return t->sigma[t->n - 1];
    const int low = (int)timestep;
    const double part = timestep - low;
    return exp((1 - part) * t->log_sigma[low] + part * t->log_sigma[low + 1]);
}

bool schedule_build(double *sigmas, enum schedule_kind kind, int n_steps,
                    const struct schedule_inputs *in, struct error *err)
{
    if (kind <= SCHEDULE_AUTOMATIC || kind >= SCHEDULE_KINDS)
        return error_set(err, ERROR_INVALID, "the schedule has to be chosen before it is built");
    if (n_steps < 1 || n_steps > SCHEDULE_MAX_STEPS)
        return error_set(err, ERROR_INVALID, "%d steps; 1 to %d are possible", n_steps,
                         SCHEDULE_MAX_STEPS);
    if ((kind == SCHEDULE_SIMPLE || kind == SCHEDULE_DDIM) && n_steps >= in->train->n)
        return error_set(err, ERROR_INVALID, "%d steps of the %s schedule; the model has %d",
                         n_steps, schedule_rows[kind].name, in->train->n - 1);
    schedule_rows[kind].fill(sigmas, n_steps, in);
    sigmas[n_steps] = 0;
    return true;
}

const struct schedule *schedule_find(const char *name)
{
    for (size_t i = 0; i < SCHEDULE_KINDS; i++)
        if (sampler_name_same(name, strlen(name), schedule_rows[i].name))
            return &schedule_rows[i];
    return NULL;
}

bool schedule_unknown(struct error *err, const char *name)
{
    char list[320] = "";
    for (size_t i = 0; i < SCHEDULE_KINDS; i++)
        sampler_name_list(list, sizeof list, schedule_rows[i].name);
    return error_set(err, ERROR_INVALID, "there is no schedule '%.60s'; there are %s", name, list);
}

int schedule_img2img_start(int n_steps, double strength)
{
    const int steps = (int)(strength * n_steps);
    if (steps < 0)
        return n_steps;
    return steps > n_steps ? 0 : n_steps - steps;
}
