#include "plan/gen_plan.h"

#include "nn/vae.h"
#include "plan/plan_beside.h"

enum { LEANER_STARTS = 8 }; /* subsets of three levers */

const char *gen_plan_phase_name(enum plan_phase phase)
{
    static const char *const name[PLAN_PHASES] = {
        "text encode", "hires text",   "refiner text",  "input",        "vae encode",
        "denoise",     "hires decode", "hires upscale", "hires encode", "hires denoise",
        "refine",      "vae decode",   "image encode"};
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

/* The phase of the first pass whose weights a phase has too; else the phase itself. */
static enum plan_phase same_weights(enum plan_phase phase)
{
    switch (phase) {
    case PLAN_HIRES_TEXT:
        return PLAN_TEXT_ENCODE;
    case PLAN_HIRES_ENCODE:
        return PLAN_VAE_ENCODE;
    case PLAN_HIRES_DENOISE:
        return PLAN_DENOISE;
    case PLAN_VAE_DECODE:
        return PLAN_HIRES_DECODE;
    default:
        return phase;
    }
}

/* Where networks stay, every phase carries the weights of those before it.  What is streamed is
 * gone after its phase; so is an upscaler. */
static void hold_all(struct planner *p)
{
    size_t carried = 0;

    for (int i = 0; i < PLAN_PHASES; i++) {
        struct plan_stage *stage = &p->plan->phase[i];
        const struct plan_stage *first = &p->plan->phase[same_weights((enum plan_phase)i)];
        const bool is_here = first != stage && first->used && !first->stream;
        size_t own = stage->weights_bytes;
        if (!stage->used)
            continue;
        stage->weights_bytes = carried + (is_here ? 0 : own);
        carried += stage->stream || is_here || i == PLAN_HIRES_UPSCALE ? 0 : own;
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
    for (int i = 0; i < plan->n_upscales; i++)
        if (plan->upscale[i].arena_bytes > plan->arena_bytes)
            plan->arena_bytes = plan->upscale[i].arena_bytes;
}

/* The phases' ways in a few words; of several VAE phases, the one that goes furthest. */
static void set_levers(struct gen_plan *plan)
{
    struct plan_levers *l = &plan->levers;

    for (int i = 0; i < PLAN_PHASES; i++) {
        const struct plan_stage *stage = &plan->phase[i];
        switch ((enum plan_phase)i) {
        case PLAN_TEXT_ENCODE:
        case PLAN_HIRES_TEXT:
        case PLAN_REFINER_TEXT:
            l->stream_text = l->stream_text || stage->stream;
            break;
        case PLAN_DENOISE:
        case PLAN_HIRES_DENOISE:
        case PLAN_REFINE:
            l->stream = l->stream || stage->stream;
            l->merge_loras = l->merge_loras || stage->merge;
            l->guidance_in_turn = l->guidance_in_turn || stage->rounds > 1;
            break;
        case PLAN_VAE_ENCODE:
        case PLAN_HIRES_DECODE:
        case PLAN_HIRES_ENCODE:
        case PLAN_VAE_DECODE:
            l->stream_vae = l->stream_vae || stage->stream;
            if (!stage->used || stage->vae < l->vae)
                break;
            l->vae = stage->vae;
            if (stage->vae == PLAN_VAE_EXACT && (!l->band_rows || stage->band_rows < l->band_rows))
                l->band_rows = stage->band_rows;
            if (stage->vae == PLAN_VAE_EXACT && stage->again > l->vae_again)
                l->vae_again = stage->again;
            if (stage->vae == PLAN_VAE_BLENDED) {
                l->tile_w = stage->tile_w;
                l->tile_h = stage->tile_h;
            }
            break;
        case PLAN_INPUT:
        case PLAN_HIRES_UPSCALE:
        case PLAN_IMAGE_ENCODE:
        case PLAN_PHASES:
            break;
        }
    }
    if (l->vae == PLAN_VAE_BLENDED)
        l->band_rows = l->vae_again = 0;
}

static bool check_sides(const struct planner *p, const char *which, int width, int height,
                        struct error *err)
{
    int scale = vae_scale(&model_view(p->models->base)->vae);

    return (width % scale == 0 && height % scale == 0) ||
           error_set(err, ERROR_INVALID,
                     "%swidth and height are multiples of %d for this model, "
                     "not %dx%d",
                     which, scale, width, height);
}

static bool check_size(const struct planner *p, struct error *err)
{
    int width, height;

    if (!check_sides(p, "", p->request->width, p->request->height, err))
        return false;
    if (p->has_second && !check_sides(p, "hires ", p->second.width, p->second.height, err))
        return false;
    gen_request_encode_size(p->request, &width, &height);
    return check_sides(p, "the input's ", width, height, err);
}

/* Streaming is the least memory and the default; sliced and plain are there on demand. */
static enum graph_attention_mode attention_of(const struct planner *p)
{
    if (p->bounds->on.on[MEMORY_ATTENTION_SLICING])
        return GRAPH_ATTENTION_SLICED;
    return planner_is_forbidden(p, MEMORY_EFFICIENT_ATTENTION) ? GRAPH_ATTENTION_PLAIN
                                                               : GRAPH_ATTENTION_STREAMING;
}

/* Calls for an answer of the base's UNet and of the refiner's in a pass. */
struct shares {
    int base, refiner;
};

static struct shares share_calls(const struct gen_request *r, bool refines)
{
    const struct gen_steps steps = gen_request_steps(r);
    const int all = sampler_evaluations(r->sampler, steps.all - steps.skipped);
    const int base_steps = gen_request_refiner_step(r, steps.all) - steps.skipped;

    if (!refines)
        return (struct shares){.base = all};
    const int base = base_steps > 0 ? sampler_evaluations(r->sampler, base_steps) : 0;
    return (struct shares){base, all - base};
}

static bool add_text(struct planner *p, bool used, enum plan_phase phase, const struct model *m,
                     struct error *err)
{
    return !used || !planner_goes_on(p) || plan_text(p, phase, m, err);
}

static bool add_unet(struct planner *p, bool used, enum plan_phase phase, const struct model *m,
                     int calls, struct error *err)
{
    return !used || !planner_goes_on(p) || plan_unet(p, phase, m, calls, err);
}

static bool add_vae(struct planner *p, enum plan_phase phase, int pictures, struct error *err)
{
    return pictures == 0 || !planner_goes_on(p) ||
           plan_vae(p, phase, p->models->base, pictures, err);
}

static void add_host(struct planner *p, bool used, enum plan_phase phase)
{
    struct plan_stage *stage;

    if (!used || !planner_goes_on(p))
        return;
    stage = planner_begin(p, phase, p->models->base);
    planner_forget_needs(stage, plan_host_bytes(p, phase));
    if (!planner_fits(p, stage))
        planner_remember_refusal(p, phase);
}

/* The networks of the request's phases but for the last decode.  In each group the VAE comes last:
 * it has the most ways. */
static bool add_networks(struct planner *p, struct error *err)
{
    const struct gen_request *r = p->request;
    const struct plan_models *m = p->models;
    const bool pixels = planner_upscales_pixels(p);
    const bool second = p->has_second && !planner_only_enlarges(p);
    const struct shares first = share_calls(r, m->refiner && !second);
    const struct shares then = share_calls(second ? &p->second : r, m->refiner != NULL);
    const int shown = planner_is_inpainting(p), batch = r->batch_size;

    return add_text(p, true, PLAN_TEXT_ENCODE, m->base, err) &&
           add_text(p, p->has_second_text, PLAN_HIRES_TEXT, m->base, err) &&
           add_text(p, m->refiner != NULL, PLAN_REFINER_TEXT, m->refiner, err) &&
           add_unet(p, true, PLAN_DENOISE, m->base, first.base, err) &&
           add_unet(p, second, PLAN_HIRES_DENOISE, m->base, then.base, err) &&
           add_unet(p, m->refiner != NULL, PLAN_REFINE, m->refiner, then.refiner, err) &&
           add_vae(p, PLAN_VAE_ENCODE, (r->mode == GEN_IMG2IMG) + shown, err) &&
           add_vae(p, PLAN_HIRES_DECODE, pixels ? batch : 0, err) &&
           add_vae(p, PLAN_HIRES_ENCODE, second ? (pixels ? batch : 0) + shown : 0, err) &&
           (!pixels || !planner_goes_on(p) || plan_upscale(p, err));
}

static bool add_last_decode(struct planner *p, struct error *err)
{
    return add_vae(p, PLAN_VAE_DECODE, planner_only_enlarges(p) ? 0 : p->request->batch_size, err);
}

static bool make_phases(struct planner *p, struct error *err)
{
    const bool is_long =
        !planner_only_enlarges(p) && plan_vae_is_long(p, PLAN_VAE_DECODE, p->models->base);

    if (is_long ? !plan_beside(p, add_networks, add_last_decode, err)
                : !add_networks(p, err) || !add_last_decode(p, err))
        return false;
    add_host(p, gen_request_prepares(p->request), PLAN_INPUT);
    add_host(p, true, PLAN_IMAGE_ENCODE);
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

/* The pass that a refiner belongs to. */
static struct gen_request last_pass(const struct gen_request *r)
{
    return gen_request_has_hires(r) ? gen_request_second_pass(r) : *r;
}

/* Whoever has no step to take over, or nothing it could refine, is not there. */
static struct plan_models models_of(const struct plan_models *asked, const struct gen_request *r)
{
    struct plan_models m = *asked;
    const struct gen_request pass = last_pass(r);
    const struct gen_steps steps = gen_request_steps(&pass);

    if (m.refiner &&
        (model_view(m.base)->family == MODEL_SD1 ||
         gen_request_refiner_step(&pass, steps.all) >= steps.all || steps.skipped >= steps.all))
        m.refiner = NULL;
    return m;
}

/* A UNet takes latents, or latents, a mask and masked latents. */
static bool check_channels(const struct model *m, struct error *err)
{
    const struct model_info *info = model_view(m);
    const int channels = info->vae.latent_channels;

    return info->unet.in_channels == channels || network_is_inpainting(info) ||
           error_set(err, ERROR_INVALID,
                     "%s takes %d channels: it is neither a model of pictures (%d) nor of "
                     "inpainting (%d)",
                     info->name, info->unet.in_channels, channels, 2 * channels + 1);
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
                        .has_second = gen_request_has_hires(r),
                        .ends_early = !least_bytes};

    if (p.has_second)
        p.second = gen_request_second_pass(r);
    p.has_second_text = gen_plan_has_hires_text(r) && !planner_only_enlarges(&p);
    if (!check_channels(used.base, err) || !check_refiner(&used, err) || !make(&p, err))
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

bool gen_plan_has_hires_text(const struct gen_request *r)
{
    return gen_request_hires_has_prompts(r) || (gen_request_has_hires(r) && r->text[0].changes);
}

int gen_plan_steps(const struct gen_plan *p, const struct gen_request *r, enum plan_phase phase)
{
    const bool is_last = phase != PLAN_DENOISE;
    const struct gen_request pass = is_last ? last_pass(r) : *r;
    const struct gen_steps steps = gen_request_steps(&pass);
    const int all = steps.all - steps.skipped;
    const bool refined = p->phase[PLAN_REFINE].used && is_last == p->phase[PLAN_HIRES_DENOISE].used;
    int before = refined ? gen_request_refiner_step(&pass, steps.all) - steps.skipped : all;

    if (!p->phase[phase].used)
        return 0;
    before = before < 0 ? 0 : before;
    if (phase == PLAN_REFINE)
        return all - before;
    return phase == PLAN_DENOISE || phase == PLAN_HIRES_DENOISE ? before : 0;
}

void gen_plan_clear(struct gen_plan *p)
{
    for (int i = 0; i < PLAN_MAX_UPSCALES; i++)
        upscale_plan_clear(&p->upscale[i]);
    for (int i = 0; i < PLAN_PHASES; i++) {
        network_clear(&p->phase[i].net);
        network_clear(&p->phase[i].net_2);
    }
    *p = (struct gen_plan){0};
}
