#include "app/cli_generate.h"

#include "app/cli_interrupt.h"
#include "app/cli_lora.h"
#include "app/cli_memory.h"
#include "app/cli_model.h"
#include "app/cli_output.h"
#include "app/cli_preview.h"
#include "app/cli_progress.h"
#include "app/cli_request.h"
#include "base/clock.h"
#include "engine/cpu/cpu_backend.h"
#include "image/image_format.h"
#include "image/resize.h"
#include "pipeline/pipeline.h"
#include "pipeline/pipeline_loras.h"
#include "plan/plan_policy.h"

#include <inttypes.h>
#include <string.h>

/* What a run holds; given back by clear, whatever became of it. */
struct run {
    const struct cli_options *options;
    FILE *to;
    struct cli_model model, refiner;
    struct cli_output output;
    struct backend *backend;
    struct pipeline *pipeline;
    struct cli_preview preview;
    struct image input; /* img2img, of the request's size */
    int input_width, input_height;
    struct gen_request asked;
    struct cli_lora loras[CLI_MAX_LORAS]; /* whose names asked borrows */
    struct machine machine;
    struct memory_policy policy;
    struct plan_size sized; /* the request that runs, and its plan */
    struct gen_result result;
    double save_seconds;
};

static void clear(struct run *r)
{
    pipeline_result_clear(&r->result);
    plan_size_clear(&r->sized);
    image_clear(&r->input);
    cli_preview_close(&r->preview);
    pipeline_close(r->pipeline);
    if (r->backend)
        r->backend->fn->close(r->backend);
}

static bool load_input(struct run *run, struct error *err)
{
    struct image_file file;

    if (run->options->command->bit != CLI_IMG2IMG)
        return true;
    if (!image_format_load(&file, run->options->image, err))
        return error_prefix(err, "--image");
    run->input = file.image;
    run->input_width = file.image.width;
    run->input_height = file.image.height;
    file.image = (struct image){0};
    image_format_clear(&file);
    return true;
}

static bool fit_input(struct run *run, struct error *err)
{
    const struct gen_request *r = &run->sized.request;
    struct image fitted;

    if (r->mode != GEN_IMG2IMG || (run->input.width == r->width && run->input.height == r->height))
        return true;
    if (!resize_image(&fitted, &run->input, r->width, r->height, RESIZE_LANCZOS, err))
        return false;
    image_clear(&run->input);
    run->input = fitted;
    return true;
}

static bool open_model(struct run *run, struct error *err)
{
    const struct settings *s = &run->options->settings;
    const char *tokenizer = NULL;
    char room[CLI_MODEL_PATH_BYTES];

    return cli_model_find(&run->model, s->model, s->models_dir, err) &&
           cli_model_find_tokenizer(&tokenizer, room, &run->model, s, &run->options->origins,
                                    err) &&
           cpu_backend_open(&run->backend, (int)s->threads, s->isa, err) &&
           pipeline_open(&run->pipeline, run->model.path, tokenizer, run->backend, err);
}

static bool open_refiner(struct run *run, struct error *err)
{
    const struct cli_options *o = run->options;

    return !o->refiner ||
           (cli_model_find(&run->refiner, o->refiner, o->settings.models_dir, err) &&
            pipeline_set_refiner(run->pipeline, run->refiner.path, err)) ||
           error_prefix(err, "--refiner");
}

/* The VAE that replaces the model's, where one is named, and what draws previews. */
static bool open_vae(struct run *run, struct error *err)
{
    const char *path = NULL;
    char room[CLI_MODEL_PATH_BYTES], output[CLI_OUTPUT_PATH_BYTES];
    const struct model *m = pipeline_model(run->pipeline);

    return cli_model_find_vae(&path, room, &run->options->settings, model_view(m), err) &&
           (!path || pipeline_set_vae(run->pipeline, path, err)) &&
           cli_output_path(output, &run->output, 0, err) &&
           cli_preview_open(&run->preview, run->options, m, path, output, run->backend, run->to,
                            err);
}

/* Reads the prompts: what they take goes into the plan, and what is not seen of them is told. */
static bool read_prompts(struct run *run, struct error *err)
{
    static const char *const flags[2] = {"--prompt", "--negative-prompt"};
    struct gen_request *r = &run->asked;
    size_t n[2];

    if (!pipeline_set_embeddings(run->pipeline, run->options->settings.embeddings_dir, err) ||
        !pipeline_read_prompts(r, run->pipeline, n, err))
        return false;
    for (int i = 0; i < 2; i++)
        if (n[i] > TOKENIZER_LENGTH - 2 && r->prompt_syntax == GEN_SYNTAX_OFF)
            fprintf(run->to, "%s has %zu tokens; the model sees the first %d\n", flags[i], n[i],
                    TOKENIZER_LENGTH - 2);
    return true;
}

