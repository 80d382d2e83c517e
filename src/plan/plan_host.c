#include "image/mask_blend.h"
#include "nn/vae.h"
#include "plan/planner.h"

enum {
    PIXEL_FLOATS = 3 * sizeof(float),
    PIXEL_CODED = 4, /* the picture's file while it is written */
};

/* Latents a pass keeps beside the sampler's scratch: its state, the model's input and its two
 * answers, the noise of a step. */
enum { LATENT_COPIES = 6 };

enum { CHUNK_BYTES = 1536 }; /* tokens and weights for both encoders */

/* Pages of the program that only a second pass touches. */
enum { SECOND_PASS_BYTES = 384 << 10 };

/* --- Texts. --- */

/* The texts as a UNet takes them, and what they were made of.  Where pictures share them or they
 * change they are also copied for each call. */
static size_t context_bytes(const struct planner *p, const struct model *m, enum plan_phase phase)
{
    const struct model_info *info = model_view(m);
    const struct gen_text_need need = planner_text_need(p, phase);
    const size_t each = sizeof(float) * ((size_t)need.chunks * (size_t)network_tokens(info) *
                                             (size_t)info->unet.cross_attention_dim +
                                         (size_t)info->unet.addition_input_dim);
    const size_t batch = (size_t)p->request->batch_size;
    const size_t copies = batch > 1 || need.changes ? batch * (need.parts > 1 ? 2 : 1) : 0;

    return each * ((size_t)need.texts + copies) +
           (size_t)need.texts * (size_t)need.chunks * CHUNK_BYTES +
           (size_t)need.vectors * (size_t)(info->clip[0].width + info->clip[1].width) *
               sizeof(float);
}

/* One lot's states of an encoder, and what the pooled texts are made from. */
static size_t encoding_bytes(const struct planner *p, const struct model *m, enum plan_phase phase)
{
    const struct model_info *info = model_view(m);
    const struct gen_text_need need = planner_text_need(p, phase);
    const int width =
        info->clip[0].width > info->clip[1].width ? info->clip[0].width : info->clip[1].width;
    const size_t lot = (planner_is_guided(p, phase) ? 2 : 1) * (size_t)network_tokens(info);
    const size_t pooled =
        info->unet.addition_input_dim
            ? (size_t)need.texts * (size_t)need.chunks * 2 * (size_t)info->unet.addition_input_dim
            : 0;

    return sizeof(float) * (lot * (size_t)width + pooled);
}

/* All texts stay until the last step. */
struct texts {
    size_t base, second, refiner;
};

static struct texts texts_of(const struct planner *p)
{
    const struct plan_models *m = p->models;

    return (struct texts){
        .base = context_bytes(p, m->base, PLAN_TEXT_ENCODE),
        .second = p->has_second_text ? context_bytes(p, m->base, PLAN_HIRES_TEXT) : 0,
        .refiner = m->refiner ? context_bytes(p, m->refiner, PLAN_REFINER_TEXT) : 0,
    };
}

/* --- Pictures and latents. --- */

/* Answers beyond two, of prompts with AND. */
static size_t more_answers(const struct planner *p, enum plan_phase phase)
{
    const int parts = planner_text_need(p, phase).parts;
    return parts > 2 ? (size_t)(parts - 2) : 0;
}

struct numbers {
    size_t pixels;       /* of one picture */
    size_t latent, each; /* bytes of the batch's latents and of one */
};

static struct numbers numbers_of(const struct planner *p, int width, int height)
{
    const struct vae_config *vae = &model_view(p->models->base)->vae;
    const size_t pixels = (size_t)width * (size_t)height;
    const size_t each = sizeof(float) * (size_t)vae->latent_channels * pixels /
                        (size_t)(vae_scale(vae) * vae_scale(vae));

    return (struct numbers){
        .pixels = pixels, .each = each, .latent = each * (size_t)p->request->batch_size};
}

/* What an inpainting model's UNet is shown beside the latent. */
static size_t shown_bytes(const struct planner *p, const struct numbers *n)
{
    const size_t channels = (size_t)model_view(p->models->base)->vae.latent_channels;
    return planner_is_inpainting(p) ? n->each + n->each / channels : 0;
}

/* Its input holds that for each latent of a call. */
static size_t more_input(const struct planner *p, const struct numbers *n)
{
    return 2 * (size_t)p->request->batch_size * shown_bytes(p, n);
}

static size_t input_pixels(const struct gen_request *r)
{
    const struct gen_input *in = &r->input;
    return in->width > 0 ? (size_t)in->width * (size_t)in->height
                         : (size_t)r->width * (size_t)r->height;
}

/* What lies beside a run that has a mask: the original, or the mask of the whole input, to restore
 * what stays; places of the latent; the latents that stay. */
static size_t kept_pixels(const struct planner *p, const struct numbers *n)
{
    const struct gen_request *r = p->request;

    if (!r->input.has_mask)
        return 0;
    return gen_request_is_full_res(r) ? input_pixels(r) : n->pixels * 4;
}

