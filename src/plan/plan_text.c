#include "plan/planner.h"

/* Chunks that are encoded at once. */
static int lot_of(const struct planner *p, enum plan_phase phase)
{
    return planner_is_guided(p, phase) ? 2 : 1;
}

/* SD 1.x has the first encoder, SDXL both, its refiner the second alone. */
static bool build(struct planner *p, enum plan_phase phase, struct error *err)
{
    struct plan_stage *stage = &p->plan->phase[phase];
    const struct model_info *info = model_view(stage->model);
    const struct gen_text_need need = planner_text_need(p, phase);
    const struct network_options options = {.attention = p->plan->levers.attention,
                                            .chunks = need.different,
                                            .vectors = need.vectors,
                                            .loras = planner_loras(p, stage->model)};
    const int n = lot_of(p, phase);
    bool first = info->has_part[MODEL_TEXT_ENCODER] || !info->has_part[MODEL_TEXT_ENCODER_2];
    bool second = info->has_part[MODEL_TEXT_ENCODER_2] && info->family != MODEL_SD1;

    return (!first || network_text_encoder(&stage->net, stage->model, p->backend, n,
                                           p->request->clip_skip, &options, err)) &&
           (!second || network_text_encoder_2(&stage->net_2, stage->model, p->backend, n,
                                              p->request->clip_skip, &options, err));
}

/* The encoders run one after the other; where networks may go, the first has gone by then. */
static void add_needs(struct planner *p, enum plan_phase phase)
{
    struct plan_stage *stage = &p->plan->phase[phase];
    const struct network *both[] = {&stage->net, &stage->net_2};
    const struct gen_text_need need = planner_text_need(p, phase);
    const int lot = lot_of(p, phase), runs = (need.different + lot - 1) / lot;
    size_t largest = 0;

    for (int i = 0; i < 2; i++) {
        const size_t before = stage->weights_bytes;
        if (both[i]->weights)
            planner_add_network(stage, both[i], runs);
        if (stage->weights_bytes - before > largest)
            largest = stage->weights_bytes - before;
    }
    if (p->plan->levers.offload)
        stage->weights_bytes = largest;
}

bool plan_text(struct planner *p, enum plan_phase phase, const struct model *m, struct error *err)
{
    struct plan_stage *stage = planner_begin(p, phase, m);
    bool streams = !planner_is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD);

    if (!build(p, phase, err))
        return false;
    for (int stream = p->bounds->on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD]; stream <= streams;
         stream++) {
        stage->stream = stream;
        planner_forget_needs(stage, plan_host_bytes(p, phase));
        add_needs(p, phase);
        if (planner_fits(p, stage))
            return true;
    }
    planner_remember_refusal(p, phase);
    return true;
}