static void tell_start(const struct run *run)
{
    const struct gen_request *r = &run->sized.request;

    if (r->mode == GEN_IMG2IMG && (run->input_width != r->width || run->input_height != r->height))
        fprintf(run->to, "%s resized from %dx%d to %dx%d (Lanczos)\n", run->options->image,
                run->input_width, run->input_height, r->width, r->height);
    enum schedule_kind kind = r->schedule->kind;

    if (kind == SCHEDULE_AUTOMATIC)
        kind = r->sampler->schedule;
    fprintf(run->to, "%s: %dx%d, %d steps of %s, %s, guidance %g, seed %" PRIu64 "; %s, %d %s\n",
            model_view(pipeline_model(run->pipeline))->name, r->width, r->height, r->steps,
            r->sampler->name, schedule_rows[kind].name, r->cfg_scale, r->seed,
            cpu_backend_isa(run->backend), cpu_backend_threads(run->backend),
            cpu_backend_threads(run->backend) == 1 ? "thread" : "threads");
}

/* A watch's context. */
struct watching {
    struct cli_progress progress;
    struct cli_preview *preview;
};

static void report(void *ctx, enum plan_phase phase, double done, double total)
{
    struct watching *w = ctx;
    cli_progress_report(&w->progress, phase, done, total);
}

static void show(void *ctx, const float *latent, int w, int h, double done)
{
    const struct watching *watching = ctx;
    cli_preview_show(watching->preview, latent, w, h, done);
}

static bool compute(struct run *run, struct error *err)
{
    const struct gen_request *r = &run->sized.request;
    struct watching watching = {.preview = &run->preview};
    const struct gen_steps steps = gen_request_steps(r);
    const int all = steps.all - steps.skipped;
    const int before = gen_request_refiner_step(r, steps.all) - steps.skipped;
    const int base = !run->sized.plan.phase[PLAN_REFINE].used ? all : before > 0 ? before : 0;

    run->preview.steps = all;
    cli_progress_init(&watching.progress, run->to, base, all - base);
    const struct watch watch = {.ctx = &watching,
                                .progress = report,
                                .denoised = show,
                                .cancelled = cli_interrupt_asked,
                                .pressed = cli_memory_is_pressed};
    bool ok = pipeline_run(&run->result, run->pipeline, r, &run->sized.plan,
                           &(struct pipeline_input){.image = &run->input}, &watch, err);
    cli_progress_end(&watching.progress);
    return ok;
}

static bool save(struct run *run, struct error *err)
{
    const struct model_info *info = model_view(pipeline_model(run->pipeline));
    double started = clock_seconds();

    for (int i = 0; i < run->result.n_images; i++) {
        char path[CLI_OUTPUT_PATH_BYTES];
        if (cli_interrupt_asked(NULL))
            return error_set(err, ERROR_CANCELLED, "stopped before picture %d was written", i + 1);
        if (!cli_output_path(path, &run->output, i, err) ||
            !cli_output_save(&run->output, i, &run->result.images[i], &run->sized.request, info,
                             err))
            return false;
        fprintf(run->to, "picture: %s (seed %" PRIu64 ")\n", path,
                run->sized.request.seed + (uint64_t)i);
    }
    run->save_seconds = clock_seconds() - started;
    return true;
}

static void tell_memory(const struct run *run)
{
    const struct gen_result *result = &run->result;
    const struct transcript *t = &run->sized.transcript;
    char levers[CLI_MEMORY_LEVERS_BYTES];

    cli_memory_write_levers(levers, &run->sized.plan);
    fprintf(run->to, "size: %dx%d (requested %dx%d)\n", t->used.width, t->used.height,
            t->asked.width, t->asked.height);
    fprintf(run->to, "memory: budget %.1f MB, planned peak %.1f MB, ",
            (double)run->sized.plan.limit_bytes / 1e6, (double)result->planned_peak_bytes / 1e6);
    if (result->measured_peak_bytes)
        fprintf(run->to, "measured peak %.1f MB\n", (double)result->measured_peak_bytes / 1e6);
    else
        fprintf(run->to, "the system does not tell the measured peak\n");
    fprintf(run->to, "memory: level %s, device %s, levers: %s\n", levels_name(t->level),
            machine_device_name(t->machine.device), levers);
}

