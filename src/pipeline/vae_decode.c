#include "base/clock.h"
#include "nn/taesd.h"
#include "nn/vae.h"
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

struct job {
    const struct stage *stage;
    enum plan_phase phase;
    const struct latents *latents;
    float *rows, *pixels; /* of one picture */
};

static bool decode_one(struct image *out, const struct job *job, int i, struct error *err)
{
    const struct stage *s = job->stage;
    const struct vae_config *c = &model_view(s->base.model)->vae;
    struct plan_stage *phase = &s->plan->phase[job->phase];
    const int calls = vae_tiled_calls(phase), scale = vae_scale(c);
    const int width = phase->latent_w * scale, height = phase->latent_h * scale;

    write_rows(job->rows, job->latents->x + (size_t)i * job->latents->each, c,
               (size_t)phase->latent_w * (size_t)phase->latent_h);
    if (c->tiny)
        taesd_clamp(job->rows, job->latents->each);
    if (!vae_tiled_run(s, &phase->net, job->phase, i * calls, s->plan->batch * calls, job->rows,
                       (struct vae_side){c->latent_channels, 1}, job->pixels,
                       (struct vae_side){IMAGE_CHANNELS, scale}, err))
        return false;
    if (!all_finite(job->pixels, (size_t)width * (size_t)height * IMAGE_CHANNELS))
        return error_set(err, ERROR_CORRUPT,
                         "the VAE's answer is not a picture: some of its numbers are not finite");
    return image_from_floats(out, job->pixels, width, height, IMAGE_HWC,
                             c->tiny ? IMAGE_UNIT : IMAGE_SIGNED, err);
}

bool vae_decode(struct image *images, const struct stage *s, enum plan_phase phase,
                const struct latents *latents, struct error *err)
{
    struct plan_stage *plan = &s->plan->phase[phase];
    const size_t scale = (size_t)vae_scale(&model_view(s->base.model)->vae);
    const size_t pixels = (size_t)plan->latent_w * (size_t)plan->latent_h * scale * scale;
    double started = clock_seconds();
    const struct job job = {.stage = s,
                            .phase = phase,
                            .latents = latents,
                            .rows = stages_numbers(latents->each, err),
                            .pixels = stages_numbers(pixels * IMAGE_CHANNELS, err)};

    bool ok = job.rows && job.pixels && stages_begin(s, &plan->net, err);
    if (ok) {
        for (int i = 0; ok && i < s->plan->batch; i++)
            ok = decode_one(&images[i], &job, i, err);
        stages_end(s, &plan->net, phase, started);
    }
    free(job.rows);
    free(job.pixels);
    return ok;
}
