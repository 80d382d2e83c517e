#include "pipeline/source.h"

#include "image/latent_resize.h"
#include "pipeline/vae_encode.h"

#include <stdlib.h>
#include <string.h>

/* The encoded size's latent at the pass's size. */
static bool resize(float *out, const struct plan_stage *to, const float *in,
                   const struct plan_stage *from, size_t channels, struct error *err)
{
    return latent_resize(out, to->latent_w, to->latent_h, in, from->latent_w, from->latent_h,
                         channels, LATENT_RESIZE_BILINEAR, err);
}

/* Each picture's draw from the posterior, or for all of them its mean. */
static bool encode_picture(struct latents *out, struct vae_encode *e, const struct inpaint *input,
                           struct error *err)
{
    const struct stage *s = e->stage;
    const struct plan_stage *to = &s->plan->phase[PLAN_DENOISE];
    const struct plan_stage *from = &s->plan->phase[PLAN_VAE_ENCODE];
    const size_t channels = (size_t)e->config->latent_channels;
    const bool draws = s->request->img2img_rule == GEN_IMG2IMG_DIFFUSERS;
    const bool resizes = from->latent_w != to->latent_w || from->latent_h != to->latent_h;
    float *made = NULL;

    vae_encode_picture(e, input->picture);
    if (!vae_encode_run(e, err) || (resizes && !(made = stages_numbers(channels * e->places, err))))
        return false;
    bool ok = true;
    for (int i = 0; ok && i < s->plan->batch; i++) {
        float *x = out->x + (size_t)i * out->each;
        if (draws)
            vae_encode_draw(e, resizes ? made : x, &s->rngs[i]);
        else
            vae_encode_mean(e, resizes ? made : x);
        ok = !resizes || resize(x, to, made, from, channels, err);
    }
    free(made);
    return ok;
}

/* The mask's plane, and the latent of the picture with gray under the mask. */
static bool show_masked(float *shown, struct vae_encode *e, const struct inpaint *input,
                        struct error *err)
{
    const struct stage *s = e->stage;
    const struct plan_stage *phase = &s->plan->phase[e->phase];
    const bool round = s->request->inpaint.round;

    if (input && input->mask.px) {
        vae_encode_picture(e, input->picture);
        inpaint_cover(e->pixels, e->n_pixels, vae_encode_gray_value(e), input, round);
        inpaint_show_mask(shown, phase->latent_w, phase->latent_h, input, round);
    } else {
        vae_encode_gray(e);
        for (size_t i = 0; i < e->places; i++)
            shown[i] = 1;
    }
    if (!vae_encode_run(e, err))
        return false;
    vae_encode_mean(e, shown + e->places);
    return true;
}

/* Of a resized latent the gray one is resized too. */
static bool make_shown(float **out, struct vae_encode *e, const struct inpaint *input,
                       enum plan_phase pass, struct error *err)
{
    const struct stage *s = e->stage;
    const struct plan_stage *from = &s->plan->phase[e->phase], *to = &s->plan->phase[pass];
    const size_t planes = (size_t)e->config->latent_channels + 1;
    float *shown = stages_numbers(planes * e->places, err);
    bool ok = shown && show_masked(shown, e, input, err);

    if (ok && (from->latent_w != to->latent_w || from->latent_h != to->latent_h)) {
        float *resized = stages_numbers(planes * (size_t)to->latent_w * (size_t)to->latent_h, err);
        ok = resized && resize(resized, to, shown, from, planes, err);
        free(shown);
        shown = resized;
    }
    if (!ok) {
        free(shown);
        return false;
    }
    *out = shown;
    return true;
}

/* "inpainting_fill" 2 and 3: noise of the picture's seed, or nothing, where it is painted anew. */
static bool fill(struct latents *x, const struct stage *s, const struct inpaint *input,
                 struct error *err)
{
    const struct gen_request *r = s->request;
    const struct plan_stage *phase = &s->plan->phase[PLAN_DENOISE];
    const size_t places = (size_t)phase->latent_w * (size_t)phase->latent_h;
    const bool noisy = r->inpaint.fill == MASK_BLEND_NOISE;
    float *noise;

    if (!input->places || (!noisy && r->inpaint.fill != MASK_BLEND_NOTHING))
        return true;
    noise = stages_numbers(x->each, err);
    for (int i = 0; noise && i < s->plan->batch; i++) {
        float *to = x->x + (size_t)i * x->each;
        struct rng rng;
        rng_init(&rng, r->rng, gen_request_seed(r, i));
        if (noisy)
            rng_normal(&rng, noise, x->each);
        for (size_t k = 0; k < x->each; k++) {
            const float anew = input->places[k % places];
            to[k] = to[k] * (1 - anew) + noise[k] * anew;
        }
    }
    free(noise);
    return noise != NULL;
}

bool source_make(struct latents *out, float **shown, const struct stage *s,
                 const struct inpaint *input, struct error *err)
{
    const struct model_info *info = model_view(s->base.model);
    const struct plan_stage *phase = &s->plan->phase[PLAN_DENOISE];
    struct latents x = {.each = (size_t)info->vae.latent_channels * (size_t)phase->latent_w *
                                (size_t)phase->latent_h};
    struct vae_encode e = {0};

    *shown = NULL;
    x.x = stages_numbers(x.each * (size_t)s->plan->batch, err);
    bool ok = x.x != NULL;
    if (ok && s->plan->phase[PLAN_VAE_ENCODE].used) {
        ok = vae_encode_begin(&e, s, PLAN_VAE_ENCODE, err) &&
             (!input->picture || encode_picture(&x, &e, input, err)) &&
             (!network_is_inpainting(info) || make_shown(shown, &e, input, PLAN_DENOISE, err));
        vae_encode_end(&e);
    }
    if (ok && fill(&x, s, input, err)) {
        *out = x;
        return true;
    }
    free(x.x);
    free(*shown);
    *shown = NULL;
    return false;
}
