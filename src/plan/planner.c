#include "plan/planner.h"

#include "image/builtin_upscaler.h"
#include "nn/vae.h"

#include <stdint.h>

/* Pages of the page cache mapped and dropped again. */
static const double STREAM_BYTES_PER_SECOND = 4e9;
/* Pages of the page cache that become the process's own, in a virtual machine. */
static const double MERGE_BYTES_PER_SECOND = 1e9;

const struct lora_set *planner_loras(const struct planner *p, const struct model *m)
{
    return m == p->models->refiner ? p->models->refiner_loras : p->models->loras;
}

const struct gen_request *planner_request(const struct planner *p, enum plan_phase phase)
{
    switch (phase) {
    case PLAN_HIRES_TEXT:
    case PLAN_REFINER_TEXT:
    case PLAN_HIRES_ENCODE:
    case PLAN_HIRES_DENOISE:
    case PLAN_REFINE:
    case PLAN_VAE_DECODE:
        return p->has_second ? &p->second : p->request;
    case PLAN_TEXT_ENCODE:
    case PLAN_INPUT:
    case PLAN_VAE_ENCODE:
    case PLAN_DENOISE:
    case PLAN_HIRES_DECODE:
    case PLAN_HIRES_UPSCALE:
    case PLAN_IMAGE_ENCODE:
    case PLAN_PHASES:
        break;
    }
    return p->request;
}

bool planner_is_inpainting(const struct planner *p)
{
    return network_is_inpainting(model_view(p->models->base));
}

bool planner_upscales_pixels(const struct planner *p)
{
    const struct gen_hires *h = &p->request->hires;

    if (!p->has_second)
        return false;
    const struct builtin_upscaler *row =
        h->upscaler_path ? NULL : builtin_upscaler_find(h->upscaler);
    return !row || !row->is_latent;
}

bool planner_only_enlarges(const struct planner *p)
{
    const struct gen_steps steps = gen_request_steps(&p->second);
    return planner_upscales_pixels(p) && steps.skipped >= steps.all;
}

bool planner_is_guided(const struct planner *p, enum plan_phase phase)
{
    const struct gen_request *r = planner_request(p, phase);
    return r->cfg_scale != 1.0 || r->text[0].parts > 1;
}

struct gen_text_need planner_text_need(const struct planner *p, enum plan_phase phase)
{
    const bool refines = phase == PLAN_REFINER_TEXT || phase == PLAN_REFINE;
    struct gen_text_need need = planner_request(p, phase)->text[refines];
    const int parts = planner_is_guided(p, phase) ? 2 : 1;

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

struct plan_stage planner_stage(const struct planner *p, enum plan_phase phase,
                                const struct model *m)
{
    const struct gen_request *r = planner_request(p, phase);
    const int scale = vae_scale(&model_view(p->models->base)->vae);
    int width = r->width, height = r->height;

    if (phase == PLAN_VAE_ENCODE)
        gen_request_encode_size(r, &width, &height);
    return (struct plan_stage){.used = true,
                               .model = m,
                               .latent_w = width / scale,
                               .latent_h = height / scale,
                               .tile_w = width / scale,
                               .tile_h = height / scale};
}

struct plan_stage *planner_begin(struct planner *p, enum plan_phase phase, const struct model *m)
{
    struct plan_stage *stage = &p->plan->phase[phase];

    *stage = planner_stage(p, phase, m);
    p->least_bytes = 0;
    return stage;
}

void planner_forget_needs(struct plan_stage *stage, size_t host_bytes)
{
    stage->weights_bytes = stage->arena_bytes = 0;
    stage->host_bytes = host_bytes;
    stage->flops = stage->seconds = 0;
}

/* What merging LoRAs saves in the runs after the first, less what it takes; seconds. */
static double merge_gain(const struct network *n, double runs)
{
    return (runs - 1) * n->merge_seconds -
           (double)weights_delta_target_bytes(n->weights) / MERGE_BYTES_PER_SECOND;
}

void planner_add_network(struct plan_stage *stage, const struct network *n, double runs)
{
    const bool stream = stage->stream;
    const double gain = merge_gain(n, runs);

    stage->merge = !stream && gain > 0;
    weights_set_policy(n->weights, stream         ? WEIGHTS_STREAMED
                                   : stage->merge ? WEIGHTS_MERGED
                                                  : WEIGHTS_HELD);
    stage->weights_bytes += stream ? streamed_bytes(n, runs) : n->resident_bytes;
    if (n->arena_bytes > stage->arena_bytes)
        stage->arena_bytes = n->arena_bytes;
    stage->flops += runs * n->flops;
    stage->seconds +=
        runs *
        (n->seconds + (stream ? (double)weights_bytes(n->weights) / STREAM_BYTES_PER_SECOND : 0));
    stage->seconds -= stage->merge ? gain : 0;
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

bool planner_goes_on(const struct planner *p)
{
    return !p->worst_bytes || !p->ends_early;
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
