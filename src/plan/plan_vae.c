#include "nn/vae_alive.h"
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
    int size;  /* band rows or tile side */
    int again; /* levels of an exact VAE that are not held */
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
    {.vae = PLAN_VAE_EXACT, .size = 16, .again = 1},
    {.vae = PLAN_VAE_EXACT, .size = 16, .again = 1, .stream = true},
    {.vae = PLAN_VAE_EXACT, .size = 8, .again = 1, .stream = true},
    {.vae = PLAN_VAE_EXACT, .size = 16, .again = 2, .stream = true},
    {.vae = PLAN_VAE_EXACT, .size = 8, .again = 2, .stream = true},
    {.vae = PLAN_VAE_BLENDED, .size = 128},
    {.vae = PLAN_VAE_BLENDED, .size = 64},
    {.vae = PLAN_VAE_BLENDED, .size = 32},
    {.vae = PLAN_VAE_BLENDED, .size = 32, .stream = true},
    {.vae = PLAN_VAE_BLENDED, .size = 16, .stream = true},
};

/* Streaming is a switch of its own; so is tiling the VAE. */
static bool is_allowed(const struct planner *p, const struct plan_stage *stage, const struct way *w)
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
    if (w->vae == PLAN_VAE_BLENDED && model_view(p->models->base)->family != MODEL_SD1 &&
        ((w->size > REDUCED_TILE && on[MEMORY_REDUCE_VAE_SAMPLE_SIZE]) ||
         (w->size < FULL_TILE && planner_is_forbidden(p, MEMORY_REDUCE_VAE_SAMPLE_SIZE))))
        return false;
    const struct vae_config *c = &model_view(stage->model)->vae;
    if (w->again && (c->tiny || w->again >= c->n_levels))
        return false;
    int longest = stage->latent_w > stage->latent_h ? stage->latent_w : stage->latent_h;
    int rows = stage->latent_h * vae_scale(c);
    return w->vae == PLAN_VAE_EXACT ? w->size < rows : w->size < longest;
}

static int tile_side(int side, const struct way *w)
{
    return w->vae == PLAN_VAE_BLENDED && w->size < side ? w->size : side;
}

/* Blended tiles are worked on with their cut-out input and output beside them. */
static size_t tile_bytes(const struct plan_stage *stage)
{
    const size_t scale = (size_t)vae_scale(&model_view(stage->model)->vae);

    if (stage->vae != PLAN_VAE_BLENDED)
        return 0;
    return scale * scale * (size_t)stage->tile_w * (size_t)stage->tile_h * PIXEL_FLOATS;
}

static bool encodes(enum plan_phase phase)
{
    return phase == PLAN_VAE_ENCODE || phase == PLAN_HIRES_ENCODE;
}

/* The network for a way, if its arena has most_bytes at most (0: no limit).  Ways that differ in
 * streaming alone share it. */
static bool build(struct planner *p, enum plan_phase phase, const struct plan_stage *before,
                  size_t most_bytes, struct error *err)
{
    struct plan_stage *stage = &p->plan->phase[phase];
    const struct network_vae_options options = {.attention = p->plan->levers.attention,
                                                .band_rows = stage->band_rows,
                                                .again = stage->again,
                                                .most_arena_bytes = most_bytes};

    if (stage->net.graph && stage->band_rows == before->band_rows &&
        stage->again == before->again && stage->tile_w == before->tile_w &&
        stage->tile_h == before->tile_h)
        return true;
    network_clear(&stage->net);
    return (encodes(phase) ? network_vae_encoder : network_vae_decoder)(
        &stage->net, stage->model, p->backend, 1, stage->tile_h, stage->tile_w, &options, err);
}

