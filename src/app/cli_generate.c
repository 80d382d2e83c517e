#include "app/cli_generate.h"

#include "app/cli_interrupt.h"
#include "app/cli_model.h"
#include "app/cli_output.h"
#include "app/cli_progress.h"
#include "base/clock.h"
#include "engine/cpu/cpu_backend.h"
#include "image/image_format.h"
#include "image/image_text.h"
#include "image/resize.h"
#include "pipeline/pipeline.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* What a run holds; given back by clear, whatever became of it. */
struct run {
    const struct cli_options *options;
    FILE *to;
    struct cli_model model;
    struct cli_output output;
    struct backend *backend;
    struct pipeline *pipeline;
    struct image input; /* img2img, of the request's size */
    int input_width, input_height;
    struct gen_request request;
    struct gen_plan plan;
    struct gen_result result;
    double save_seconds;
};

static void clear(struct run *r)
{
    pipeline_result_clear(&r->result);
    gen_plan_clear(&r->plan);
    image_clear(&r->input);
    pipeline_close(r->pipeline);
    if (r->backend)
        r->backend->fn->close(r->backend);
}

static bool pick_seed(uint64_t *out, int64_t asked, struct error *err)
{
    uint32_t any = 0;

    if (asked < 0 && getentropy(&any, sizeof any) != 0)
        return error_set_errno(err, errno, "no random seed");
    *out = asked < 0 ? any : (uint64_t)asked;
    return true;
}

/* To the nearest multiple of 8, not below 64. */
static int rounded_side(int px)
{
    int side = (px + 4) / 8 * 8;
    return side < 64 ? 64 : side;
}

static int side_of(int64_t asked, int input_px, int native)
{
    if (asked > 0)
        return (int)asked;
    return input_px > 0 ? rounded_side(input_px) : native;
}

static struct gen_limits limits_of(const struct settings *s)
{
    struct gen_limits limits = gen_request_default_limits();
    limits.max_side = (int)s->max_side;
    limits.max_pixels = s->max_pixels;
    limits.max_steps = (int)s->max_steps;
    limits.max_batch = (int)s->max_batch;
    return limits;
}

static bool check_text(const char *flag, const char *text, struct error *err)
{
    return image_text_is_utf8(text) || error_set(err, ERROR_INVALID, "%s is not UTF-8", flag);
}

