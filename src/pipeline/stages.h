/* The stages of a run and what they share.  Internal to pipeline/. */
#ifndef PIPELINE_STAGES_H
#define PIPELINE_STAGES_H

#include "pipeline/pipeline.h"

struct stage {
    const struct model *model;
    const struct tokenizer *tokenizer;
    struct backend *backend;
    void *arena; /* at least plan->arena_bytes */
    const struct gen_request *request;
    struct gen_plan *plan;
    const struct watch *watch;
    struct gen_result *result;
};

/* Rows [unet_rounds][unet_batch][tokens][width]: without the prompt first when guided. */
struct text_cond {
    float *rows; /* owned */
};

/* Pictures one after another, each latent_channels planes of latent_h x latent_w, in the network's
 * scale (multiplied by the VAE's scaling factor). */
struct latents {
    float *x; /* owned */
    size_t each;
};

/* Starts a network on the shared arena; end gives its weights' and the arena's pages back. */
bool stages_begin(const struct stage *s, struct network *n, struct error *err) MUST_CHECK;
void stages_end(const struct stage *s, struct network *n, enum plan_phase phase, double started);

/* After the last stage: gives back what networks that stay together still hold. */
void stages_cleanup(const struct stage *s);

/* Runs a network once: call number `call` of `calls` of its phase, which are whole numbers where
 * the calls are known beforehand. */
bool stages_call(const struct stage *s, struct network *n, enum plan_phase phase, double call,
                 double calls, struct error *err) MUST_CHECK;

/* zeroed numbers, or NULL and an error */
float *stages_numbers(size_t n, struct error *err);

bool text_encode(struct text_cond *out, const struct stage *s, struct error *err) MUST_CHECK;

/* The picture's latent; draws the posterior's noise from r first. */
bool vae_encode(float *latent, const struct stage *s, const struct image *input, struct rng *rngs,
                struct error *err) MUST_CHECK;

bool denoise(struct latents *out, const struct stage *s, const struct text_cond *cond,
             const struct image *input, struct error *err) MUST_CHECK;

bool vae_decode(const struct stage *s, const struct latents *latents, struct error *err) MUST_CHECK;

#endif
