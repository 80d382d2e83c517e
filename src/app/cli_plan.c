#include "app/cli_plan.h"

#include "app/cli_request.h"
#include "base/parse.h"
#include "engine/cpu/cpu_backend.h"
#include "generator/generator_memory.h"
#include "generator/generator_plan.h"
#include "image/image_format.h"

#include <string.h>

enum { BAR_CELLS = 30, SIDE_MAX = 1 << 16 };

struct run {
    const struct cli_options *options;
    int input_width, input_height;
    struct cli_request request;
    struct generator_plan plan;
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
    const struct gen_plan *p = &run->plan.sized.plan;
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
            mb(p->base_bytes), cpu_backend_isa(run->plan.backend),
            cpu_backend_threads(run->plan.backend),
            cpu_backend_threads(run->plan.backend) == 1 ? "thread" : "threads",
            1e3 * run->plan.planning_seconds);
}

static bool is_at_limit(const struct run *run)
{
    const int step = MEMORY_FIT_MULTIPLE, side = (int)run->options->settings.max_side;
    return run->plan.largest.width > side - step || run->plan.largest.height > side - step;
}

static void print_report(FILE *to, const struct run *run)
{
    const struct gen_plan *p = &run->plan.sized.plan;
    char levers[GENERATOR_MEMORY_LEVERS_BYTES];
    struct log log;

    log_to_file(&log, to, LOG_INFO, "plan");
    generator_memory_tell(&run->plan.sized, &log);
    print_table(to, run);
    generator_memory_write_levers(levers, p);
    fprintf(to, "levers:       %s\n", levers);
    fprintf(to, "may be used:  %.1f MB\n", mb(p->limit_bytes));
    if (run->plan.largest.width > 0)
        fprintf(to, "largest size: %dx%d of this shape fits, the size table aside%s\n",
                run->plan.largest.width, run->plan.largest.height,
                is_at_limit(run) ? " (max_side allows no larger)" : "");
    for (int i = 0; i < run->plan.loras.n_warnings; i++)
        fprintf(to, "warning: %s\n", run->plan.loras.warnings[i]);
}

static bool print_json(FILE *to, const struct run *run, struct error *err)
{
    json_t *root = generator_plan_json(&run->plan);
    bool ok = root && json_dumpf(root, to, JSON_INDENT(2)) == 0 && fputc('\n', to) != EOF;

    json_decref(root);
    return ok || error_set(err, ERROR_IO, "cannot write the plan as JSON");
}

bool cli_plan_run(const struct cli_options *o, FILE *to, struct error *err)
{
    struct run run = {.options = o};

    if (!measure_input(&run, err) || !cli_request_make(&run.request, o, err))
        return false;
    const struct generator_plan_ask ask = {.settings = &o->settings,
                                           .origins = &o->origins,
                                           .job = &run.request.job,
                                           .input_width = run.input_width,
                                           .input_height = run.input_height,
                                           .has_mask = o->mask != NULL};
    if (!generator_plan_make(&run.plan, &ask, err))
        return false;
    bool ok = true;
    if (o->json)
        ok = print_json(to, &run, err);
    else
        print_report(to, &run);
    generator_plan_clear(&run.plan);
    return ok;
}
