#include "plan/gen_plan.h"

#include "nn/vae.h"
#include "plan/planner.h"

enum { LEANER_STARTS = 8 }; /* subsets of three levers */

const char *gen_plan_phase_name(enum plan_phase phase)
{
    static const char *const name[PLAN_PHASES] = {"text encode", "refiner text", "vae encode",
                                                  "denoise",     "refine",       "vae decode",
                                                  "image encode"};
    return name[phase];
}

struct plan_bounds gen_plan_no_bounds(size_t base_bytes)
{
    return (struct plan_bounds){.base_bytes = base_bytes};
}

size_t gen_plan_phase_bytes(const struct gen_plan *p, enum plan_phase phase)
{
    const struct plan_stage *stage = &p->phase[phase];

    return !stage->used ? 0
                        : p->base_bytes + GEN_PLAN_PROCESS_BYTES + stage->weights_bytes +
                              stage->arena_bytes + stage->host_bytes;
}

static bool refuse(const struct planner *p, struct error *err)
{
    const struct gen_request *r = p->request;
    const double allowed = (double)p->bounds->limit_bytes / 1e6;

    if (p->ends_early)
        return error_set(err, ERROR_LIMIT, "%dx%d does not fit: %s needs more than %.1f MB",
                         r->width, r->height, gen_plan_phase_name(p->worst_phase), allowed);
    return error_set(err, ERROR_LIMIT, "%dx%d needs at least %.1f MB for %s, %.1f MB may be used",
                     r->width, r->height, (double)p->worst_bytes / 1e6,
                     gen_plan_phase_name(p->worst_phase), allowed);
}

/* Where networks stay, every phase carries the weights of those before it.  What is streamed is
 * gone after its phase. */
static void hold_all(struct planner *p)
{
    size_t carried = 0;

    for (int i = 0; i < PLAN_PHASES; i++) {
        struct plan_stage *stage = &p->plan->phase[i];
        size_t own = stage->weights_bytes;
        if (!stage->used)
            continue;
        stage->weights_bytes += carried;
        carried += stage->stream ? 0 : own;
        p->least_bytes = planner_phase_bytes(p, stage);
        if (p->bounds->limit_bytes && p->least_bytes > p->bounds->limit_bytes)
            planner_remember_refusal(p, (enum plan_phase)i);
    }
}

static void set_peak(struct planner *p)
{
    struct gen_plan *plan = p->plan;

    for (int i = 0; i < PLAN_PHASES; i++) {
        const struct plan_stage *stage = &plan->phase[i];
        if (!stage->used)
            continue;
        size_t bytes = planner_phase_bytes(p, stage);
        if (bytes > plan->peak_bytes) {
            plan->peak_bytes = bytes;
            plan->peak_phase = (enum plan_phase)i;
        }
        if (stage->arena_bytes > plan->arena_bytes)
            plan->arena_bytes = stage->arena_bytes;
    }
}

/* The phases' ways in a few words; of several VAE phases, the one that goes furthest. */
static void set_levers(struct gen_plan *plan)
{
    struct plan_levers *l = &plan->levers;

    for (int i = 0; i < PLAN_PHASES; i++) {
        const struct plan_stage *stage = &plan->phase[i];
        switch ((enum plan_phase)i) {
        case PLAN_TEXT_ENCODE:
        case PLAN_REFINER_TEXT:
            l->stream_text = l->stream_text || stage->stream;
            break;
        case PLAN_DENOISE:
        case PLAN_REFINE:
            l->stream = l->stream || stage->stream;
            l->guidance_in_turn = l->guidance_in_turn || stage->rounds > 1;
            break;
        case PLAN_VAE_ENCODE:
        case PLAN_VAE_DECODE:
            l->stream_vae = l->stream_vae || stage->stream;
            if (!stage->used || stage->vae < l->vae)
                break;
            l->vae = stage->vae;
            if (stage->vae == PLAN_VAE_EXACT && (!l->band_rows || stage->band_rows < l->band_rows))
                l->band_rows = stage->band_rows;
            if (stage->vae == PLAN_VAE_BLENDED) {
                l->tile_w = stage->tile_w;
                l->tile_h = stage->tile_h;
            }
            break;
        case PLAN_IMAGE_ENCODE:
        case PLAN_PHASES:
            break;
        }
    }
    if (l->vae == PLAN_VAE_BLENDED)
        l->band_rows = 0;
}

