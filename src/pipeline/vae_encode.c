#include "base/clock.h"
#include "pipeline/stages.h"

#include <math.h>
#include <stdlib.h>

/* diffusers' DiagonalGaussianDistribution: the first half of the planes are means, the second
 * logarithms of variances. */
static void draw_latent(float *latent, const float *moments, size_t n, const struct vae_config *c,
                        struct rng *rng)
{
    rng_normal(rng, latent, n);
    for (size_t i = 0; i < n; i++) {
        float log_variance = fminf(fmaxf(moments[n + i], -30), 20);
        float z = moments[i] + expf(0.5f * log_variance) * latent[i];
        latent[i] = (z - c->shift_factor) * c->scaling_factor;
    }
}

bool vae_encode(float *latent, const struct stage *s, const struct image *input, struct rng *rngs,
                struct error *err)
{
    struct network *net = &s->plan->vae_encoder;
    const struct vae_config *c = &model_view(s->model)->vae;
    size_t each =
        (size_t)c->latent_channels * (size_t)s->plan->latent_w * (size_t)s->plan->latent_h;
    double started = clock_seconds();

    float *pixels = stages_numbers(image_bytes(input), err);
    float *moments = stages_numbers(2 * each, err);
    bool ok = pixels && moments && stages_begin(s, net, err);
    if (ok) {
        image_to_floats(pixels, input, IMAGE_HWC, IMAGE_SIGNED);
        exec_write(net->exec, net->in, pixels, BACKEND_ROWS);
        ok = stages_call(s, net, PLAN_VAE_ENCODE, 0, 1, err);
        if (ok)
            exec_read(net->exec, net->out, moments, BACKEND_PLANES);
        stages_end(s, net, PLAN_VAE_ENCODE, started);
    }
    for (int i = 0; ok && i < s->plan->batch; i++)
        draw_latent(latent + (size_t)i * each, moments, each, c, &rngs[i]);
    free(pixels);
    free(moments);
    return ok;
}
