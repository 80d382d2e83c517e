#include "plan/gen_plan.h"

#include "nn/vae.h"
#include "plan/planner.h"

enum { LEANER_STARTS = 8 }; /* subsets of three levers */

const char *gen_plan_phase_name(enum plan_phase phase)
{
    static const char *const name[PLAN_PHASES] = {"text encode", "vae encode", "denoise",
                                                  "vae decode", "image encode"};
    return name[phase];
}

struct plan_bounds gen_plan_no_bounds(size_t base_bytes)
{
    return (struct plan_bounds){.base_bytes = base_bytes};
}

size_t gen_plan_phase_bytes(const struct gen_plan *p, enum plan_phase phase)
{
    const struct plan_phase_need *n = &p->phase[phase];

    return !n->used ? 0
                    : p->base_bytes + GEN_PLAN_PROCESS_BYTES + n->weights_bytes + n->arena_bytes +
                          n->host_bytes;
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
    const struct plan_levers *l = &p->plan->levers;
    const bool streamed[PLAN_PHASES] = {[PLAN_TEXT_ENCODE] = l->stream_text,
                                        [PLAN_VAE_ENCODE] = l->stream_vae,
                                        [PLAN_DENOISE] = l->stream,
                                        [PLAN_VAE_DECODE] = l->stream_vae};
    size_t carried = 0;

    for (int i = 0; i < PLAN_PHASES; i++) {
        struct plan_phase_need *n = &p->plan->phase[i];
        size_t own = n->weights_bytes;
        if (!n->used)
            continue;
        n->weights_bytes += carried;
        carried += streamed[i] ? 0 : own;
        p->least_bytes = planner_phase_bytes(p, n);
        if (p->bounds->limit_bytes && p->least_bytes > p->bounds->limit_bytes)
            planner_remember_refusal(p, (enum plan_phase)i);
    }
}

static void set_peak(struct planner *p)
{
    struct gen_plan *plan = p->plan;

    plan->phase[PLAN_IMAGE_ENCODE] = (struct plan_phase_need){
        .used = true, .host_bytes = planner_host_bytes(p, PLAN_IMAGE_ENCODE)};
    for (int i = 0; i < PLAN_PHASES; i++) {
        size_t bytes = planner_phase_bytes(p, &plan->phase[i]);
        if (plan->phase[i].used && bytes > plan->peak_bytes) {
            plan->peak_bytes = bytes;
            plan->peak_phase = (enum plan_phase)i;
        }
    }
}

static bool set_sizes(struct planner *p, struct error *err)
{
    struct gen_plan *plan = p->plan;
    const struct gen_request *r = p->request;
    int scale = vae_scale(&model_view(p->model)->vae);

    if (r->width % scale != 0 || r->height % scale != 0)
        return error_set(err, ERROR_INVALID,
                         "width and height are multiples of %d for this model, not %dx%d", scale,
                         r->width, r->height);
    plan->latent_w = r->width / scale;
    plan->latent_h = r->height / scale;
    plan->batch = r->batch_size;
    int steps = r->steps;
    if (r->mode == GEN_IMG2IMG)
        steps -= schedule_img2img_start(r->steps, r->denoising_strength);
    plan->model_calls = sampler_evaluations(r->sampler, steps);
    return true;
}

/* Streaming is the least memory and the default; sliced and plain are there on demand. */
static enum graph_attention_mode attention_of(const struct planner *p)
{
    if (p->bounds->on.on[MEMORY_ATTENTION_SLICING])
        return GRAPH_ATTENTION_SLICED;
    return planner_is_forbidden(p, MEMORY_EFFICIENT_ATTENTION) ? GRAPH_ATTENTION_PLAIN
                                                               : GRAPH_ATTENTION_STREAMING;
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
    p->worst_bytes = 0;
    /* The VAE comes last: it has the most ways. */
    bool (*const phases[])(struct planner *, struct error *) = {plan_text, plan_unet, plan_vae};
    bool ok = set_sizes(p, err);
    for (int i = 0; ok && i < 3 && !(p->worst_bytes && p->ends_early); i++)
        ok = phases[i](p, err);
    if (!ok) {
        gen_plan_clear(plan);
        return false;
    }
    if (!p->worst_bytes && !plan->levers.offload)
        hold_all(p);
    if (!p->worst_bytes)
        set_peak(p);
    else
        gen_plan_clear(plan);
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

bool gen_plan_make(struct gen_plan *out, const struct gen_request *r, const struct model *m,
                   struct backend *b, const struct plan_bounds *bounds, size_t *least_bytes,
                   struct error *err)
{
    struct gen_plan plan = {0};
    struct plan_bounds within = *bounds;
    struct planner p = {.plan = &plan,
                        .request = r,
                        .model = m,
                        .backend = b,
                        .bounds = &within,
                        .ends_early = !least_bytes};

    if (!make(&p, err))
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
    network_clear(&p->text);
    network_clear(&p->text_2);
    network_clear(&p->vae_encoder);
    network_clear(&p->unet);
    network_clear(&p->vae_decoder);
    *p = (struct gen_plan){0};
}
