#include "plan/gen_plan.h"

#include "base/size.h"
#include "nn/vae.h"

#include <stdint.h>

enum {
    /* Code pages, stacks and small allocations that appear while a run goes on. */
    PROCESS_BYTES = 1 << 20,
    PIXEL_FLOATS = 3 * sizeof(float),
    PIXEL_CODED = 4, /* the picture's file while it is written */
};

/* Latents a run keeps beside the sampler's scratch: noise, the model's input and its two answers.
 */
enum { LATENT_COPIES = 6 };

/* Latent places of a side. */
enum { REDUCED_TILE = 64, FULL_TILE = 128 };

enum { LEANER_STARTS = 8 }; /* subsets of three levers */

/* Pages of the page cache mapped and dropped again, and the work that overlapping tiles add. */
static const double STREAM_BYTES_PER_SECOND = 4e9, BLEND_OVERHEAD = 1.6;

const char *gen_plan_phase_name(enum plan_phase phase)
{
    static const char *const name[PLAN_PHASES] = {"text encode", "vae encode", "denoise",
                                                  "vae decode", "image encode"};
    return name[phase];
}

/* How a VAE network was built, so that ways that differ in streaming alone share it. */
struct built {
    int band_rows, tile_w, tile_h;
};

/* Everything a choice looks at. */
struct planner {
    struct gen_plan *plan;
    const struct gen_request *request;
    const struct model *model;
    struct backend *backend;
    const struct plan_bounds *bounds;
    struct built encoder, decoder;
    size_t least_bytes; /* of the leanest way through the phase at hand */
    bool ends_early;    /* one phase that does not fit is enough to know */
    size_t worst_bytes; /* largest of them over the phases that do not fit; 0: all fit */
    enum plan_phase worst_phase;
};

/* One way through a phase.  Tables list them by rising time. */
struct way {
    bool stream, in_turn;
    enum plan_vae vae;
    int size; /* band rows or tile side */
};

static const struct way denoise_ways[] = {
    {.stream = false},
    {.in_turn = true},
    {.stream = true},
    {.stream = true, .in_turn = true},
};

/* Exact before blended: another picture is the last resort.  Every band reads a streamed VAE's
 * weights again, which costs about as much as half the band's height. */
static const struct way vae_ways[] = {
    {.vae = PLAN_VAE_WHOLE},
    {.vae = PLAN_VAE_WHOLE, .stream = true},
    {.vae = PLAN_VAE_EXACT, .size = 64},
    {.vae = PLAN_VAE_EXACT, .size = 64, .stream = true},
    {.vae = PLAN_VAE_EXACT, .size = 32},
    {.vae = PLAN_VAE_EXACT, .size = 32, .stream = true},
    {.vae = PLAN_VAE_EXACT, .size = 16},
    {.vae = PLAN_VAE_EXACT, .size = 16, .stream = true},
    {.vae = PLAN_VAE_BLENDED, .size = 128},
    {.vae = PLAN_VAE_BLENDED, .size = 64},
    {.vae = PLAN_VAE_BLENDED, .size = 32},
    {.vae = PLAN_VAE_BLENDED, .size = 32, .stream = true},
    {.vae = PLAN_VAE_BLENDED, .size = 16, .stream = true},
};

struct plan_bounds gen_plan_no_bounds(size_t base_bytes)
{
    return (struct plan_bounds){.base_bytes = base_bytes};
}

static bool is_forbidden(const struct planner *p, enum memory_optimization o)
{
    return p->bounds->optimization[o] == TRI_FALSE;
}

/* Streaming is a switch of its own; so is tiling the VAE. */
static bool is_allowed(const struct planner *p, const struct way *w, bool is_vae)
{
    const bool *on = p->bounds->on.on;

    if (w->stream && is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD))
        return false;
    if (!w->stream && on[MEMORY_SEQUENTIAL_CPU_OFFLOAD])
        return false;
    if (!is_vae)
        return !w->in_turn || p->request->cfg_scale != 1.0;
    if (w->vae == PLAN_VAE_WHOLE)
        return !on[MEMORY_VAE_TILING];
    if (is_forbidden(p, MEMORY_VAE_TILING))
        return false;
    /* SDXL's VAE works on tiles of 1024 pixels, or of 512 where their size is reduced. */
    if (w->vae == PLAN_VAE_BLENDED && model_view(p->model)->family != MODEL_SD1 &&
        ((w->size > REDUCED_TILE && on[MEMORY_REDUCE_VAE_SAMPLE_SIZE]) ||
         (w->size < FULL_TILE && is_forbidden(p, MEMORY_REDUCE_VAE_SAMPLE_SIZE))))
        return false;
    int longest = p->plan->latent_w > p->plan->latent_h ? p->plan->latent_w : p->plan->latent_h;
    return w->vae == PLAN_VAE_EXACT ? w->size < p->request->height : w->size < longest;
}

