#include "base/clock.h"
#include "engine/cpu/cpu_backend.h"
#include "memory/process_memory.h"
#include "memory_sweep.h"
#include "plan/plan_settle.h"

#include <jansson.h>
#include <string.h>

struct child {
    const struct sweep_row *row;
    struct backend *backend;
    struct pipeline *pipeline;
    struct image input;
    struct gen_request request;
    struct gen_plan plan;
    struct gen_result result;
    struct memory_sweep_trace trace;
    bool refused;
    size_t least_bytes, grown_bytes;
    double seconds;
};

static bool open_loras(struct child *c, struct error *err)
{
    pipeline_set_loras(c->pipeline, &c->request, NULL);
    const struct lora_set *s = pipeline_models(c->pipeline).loras;
    return !s || !s->n_warnings || error_set(err, ERROR_INVALID, "%s", s->warnings[0]);
}

static bool open_all(struct child *c, const struct sweep_model *m, struct error *err)
{
    c->request = memory_sweep_row_request(c->row);
    if (!cpu_backend_open(&c->backend, m->threads, NULL, err) ||
        !pipeline_open(&c->pipeline, m->path, m->tokenizer_dir, c->backend, err) ||
        !open_loras(c, err))
        return false;
    if (c->row->mode != GEN_IMG2IMG)
        return true;
    if (!image_init(&c->input, c->row->width, c->row->height, err))
        return false;
    for (size_t i = 0; i < image_bytes(&c->input); i++)
        c->input.px[i] = (unsigned char)(i * 7 % 251);
    return true;
}

static bool make_plan(void *ctx, size_t base_bytes, struct error *err)
{
    struct child *c = ctx;
    struct plan_bounds bounds = {.base_bytes = base_bytes, .limit_bytes = c->row->limit_bytes};
    const struct plan_models models = pipeline_models(c->pipeline);
    struct error why = {0};

    for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++) {
        bounds.optimization[i] = c->row->optimization[i];
        bounds.on.on[i] = c->row->optimization[i] == TRI_TRUE;
    }
    gen_plan_clear(&c->plan);
    c->refused =
        !gen_plan_make(&c->plan, &c->request, &models, c->backend, &bounds, &c->least_bytes, &why);
    if (c->refused)
        *err = why;
    return !c->refused || why.code == ERROR_LIMIT;
}

static bool plan(struct child *c, struct error *err)
{
    struct process_memory before = {0}, now = {0};
    struct error ignored = {0};

    if (!process_memory_read(&before, err) || !plan_settle(make_plan, c, err) ||
        !process_memory_read(&now, &ignored))
        return false;
    c->grown_bytes = (size_t)(now.resident_bytes - before.resident_bytes);
    return true;
}

static void mark_phase(void *ctx, enum plan_phase phase, double done, double total)
{
    struct child *c = ctx;
    (void)done;
    (void)total;
    c->trace.phase = (int)phase;
}

static bool run(struct child *c, const char *trace, struct error *err)
{
    const struct watch watch = {.ctx = c, .progress = mark_phase};
    const struct image *input = c->row->mode == GEN_IMG2IMG ? &c->input : NULL;
    double started = clock_seconds();

    if (trace && !memory_sweep_trace_start(&c->trace, trace, &c->plan, err))
        return false;
    bool ok = pipeline_run(&c->result, c->pipeline, &c->request, &c->plan,
                           &(struct pipeline_input){.image = input}, &watch, err);
    c->seconds = clock_seconds() - started;
    if (trace) {
        struct error late = {0};
        if (!memory_sweep_trace_stop(&c->trace, ok ? err : &late))
            ok = false;
    }
    return ok;
}

static bool tell(const struct child *c, bool planned_only, const struct error *why)
{
    char levers[MEMORY_SWEEP_LEVERS_BYTES];
    const char *status = c->refused ? "refused" : planned_only ? "planned" : "done";

    memory_sweep_row_levers(levers, &c->plan.levers);
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:f}", "status", status, "levers",
                          c->refused ? "" : levers, "text", why->text, "planned",
                          (json_int_t)(c->refused ? c->least_bytes : c->plan.peak_bytes),
                          "measured", (json_int_t)c->result.measured_peak_bytes, "grown",
                          (json_int_t)c->grown_bytes, "seconds", c->seconds);
    for (int i = 0; o && i < PLAN_PHASES; i++) {
        size_t bytes = gen_plan_phase_bytes(&c->plan, (enum plan_phase)i);
        if (bytes)
            json_object_set_new(o, gen_plan_phase_name((enum plan_phase)i),
                                json_integer((json_int_t)bytes));
    }
    bool ok = o && json_dumpf(o, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF &&
              fflush(stdout) == 0;
    json_decref(o);
    return ok;
}

bool memory_sweep_child_run(const struct sweep_model *model, const struct sweep_row *row,
                            bool plan_only, const char *trace, struct error *err)
{
    struct child c = {.row = row};
    struct error why = {0};

    bool ok = open_all(&c, model, err) && plan(&c, &why);
    if (!ok && why.text[0])
        *err = why;
    ok = ok && (plan_only || c.refused || run(&c, trace, err));
    if (ok && !tell(&c, plan_only, &why))
        ok = error_set(err, ERROR_IO, "cannot write the outcome");
    pipeline_result_clear(&c.result);
    gen_plan_clear(&c.plan);
    image_clear(&c.input);
    pipeline_close(c.pipeline);
    if (c.backend)
        c.backend->fn->close(c.backend);
    return ok;
}