static bool check_size(const struct planner *p, struct error *err)
{
    const struct gen_request *r = p->request;
    int scale = vae_scale(&model_view(p->models->base)->vae);

    if (r->width % scale == 0 && r->height % scale == 0)
        return true;
    return error_set(err, ERROR_INVALID,
                     "width and height are multiples of %d for this model, not %dx%d", scale,
                     r->width, r->height);
}

/* Streaming is the least memory and the default; sliced and plain are there on demand. */
static enum graph_attention_mode attention_of(const struct planner *p)
{
    if (p->bounds->on.on[MEMORY_ATTENTION_SLICING])
        return GRAPH_ATTENTION_SLICED;
    return planner_is_forbidden(p, MEMORY_EFFICIENT_ATTENTION) ? GRAPH_ATTENTION_PLAIN
                                                               : GRAPH_ATTENTION_STREAMING;
}

/* One phase that does not fit is enough where nobody asks what would. */
static bool goes_on(const struct planner *p)
{
    return !p->worst_bytes || !p->ends_early;
}

/* Calls for an answer of the base's UNet and of the refiner's. */
struct shares {
    int base, refiner;
};

static struct shares share_calls(const struct planner *p)
{
    const struct gen_request *r = p->request;
    const struct gen_steps steps = gen_request_steps(r);
    const int all = sampler_evaluations(r->sampler, steps.all - steps.skipped);
    const int base_steps = gen_request_refiner_step(r, steps.all) - steps.skipped;

    if (!p->models->refiner)
        return (struct shares){.base = all};
    const int base = base_steps > 0 ? sampler_evaluations(r->sampler, base_steps) : 0;
    return (struct shares){base, all - base};
}

/* The phases that the request has.  The VAE comes last: it has the most ways. */
static bool make_phases(struct planner *p, struct error *err)
{
    const struct gen_request *r = p->request;
    const struct plan_models *m = p->models;
    const struct shares calls = share_calls(p);

    if (!plan_text(p, PLAN_TEXT_ENCODE, m->base, err))
        return false;
    if (goes_on(p) && m->refiner && !plan_text(p, PLAN_REFINER_TEXT, m->refiner, err))
        return false;
    if (goes_on(p) && !plan_unet(p, PLAN_DENOISE, m->base, calls.base, err))
        return false;
    if (goes_on(p) && m->refiner && !plan_unet(p, PLAN_REFINE, m->refiner, calls.refiner, err))
        return false;
    if (goes_on(p) && r->mode == GEN_IMG2IMG && !plan_vae(p, PLAN_VAE_ENCODE, m->base, err))
        return false;
    if (goes_on(p) && !plan_vae(p, PLAN_VAE_DECODE, m->base, err))
        return false;
    planner_forget_needs(planner_begin(p, PLAN_IMAGE_ENCODE, m->base),
                         planner_host_bytes(p, PLAN_IMAGE_ENCODE));
    return true;
}

/* One way to start, phase by phase; p->worst_bytes tells whether it fits. */
static bool make(struct planner *p, struct error *err)
{
    struct gen_plan *plan = p->plan;

    plan->base_bytes = p->bounds->base_bytes;
    plan->limit_bytes = p->bounds->limit_bytes;
    plan->levers.offload = !planner_is_forbidden(p, MEMORY_MODEL_CPU_OFFLOAD);
    plan->may_stream = !planner_is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD);
    plan->levers.attention = attention_of(p);
    plan->batch = p->request->batch_size;
    p->worst_bytes = 0;
    if (!check_size(p, err) || !make_phases(p, err)) {
        gen_plan_clear(plan);
        return false;
    }
    if (!p->worst_bytes && !plan->levers.offload)
        hold_all(p);
    if (p->worst_bytes) {
        gen_plan_clear(plan);
        return true;
    }
    set_peak(p);
    set_levers(plan);
    return true;
}

