/* A plan as JSON, for `plan --json` and the server. */
#include "generator/generator_memory.h"
#include "generator/generator_plan.h"

static json_int_t whole(uint64_t n)
{
    return n < INT64_MAX ? (json_int_t)n : INT64_MAX;
}

static json_t *size_json(struct memory_size s)
{
    return s.width > 0 ? json_pack("{s:i, s:i}", "width", s.width, "height", s.height)
                       : json_null();
}

static json_t *machine_json(const struct machine *m)
{
    return json_pack("{s:s, s:I, s:I, s:s}", "device", machine_device_name(m->device),
                     "total_bytes", whole(m->total_bytes), "available_bytes",
                     whole(m->available_bytes), "pressure", machine_pressure_name(m->pressure));
}

static json_t *optimizations_json(const struct memory_choice *c)
{
    json_t *all = json_object();

    for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++)
        json_object_set_new(all, memory_policy_optimization_name((enum memory_optimization)i),
                            json_boolean(c->on[i]));
    json_object_set_new(all, "memory_pooling", json_boolean(c->pooling));
    return all;
}

static json_t *levers_json(const struct gen_plan *p)
{
    static const char *const vae[] = {"whole", "exact", "blended"};
    static const char *const attention[] = {"streaming", "sliced", "plain"};
    const struct plan_levers *l = &p->levers;

    return json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:s, s:s, s:i, s:i, s:i}", "offload",
                     l->offload, "stream_text", l->stream_text, "stream_unet", l->stream,
                     "stream_vae", l->stream_vae, "guidance_in_turn", l->guidance_in_turn,
                     "merge_loras", l->merge_loras, "attention", attention[l->attention], "vae",
                     vae[l->vae], "vae_band_rows", l->band_rows, "vae_levels_again", l->vae_again,
                     "vae_tile", (l->tile_w > l->tile_h ? l->tile_w : l->tile_h));
}

static json_t *phases_json(const struct gen_plan *p)
{
    json_t *all = json_array();

    for (int i = 0; i < PLAN_PHASES; i++) {
        const struct plan_stage *n = &p->phase[i];
        if (!n->used)
            continue;
        json_array_append_new(all, json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:f}", "name",
                                             gen_plan_phase_name((enum plan_phase)i),
                                             "weights_bytes", whole(n->weights_bytes),
                                             "arena_bytes", whole(n->arena_bytes), "host_bytes",
                                             whole(n->host_bytes), "sum_bytes",
                                             whole(gen_plan_phase_bytes(p, (enum plan_phase)i)),
                                             "seconds", n->seconds, "flops", n->flops));
    }
    return all;
}

json_t *generator_plan_json(const struct generator_plan *whole_plan)
{
    const struct plan_size *s = &whole_plan->sized;
    const struct gen_plan *p = &s->plan;
    const struct model_info *info = model_view(whole_plan->model);

    return json_pack(
        "{s:s, s:s, s:s, s:i, s:i, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:s, "
        "s:o, s:f, s:o}",
        "model", generator_model_name(&whole_plan->found, info), "family",
        model_family_name(info->family), "mode", gen_request_mode_name(s->request.mode), "steps",
        s->request.steps, "batch_size", s->request.batch_size, "machine",
        machine_json(&s->transcript.machine), "level", levels_name(s->transcript.level),
        "size_policy", memory_policy_size_policy_name(whole_plan->size_policy), "requested",
        size_json(s->transcript.asked), "used", size_json(s->transcript.used), "largest",
        size_json(whole_plan->largest), "optimizations", optimizations_json(&s->transcript.choice),
        "levers", levers_json(p), "base_bytes", whole(p->base_bytes), "limit_bytes",
        whole(p->limit_bytes), "peak_bytes", whole(p->peak_bytes), "peak_phase",
        gen_plan_phase_name(p->peak_phase), "phases", phases_json(p), "planning_seconds",
        whole_plan->planning_seconds, "log", generator_memory_log_json(s));
}

json_t *generator_plan_json_refusal(const struct generator_plan *p, const char *why)
{
    return json_pack("{s:s, s:o}", "refused", why, "largest", size_json(p->largest));
}