static size_t bytes_above(size_t base_bytes, const struct plan_phase_need *n)
{
    return base_bytes + PROCESS_BYTES + n->weights_bytes + n->arena_bytes + n->host_bytes;
}

static size_t phase_bytes(const struct planner *p, const struct plan_phase_need *n)
{
    return bytes_above(p->bounds->base_bytes, n);
}

size_t gen_plan_phase_bytes(const struct gen_plan *p, enum plan_phase phase)
{
    return p->phase[phase].used ? bytes_above(p->base_bytes, &p->phase[phase]) : 0;
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

static struct plan_phase_need need_of(const struct network *n, bool stream, size_t host_bytes,
                                      double runs)
{
    enum weights_policy policy = stream ? WEIGHTS_STREAMED : WEIGHTS_HELD;

    weights_set_policy(n->weights, policy);
    return (struct plan_phase_need){
        .used = true,
        .weights_bytes = stream ? streamed_bytes(n, runs) : n->resident_bytes,
        .arena_bytes = n->arena_bytes,
        .host_bytes = host_bytes,
        .flops = runs * n->flops,
        .seconds =
            runs * (n->seconds +
                    (stream ? (double)weights_bytes(n->weights) / STREAM_BYTES_PER_SECOND : 0))};
}

/* Keeps the need when it fits; remembers the leanest one otherwise. */
static bool keep(struct planner *p, enum plan_phase phase, const struct plan_phase_need *n)
{
    size_t bytes = phase_bytes(p, n);

    if (!p->least_bytes || bytes < p->least_bytes)
        p->least_bytes = bytes;
    if (p->bounds->limit_bytes && bytes > p->bounds->limit_bytes)
        return false;
    p->plan->phase[phase] = *n;
    if (n->arena_bytes > p->plan->arena_bytes)
        p->plan->arena_bytes = n->arena_bytes;
    return true;
}

/* Host memory by phase.  Sizes are those of an accepted request and a checked model: far from
 * overflowing. */
static size_t host_bytes(const struct planner *p, enum plan_phase phase)
{
    const struct model_info *info = model_view(p->model);
    const struct gen_request *r = p->request;
    size_t pixels = (size_t)r->width * (size_t)r->height, batch = (size_t)r->batch_size;
    size_t latent = sizeof(float) * (size_t)info->vae.latent_channels * (size_t)p->plan->latent_w *
                    (size_t)p->plan->latent_h * batch;
    size_t context = sizeof(float) * batch * (r->cfg_scale != 1.0 ? 2 : 1) *
                     (size_t)network_tokens(info) * (size_t)info->unet.cross_attention_dim;

    switch (phase) {
    case PLAN_TEXT_ENCODE:
        return context;
    case PLAN_VAE_ENCODE: /* img2img's picture itself is the caller's, and in the base */
        return context + pixels * PIXEL_FLOATS + latent;
    case PLAN_DENOISE:
        return context + latent * (size_t)(LATENT_COPIES + r->sampler->n_scratch);
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
static void remember_refusal(struct planner *p, enum plan_phase phase)
{
    size_t bytes = p->least_bytes ? p->least_bytes : SIZE_MAX; /* no way is allowed at all */
    if (bytes > p->worst_bytes) {
        p->worst_bytes = bytes;
        p->worst_phase = phase;
    }
}

static bool refuse(const struct planner *p, struct error *err)
{
    return error_set(err, ERROR_LIMIT, "%dx%d needs at least %.1f MB for %s, %.1f MB may be used",
                     p->request->width, p->request->height, (double)p->worst_bytes / 1e6,
                     gen_plan_phase_name(p->worst_phase), (double)p->bounds->limit_bytes / 1e6);
}

static bool has_part(const struct planner *p, enum model_part part)
{
    return model_view(p->model)->has_part[part];
}

/* SD 1.x has the first encoder, SDXL both, its refiner the second alone. */
static bool make_text(struct planner *p, int n, struct error *err)
{
    struct gen_plan *plan = p->plan;
    const struct network_options options = {.attention = plan->levers.attention};
    bool first = has_part(p, MODEL_TEXT_ENCODER) || !has_part(p, MODEL_TEXT_ENCODER_2);
    bool second = has_part(p, MODEL_TEXT_ENCODER_2) && model_view(p->model)->family != MODEL_SD1;

    return (!first || network_text_encoder(&plan->text, p->model, p->backend, n,
                                           p->request->clip_skip, &options, err)) &&
           (!second ||
            network_text_encoder_2(&plan->text_2, p->model, p->backend, n, &options, err));
}

static struct plan_phase_need text_need(const struct planner *p, bool stream)
{
    const struct network *both[] = {&p->plan->text, &p->plan->text_2};
    struct plan_phase_need sum = {.used = true, .host_bytes = host_bytes(p, PLAN_TEXT_ENCODE)};

    for (int i = 0; i < 2; i++) {
        if (!both[i]->weights)
            continue;
        struct plan_phase_need n = need_of(both[i], stream, 0, 1);
        sum.weights_bytes += n.weights_bytes;
        sum.arena_bytes = n.arena_bytes > sum.arena_bytes ? n.arena_bytes : sum.arena_bytes;
        sum.flops += n.flops;
        sum.seconds += n.seconds;
    }
    return sum;
}

static bool plan_text(struct planner *p, struct error *err)
{
    bool streams = !is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD);

    if (!make_text(p, p->request->cfg_scale != 1.0 ? 2 : 1, err))
        return false;
    p->least_bytes = 0;
    for (int stream = p->bounds->on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD]; stream <= streams;
         stream++) {
        struct plan_phase_need n = text_need(p, stream);
        p->plan->levers.stream_text = stream;
        if (keep(p, PLAN_TEXT_ENCODE, &n))
            return true;
    }
    remember_refusal(p, PLAN_TEXT_ENCODE);
    return true;
}

static bool plan_denoise(struct planner *p, struct error *err)
{
    struct gen_plan *plan = p->plan;
    const struct network_options options = {.attention = plan->levers.attention};
    bool guided = p->request->cfg_scale != 1.0;

    p->least_bytes = 0;
    for (size_t i = 0; i < sizeof denoise_ways / sizeof denoise_ways[0]; i++) {
        const struct way *w = &denoise_ways[i];
        if (!is_allowed(p, w, false))
            continue;
        plan->unet_rounds = w->in_turn ? 2 : 1;
        plan->unet_batch = guided && !w->in_turn ? 2 * plan->batch : plan->batch;
        network_clear(&plan->unet);
        if (!network_unet(&plan->unet, p->model, p->backend, plan->unet_batch, plan->latent_h,
                          plan->latent_w, &options, err))
            return false;
        struct plan_phase_need n = need_of(&plan->unet, w->stream, host_bytes(p, PLAN_DENOISE),
                                           plan->model_calls * plan->unet_rounds);
        if (keep(p, PLAN_DENOISE, &n)) {
            plan->levers.stream = w->stream;
            plan->levers.guidance_in_turn = w->in_turn;
            return true;
        }
    }
    remember_refusal(p, PLAN_DENOISE);
    return true;
}

static int tile_side(int side, const struct way *w)
{
    return w->vae == PLAN_VAE_BLENDED && w->size < side ? w->size : side;
}

/* Blended tiles are worked on with their cut-out input and output beside them. */
static size_t tile_bytes(const struct planner *p, const struct way *w)
{
    const struct vae_config *c = &model_view(p->model)->vae;
    size_t pixels =
        (size_t)(vae_scale(c) * vae_scale(c)) * (size_t)p->plan->tile_w * (size_t)p->plan->tile_h;
    return w->vae == PLAN_VAE_BLENDED ? pixels * PIXEL_FLOATS : 0;
}

static bool try_vae(struct planner *p, const struct way *w, enum plan_phase phase, bool *fits,
                    struct error *err)
{
    struct gen_plan *plan = p->plan;
    bool encode = phase == PLAN_VAE_ENCODE;
    struct network *net = encode ? &plan->vae_encoder : &plan->vae_decoder;
    struct network_vae_options options = {.attention = plan->levers.attention,
                                          .band_rows = w->vae == PLAN_VAE_EXACT ? w->size : 0};

    plan->tile_w = tile_side(plan->latent_w, w);
    plan->tile_h = tile_side(plan->latent_h, w);
    const struct built now = {options.band_rows, plan->tile_w, plan->tile_h};
    struct built *built = encode ? &p->encoder : &p->decoder;
    bool same = net->graph && now.band_rows == built->band_rows && now.tile_w == built->tile_w &&
                now.tile_h == built->tile_h;
    if (!same)
        network_clear(net);
    *built = now;
    if (!same && !(encode ? network_vae_encoder : network_vae_decoder)(
                     net, p->model, p->backend, 1, plan->tile_h, plan->tile_w, &options, err))
        return false;
    double tiles = (double)plan->latent_w * plan->latent_h / plan->tile_w / plan->tile_h;
    double runs = tiles > 1 ? tiles * BLEND_OVERHEAD : 1;
    struct plan_phase_need n = need_of(net, w->stream, host_bytes(p, phase) + tile_bytes(p, w),
                                       encode ? runs : runs * plan->batch);
    *fits = keep(p, phase, &n);
    return true;
}

/* Both directions of the VAE go the same way, so that the phases can be told in one word. */
static bool plan_vae(struct planner *p, struct error *err)
{
    struct plan_levers *l = &p->plan->levers;
    enum plan_phase phase = PLAN_VAE_DECODE;

    p->least_bytes = 0;
    for (size_t i = 0; i < sizeof vae_ways / sizeof vae_ways[0]; i++) {
        const struct way *w = &vae_ways[i];
        bool fits = false;
        if (!is_allowed(p, w, true))
            continue;
        phase = PLAN_VAE_DECODE;
        if (!try_vae(p, w, phase, &fits, err))
            return false;
        if (fits && p->request->mode == GEN_IMG2IMG) {
            phase = PLAN_VAE_ENCODE;
            if (!try_vae(p, w, phase, &fits, err))
                return false;
        }
        if (!fits)
            continue;
        l->vae = w->vae;
        l->stream_vae = w->stream;
        l->band_rows = w->vae == PLAN_VAE_EXACT ? w->size : 0;
        l->tile = w->vae == PLAN_VAE_BLENDED ? w->size : 0;
        return true;
    }
    remember_refusal(p, phase);
    return true;
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
        p->least_bytes = phase_bytes(p, n);
        if (p->bounds->limit_bytes && p->least_bytes > p->bounds->limit_bytes)
            remember_refusal(p, (enum plan_phase)i);
    }
}

