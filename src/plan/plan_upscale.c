#include "plan/planner.h"

/* Whether a picture goes through the network for the i-th time, from 0 on. */
static bool goes_on(int i, int scale, int width, int height, int to_width, int to_height)
{
    return i < PLAN_MAX_UPSCALES &&
           (i == 0 || (scale > 1 && (width < to_width || height < to_height)));
}

static struct upscale_bounds bounds_of(const struct planner *p, size_t host_bytes)
{
    const struct plan_bounds *b = p->bounds;

    return (struct upscale_bounds){
        .base_bytes = b->base_bytes + host_bytes,
        .limit_bytes = b->limit_bytes,
        .never_streams = planner_is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD),
        .only_streams = b->on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD],
    };
}

/* A phase takes what the largest part of it does. */
static void take(struct plan_stage *stage, size_t weights, size_t arena, size_t host)
{
    if (weights + arena + host <= stage->weights_bytes + stage->arena_bytes + stage->host_bytes)
        return;
    stage->weights_bytes = weights;
    stage->arena_bytes = arena;
    stage->host_bytes = host;
}

static size_t picture_bytes(int width, int height)
{
    return 3 * (size_t)width * (size_t)height;
}

/* rest: what is there beside the picture that goes in.  *fits false: nothing did. */
static bool plan_networks(struct planner *p, struct plan_stage *stage, size_t rest, int *width,
                          int *height, bool *fits, struct error *err)
{
    const struct upscaler_file *file = p->models->upscaler;
    const int scale = upscaler_config_scale(upscaler_file_config(file));
    int to_width, to_height;

    gen_request_hires_cover(p->request, &to_width, &to_height);
    for (int i = 0; *fits && goes_on(i, scale, *width, *height, to_width, to_height); i++) {
        struct upscale_plan *u = &p->plan->upscale[i];
        const size_t held = rest + picture_bytes(*width, *height);
        const struct upscale_bounds bounds = bounds_of(p, held);
        *fits = upscale_plan_make(u, file, p->backend, *width, *height, &bounds, err);
        if (!*fits && (err->code != ERROR_LIMIT || !u->peak_bytes))
            return false;
        p->least_bytes = u->peak_bytes;
        p->plan->n_upscales = i + 1;
        stage->flops += u->flops * p->request->batch_size;
        stage->seconds += u->seconds * p->request->batch_size;
        stage->stream = stage->stream || u->stream;
        take(stage, u->weights_bytes, u->arena_bytes, u->host_bytes + held);
        *width = u->out_width;
        *height = u->out_height;
    }
    return true;
}

bool plan_upscale(struct planner *p, struct error *err)
{
    struct plan_stage *stage = planner_begin(p, PLAN_HIRES_UPSCALE, p->models->base);
    const size_t rest = plan_host_bytes(p, PLAN_HIRES_UPSCALE);
    int width = p->request->width, height = p->request->height, cover_width, cover_height;
    struct error why = {0};
    bool fits = true;

    planner_forget_needs(stage, 0);
    if (p->request->hires.upscaler_path && !p->models->upscaler)
        return error_set(err, ERROR_INVALID, "the upscaler %s is not open",
                         p->request->hires.upscaler);
    if (p->request->hires.upscaler_path &&
        !plan_networks(p, stage, rest, &width, &height, &fits, &why)) {
        *err = why;
        return false;
    }
    /* What comes out is brought to the size that covers the target, and cut. */
    gen_request_hires_cover(p->request, &cover_width, &cover_height);
    size_t host = rest + picture_bytes(width, height) + picture_bytes(cover_width, cover_height);
    if (cover_width != p->second.width || cover_height != p->second.height)
        host += picture_bytes(p->second.width, p->second.height);
    take(stage, 0, 0, host);
    if (!fits || !planner_fits(p, stage))
        planner_remember_refusal(p, PLAN_HIRES_UPSCALE);
    return true;
}
