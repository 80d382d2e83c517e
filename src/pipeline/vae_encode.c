#include "base/clock.h"
#include "pipeline/vae_tiled.h"

#include <math.h>
#include <stdlib.h>

/* diffusers' DiagonalGaussianDistribution: the first half of a place's moments are means, the
 * second logarithms of variances.  The latent is planes, as the generator draws. */
static void draw_latent(float *latent, const float *moments, size_t places,
                        const struct vae_config *c, struct rng *rng)
{
    size_t channels = (size_t)c->latent_channels;

    rng_normal(rng, latent, channels * places);
    for (size_t k = 0; k < channels; k++)
        for (size_t i = 0; i < places; i++) {
            const float *at = moments + i * 2 * channels + k;
            float log_variance = fminf(fmaxf(at[channels], -30), 20);
            float z = at[0] + expf(0.5f * log_variance) * latent[k * places + i];
            latent[k * places + i] = (z - c->shift_factor) * c->scaling_factor;
        }
}

/* A tiny autoencoder's answer is the latent itself. */
static void copy_latent(float *latent, const float *rows, size_t places, const struct vae_config *c)
{
    const size_t channels = (size_t)c->latent_channels;

    for (size_t k = 0; k < channels; k++)
        for (size_t i = 0; i < places; i++)
            latent[k * places + i] = (rows[i * channels + k] - c->shift_factor) * c->scaling_factor;
}

bool vae_encode(float *latent, const struct stage *s, const struct image *input, struct rng *rngs,
                struct error *err)
{
    struct plan_stage *phase = &s->plan->phase[PLAN_VAE_ENCODE];
    struct network *net = &phase->net;
    const struct vae_config *c = &model_view(s->base.model)->vae;
    size_t each = (size_t)c->latent_channels * (size_t)phase->latent_w * (size_t)phase->latent_h;
    double started = clock_seconds();

    float *pixels = stages_numbers(image_bytes(input), err);
    float *moments = stages_numbers(2 * each, err);
    bool ok = pixels && moments && stages_begin(s, net, err);
    if (ok) {
        image_to_floats(pixels, input, IMAGE_HWC, c->tiny ? IMAGE_UNIT : IMAGE_SIGNED);
        ok = vae_tiled_run(s, net, PLAN_VAE_ENCODE, 0, vae_tiled_calls(phase), pixels,
                           (struct vae_side){IMAGE_CHANNELS, input->width / phase->latent_w},
                           moments, (struct vae_side){(c->tiny ? 1 : 2) * c->latent_channels, 1},
                           err);
        stages_end(s, net, PLAN_VAE_ENCODE, started);
    }
    const size_t places = each / (size_t)c->latent_channels;
    for (int i = 0; ok && i < s->plan->batch; i++)
        if (c->tiny)
            copy_latent(latent + (size_t)i * each, moments, places, c);
        else
            draw_latent(latent + (size_t)i * each, moments, places, c, &rngs[i]);
    free(pixels);
    free(moments);
    return ok;
}