/* Attention that may not stream can be sliced; networks that have to stay leave room only where
 * their phases are lean themselves.  False: this start is no use or not allowed. */
static bool start_leaner(struct plan_bounds *out, const struct plan_bounds *b, int i)
{
    const enum tri *o = b->optimization;
    const bool slice = i & 1, tile = i & 2, stream = i & 4;
    const bool plain = o[MEMORY_EFFICIENT_ATTENTION] == TRI_FALSE;

    if ((slice && (!plain || o[MEMORY_ATTENTION_SLICING] == TRI_FALSE)) ||
        ((tile || stream) && o[MEMORY_MODEL_CPU_OFFLOAD] != TRI_FALSE) ||
        (tile && o[MEMORY_VAE_TILING] == TRI_FALSE) ||
        (stream && o[MEMORY_SEQUENTIAL_CPU_OFFLOAD] == TRI_FALSE))
        return false;
    *out = *b;
    out->on.on[MEMORY_ATTENTION_SLICING] |= slice;
    out->on.on[MEMORY_VAE_TILING] |= tile;
    out->on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] |= stream;
    return true;
}

/* Whoever has no step to take over, or nothing it could refine, is not there. */
static struct plan_models models_of(const struct plan_models *asked, const struct gen_request *r)
{
    struct plan_models m = *asked;

    const struct gen_steps steps = gen_request_steps(r);

    if (m.refiner &&
        (model_view(m.base)->family == MODEL_SD1 ||
         gen_request_refiner_step(r, steps.all) >= steps.all || steps.skipped >= steps.all))
        m.refiner = NULL;
    return m;
}

/* A refiner works on the base's latents. */
static bool check_refiner(const struct plan_models *m, struct error *err)
{
    const struct model_info *base = model_view(m->base);

    if (!m->refiner)
        return true;
    const struct model_info *refiner = model_view(m->refiner);
    const int channels = base->vae.latent_channels;
    if (refiner->family != MODEL_SD1 && refiner->unet.in_channels == channels &&
        refiner->unet.out_channels == channels)
        return true;
    return error_set(err, ERROR_INVALID, "%s cannot refine %s: it is an %s model with %d channels",
                     refiner->name, base->name, model_family_name(refiner->family),
                     refiner->unet.in_channels);
}

bool gen_plan_make(struct gen_plan *out, const struct gen_request *r,
                   const struct plan_models *models, struct backend *b,
                   const struct plan_bounds *bounds, size_t *least_bytes, struct error *err)
{
    struct gen_plan plan = {0};
    struct plan_bounds within = *bounds;
    const struct plan_models used = models_of(models, r);
    struct planner p = {.plan = &plan,
                        .request = r,
                        .models = &used,
                        .backend = b,
                        .bounds = &within,
                        .ends_early = !least_bytes};

    if (!check_refiner(&used, err) || !make(&p, err))
        return false;
    for (int i = 1; i < LEANER_STARTS && p.worst_bytes; i++)
        if (start_leaner(&within, bounds, i) && !make(&p, err))
            return false;
    if (least_bytes)
        *least_bytes = p.worst_bytes;
    if (p.worst_bytes)
        return refuse(&p, err);
    *out = plan;
    return true;
}

void gen_plan_clear(struct gen_plan *p)
{
    for (int i = 0; i < PLAN_PHASES; i++) {
        network_clear(&p->phase[i].net);
        network_clear(&p->phase[i].net_2);
    }
    *p = (struct gen_plan){0};
}