static void set_peak(struct planner *p)
{
    struct gen_plan *plan = p->plan;

    plan->phase[PLAN_IMAGE_ENCODE] =
        (struct plan_phase_need){.used = true, .host_bytes = host_bytes(p, PLAN_IMAGE_ENCODE)};
    for (int i = 0; i < PLAN_PHASES; i++) {
        size_t bytes = phase_bytes(p, &plan->phase[i]);
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
    return is_forbidden(p, MEMORY_EFFICIENT_ATTENTION) ? GRAPH_ATTENTION_PLAIN
                                                       : GRAPH_ATTENTION_STREAMING;
}

/* One way to start, phase by phase; p->worst_bytes tells whether it fits. */
static bool make(struct planner *p, struct error *err)
{
    struct gen_plan *plan = p->plan;

    plan->base_bytes = p->bounds->base_bytes;
    plan->limit_bytes = p->bounds->limit_bytes;
    plan->levers.offload = !is_forbidden(p, MEMORY_MODEL_CPU_OFFLOAD);
    plan->may_stream = !is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD);
    plan->levers.attention = attention_of(p);
    p->worst_bytes = 0;
    /* The VAE comes last: it has the most ways. */
    bool (*const phases[])(struct planner *, struct error *) = {plan_text, plan_denoise, plan_vae};
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
