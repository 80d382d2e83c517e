#include "pipeline/vae_encode.h"

#include "base/clock.h"
#include "nn/vae.h"
#include "pipeline/vae_tiled.h"

#include <math.h>
#include <stdlib.h>

bool vae_encode_begin(struct vae_encode *out, const struct stage *s, enum plan_phase phase,
                      struct error *err)
{
    struct plan_stage *plan = &s->plan->phase[phase];
    const struct vae_config *c = &model_view(s->base.model)->vae;
    const size_t places = (size_t)plan->latent_w * (size_t)plan->latent_h;
    const size_t scale = (size_t)vae_scale(c);

    *out = (struct vae_encode){.stage = s,
                               .phase = phase,
                               .config = c,
                               .places = places,
                               .n_pixels = places * scale * scale,
                               .started = clock_seconds()};
    out->pixels = stages_numbers(out->n_pixels * IMAGE_CHANNELS, err);
    out->moments = stages_numbers(2 * places * (size_t)c->latent_channels, err);
    out->running = out->pixels && out->moments && stages_begin(s, &plan->net, err);
    return out->running;
}

void vae_encode_picture(struct vae_encode *e, const struct image *picture)
{
    image_to_floats(e->pixels, picture, IMAGE_HWC, e->config->tiny ? IMAGE_UNIT : IMAGE_SIGNED);
}

float vae_encode_gray_value(const struct vae_encode *e)
{
    return e->config->tiny ? 0.5f : 0.0f;
}

void vae_encode_gray(struct vae_encode *e)
{
    for (size_t i = 0; i < e->n_pixels * IMAGE_CHANNELS; i++)
        e->pixels[i] = vae_encode_gray_value(e);
}

bool vae_encode_run(struct vae_encode *e, struct error *err)
{
    struct plan_stage *plan = &e->stage->plan->phase[e->phase];
    const int calls = vae_tiled_calls(plan), first = calls * e->call++;
    const struct vae_side in = {IMAGE_CHANNELS, vae_scale(e->config)};
    const struct vae_side out = {(e->config->tiny ? 1 : 2) * e->config->latent_channels, 1};

    return vae_tiled_run(e->stage, &plan->net, e->phase, first, calls * plan->calls, e->pixels, in,
                         e->moments, out, err);
}

static float scaled(const struct vae_encode *e, float z)
{
    return (z - e->config->shift_factor) * e->config->scaling_factor;
}

void vae_encode_mean(const struct vae_encode *e, float *latent)
{
    const size_t channels = (size_t)e->config->latent_channels;
    const size_t each = e->config->tiny ? channels : 2 * channels;

    for (size_t k = 0; k < channels; k++)
        for (size_t i = 0; i < e->places; i++)
            latent[k * e->places + i] = scaled(e, e->moments[i * each + k]);
}

/* The first half of a place's moments are means, the second logarithms of variances.  The latent is
 * planes, as the generator draws. */
void vae_encode_draw(const struct vae_encode *e, float *latent, struct rng *rng)
{
    const size_t channels = (size_t)e->config->latent_channels;

    if (e->config->tiny) {
        vae_encode_mean(e, latent);
        return;
    }
    rng_normal(rng, latent, channels * e->places);
    for (size_t k = 0; k < channels; k++)
        for (size_t i = 0; i < e->places; i++) {
            const float *at = e->moments + i * 2 * channels + k;
            const float log_variance = fminf(fmaxf(at[channels], -30), 20);
            const float z = at[0] + expf(0.5f * log_variance) * latent[k * e->places + i];
            latent[k * e->places + i] = scaled(e, z);
        }
}

void vae_encode_end(struct vae_encode *e)
{
    if (e->running)
        stages_end(e->stage, &e->stage->plan->phase[e->phase].net, e->phase, e->started);
    free(e->pixels);
    free(e->moments);
    *e = (struct vae_encode){0};
}
