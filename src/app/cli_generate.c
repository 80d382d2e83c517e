#include "app/cli_generate.h"

#include "app/cli_help.h"
#include "app/cli_interrupt.h"
#include "app/cli_output.h"
#include "app/cli_preview.h"
#include "app/cli_progress.h"
#include "app/cli_request.h"
#include "engine/cpu/cpu_backend.h"
#include "generator/generator.h"
#include "generator/generator_memory.h"

#include <inttypes.h>
#include <string.h>

/* What a run holds. */
struct run {
    const struct cli_options *options;
    FILE *to;
    struct cli_request request;
    struct cli_output output;
    struct cli_preview preview;
    struct cli_progress progress;
    struct generator *generator;    /* owned */
    struct memory_reserve *reserve; /* owned; NULL: this run sees no others */
    bool waited;
    struct generator_result result; /* owned */
    int notes_told;
};

static bool path_of(void *ctx, char out[GENERATOR_PATH_BYTES], int i, struct error *err)
{
    const struct run *run = ctx;
    return cli_output_path(out, &run->output, i, err);
}

/* What the generator has to say, once each. */
static void tell_notes(struct run *run)
{
    const struct gen_warnings *notes = generator_view(run->generator).notes;

    for (; notes && run->notes_told < notes->n; run->notes_told++)
        fprintf(run->to, "%s\n", notes->text[run->notes_told]);
}

static void tell_start(const struct run *run)
{
    const struct generator_view v = generator_view(run->generator);
    const struct gen_request *r = &v.sized->request;

    if (r->mode == GEN_IMG2IMG && (v.input_width != r->width || v.input_height != r->height))
        fprintf(run->to, "%s resized from %dx%d to %dx%d (Lanczos)\n", run->options->image,
                v.input_width, v.input_height, r->width, r->height);
    enum schedule_kind kind = r->schedule->kind;

    if (kind == SCHEDULE_AUTOMATIC)
        kind = r->sampler->schedule;
    fprintf(run->to, "%s: %dx%d, %d steps of %s, %s, guidance %g, seed %" PRIu64 "; %s, %d %s\n",
            v.model_name, r->width, r->height, r->steps, r->sampler->name, schedule_rows[kind].name,
            r->cfg_scale, r->seed, cpu_backend_isa(v.backend), cpu_backend_threads(v.backend),
            cpu_backend_threads(v.backend) == 1 ? "thread" : "threads");
}

static void report(void *ctx, const struct generator_progress *p)
{
    struct run *run = ctx;
    cli_progress_report(&run->progress, p->phase, p->phase_done, p->phase_total);
}

static enum generator_wish wish(void *ctx)
{
    return cli_interrupt_asked(ctx) ? GENERATOR_CANCEL : GENERATOR_GO_ON;
}

static void tell_saved(void *ctx, int i, const char *path, uint64_t seed)
{
    struct run *run = ctx;

    (void)i;
    cli_progress_end(&run->progress);
    fprintf(run->to, "picture: %s (seed %" PRIu64 ")\n", path, seed);
}

static bool is_preview_due(void *ctx, double done)
{
    struct run *run = ctx;
    return cli_preview_is_due(&run->preview, done);
}

static bool show_preview(void *ctx, const struct image *small, struct error *err)
{
    const struct run *run = ctx;
    return cli_preview_write(&run->preview, small, err);
}

static bool compute(struct run *run, struct error *err)
{
    const struct generator_view v = generator_view(run->generator);
    const struct generator_watch watch = {.ctx = run,
                                          .progress = report,
                                          .wish = wish,
                                          .saved = tell_saved,
                                          .preview_due = is_preview_due,
                                          .preview = show_preview};

    for (int i = 0; i < PLAN_PHASES; i++)
        run->preview.steps += gen_plan_steps(&v.sized->plan, &v.sized->request, (enum plan_phase)i);
    cli_progress_init(&run->progress, run->to, &v.sized->plan, &v.sized->request);
    bool ok = generator_run(run->generator, &watch, &run->result, err);
    cli_progress_end(&run->progress);
    return ok;
}