static void tell_end(const struct run *run)
{
    const struct gen_result *result = &run->result;

    fprintf(run->to, "seconds:");
    for (int i = 0; i < PLAN_PHASES; i++)
        if (run->sized.plan.phase[i].used && i != PLAN_IMAGE_ENCODE)
            fprintf(run->to, " %s %.3f,", gen_plan_phase_name((enum plan_phase)i),
                    result->seconds[i]);
    fprintf(run->to, " %s %.3f, all %.3f (%.3f a step)\n", gen_plan_phase_name(PLAN_IMAGE_ENCODE),
            run->save_seconds, result->total_seconds + run->save_seconds,
            result->steps > 0
                ? (result->seconds[PLAN_DENOISE] + result->seconds[PLAN_REFINE]) / result->steps
                : 0);
    tell_memory(run);
    for (int i = 0; i < result->warnings.n; i++)
        fprintf(run->to, "warning: %s\n", result->warnings.text[i]);
    if (result->warnings.left_out)
        fprintf(run->to, "warning: %d more\n", result->warnings.left_out);
}

/* What was asked for, and the machine it is asked of. */
static bool ask(struct run *run, struct error *err)
{
    const struct cli_options *o = run->options;
    const struct model_info *info = model_view(pipeline_model(run->pipeline));

    run->policy = plan_policy_of(&o->settings);
    return cli_memory_machine(&run->machine, &o->settings, true, err) &&
           cli_request_make(&run->asked, o, &run->model, info, run->input_width, run->input_height,
                            err);
}

/* Behind the models that they are for. */
static bool open_loras(struct run *run, struct error *err)
{
    if (!cli_lora_take(&run->asked, run->loras, run->options, err))
        return false;
    pipeline_set_loras(run->pipeline, &run->asked, run->options->settings.loras_dir);
    pipeline_loras_write(run->output.loras, sizeof run->output.loras,
                         pipeline_models(run->pipeline).loras);
    return true;
}

/* Plans, brings the input to the planned size, and plans again where that changed what the process
 * holds. */
static bool plan(struct run *run, struct error *err)
{
    struct plan_size_ask ask = {.policy = &run->policy,
                                .machine = &run->machine,
                                .request = &run->asked,
                                .models = pipeline_models(run->pipeline),
                                .backend = run->backend,
                                .beside_bytes = cli_preview_bytes(&run->preview)};
    struct transcript *t = &run->sized.transcript;

    if (!cli_memory_plan(&run->sized, &ask, err))
        return false;
    if (run->asked.mode == GEN_IMG2IMG &&
        (t->used.width != run->input.width || t->used.height != run->input.height)) {
        struct gen_request used = run->sized.request;
        if (!fit_input(run, err))
            return false;
        plan_size_clear(&run->sized);
        ask.request = &used;
        if (!cli_memory_plan(&run->sized, &ask, err) || !fit_input(run, err))
            return false;
        t->asked = (struct memory_size){run->asked.width, run->asked.height};
    }
    if (t->asked.width != t->used.width || t->asked.height != t->used.height)
        snprintf(run->output.requested_size, sizeof run->output.requested_size, "%dx%d",
                 t->asked.width, t->asked.height);
    return true;
}

bool cli_generate_run(const struct cli_options *o, FILE *to, struct error *err)
{
    struct run run = {.options = o, .to = to};
    struct log log;

    log_to_file(&log, to, LOG_INFO, "cli");
    bool ok = cli_output_init(&run.output, o->output, (int)o->batch_size,
                              (int)o->settings.jpeg_quality, err) &&
              load_input(&run, err) && open_model(&run, err) && open_vae(&run, err) &&
              open_refiner(&run, err) && ask(&run, err) && open_loras(&run, err) &&
              read_prompts(&run, err) && plan(&run, err);
    if (ok && run.sized.plan.phase[PLAN_REFINE].used)
        run.output.refiner = model_view(pipeline_models(run.pipeline).refiner)->name;
    if (ok) {
        cli_memory_tell(&run.sized, &log);
        tell_start(&run);
        ok = compute(&run, err) && save(&run, err);
    }
    if (ok)
        tell_end(&run);
    clear(&run);
    return ok;
}
