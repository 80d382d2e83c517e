#include "plan/planner.h"

/* One way through a phase.  Tables list them by rising time. */
struct way {
    bool stream, in_turn;
};

static const struct way ways[] = {
    {.stream = false},
    {.in_turn = true},
    {.stream = true},
    {.stream = true, .in_turn = true},
};

static bool is_allowed(const struct planner *p, const struct way *w)
{
    if (w->stream && planner_is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD))
        return false;
    if (!w->stream && p->bounds->on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD])
        return false;
    return !w->in_turn || p->request->cfg_scale != 1.0;
}

/* The network for a way.  Ways that differ in streaming alone share it. */
static bool build(struct planner *p, const struct way *w, size_t host_bytes, struct error *err)
{
    struct gen_plan *plan = p->plan;
    const struct network_options options = {.attention = plan->levers.attention,
                                            .most_arena_bytes = planner_most_arena(p, host_bytes)};
    const int rounds = w->in_turn ? 2 : 1;
    const int batch = p->request->cfg_scale != 1.0 && !w->in_turn ? 2 * plan->batch : plan->batch;

    if (plan->unet.graph && plan->unet_rounds == rounds && plan->unet_batch == batch)
        return true;
    plan->unet_rounds = rounds;
    plan->unet_batch = batch;
    network_clear(&plan->unet);
    return network_unet(&plan->unet, p->model, p->backend, batch, plan->latent_h, plan->latent_w,
                        &options, err);
}

bool plan_unet(struct planner *p, struct error *err)
{
    struct gen_plan *plan = p->plan;
    const size_t host_bytes = planner_host_bytes(p, PLAN_DENOISE);

    p->least_bytes = 0;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct way *w = &ways[i];
        /* The weights are the same whatever the batch. */
        if (!is_allowed(p, w) || (!w->stream && plan->unet.graph &&
                                  planner_is_hopeless(p, plan->unet.resident_bytes + host_bytes)))
            continue;
        if (!build(p, w, host_bytes, err))
            return false;
        struct plan_phase_need n =
            planner_need(&plan->unet, w->stream, host_bytes, plan->model_calls * plan->unet_rounds);
        if (planner_keep(p, PLAN_DENOISE, &n)) {
            plan->levers.stream = w->stream;
            plan->levers.guidance_in_turn = w->in_turn;
            return true;
        }
    }
    planner_remember_refusal(p, PLAN_DENOISE);
    return true;
}
