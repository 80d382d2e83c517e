#include "plan/planner.h"

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
           (!second || network_text_encoder_2(&plan->text_2, p->model, p->backend, n,
                                              p->request->clip_skip, &options, err));
}

static struct plan_phase_need text_need(const struct planner *p, bool stream)
{
    const struct network *both[] = {&p->plan->text, &p->plan->text_2};
    struct plan_phase_need sum = {.used = true,
                                  .host_bytes = planner_host_bytes(p, PLAN_TEXT_ENCODE)};

    for (int i = 0; i < 2; i++) {
        if (!both[i]->weights)
            continue;
        struct plan_phase_need n = planner_need(both[i], stream, 0, 1);
        sum.weights_bytes += n.weights_bytes;
        sum.arena_bytes = n.arena_bytes > sum.arena_bytes ? n.arena_bytes : sum.arena_bytes;
        sum.flops += n.flops;
        sum.seconds += n.seconds;
    }
    return sum;
}

bool plan_text(struct planner *p, struct error *err)
{
    bool streams = !planner_is_forbidden(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD);

    if (!make_text(p, p->request->cfg_scale != 1.0 ? 2 : 1, err))
        return false;
    p->least_bytes = 0;
    for (int stream = p->bounds->on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD]; stream <= streams;
         stream++) {
        struct plan_phase_need n = text_need(p, stream);
        p->plan->levers.stream_text = stream;
        if (planner_keep(p, PLAN_TEXT_ENCODE, &n))
            return true;
    }
    planner_remember_refusal(p, PLAN_TEXT_ENCODE);
    return true;
}
