#include "plan/gen_plan.h"

#include "base/size.h"
#include "nn/vae.h"

#include <stdint.h>

enum {
    /* Code pages, stacks and small allocations that appear while a run goes on. */
    PROCESS_BYTES = 1 << 20,
    PIXEL_BYTES = 3 * sizeof(float) + 3 + 4, /* floats, 8-bit pixels, the encoder's copy */
};

/* Latents a run keeps beside the sampler's scratch: noise, the model's input and its two answers.
 */
enum { LATENT_COPIES = 6 };

const char *gen_plan_phase_name(enum plan_phase phase)
{
    static const char *const name[PLAN_PHASES] = {"text encode", "vae encode", "denoise",
                                                  "vae decode", "image encode"};
    return name[phase];
}

static int tile_side(int side, const struct plan_levers *l)
{
    return l->vae == PLAN_VAE_BLENDED && l->tile < side ? l->tile : side;
}

static bool make_networks(struct gen_plan *p, const struct gen_request *r, const struct model *m,
                          struct backend *b, struct error *err)
{
    bool guided = r->cfg_scale != 1.0;

    p->batch = r->batch_size;
    p->unet_rounds = guided && p->levers.guidance_in_turn ? 2 : 1;
    p->unet_batch = guided && p->unet_rounds == 1 ? 2 * p->batch : p->batch;
    p->tile_w = tile_side(p->latent_w, &p->levers);
    p->tile_h = tile_side(p->latent_h, &p->levers);
    return network_text_encoder(&p->text, m, b, guided ? 2 : 1, r->clip_skip, err) &&
           (r->mode != GEN_IMG2IMG ||
            network_vae_encoder(&p->vae_encoder, m, b, 1, p->tile_h, p->tile_w, err)) &&
           network_unet(&p->unet, m, b, p->unet_batch, p->latent_h, p->latent_w, err) &&
           network_vae_decoder(&p->vae_decoder, m, b, 1, p->tile_h, p->tile_w, err);
}

static void set_need(struct gen_plan *p, enum plan_phase phase, const struct network *n,
                     size_t host_bytes, double runs)
{
    p->phase[phase] = (struct plan_phase_need){.used = true,
                                               .weights_bytes = n->resident_bytes,
                                               .arena_bytes = n->arena_bytes,
                                               .host_bytes = host_bytes,
                                               .flops = runs * n->flops};
    if (n->arena_bytes > p->arena_bytes)
        p->arena_bytes = n->arena_bytes;
}

/* Sizes are those of an accepted request and a checked model: far from overflowing. */
static void set_needs(struct gen_plan *p, const struct gen_request *r, const struct model *m)
{
    const struct model_info *info = model_view(m);
    size_t pixels = (size_t)r->width * (size_t)r->height;
    size_t latent = sizeof(float) * (size_t)info->vae.latent_channels * (size_t)p->latent_w *
                    (size_t)p->latent_h * (size_t)p->batch;
    size_t context = sizeof(float) * (size_t)(p->unet_batch * p->unet_rounds) *
                     (size_t)info->clip[0].max_positions * (size_t)info->unet.cross_attention_dim;
    size_t input = r->mode == GEN_IMG2IMG ? 3 * pixels : 0;
    size_t pictures = 3 * pixels * (size_t)p->batch;

    set_need(p, PLAN_TEXT_ENCODE, &p->text, context + input, 1);
    if (r->mode == GEN_IMG2IMG)
        set_need(p, PLAN_VAE_ENCODE, &p->vae_encoder, context + pixels * PIXEL_BYTES + latent, 1);
    set_need(p, PLAN_DENOISE, &p->unet,
             context + latent * (size_t)(LATENT_COPIES + r->sampler->n_scratch), p->model_calls);
    set_need(p, PLAN_VAE_DECODE, &p->vae_decoder, latent + pictures + pixels * PIXEL_BYTES,
             p->batch);
    p->phase[PLAN_IMAGE_ENCODE] =
        (struct plan_phase_need){.used = true, .host_bytes = pictures + pixels * PIXEL_BYTES};
}

static void set_peak(struct gen_plan *p)
{
    for (int i = 0; i < PLAN_PHASES; i++) {
        const struct plan_phase_need *n = &p->phase[i];
        size_t bytes =
            p->base_bytes + PROCESS_BYTES + n->weights_bytes + n->arena_bytes + n->host_bytes;
        if (n->used && bytes > p->peak_bytes) {
            p->peak_bytes = bytes;
            p->peak_phase = (enum plan_phase)i;
        }
    }
}

bool gen_plan_make(struct gen_plan *out, const struct gen_request *r, const struct model *m,
                   struct backend *b, size_t base_bytes, struct error *err)
{
    struct gen_plan p = {.base_bytes = base_bytes};
    int scale = vae_scale(&model_view(m)->vae);

    if (r->width % scale != 0 || r->height % scale != 0)
        return error_set(err, ERROR_INVALID,
                         "width and height are multiples of %d for this model, not %dx%d", scale,
                         r->width, r->height);
    p.latent_w = r->width / scale;
    p.latent_h = r->height / scale;
    p.model_calls = r->steps * r->sampler->evaluations;
    if (r->mode == GEN_IMG2IMG)
        p.model_calls = (r->steps - schedule_img2img_start(r->steps, r->denoising_strength)) *
                        r->sampler->evaluations;
    if (!make_networks(&p, r, m, b, err)) {
        gen_plan_clear(&p);
        return false;
    }
    set_needs(&p, r, m);
    set_peak(&p);
    *out = p;
    return true;
}

void gen_plan_clear(struct gen_plan *p)
{
    network_clear(&p->text);
    network_clear(&p->vae_encoder);
    network_clear(&p->unet);
    network_clear(&p->vae_decoder);
    *p = (struct gen_plan){0};
}