/* No arena of the way can be smaller. */
static bool least_arena(size_t *bytes, const struct planner *p, enum plan_phase phase,
                        const struct plan_stage *stage, struct error *err)
{
    const struct vae_config *c = &model_view(stage->model)->vae;
    const struct vae_tiling tiling = {.band_rows = stage->band_rows, .again = stage->again};
    const int64_t scale = vae_scale(c), h = stage->tile_h, w = stage->tile_w;
    const size_t granule = p->backend->fn->arena_granule;
    const struct graph_shape image = {1, c->in_channels, scale * h, scale * w};
    const struct graph_shape latent = {1, c->latent_channels, h, w};
    struct graph_shape alive[VAE_ALIVE_MOST];
    const int n = encodes(phase) ? vae_alive_encode(c, image, &tiling, alive)
                                 : vae_alive_decode(c, latent, &tiling, alive);

    *bytes = 0;
    for (int i = 0; i < n; i++) {
        size_t one;
        if (!p->backend->fn->tensor_bytes(p->backend, alive[i], &one, err))
            return false;
        *bytes += one; /* far from overflowing: bytes of one picture's levels */
    }
    *bytes = (*bytes + granule - 1) & ~(granule - 1);
    return true;
}

static void set_way(const struct planner *p, struct plan_stage *stage, const struct way *w,
                    enum plan_phase phase)
{
    stage->stream = w->stream;
    stage->vae = w->vae;
    stage->band_rows = w->vae == PLAN_VAE_EXACT ? w->size : 0;
    stage->again = w->again;
    stage->tile_w = tile_side(stage->latent_w, w);
    stage->tile_h = tile_side(stage->latent_h, w);
    planner_forget_needs(stage, plan_host_bytes(p, phase) + tile_bytes(stage));
}

/* Tries a way that may take most_bytes in all; 0: no limit.  One that cannot is not built. */
static bool try_way(struct planner *p, const struct way *w, enum plan_phase phase,
                    size_t most_bytes, bool *fits, struct error *err)
{
    struct plan_stage *stage = &p->plan->phase[phase];
    const struct plan_stage before = *stage;
    size_t least, most_arena = 0;

    set_way(p, stage, w, phase);
    if (most_bytes) {
        const size_t beside = planner_phase_bytes(p, stage);
        most_arena = most_bytes > beside ? most_bytes - beside : 1;
        if (!least_arena(&least, p, phase, stage, err))
            return false;
        if (least > most_arena) {
            *stage = before;
            return true;
        }
    }
    if (!build(p, phase, &before, most_arena, err))
        return false;
    double tiles = (double)stage->latent_w * stage->latent_h / stage->tile_w / stage->tile_h;
    double runs = tiles > 1 ? tiles * BLEND_OVERHEAD : 1;
    planner_add_network(stage, &stage->net, runs * stage->calls);
    *fits = planner_fits(p, stage);
    return true;
}

enum { WAYS = sizeof ways / sizeof ways[0] };

/* What the leanest way takes: the lean ones first, so that most others need not be built. */
static bool find_least(struct planner *p, enum plan_phase phase, struct error *err)
{
    network_clear(&p->plan->phase[phase].net); /* perhaps not laid out, for the limit */
    p->least_bytes = 0;
    for (int i = WAYS - 1; i >= 0; i--) {
        bool fits;
        if (is_allowed(p, &p->plan->phase[phase], &ways[i]) &&
            !try_way(p, &ways[i], phase, p->least_bytes, &fits, err))
            return false;
    }
    return true;
}

bool plan_vae(struct planner *p, enum plan_phase phase, const struct model *m, int pictures,
              struct error *err)
{
    struct plan_stage *stage = planner_begin(p, phase, m);

    stage->calls = pictures;
    for (int i = 0; i < WAYS; i++) {
        bool fits = false;
        if (!is_allowed(p, stage, &ways[i]))
            continue;
        if (!try_way(p, &ways[i], phase, p->bounds->limit_bytes, &fits, err))
            return false;
        if (fits)
            return true;
    }
    if (!p->ends_early && !find_least(p, phase, err))
        return false;
    planner_remember_refusal(p, phase);
    return true;
}

bool plan_vae_is_long(const struct planner *p, enum plan_phase phase, const struct model *m)
{
    struct plan_stage stage = planner_stage(p, phase, m);
    struct error ignored;
    size_t least;

    set_way(p, &stage, &ways[0], phase);
    return p->bounds->limit_bytes &&
           (!is_allowed(p, &stage, &ways[0]) ||
            (least_arena(&least, p, phase, &stage, &ignored) &&
             planner_phase_bytes(p, &stage) + least > p->bounds->limit_bytes));
}