static void tell_memory(const struct run *run)
{
    const struct generator_result *result = &run->result;
    const struct plan_size *sized = generator_view(run->generator).sized;
    const struct transcript *t = &sized->transcript;
    char levers[GENERATOR_MEMORY_LEVERS_BYTES];

    generator_memory_write_levers(levers, &sized->plan);
    fprintf(run->to, "size: %dx%d (requested %dx%d)\n", t->used.width, t->used.height,
            t->asked.width, t->asked.height);
    fprintf(run->to, "memory: budget %.1f MB, planned peak %.1f MB, ",
            (double)sized->plan.limit_bytes / 1e6, (double)result->planned_peak_bytes / 1e6);
    if (result->measured_peak_bytes)
        fprintf(run->to, "measured peak %.1f MB\n", (double)result->measured_peak_bytes / 1e6);
    else
        fprintf(run->to, "the system does not tell the measured peak\n");
    fprintf(run->to, "memory: level %s, device %s, levers: %s\n", levels_name(t->level),
            machine_device_name(t->machine.device), levers);
}

static void tell_end(struct run *run)
{
    const struct generator_result *result = &run->result;
    const struct gen_plan *plan = &generator_view(run->generator).sized->plan;

    fprintf(run->to, "seconds:");
    for (int i = 0; i < PLAN_PHASES; i++)
        if (plan->phase[i].used && i != PLAN_IMAGE_ENCODE)
            fprintf(run->to, " %s %.3f,", gen_plan_phase_name((enum plan_phase)i),
                    result->seconds[i]);
    fprintf(run->to, " %s %.3f, all %.3f (%.3f a step)\n", gen_plan_phase_name(PLAN_IMAGE_ENCODE),
            result->save_seconds, result->total_seconds + result->save_seconds,
            result->steps > 0
                ? (result->seconds[PLAN_DENOISE] + result->seconds[PLAN_HIRES_DENOISE] +
                   result->seconds[PLAN_REFINE]) /
                      result->steps
                : 0);
    tell_memory(run);
    tell_notes(run);
    for (int i = 0; i < result->warnings.n; i++)
        fprintf(run->to, "warning: %s\n", result->warnings.text[i]);
    if (result->warnings.left_out)
        fprintf(run->to, "warning: %d more\n", result->warnings.left_out);
}

static bool stop_waiting(void *ctx)
{
    struct run *run = ctx;

    if (!run->waited)
        fprintf(run->to, "waiting for memory that other runs have reserved\n");
    run->waited = true;
    return cli_interrupt_asked(NULL);
}

static bool prepare(struct run *run, struct error *err)
{
    const struct cli_options *o = run->options;
    const struct generator_options options = {.settings = &o->settings,
                                              .origins = &o->origins,
                                              .version = cli_help_version(),
                                              .reserve = run->reserve,
                                              .stop_waiting = stop_waiting,
                                              .stop_ctx = run};
    const struct generator_task task = {.job = &run->request.job,
                                        .input = o->image,
                                        .mask = o->mask,
                                        .path = path_of,
                                        .path_ctx = run};
    char first[CLI_OUTPUT_PATH_BYTES];

    return cli_output_init(&run->output, o->output, (int)(o->batch_size * o->n_iter), err) &&
           cli_output_path(first, &run->output, 0, err) &&
           cli_preview_init(&run->preview, o, first, err) &&
           cli_request_make(&run->request, o, err) &&
           generator_open(&run->generator, &options, err) &&
           generator_prepare(run->generator, &task, err);
}

bool cli_generate_run(const struct cli_options *o, FILE *to, struct error *err)
{
    struct run run = {.options = o, .to = to};
    struct log log;
    struct error no_reserve;

    log_to_file(&log, to, LOG_INFO, "cli");
    if (!memory_reserve_open(&run.reserve, NULL, &no_reserve))
        run.reserve = NULL;
    bool ok = prepare(&run, err);
    if (ok) {
        tell_notes(&run);
        generator_memory_tell(generator_view(run.generator).sized, &log);
        tell_start(&run);
        ok = compute(&run, err);
    }
    if (ok)
        tell_end(&run);
    generator_result_clear(&run.result);
    generator_close(run.generator);
    memory_reserve_close(run.reserve);
    return ok;
}
