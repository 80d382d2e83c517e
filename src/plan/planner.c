#include "plan/planner.h"

#include "nn/vae.h"

#include <stdint.h>

enum {
    PIXEL_FLOATS = 3 * sizeof(float),
    PIXEL_CODED = 4, /* the picture's file while it is written */
};

/* Latents a run keeps beside the sampler's scratch: noise, the model's input and its two answers.
 */
enum { LATENT_COPIES = 6 };

enum { CHUNK_BYTES = 1536 }; /* tokens and weights for both encoders */

/* Pages of the page cache mapped and dropped again. */
static const double STREAM_BYTES_PER_SECOND = 4e9;

const struct lora_set *planner_loras(const struct planner *p, const struct model *m)
{
    return m == p->models->refiner ? p->models->refiner_loras : p->models->loras;
}

bool planner_is_forbidden(const struct planner *p, enum memory_optimization o)
{
    return p->bounds->optimization[o] == TRI_FALSE;
}

size_t planner_phase_bytes(const struct planner *p, const struct plan_stage *stage)
{
    return p->bounds->base_bytes + GEN_PLAN_PROCESS_BYTES + stage->weights_bytes +
           stage->arena_bytes + stage->host_bytes;
}

/* Beside the whole arena.  A single run's largest weights may come before the arena is full. */
static size_t streamed_bytes(const struct network *n, double runs)
{
    size_t bytes = weights_peak_resident_bytes(n->weights, WEIGHTS_STREAMED);
    size_t first = exec_first_run_bytes(n->exec);

    if (runs > 1 || first >= bytes + n->arena_bytes)
        return bytes;
    return first - n->arena_bytes;
}

struct plan_stage *planner_begin(struct planner *p, enum plan_phase phase, const struct model *m)
{
    struct plan_stage *stage = &p->plan->phase[phase];
    const struct gen_request *r = p->request;
    const int scale = vae_scale(&model_view(p->models->base)->vae);

    stage->used = true;
    stage->model = m;
    stage->latent_w = stage->tile_w = r->width / scale;
    stage->latent_h = stage->tile_h = r->height / scale;
    p->least_bytes = 0;
    return stage;
}

void planner_forget_needs(struct plan_stage *stage, size_t host_bytes)
{
    stage->weights_bytes = stage->arena_bytes = 0;
    stage->host_bytes = host_bytes;
    stage->flops = stage->seconds = 0;
}

void planner_add_network(struct plan_stage *stage, const struct network *n, double runs)
{
    const bool stream = stage->stream;

    weights_set_policy(n->weights, stream ? WEIGHTS_STREAMED : WEIGHTS_HELD);
    stage->weights_bytes += stream ? streamed_bytes(n, runs) : n->resident_bytes;
    if (n->arena_bytes > stage->arena_bytes)
        stage->arena_bytes = n->arena_bytes;
    stage->flops += runs * n->flops;
    stage->seconds +=
        runs *
        (n->seconds + (stream ? (double)weights_bytes(n->weights) / STREAM_BYTES_PER_SECOND : 0));
}

size_t planner_most_arena(const struct planner *p, size_t host_bytes)
{
    const size_t fixed = p->bounds->base_bytes + GEN_PLAN_PROCESS_BYTES + host_bytes;

    if (!p->ends_early || !p->bounds->limit_bytes)
        return 0;
    return p->bounds->limit_bytes > fixed ? p->bounds->limit_bytes - fixed : 1;
}

bool planner_is_hopeless(const struct planner *p, size_t bytes)
{
    const size_t most = planner_most_arena(p, 0);
    return most && bytes > most;
}

bool planner_fits(struct planner *p, const struct plan_stage *stage)
{
    size_t bytes = planner_phase_bytes(p, stage);

    if (!p->least_bytes || bytes < p->least_bytes)
        p->least_bytes = bytes;
    return !p->bounds->limit_bytes || bytes <= p->bounds->limit_bytes;
}

bool planner_is_guided(const struct planner *p)
{
    return p->request->cfg_scale != 1.0 || p->request->text[0].parts > 1;
}

struct gen_text_need planner_text_need(const struct planner *p, const struct model *m)
{
    struct gen_text_need need = p->request->text[m != p->models->base];
    const int parts = planner_is_guided(p) ? 2 : 1;

    if (!need.parts)
        need.parts = parts;
    if (!need.texts)
        need.texts = parts;
    if (!need.chunks)
        need.chunks = 1;
    if (!need.different)
        need.different = need.texts * need.chunks;
    return need;
}

/* The texts as a UNet takes them, and what they were made of.  Where pictures share them or they
 * change they are also copied for each call. */
static size_t context_bytes(const struct planner *p, const struct model *m)
{
    if (!m)
        return 0;
    const struct model_info *info = model_view(m);
    const struct gen_text_need need = planner_text_need(p, m);
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
static size_t encoding_bytes(const struct planner *p, const struct model *m)
{
    const struct model_info *info = model_view(m);
    const struct gen_text_need need = planner_text_need(p, m);
    const int width =
        info->clip[0].width > info->clip[1].width ? info->clip[0].width : info->clip[1].width;
    const size_t lot = (planner_is_guided(p) ? 2 : 1) * (size_t)network_tokens(info);
    const size_t pooled =
        info->unet.addition_input_dim
            ? (size_t)need.texts * (size_t)need.chunks * 2 * (size_t)info->unet.addition_input_dim
            : 0;

    return sizeof(float) * (lot * (size_t)width + pooled);
}

/* Answers beyond two, of prompts with AND. */
static size_t more_answers(const struct planner *p)
{
    const int parts = planner_text_need(p, p->models->base).parts;
    return parts > 2 ? (size_t)(parts - 2) : 0;
}

/* Sizes are those of an accepted request and a checked model: far from overflowing. */
size_t planner_host_bytes(const struct planner *p, enum plan_phase phase)
{
    const struct vae_config *vae = &model_view(p->models->base)->vae;
    const struct gen_request *r = p->request;
    size_t pixels = (size_t)r->width * (size_t)r->height, batch = (size_t)r->batch_size;
    size_t latent = sizeof(float) * (size_t)vae->latent_channels * pixels /
                    (size_t)(vae_scale(vae) * vae_scale(vae)) * batch;
    size_t base = context_bytes(p, p->models->base);
    size_t contexts = base + context_bytes(p, p->models->refiner);

    switch (phase) {
    case PLAN_TEXT_ENCODE:
        return base + encoding_bytes(p, p->models->base);
    case PLAN_REFINER_TEXT:
        return contexts + encoding_bytes(p, p->models->refiner);
    case PLAN_VAE_ENCODE: /* img2img's picture itself is the caller's, and in the base */
        return contexts + pixels * PIXEL_FLOATS + latent;
    case PLAN_DENOISE:
    case PLAN_REFINE:
        return contexts +
               latent * ((size_t)(LATENT_COPIES + r->sampler->n_scratch) + more_answers(p));
    case PLAN_VAE_DECODE:
        return latent + latent / batch + 3 * pixels * batch + pixels * PIXEL_FLOATS;
    case PLAN_IMAGE_ENCODE:
        return 3 * pixels * batch + pixels * PIXEL_CODED;
    case PLAN_PHASES:
        break;
    }
    return 0;
}

/* Nothing fits; the other phases are still tried, to tell what all of them need. */
void planner_remember_refusal(struct planner *p, enum plan_phase phase)
{
    size_t bytes = p->least_bytes ? p->least_bytes : SIZE_MAX; /* no way is allowed at all */
    if (bytes > p->worst_bytes) {
        p->worst_bytes = bytes;
        p->worst_phase = phase;
    }
}
