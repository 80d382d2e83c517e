#include "app/cli_plan.h"

#include "app/cli_lora.h"
#include "app/cli_memory.h"
#include "app/cli_plan_json.h"
#include "app/cli_request.h"
#include "base/clock.h"
#include "base/parse.h"
#include "engine/cpu/cpu_backend.h"
#include "image/image_format.h"
#include "model/model_vae.h"
#include "pipeline/pipeline.h"
#include "pipeline/pipeline_loras.h"
#include "plan/plan_policy.h"

#include <string.h>

enum { BAR_CELLS = 30, SIDE_MAX = 1 << 16 };

struct run {
    const struct cli_options *options;
    struct cli_model found, found_refiner;
    struct model *model, *refiner;
    struct backend *backend;
    int input_width, input_height;
    struct gen_request asked;
    struct cli_lora lora_names[CLI_MAX_LORAS];
    struct lora_set loras, refiner_loras;
    struct memory_policy policy;
    struct machine machine;
    struct plan_size sized;
    struct memory_size largest;
    double planning_seconds;
};

/* "640x480"; false for anything else, which is then a file's name. */
static bool read_size(const char *text, int *width, int *height)
{
    const char *x = strchr(text, 'x');
    char left[16];
    int64_t w, h;
    struct error ignored = {0};

    if (!x || (size_t)(x - text) >= sizeof left)
        return false;
    memcpy(left, text, (size_t)(x - text));
    left[x - text] = 0;
    if (!parse_int64(&w, left, 1, SIDE_MAX, &ignored) ||
        !parse_int64(&h, x + 1, 1, SIDE_MAX, &ignored))
        return false;
    *width = (int)w;
    *height = (int)h;
    return true;
}

static bool measure_input(struct run *run, struct error *err)
{
    const char *image = run->options->image;
    struct image_file file;

    if (!image || read_size(image, &run->input_width, &run->input_height))
        return true;
    if (!image_format_load(&file, image, err))
        return error_prefix(err, "--image (a file, or a size such as 640x480)");
    run->input_width = file.image.width;
    run->input_height = file.image.height;
    image_format_clear(&file);
    return true;
}

static bool open_refiner(struct run *run, struct error *err)
{
    const struct cli_options *o = run->options;

    return !o->refiner ||
           (cli_model_find(&run->found_refiner, o->refiner, o->settings.models_dir, err) &&
            model_open(&run->refiner, run->found_refiner.path, err)) ||
           error_prefix(err, "--refiner");
}

/* What the prompts take, where there is a tokenizer to tell; else as much as short ones. */
static bool read_prompts(struct run *run, struct error *err)
{
    const struct cli_options *o = run->options;
    struct pipeline *p = NULL;
    struct error no_tokenizer = {0};
    const char *tokenizer = NULL;
    char room[CLI_MODEL_PATH_BYTES];

    if ((!*o->prompt && !*o->negative_prompt) ||
        !cli_model_find_tokenizer(&tokenizer, room, &run->found, &o->settings, &o->origins,
                                  &no_tokenizer) ||
        !pipeline_open(&p, run->found.path, tokenizer, run->backend, &no_tokenizer))
        return true;
    bool ok = pipeline_set_embeddings(p, o->settings.embeddings_dir, err) &&
              (!run->refiner || pipeline_set_refiner(p, run->found_refiner.path, err)) &&
              pipeline_read_prompts(&run->asked, p, NULL, err);
    pipeline_close(p);
    return ok;
}

static bool open_loras(struct run *run, struct error *err)
{
    const char *dir = run->options->settings.loras_dir;

    if (!cli_lora_take(&run->asked, run->lora_names, run->options, err))
        return false;
    pipeline_loras_open(&run->loras, &run->asked, dir, model_view(run->model));
    if (run->refiner)
        pipeline_loras_open(&run->refiner_loras, &run->asked, dir, model_view(run->refiner));
    return true;
}

static bool make_plan(struct run *run, struct error *err)
{
    struct plan_size_ask ask = {.policy = &run->policy,
                                .machine = &run->machine,
                                .request = &run->asked,
                                .models = {.base = run->model,
                                           .refiner = run->refiner,
                                           .loras = &run->loras,
                                           .refiner_loras = &run->refiner_loras},
                                .backend = run->backend};
    const struct gen_limits limits = cli_request_limits(&run->options->settings);
    int side = limits.max_side / MEMORY_FIT_MULTIPLE * MEMORY_FIT_MULTIPLE;
    double started = clock_seconds();

    if (!cli_memory_plan(&run->sized, &ask, err))
        return false;
    run->planning_seconds = clock_seconds() - started;
    return plan_size_largest(&run->largest, &ask, (struct memory_size){side, side}, err);
}

static double mb(size_t bytes)
{
    return (double)bytes / 1e6;
}

