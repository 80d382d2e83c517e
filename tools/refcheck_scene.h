/* A model made ready for one reference file's prompts, guidance and size, and run with noise and
 * sigmas from outside: what the pipeline does with its own. */
#ifndef TOOLS_REFCHECK_SCENE_H
#define TOOLS_REFCHECK_SCENE_H

#include "pipeline/stages.h"
#include "refcheck.h"

enum { REFCHECK_MAX_STEPS = 1000 };

struct refcheck_scene {
    struct refcheck *r;
    struct model *model;
    struct model *refiner; /* NULL: none */
    struct tokenizer *tokenizer[2];
    const char *label; /* the model's name, as rows begin */
    json_t *settings;  /* the file's */
    struct gen_request request;
    struct gen_plan plan;
    struct gen_result result;
    void *arena;
    struct stage stage;
    struct text_cond cond, refiner_cond;
    struct schedule_train train;
    size_t each; /* numbers of a latent */
};

/* model: "sd15", "sdxl"; with its refiner where the file has a setting switch_at.  noise: a latent
 * of the file, whose size the scene takes.  False after a FAIL or SKIP row; to be closed either
 * way. */
bool refcheck_scene_open(struct refcheck_scene *s, struct refcheck *r, const char *model,
                         const char *name, const struct safetensors *file,
                         const char *noise) MUST_CHECK;
void refcheck_scene_close(struct refcheck_scene *s);

/* Answers a sampler, and keeps what it was asked about. */
struct refcheck_guide {
    const struct refcheck_scene *scene;
    bool refines;            /* the refiner answers */
    const double *timesteps; /* by call; NULL: those of the sigmas */
    int call;
    float *trail; /* x of every call, then the result */
    size_t trail_room;
    double sigma[REFCHECK_MAX_STEPS]; /* of every call */
    const float *noises;              /* step noises, used up one by one */
    size_t n_noises;
};

/* diffusers' EulerDiscreteScheduler: timesteps spaced as its configuration says ("leading" rounds
 * to whole ones), and sigmas linear between the trained ones.  False for more steps than training
 * had. */
bool refcheck_scene_timesteps(const struct refcheck_scene *s, double *timesteps, int n_steps);
void refcheck_scene_sigmas(const struct refcheck_scene *s, double *sigmas, const double *timesteps,
                           int n_steps);

/* Runs a sampler from x to its latent, in place. */
bool refcheck_scene_run(struct refcheck_guide *g, const struct sampler *sampler, float *x,
                        const double *sigmas, int n_steps, struct error *err) MUST_CHECK;

/* The latent of a picture in 0..1 planes, in the network's scale. */
bool refcheck_scene_encode(struct refcheck_scene *s, float *latent,
                           const struct refcheck_tensor *image, const float *posterior_noise,
                           struct error *err) MUST_CHECK;

/* The way back, compared before the picture becomes 8-bit: a row called name. */
void refcheck_scene_decode(struct refcheck_scene *s, const char *name, const float *latent,
                           const struct refcheck_tensor *want);

#endif
