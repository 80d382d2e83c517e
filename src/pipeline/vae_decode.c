#include "base/clock.h"
#include "nn/taesd.h"
#include "pipeline/vae_tiled.h"

#include <math.h>
#include <stdlib.h>

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* The latent as rows, in the VAE's own scale. */
static void write_rows(float *rows, const float *planes, const struct vae_config *c, size_t places)
{
    for (size_t k = 0; k < (size_t)c->latent_channels; k++)
        for (size_t i = 0; i < places; i++)
            rows[i * (size_t)c->latent_channels + k] =
                planes[k * places + i] / c->scaling_factor + c->shift_factor;
}

static bool decode_one(const struct stage *s, const struct latents *latents, int i, float *rows,
                       float *pixels, struct error *err)
{
    const struct vae_config *c = &model_view(s->base.model)->vae;
    const struct gen_request *r = s->request;
    const struct plan_stage *phase = &s->plan->phase[PLAN_VAE_DECODE];
    int calls = vae_tiled_calls(phase);

    write_rows(rows, latents->x + (size_t)i * latents->each, c,
               (size_t)phase->latent_w * (size_t)phase->latent_h);
    if (c->tiny)
        taesd_clamp(rows, latents->each);
    if (!vae_tiled_run(s, &s->plan->phase[PLAN_VAE_DECODE].net, PLAN_VAE_DECODE, i * calls,
                       s->plan->batch * calls, rows, (struct vae_side){c->latent_channels, 1},
                       pixels, (struct vae_side){IMAGE_CHANNELS, r->width / phase->latent_w}, err))
        return false;
    if (!all_finite(pixels, (size_t)r->width * (size_t)r->height * IMAGE_CHANNELS))
        return error_set(err, ERROR_CORRUPT,
                         "the VAE's answer is not a picture: some of its numbers are not finite");
    return image_from_floats(&s->result->images[i], pixels, r->width, r->height, IMAGE_HWC,
                             c->tiny ? IMAGE_UNIT : IMAGE_SIGNED, err);
}

bool vae_decode(const struct stage *s, const struct latents *latents, struct error *err)
{
    struct network *net = &s->plan->phase[PLAN_VAE_DECODE].net;
    size_t pixels_n = (size_t)s->request->width * (size_t)s->request->height * IMAGE_CHANNELS;
    double started = clock_seconds();

    float *rows = stages_numbers(latents->each, err);
    float *pixels = stages_numbers(pixels_n, err);
    bool ok = rows && pixels && stages_begin(s, net, err);
    if (ok) {
        for (int i = 0; ok && i < s->plan->batch; i++)
            ok = decode_one(s, latents, i, rows, pixels, err);
        stages_end(s, net, PLAN_VAE_DECODE, started);
    }
    free(rows);
    free(pixels);
    return ok;
}
