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

static bool is_allowed(const struct planner *p, enum plan_phase phase, const struct way *w)
{
    if (w->stream && planner_is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD))
        return false;
    if (!w->stream && p->bounds->on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD])
        return false;
    /* One call answers two texts at most; prompts with AND have more. */
    return w->in_turn ? planner_is_guided(p, phase) : planner_text_need(p, phase).parts <= 2;
}

/* Calls for one answer, and latents of a call. */
struct calls {
    int rounds, batch;
};

static struct calls calls_of(const struct planner *p, enum plan_phase phase, const struct way *w)
{
    const int pictures = p->plan->batch;
    return (struct calls){
        .rounds = w->in_turn ? planner_text_need(p, phase).parts : 1,
        .batch = planner_is_guided(p, phase) && !w->in_turn ? 2 * pictures : pictures,
    };
}

/* True when no arena for such calls can fit, which is told without a graph. */
static bool is_hopeless(bool *hopeless, const struct planner *p, enum plan_phase phase, int batch,
                        size_t host_bytes, struct error *err)
{
    const struct plan_stage *stage = &p->plan->phase[phase];
    const struct unet_config *c = &model_view(stage->model)->unet;
    const struct graph_shape sample = {batch, c->in_channels, stage->latent_h, stage->latent_w};
    struct graph_shape alive[UNET_ALIVE_MOST];
    const int n = unet_alive(c, sample, alive);
    size_t bytes = host_bytes;

    for (int i = 0; i < n; i++) {
        size_t one;
        if (!p->backend->fn->tensor_bytes(p->backend, alive[i], &one, err))
            return false;
        bytes += one;
    }
    *hopeless = planner_is_hopeless(p, bytes);
    return true;
}

/* The network for a way.  Ways that differ in streaming alone share it. */
static bool build(struct planner *p, enum plan_phase phase, struct calls calls, size_t host_bytes,
                  struct error *err)
{
    struct plan_stage *stage = &p->plan->phase[phase];
    const struct network_options options = {.attention = p->plan->levers.attention,
                                            .most_arena_bytes = planner_most_arena(p, host_bytes),
                                            /* A single call may meet its largest weights before the
                                             * arena is full. */
                                            .is_beside_weights = stage->calls > 1,
                                            .chunks = planner_text_need(p, phase).chunks,
                                            .loras = planner_loras(p, stage->model)};

    if (stage->net.graph && stage->rounds == calls.rounds && stage->batch == calls.batch)
        return true;
    stage->rounds = calls.rounds;
    stage->batch = calls.batch;
    network_clear(&stage->net);
    return network_unet(&stage->net, stage->model, p->backend, calls.batch, stage->latent_h,
                        stage->latent_w, &options, err);
}

bool plan_unet(struct planner *p, enum plan_phase phase, const struct model *m, int calls,
               struct error *err)
{
    struct plan_stage *stage = planner_begin(p, phase, m);
    const size_t host_bytes = plan_host_bytes(p, phase);

    stage->calls = calls;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const struct way *w = &ways[i];
        /* The weights are the same whatever the batch. */
        if (!is_allowed(p, phase, w) ||
            (!w->stream && stage->net.graph &&
             planner_is_hopeless(p, stage->net.resident_bytes + host_bytes)))
            continue;
        const struct calls each = calls_of(p, phase, w);
        bool hopeless;
        if (!is_hopeless(&hopeless, p, phase, each.batch, host_bytes, err))
            return false;
        if (calls > 0 && hopeless)
            continue;
        if (!build(p, phase, each, host_bytes, err))
            return false;
        stage->stream = w->stream;
        planner_forget_needs(stage, host_bytes);
        if (calls > 0) /* a strength that leaves no step runs nothing */
            planner_add_network(stage, &stage->net, calls * stage->rounds);
        if (planner_fits(p, stage))
            return true;
    }
    planner_remember_refusal(p, phase);
    return true;
}
