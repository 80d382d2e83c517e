#include "base/clock.h"
#include "pipeline/stages.h"

#include <math.h>
#include <stdlib.h>

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static bool decode_one(const struct stage *s, const struct latents *latents, int i, float *pixels,
                       struct error *err)
{
    struct network *net = &s->plan->vae_decoder;
    const struct vae_config *c = &model_view(s->model)->vae;
    const struct gen_request *r = s->request;
    const float *latent = latents->x + (size_t)i * latents->each;

    for (size_t k = 0; k < latents->each; k++)
        pixels[k] = latent[k] / c->scaling_factor + c->shift_factor;
    exec_write(net->exec, net->in, pixels, BACKEND_PLANES);
    if (!stages_call(s, net, PLAN_VAE_DECODE, i, s->plan->batch, err))
        return false;
    exec_read(net->exec, net->out, pixels, BACKEND_ROWS);
    if (!all_finite(pixels, (size_t)r->width * (size_t)r->height * IMAGE_CHANNELS))
        return error_set(err, ERROR_CORRUPT,
                         "the VAE's answer is not a picture: some of its numbers are not finite");
    return image_from_floats(&s->result->images[i], pixels, r->width, r->height, IMAGE_HWC,
                             IMAGE_SIGNED, err);
}

bool vae_decode(const struct stage *s, const struct latents *latents, struct error *err)
{
    struct network *net = &s->plan->vae_decoder;
    size_t pixels_n = (size_t)s->request->width * (size_t)s->request->height * IMAGE_CHANNELS;
    double started = clock_seconds();

    /* A latent is smaller than its picture, so one array serves both. */
    float *pixels = stages_numbers(pixels_n > latents->each ? pixels_n : latents->each, err);
    bool ok = pixels && stages_begin(s, net, err);
    if (ok) {
        for (int i = 0; ok && i < s->plan->batch; i++)
            ok = decode_one(s, latents, i, pixels, err);
        stages_end(s, net, PLAN_VAE_DECODE, started);
    }
    free(pixels);
    return ok;
}
