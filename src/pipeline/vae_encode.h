/* Pictures to latents: a network that is started once and runs for each picture.  Internal to
 * pipeline/.
 *
 *     vae_encode_begin(&e, s, phase, &err);
 *     fill e.pixels;  vae_encode_run(&e, &err);  vae_encode_mean(&e, latent);
 *     vae_encode_end(&e);
 */
#ifndef PIPELINE_VAE_ENCODE_H
#define PIPELINE_VAE_ENCODE_H

#include "pipeline/stages.h"

struct vae_encode {
    const struct stage *stage;
    enum plan_phase phase;
    const struct vae_config *config;
    float *pixels;  /* owned; the phase's size, by pixel, in the range of vae_encode_picture */
    float *moments; /* owned; what the last run answered */
    size_t n_pixels, places;
    int call;
    double started;
    bool running;
};

/* The caller ends it, after a failure too. */
bool vae_encode_begin(struct vae_encode *out, const struct stage *s, enum plan_phase phase,
                      struct error *err) MUST_CHECK;

/* The picture, of the phase's size, as the encoder takes it; or gray, which is nothing to it. */
void vae_encode_picture(struct vae_encode *e, const struct image *picture);
void vae_encode_gray(struct vae_encode *e);
float vae_encode_gray_value(const struct vae_encode *e);

bool vae_encode_run(struct vae_encode *e, struct error *err) MUST_CHECK;

/* The last run's latent, planes in the network's scale: the posterior's mean, or a draw from it
 * (diffusers' DiagonalGaussianDistribution).  A tiny autoencoder's answer is the latent itself. */
void vae_encode_mean(const struct vae_encode *e, float *latent);
void vae_encode_draw(const struct vae_encode *e, float *latent, struct rng *rng);

void vae_encode_end(struct vae_encode *e);

#endif
