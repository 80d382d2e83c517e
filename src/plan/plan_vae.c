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

/* The network for a way.  Ways that differ in streaming alone share it. */
static bool build(struct planner *p, enum plan_phase phase, const struct plan_stage *before,
                  struct error *err)
{
    struct plan_stage *stage = &p->plan->phase[phase];
    const struct network_vae_options options = {.attention = p->plan->levers.attention,
                                                .band_rows = stage->band_rows,
                                                .again = stage->again,
                                                .most_arena_bytes =
                                                    planner_most_arena(p, stage->host_bytes)};

    if (stage->net.graph && stage->band_rows == before->band_rows &&
        stage->again == before->again && stage->tile_w == before->tile_w &&
        stage->tile_h == before->tile_h)
        return true;
    network_clear(&stage->net);
    return (phase == PLAN_VAE_ENCODE || phase == PLAN_HIRES_ENCODE ? network_vae_encoder
                                                                   : network_vae_decoder)(
        &stage->net, stage->model, p->backend, 1, stage->tile_h, stage->tile_w, &options, err);
}

static bool try_way(struct planner *p, const struct way *w, enum plan_phase phase, bool *fits,
                    struct error *err)
{
    struct plan_stage *stage = &p->plan->phase[phase];
    const struct plan_stage before = *stage;

    stage->stream = w->stream;
    stage->vae = w->vae;
    stage->band_rows = w->vae == PLAN_VAE_EXACT ? w->size : 0;
    stage->again = w->again;
    stage->tile_w = tile_side(stage->latent_w, w);
    stage->tile_h = tile_side(stage->latent_h, w);
    planner_forget_needs(stage, plan_host_bytes(p, phase) + tile_bytes(stage));
    if (!build(p, phase, &before, err))
        return false;
    double tiles = (double)stage->latent_w * stage->latent_h / stage->tile_w / stage->tile_h;
    double runs = tiles > 1 ? tiles * BLEND_OVERHEAD : 1;
    planner_add_network(stage, &stage->net, runs * stage->calls);
    *fits = planner_fits(p, stage);
    return true;
}

bool plan_vae(struct planner *p, enum plan_phase phase, const struct model *m, int pictures,
              struct error *err)
{
    struct plan_stage *stage = planner_begin(p, phase, m);

    stage->calls = pictures;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        bool fits = false;
        if (!is_allowed(p, stage, &ways[i]))
            continue;
        if (!try_way(p, &ways[i], phase, &fits, err))
            return false;
        if (fits)
            return true;
    }
    planner_remember_refusal(p, phase);
    return true;
}
