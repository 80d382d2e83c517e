#include "pipeline/stages.h"

#include "base/clock.h"
#include "memory/process_memory.h"

#include <stdlib.h>

float *stages_numbers(size_t n, struct error *err)
{
    float *x = calloc(n ? n : 1, sizeof *x);
    if (!x)
        error_set(err, ERROR_MEMORY, "no memory for %zu numbers", n);
    return x;
}

/* A model's share of the plan. */
static struct expert expert_of(struct gen_plan *plan, const struct gen_request *r,
                               const struct model *m, enum plan_phase text, enum plan_phase denoise)
{
    struct plan_stage *encoders = &plan->phase[text], *unet = &plan->phase[denoise];

    return (struct expert){.request = r,
                           .model = m,
                           .text = {encoders->net.graph ? &encoders->net : NULL,
                                    encoders->net_2.graph ? &encoders->net_2 : NULL},
                           .unet = &unet->net,
                           .denoise = unet,
                           .text_phase = text,
                           .denoise_phase = denoise};
}

struct expert stages_base(const struct model *m, struct tokenizer *const tokenizer[2],
                          const struct gen_request *r, struct gen_plan *plan)
{
    struct expert e = expert_of(plan, r, m, PLAN_TEXT_ENCODE, PLAN_DENOISE);

    e.tokenizer[0] = tokenizer[0];
    e.tokenizer[1] = tokenizer[1];
    return e;
}

struct expert stages_hires(const struct expert *base, const struct gen_request *second,
                           struct gen_plan *plan)
{
    struct expert e = expert_of(plan, second, base->model, PLAN_HIRES_TEXT, PLAN_HIRES_DENOISE);

    e.tokenizer[0] = base->tokenizer[0];
    e.tokenizer[1] = base->tokenizer[1];
    return e;
}

struct expert stages_refiner(const struct expert *base, const struct model *m,
                             struct tokenizer *const tokenizer[2], const struct gen_request *r,
                             struct gen_plan *plan)
{
    const bool own = tokenizer[0] || tokenizer[1];
    struct expert e = expert_of(plan, r, m, PLAN_REFINER_TEXT, PLAN_REFINE);

    e.tokenizer[0] = own ? tokenizer[0] : base->tokenizer[0];
    e.tokenizer[1] = own ? tokenizer[1] : base->tokenizer[1];
    return e;
}

void stages_start_rngs(const struct stage *s)
{
    for (int i = 0; i < s->plan->batch; i++)
        rng_init(&s->rngs[i], s->request->rng, gen_request_seed(s->request, i));
}

struct prompt_source stages_prompts(const struct expert *e, const char *embeddings_dir)
{
    struct prompt_source from = {.info = model_view(e->model), .embeddings_dir = embeddings_dir};

    for (int i = 0; i < 2; i++)
        if (from.info->has_part[MODEL_TEXT_ENCODER + i] &&
            (i == 0 || from.info->family != MODEL_SD1))
            from.tokenizer[i] = e->tokenizer[i] ? e->tokenizer[i] : e->tokenizer[1 - i];
    from.pads_with_zero = !e->tokenizer[1];
    return from;
}

bool stages_begin(const struct stage *s, struct network *n, struct error *err)
{
    process_memory_return_freed();
    return exec_start(n->exec, s->arena, err);
}

void stages_end(const struct stage *s, struct network *n, enum plan_phase phase, double started)
{
    exec_stop(n->exec);
    if (s->plan->levers.offload)
        weights_drop(n->weights);
    s->backend->fn->arena_idle(s->backend, s->arena, s->plan->arena_bytes);
    s->result->seconds[phase] += clock_seconds() - started;
}

void stages_restore(const struct stage *s, const struct plan_stage *next)
{
    for (int i = 0; i < PLAN_PHASES; i++) {
        const struct plan_stage *stage = &s->plan->phase[i];
        if (stage != next && stage->model == next->model && stage->net.weights)
            weights_restore(stage->net.weights);
    }
}

void stages_cleanup(const struct stage *s)
{
    for (int i = 0; i < PLAN_PHASES; i++) {
        struct plan_stage *stage = &s->plan->phase[i];
        if (stage->net.weights)
            weights_drop(stage->net.weights);
        if (stage->net_2.weights)
            weights_drop(stage->net_2.weights);
    }
    process_memory_return_freed();
}

struct call {
    const struct watch *watch;
    enum plan_phase phase;
    double number, calls;
};

static bool between_ops(void *ctx, int done_ops, int n_ops)
{
    const struct call *c = ctx;
    if (c->watch->cancelled && c->watch->cancelled(c->watch->ctx))
        return false;
    if (c->watch->progress)
        c->watch->progress(c->watch->ctx, c->phase, c->number + (double)done_ops / n_ops, c->calls);
    return true;
}

bool stages_call(const struct stage *s, struct network *n, enum plan_phase phase, double call,
                 double calls, struct error *err)
{
    struct call c = {s->watch, phase, call, calls};
    if (!exec_run(n->exec, s->watch ? between_ops : NULL, &c, err))
        return false;
    if (s->watch && s->watch->progress)
        s->watch->progress(s->watch->ctx, phase, call + 1, calls);
    return true;
}
