#include "nn/vae.h"
#include "plan/planner.h"

enum { PIXEL_FLOATS = 3 * sizeof(float) };

/* Latent places of a side. */
enum { REDUCED_TILE = 64, FULL_TILE = 128 };

/* The work that overlapping tiles add. */
static const double BLEND_OVERHEAD = 1.6;

/* One way through the VAE.  The table lists them by rising time. */
struct way {
    bool stream;
    enum plan_vae vae;
    int size; /* band rows or tile side */
};

/* Exact before blended: another picture is the last resort.  Every band reads a streamed VAE's
 * weights again, which costs about as much as half the band's height. */
static const struct way ways[] = {
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

/* Streaming is a switch of its own; so is tiling the VAE. */
static bool is_allowed(const struct planner *p, const struct way *w)
{
    const bool *on = p->bounds->on.on;

    if (w->stream && planner_is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD))
        return false;
    if (!w->stream && on[MEMORY_SEQUENTIAL_CPU_OFFLOAD])
        return false;
    if (w->vae == PLAN_VAE_WHOLE)
        return !on[MEMORY_VAE_TILING];
    if (planner_is_forbidden(p, MEMORY_VAE_TILING))
        return false;
    /* SDXL's VAE works on tiles of 1024 pixels, or of 512 where their size is reduced. */
    if (w->vae == PLAN_VAE_BLENDED && model_view(p->model)->family != MODEL_SD1 &&
        ((w->size > REDUCED_TILE && on[MEMORY_REDUCE_VAE_SAMPLE_SIZE]) ||
         (w->size < FULL_TILE && planner_is_forbidden(p, MEMORY_REDUCE_VAE_SAMPLE_SIZE))))
        return false;
    int longest = p->plan->latent_w > p->plan->latent_h ? p->plan->latent_w : p->plan->latent_h;
    return w->vae == PLAN_VAE_EXACT ? w->size < p->request->height : w->size < longest;
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

    plan->tile_w = tile_side(plan->latent_w, w);
    plan->tile_h = tile_side(plan->latent_h, w);
    const size_t host_bytes = planner_host_bytes(p, phase) + tile_bytes(p, w);
    struct network_vae_options options = {.attention = plan->levers.attention,
                                          .band_rows = w->vae == PLAN_VAE_EXACT ? w->size : 0,
                                          .most_arena_bytes = planner_most_arena(p, host_bytes)};
    const struct planner_built now = {options.band_rows, plan->tile_w, plan->tile_h};
    struct planner_built *built = encode ? &p->encoder : &p->decoder;
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
    struct plan_phase_need n =
        planner_need(net, w->stream, host_bytes, encode ? runs : runs * plan->batch);
    *fits = planner_keep(p, phase, &n);
    return true;
}

/* Both directions of the VAE go the same way, so that the phases can be told in one word. */
bool plan_vae(struct planner *p, struct error *err)
{
    struct plan_levers *l = &p->plan->levers;
    enum plan_phase phase = PLAN_VAE_DECODE;

    p->least_bytes = 0;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct way *w = &ways[i];
        bool fits = false;
        if (!is_allowed(p, w))
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
    planner_remember_refusal(p, phase);
    return true;
}