static size_t kept_latents(const struct planner *p, const struct numbers *n)
{
    return p->request->input.has_mask ? n->latent + n->each : 0;
}

/* The picture as it is encoded, and its mask. */
static size_t prepared_bytes(const struct planner *p, const struct numbers *n)
{
    const struct gen_request *r = p->request;

    if (r->mode != GEN_IMG2IMG || !gen_request_prepares(r))
        return 0;
    return n->pixels * (r->input.has_mask ? 4 : 3);
}

/* While they are made: the mask at the input's size, twice; surrounding colours. */
static size_t preparing_bytes(const struct planner *p, const struct numbers *n)
{
    const struct gen_request *r = p->request;
    const size_t input = input_pixels(r);

    if (!r->input.has_mask)
        return 0;
    return 2 * (input > n->pixels ? input : n->pixels) +
           (r->inpaint.fill == MASK_BLEND_ORIGINAL ? 0
                                                   : mask_blend_fill_bytes(r->width, r->height));
}

static size_t denoise_bytes(const struct planner *p, enum plan_phase phase, const struct numbers *n)
{
    const struct gen_request *r = planner_request(p, phase);

    return n->latent * ((size_t)(LATENT_COPIES + r->sampler->n_scratch) + more_answers(p, phase)) +
           shown_bytes(p, n) + more_input(p, n);
}

/* Beside what the phases of encoding read and write there is what they make. */
static size_t encode_bytes(const struct planner *p, const struct numbers *n,
                           const struct numbers *encoded)
{
    return encoded->pixels * PIXEL_FLOATS + n->latent + 2 * encoded->each + shown_bytes(p, n);
}

static size_t result_bytes(const struct planner *p, const struct numbers *last)
{
    const size_t batch = (size_t)p->request->batch_size;
    int width, height;

    gen_request_result_size(p->request, &width, &height);
    const size_t pixels = (size_t)width * (size_t)height;
    const size_t pasted = gen_request_is_full_res(p->request) ? 3 * last->pixels * batch : 0;
    return 3 * pixels * batch + pixels * PIXEL_CODED + pasted;
}

/* Sizes are those of an accepted request and a checked model: far from overflowing. */
static size_t host_bytes(const struct planner *p, enum plan_phase phase)
{
    const struct gen_request *r = p->request, *end = planner_request(p, PLAN_VAE_DECODE);
    const struct numbers n = numbers_of(p, r->width, r->height);
    const struct numbers last = numbers_of(p, end->width, end->height);
    const struct texts t = texts_of(p);
    const size_t contexts = t.base + t.second + t.refiner, batch = (size_t)r->batch_size;
    const size_t kept = kept_pixels(p, &n);
    int width, height;

    gen_request_encode_size(r, &width, &height);
    const struct numbers encoded = numbers_of(p, width, height);
    switch (phase) {
    case PLAN_TEXT_ENCODE:
        return t.base + encoding_bytes(p, p->models->base, phase);
    case PLAN_HIRES_TEXT:
        return t.base + t.second + encoding_bytes(p, p->models->base, phase);
    case PLAN_REFINER_TEXT:
        return contexts + encoding_bytes(p, p->models->refiner, phase);
    case PLAN_INPUT: /* the pictures as they came are the caller's, and in the base */
        return contexts + kept + prepared_bytes(p, &encoded) + preparing_bytes(p, &n);
    case PLAN_VAE_ENCODE:
        return contexts + kept + prepared_bytes(p, &encoded) + encode_bytes(p, &n, &encoded);
    case PLAN_DENOISE:
        return contexts + kept + kept_latents(p, &n) + denoise_bytes(p, phase, &n);
    case PLAN_HIRES_DECODE:
        return contexts + n.latent + n.each + 3 * n.pixels * batch + n.pixels * PIXEL_FLOATS;
    case PLAN_HIRES_UPSCALE: /* of the last picture; plan_upscale adds what is in work */
        return contexts + 3 * last.pixels * (batch - 1);
    case PLAN_HIRES_ENCODE:
        return contexts + (planner_upscales_pixels(p) ? 3 * last.pixels * batch : n.latent) +
               encode_bytes(p, &last, &last);
    case PLAN_HIRES_DENOISE:
        return contexts + denoise_bytes(p, phase, &last);
    case PLAN_REFINE:
        return contexts + kept + kept_latents(p, &last) + denoise_bytes(p, phase, &last);
    case PLAN_VAE_DECODE:
        return kept + last.latent + last.each + 3 * last.pixels * batch +
               last.pixels * PIXEL_FLOATS;
    case PLAN_IMAGE_ENCODE:
        return kept + result_bytes(p, &last);
    case PLAN_PHASES:
        break;
    }
    return 0;
}

size_t plan_host_bytes(const struct planner *p, enum plan_phase phase)
{
    const bool is_late = p->has_second && phase >= PLAN_HIRES_DECODE;
    return host_bytes(p, phase) + (is_late ? SECOND_PASS_BYTES : 0);
}