static void print_phase(FILE *to, const struct gen_plan *p, enum plan_phase phase)
{
    const struct plan_stage *n = &p->phase[phase];
    size_t sum = gen_plan_phase_bytes(p, phase);
    char bar[BAR_CELLS + 1];
    int cells = p->peak_bytes ? (int)((double)sum * BAR_CELLS / (double)p->peak_bytes + 0.5) : 0;

    memset(bar, ' ', BAR_CELLS);
    memset(bar, '#', (size_t)(cells < BAR_CELLS ? cells : BAR_CELLS));
    bar[BAR_CELLS] = 0;
    fprintf(to, "%-13s %10.1f %10.1f %10.1f %10.1f %10.2f  |%s|\n", gen_plan_phase_name(phase),
            mb(n->weights_bytes), mb(n->arena_bytes), mb(n->host_bytes), mb(sum), n->seconds, bar);
}

static void print_table(FILE *to, const struct run *run)
{
    const struct gen_plan *p = &run->sized.plan;
    double seconds = 0;

    fprintf(to, "\n%-13s %10s %10s %10s %10s %10s\n", "phase, MB", "weights", "arena", "host",
            "sum", "seconds");
    for (int i = 0; i < PLAN_PHASES; i++) {
        if (p->phase[i].used)
            print_phase(to, p, (enum plan_phase)i);
        seconds += p->phase[i].seconds;
    }
    fprintf(to, "%-13s %10s %10s %10s %10.1f %10.2f\n", "peak", "", "", "", mb(p->peak_bytes),
            seconds);
    fprintf(to,
            "\nA sum holds the %.1f MB that this process has already.  Seconds are modelled for "
            "this machine's %s,\n%d %s.  Planned in %.1f ms; no weight was read.\n",
            mb(p->base_bytes), cpu_backend_isa(run->backend), cpu_backend_threads(run->backend),
            cpu_backend_threads(run->backend) == 1 ? "thread" : "threads",
            1e3 * run->planning_seconds);
}

static bool is_at_limit(const struct run *run)
{
    const int step = MEMORY_FIT_MULTIPLE, side = (int)run->options->settings.max_side;
    return run->largest.width > side - step || run->largest.height > side - step;
}

static void print_report(FILE *to, const struct run *run)
{
    const struct gen_plan *p = &run->sized.plan;
    char levers[CLI_MEMORY_LEVERS_BYTES];
    struct log log;

    log_to_file(&log, to, LOG_INFO, "plan");
    cli_memory_tell(&run->sized, &log);
    print_table(to, run);
    cli_memory_write_levers(levers, p);
    fprintf(to, "levers:       %s\n", levers);
    fprintf(to, "may be used:  %.1f MB\n", mb(p->limit_bytes));
    if (run->largest.width > 0)
        fprintf(to, "largest size: %dx%d of this shape fits, the size table aside%s\n",
                run->largest.width, run->largest.height,
                is_at_limit(run) ? " (max_side allows no larger)" : "");
    for (int i = 0; i < run->loras.n_warnings; i++)
        fprintf(to, "warning: %s\n", run->loras.warnings[i]);
}

static bool open_model(struct run *run, struct error *err)
{
    const struct settings *s = &run->options->settings;
    const char *vae = NULL;
    char room[CLI_MODEL_PATH_BYTES];

    return cli_model_find(&run->found, s->model, s->models_dir, err) &&
           model_open(&run->model, run->found.path, err) &&
           cli_model_find_vae(&vae, room, s, model_view(run->model), err) &&
           (!vae || model_vae_replace(run->model, vae, err));
}

bool cli_plan_run(const struct cli_options *o, FILE *to, struct error *err)
{
    const struct settings *s = &o->settings;
    struct run run = {.options = o, .policy = plan_policy_of(s)};

    bool ok = measure_input(&run, err) && cli_memory_machine(&run.machine, s, false, err) &&
              open_model(&run, err) && open_refiner(&run, err) &&
              cpu_backend_open(&run.backend, (int)s->threads, s->isa, err) &&
              cli_request_make(&run.asked, o, &run.found, model_view(run.model), run.input_width,
                               run.input_height, err) &&
              open_loras(&run, err) && read_prompts(&run, err) && make_plan(&run, err);
    if (ok && o->json) {
        const struct cli_plan_report report = {.model = model_view(run.model),
                                               .policy = &run.policy,
                                               .sized = &run.sized,
                                               .largest = run.largest,
                                               .planning_seconds = run.planning_seconds};
        ok = cli_plan_json_write(&report, to, err);
    } else if (ok) {
        print_report(to, &run);
    }
    plan_size_clear(&run.sized);
    lora_set_clear(&run.loras);
    lora_set_clear(&run.refiner_loras);
    if (run.backend)
        run.backend->fn->close(run.backend);
    model_close(run.refiner);
    model_close(run.model);
    return ok;
}
