/* Turns noise into a latent, one step at a time.
 *
 * Pure arithmetic on float arrays: no tensors, no model, no HTTP.  The model is a function pointer,
 * so guidance or a stub in a test look the same from here.  x is always in k-diffusion's scale:
 * x = latent + sigma * noise; a network that wants unit variance gets x / sqrt(1 + sigma^2).
 * Coefficients and sums are double, the state between steps is float32. */
#ifndef SAMPLER_SAMPLER_H
#define SAMPLER_SAMPLER_H

#include "base/error.h"
#include "sampler/schedule.h"

#include <stddef.h>

/* Writes the model's guess of the clean latent for x at noise level sigma.  Progress, previews and
 * cancelling (return false with ERROR_CANCELLED) are this function's business. */
typedef bool (*sampler_denoise_fn)(void *ctx, float *denoised, const float *x, double sigma,
                                   struct error *err);

/* Writes n normal random numbers for the way from sigma `from` down to `to`, both above 0.  What
 * the numbers have to be is the sampler's `noise`. */
typedef bool (*sampler_noise_fn)(void *ctx, float *out, size_t n, double from, double to,
                                 struct error *err);

enum sampler_noise {
    SAMPLER_NOISE_NONE,
    SAMPLER_NOISE_DRAWN,   /* each is the next draw of the picture's generator */
    SAMPLER_NOISE_BROWNIAN /* increments of one Brownian motion over sigma: see brownian.h */
};

/* How much chance is in a run.  NULL in a sampler_run stands for sampler_options_default. */
struct sampler_options {
    double eta; /* part of the noise that ancestral and SDE steps renew; below 0: the sampler's */
    double s_churn; /* Euler, Heun, DPM2: noise added before the steps of a run, Karras' S_churn */
    double s_tmin;  /* only at sigmas from here ... */
    double s_tmax;  /* ... to here */
    double s_noise; /* deviation of whatever noise is added */
};

/* The sampler's own eta, no churn, noise of deviation 1: k-diffusion's defaults. */
extern const struct sampler_options sampler_options_default;

struct sampler_run {
    float *x; /* in: noised latent at sigmas[0]; out: the latent */
    size_t n;
    const double *sigmas; /* n_steps + 1 values, falling; made by sampler_sigmas */
    int n_steps;
    sampler_denoise_fn denoise;
    void *denoise_ctx;
    sampler_noise_fn noise; /* may be NULL when neither the sampler nor its options draw any */
    void *noise_ctx;
    const struct sampler_options *options; /* borrowed; NULL: the defaults */
    float *scratch;                        /* n_scratch rows of n floats, owned by the caller */
};

enum { SAMPLER_MAX_ALIASES = 6 };

struct sampler {
    const char *name;                         /* as people write it */
    const char *aliases[SAMPLER_MAX_ALIASES]; /* other spellings; found like the name */
    int n_scratch;                            /* rows the planner has to count */
    int evaluations;                          /* of the model per step, except the last */
    int more_evaluations;                     /* at the start of a run of several steps */
    int typical_evaluations;                  /* of a whole run, where its error decides; or 0 */
    enum schedule_kind schedule;              /* what Automatic means for it */
    bool keeps_own_schedule;                  /* whatever is asked for: only its range counts */
    bool ends_trained;         /* its own schedule ends at the lowest trained sigma */
    bool discards_penultimate; /* its schedules lose the next-to-last sigma */
    enum sampler_noise noise;  /* what it asks noise for */
    double eta;                /* its own */
    bool starts_unit;          /* see sampler_noise_scale */
    bool (*run)(const struct sampler_run *r, struct error *err);
};

/* The table ends with a row whose name is NULL. */
extern const struct sampler sampler_rows[];

/* Finds a sampler by name or alias, whatever the case, with '_' as good as ' ', and with the name
 * of a schedule behind it if there is one: "DPM++ 2M Karras".  *schedule is SCHEDULE_AUTOMATIC when
 * there is none; it may be NULL.  Returns NULL for any other name. */
const struct sampler *sampler_find(const char *name, enum schedule_kind *schedule);

/* Sets ERROR_INVALID that lists every name, and returns false. */
bool sampler_unknown(struct error *err, const char *name);

/* Room the caller gives sampler_sigmas, in numbers. */
static inline size_t sampler_sigmas_room(int n_steps)
{
    return (size_t)n_steps + 2;
}

/* Writes the n_steps + 1 sigmas of s on this schedule, which may be SCHEDULE_AUTOMATIC.  The last
 * is 0, but for samplers with ends_trained on their own schedule (set_alpha_to_one is false for
 * Stable Diffusion).  For img2img, run from sigmas + schedule_img2img_start(...). */
bool sampler_sigmas(double *sigmas, const struct sampler *s, enum schedule_kind schedule,
                    int n_steps, const struct schedule_inputs *in, struct error *err) MUST_CHECK;

/* What pure noise is multiplied with to start from nothing: sigma for the samplers of k-diffusion,
 * sqrt(1 + sigma^2) for DDIM, PLMS and UniPC, which were written for a state of unit variance.
 * Starting from a latent is latent + sigma * noise for all of them. */
double sampler_noise_scale(const struct sampler *s, double sigma);

/* Calls of the model that a run of n_steps makes; an estimate where typical_evaluations is set. */
int sampler_evaluations(const struct sampler *s, int n_steps);

/* The part of a run that is behind after `made` of `expected` calls: their quotient.  Where
 * `expected` is an estimate, as it always is for s NULL, it rises slower from 7/8 on, keeps rising
 * beyond the estimate, and stays below 1. */
double sampler_progress(const struct sampler *s, double made, double expected);

#endif
