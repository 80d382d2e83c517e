/* Noise levels: those a model was trained with, and the ways to walk down from them.
 *
 * A sigma is the deviation of the noise relative to the clean latent (k-diffusion's convention:
 * noised = latent + sigma * noise).  A timestep is the training's own index for it, 0 .. T-1,
 * continuous here: between two timesteps the logarithm of sigma is linear.
 * Nothing here knows a sampler or a network. */
#ifndef SAMPLER_SCHEDULE_H
#define SAMPLER_SCHEDULE_H

#include "base/error.h"

enum { SCHEDULE_MAX_TIMESTEPS = 10000, SCHEDULE_MAX_STEPS = 1000 };

/* Numbers of a model's scheduler configuration. */
struct schedule_betas {
    int train_timesteps; /* 2 .. SCHEDULE_MAX_TIMESTEPS */
    double beta_start;   /* 0 < beta_start <= beta_end < 1 */
    double beta_end;
    bool scaled_linear; /* linear in the square root; otherwise linear */
    bool zero_snr;      /* betas rescaled so that the last step is (all but) pure noise */
};

/* The noise levels of training. */
struct schedule_train {
    int n;             /* timesteps */
    double *sigma;     /* owned; n, rising */
    double *log_sigma; /* owned; n */
};

enum schedule_kind {
    SCHEDULE_AUTOMATIC, /* whatever the sampler works best with; resolve it before building */
    SCHEDULE_UNIFORM,
    SCHEDULE_KARRAS,
    SCHEDULE_EXPONENTIAL,
    SCHEDULE_POLYEXPONENTIAL,
    SCHEDULE_SGM_UNIFORM,
    SCHEDULE_KL_OPTIMAL,
    SCHEDULE_ALIGN_YOUR_STEPS,
    SCHEDULE_SIMPLE,
    SCHEDULE_NORMAL,
    SCHEDULE_DDIM,
    SCHEDULE_BETA,
    SCHEDULE_KINDS
};

/* What schedule_build needs to know besides the number of steps. */
struct schedule_inputs {
    const struct schedule_train *train;
    bool sdxl; /* Align Your Steps has one table for SD 1.x and one for SDXL */
};

/* One row per kind, in the order of enum schedule_kind. */
struct schedule {
    enum schedule_kind kind;
    const char *name; /* as people write it; found whatever the case, '_' as good as ' ' */
    /* Writes n falling sigmas, all above zero; the zero at the end is schedule_build's. */
    void (*fill)(double *sigmas, int n, const struct schedule_inputs *in);
};

extern const struct schedule schedule_rows[SCHEDULE_KINDS];

/* The caller owns *t and clears it, after a failure too. */
bool schedule_train_init(struct schedule_train *t, const struct schedule_betas *b,
                         struct error *err) MUST_CHECK;
void schedule_train_clear(struct schedule_train *t);

/* The inverse of each other within the trained range; both clamp to it. */
double schedule_timestep(const struct schedule_train *t, double sigma);
double schedule_sigma(const struct schedule_train *t, double timestep);

/* Writes n_steps + 1 sigmas, falling, the last one 0.  n_steps is 1 .. SCHEDULE_MAX_STEPS.  Simple
 * and DDIM cannot make more steps than training had: ERROR_INVALID.  So is SCHEDULE_AUTOMATIC. */
bool schedule_build(double *sigmas, enum schedule_kind kind, int n_steps,
                    const struct schedule_inputs *in, struct error *err) MUST_CHECK;

/* NULL when there is no such schedule. */
const struct schedule *schedule_find(const char *name);

/* Sets ERROR_INVALID that lists every name, and returns false. */
bool schedule_unknown(struct error *err, const char *name);

/* Where img2img enters a schedule of n_steps: the index of its first sigma.  The start is
 * x = latent + sigmas[index] * noise, and int(strength * n_steps) steps remain, as in diffusers.
 * strength is 0 .. 1; n_steps (nothing to do) is a possible answer. */
int schedule_img2img_start(int n_steps, double strength);

#endif