static bool make_request(struct run *run, struct error *err)
{
    const struct cli_options *o = run->options;
    const struct gen_limits limits = limits_of(&o->settings);
    int native = cli_model_native_side(model_view(pipeline_model(run->pipeline)));
    struct gen_request *r = &run->request;

    *r = gen_request_defaults();
    r->mode = o->command->bit == CLI_IMG2IMG ? GEN_IMG2IMG : GEN_TXT2IMG;
    r->prompt = o->prompt;
    r->negative_prompt = o->negative_prompt;
    r->width = side_of(o->width, run->input_width, native);
    r->height = side_of(o->height, run->input_height, native);
    r->batch_size = (int)o->batch_size;
    r->steps = (int)o->steps;
    r->cfg_scale = o->cfg_scale < 0 ? cli_model_cfg_scale(&run->model) : o->cfg_scale;
    r->sampler = o->sampler;
    r->schedule = o->scheduler ? o->scheduler : &schedule_rows[o->sampler_suffix];
    r->rng = o->rng;
    r->clip_skip = (int)o->clip_skip;
    r->denoising_strength = o->denoising_strength;
    return pick_seed(&r->seed, o->seed, err) && check_text("--prompt", r->prompt, err) &&
           check_text("--negative-prompt", r->negative_prompt, err) &&
           gen_request_check(r, &limits, err);
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
    const struct gen_request *r = &run->request;
    struct image fitted;

    if (r->mode != GEN_IMG2IMG || (run->input.width == r->width && run->input.height == r->height))
        return true;
    if (!resize_image(&fitted, &run->input, r->width, r->height, RESIZE_LANCZOS, err))
        return false;
    fprintf(run->to, "%s resized from %dx%d to %dx%d (Lanczos)\n", run->options->image,
            run->input.width, run->input.height, r->width, r->height);
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

/* A text encoder sees 75 tokens; what it does not see is told. */
static bool tell_cut(const struct run *run, const char *flag, const char *text, struct error *err)
{
    int32_t ids[TOKENIZER_LENGTH];
    size_t n = 0;

    if (!tokenizer_encode_padded(pipeline_tokenizer(run->pipeline), ids, &n, text, strlen(text),
                                 err))
        return error_prefix(err, "%s", flag);
    if (n > TOKENIZER_LENGTH - 2)
        fprintf(run->to, "%s has %zu tokens; the model sees the first %d\n", flag, n,
                TOKENIZER_LENGTH - 2);
    return true;
}

static void tell_start(const struct run *run)
{
    const struct gen_request *r = &run->request;
    enum schedule_kind kind = r->schedule->kind;

    if (kind == SCHEDULE_AUTOMATIC)
        kind = r->sampler->schedule;
    fprintf(run->to, "%s: %dx%d, %d steps of %s, %s, guidance %g, seed %" PRIu64 "; %s, %d %s\n",
            model_view(pipeline_model(run->pipeline))->name, r->width, r->height, r->steps,
            r->sampler->name, schedule_rows[kind].name, r->cfg_scale, r->seed,
            cpu_backend_isa(run->backend), cpu_backend_threads(run->backend),
            cpu_backend_threads(run->backend) == 1 ? "thread" : "threads");
}

static bool compute(struct run *run, struct error *err)
{
    const struct gen_request *r = &run->request;
    struct cli_progress progress;
    int skip = r->mode == GEN_IMG2IMG ? schedule_img2img_start(r->steps, r->denoising_strength) : 0;

    cli_progress_init(&progress, run->to, r->steps - skip);
    const struct watch watch = {
        .ctx = &progress, .progress = cli_progress_report, .cancelled = cli_interrupt_asked};
    bool ok = pipeline_run(&run->result, run->pipeline, r, &run->plan,
                           r->mode == GEN_IMG2IMG ? &run->input : NULL, &watch, err);
    cli_progress_end(&progress);
    return ok;
}

static bool save(struct run *run, struct error *err)
{
    const char *name = model_view(pipeline_model(run->pipeline))->name;
    double started = clock_seconds();

    for (int i = 0; i < run->result.n_images; i++) {
        char path[CLI_OUTPUT_PATH_BYTES];
        if (cli_interrupt_asked(NULL))
            return error_set(err, ERROR_CANCELLED, "stopped before picture %d was written", i + 1);
        if (!cli_output_path(path, &run->output, i, err) ||
            !cli_output_save(&run->output, i, &run->result.images[i], &run->request, name, err))
            return false;
        fprintf(run->to, "picture: %s (seed %" PRIu64 ")\n", path, run->request.seed + (uint64_t)i);
    }
    run->save_seconds = clock_seconds() - started;
    return true;
}

static void tell_end(const struct run *run)
{
    const struct gen_result *result = &run->result;

    fprintf(run->to, "seconds:");
    for (int i = 0; i < PLAN_PHASES; i++)
        if (run->plan.phase[i].used && i != PLAN_IMAGE_ENCODE)
            fprintf(run->to, " %s %.3f,", gen_plan_phase_name((enum plan_phase)i),
                    result->seconds[i]);
    fprintf(run->to, " %s %.3f, all %.3f (%.3f a step)\n", gen_plan_phase_name(PLAN_IMAGE_ENCODE),
            run->save_seconds, result->total_seconds + run->save_seconds,
            result->steps > 0 ? result->seconds[PLAN_DENOISE] / result->steps : 0);
    fprintf(run->to, "memory: planned peak %.1f MB, ", (double)result->planned_peak_bytes / 1e6);
    if (result->measured_peak_bytes)
        fprintf(run->to, "measured peak %.1f MB\n", (double)result->measured_peak_bytes / 1e6);
    else
        fprintf(run->to, "the system does not tell the measured peak\n");
}

bool cli_generate_run(const struct cli_options *o, FILE *to, struct error *err)
{
    struct run run = {.options = o, .to = to};

    bool ok = cli_output_init(&run.output, o->output, (int)o->batch_size,
                              (int)o->settings.jpeg_quality, err) &&
              load_input(&run, err) && open_model(&run, err) && make_request(&run, err) &&
              fit_input(&run, err) && pipeline_plan(&run.plan, run.pipeline, &run.request, NULL, err) &&
              tell_cut(&run, "--prompt", o->prompt, err) &&
              tell_cut(&run, "--negative-prompt", o->negative_prompt, err);
    if (ok) {
        tell_start(&run);
        ok = compute(&run, err) && save(&run, err);
    }
    if (ok)
        tell_end(&run);
    clear(&run);
    return ok;
}
