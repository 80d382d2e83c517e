#include "app/cli_upscale.h"

#include "app/cli_interrupt.h"
#include "app/cli_output.h"
#include "base/clock.h"
#include "engine/cpu/cpu_backend.h"
#include "generator/generator_find.h"
#include "generator/generator_memory.h"
#include "image/builtin_upscaler.h"
#include "image/image_format.h"
#include "memory/process_memory.h"
#include "pipeline/upscale.h"
#include "plan/plan_policy.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static const double filter_scale = 2; /* where none is asked for */

/* What a run holds; given back by clear. */
struct run {
    const struct cli_options *options;
    FILE *to;
    struct image_file input;
    struct image result;
    const struct builtin_upscaler *filter; /* NULL: a network */
    struct backend *backend;
    struct upscaler *upscaler;
    struct upscale_plan plan;
    size_t limit_bytes, measured_bytes;
    bool terminal, line_open;
    int shown_percent;
    double seconds;
};

static void clear(struct run *r)
{
    upscale_plan_clear(&r->plan);
    upscale_close(r->upscaler);
    if (r->backend)
        r->backend->fn->close(r->backend);
    image_clear(&r->result);
    image_format_clear(&r->input);
}

/* A bar on a terminal, a line every tenth elsewhere. */
static void report(void *ctx, double done, double total)
{
    enum { CELLS = 24 };
    struct run *r = ctx;
    const int percent = total > 0 ? (int)(100 * done / total) : 0;
    char bar[CELLS + 1];

    if (percent / (r->terminal ? 1 : 10) == r->shown_percent / (r->terminal ? 1 : 10))
        return;
    r->shown_percent = percent;
    for (int i = 0; i < CELLS; i++)
        bar[i] = i < percent * CELLS / 100 ? '#' : '-';
    bar[CELLS] = 0;
    if (r->terminal)
        fprintf(r->to, "\rupscale [%s] %d %%\033[K", bar, percent);
    else
        fprintf(r->to, "upscale: %d %%\n", percent);
    fflush(r->to);
    r->line_open = r->terminal;
}

static bool open_network(struct run *r, const char *name, struct error *err)
{
    const struct settings *s = &r->options->settings;
    const struct generator_find find = {.settings = s};
    char found[GENERATOR_MODEL_PATH_BYTES];

    if (!generator_find_upscaler(found, &find, name, err))
        return error_prefix(err, "--upscaler");
    return (cpu_backend_open(&r->backend, (int)s->threads, s->isa, err) &&
            upscale_open(&r->upscaler, found, r->backend, err)) ||
           error_prefix(err, "--upscaler");
}

static bool load(struct run *r, struct error *err)
{
    if (!r->options->image)
        return error_set(err, ERROR_INVALID, "upscale wants --image FILE");
    return image_format_load(&r->input, r->options->image, err) || error_prefix(err, "--image");
}

static bool find_limit(struct run *r, struct error *err)
{
    const struct memory_policy policy = plan_policy_of(&r->options->settings);
    struct process_memory now = {0};
    struct machine machine;

    if (!generator_memory_machine(&machine, &r->options->settings, true, err) ||
        !process_memory_read(&now, err))
        return false;
    /* A budget counts what the process holds already; what is available does not. */
    r->limit_bytes =
        (size_t)now.resident_bytes + (size_t)memory_policy_usable_bytes(&policy, &machine);
    if (policy.budget_bytes && policy.budget_bytes < r->limit_bytes)
        r->limit_bytes = (size_t)policy.budget_bytes;
    return true;
}

static bool run_network(struct run *r, struct error *err)
{
    const struct image *in = &r->input.image;
    const struct upscale_watch watch = {r, report, cli_interrupt_asked};

    if (!find_limit(r, err))
        return false;
    const struct upscale_bounds bounds = {.limit_bytes = r->limit_bytes};
    if (!upscale_plan(&r->plan, r->upscaler, in->width, in->height, &bounds, err))
        return false;
    fprintf(r->to, "%s: %dx%d to %dx%d; %s, %d %s\n", upscale_name(r->upscaler), in->width,
            in->height, r->plan.out_width, r->plan.out_height, cpu_backend_isa(r->backend),
            cpu_backend_threads(r->backend),
            cpu_backend_threads(r->backend) == 1 ? "thread" : "threads");
    bool ok = upscale_run(&r->result, r->upscaler, &r->plan, in, &watch, &r->measured_bytes, err);
    if (r->line_open)
        fputs("\r\033[K", r->to);
    return ok;
}

/* From the picture, or from what the network made of it, to the size that was asked for. */
static bool fit(struct run *r, struct error *err)
{
    const struct image *in = &r->input.image;
    const double asked = r->options->scale;
    const double scale = asked > 0 ? asked : r->filter ? filter_scale : upscale_scale(r->upscaler);
    const double width = fmax(1, floor(in->width * scale)),
                 height = fmax(1, floor(in->height * scale));
    struct image made;

    if (!image_check_size((int64_t)width, (int64_t)height, image_default_limits(), err))
        return error_prefix(err, "--scale");
    if (r->filter)
        return builtin_upscaler_run(&r->result, in, r->filter, (int)width, (int)height, err);
    if (r->result.width == (int)width && r->result.height == (int)height)
        return true;
    if (!resize_image(&made, &r->result, (int)width, (int)height, RESIZE_LANCZOS, err))
        return false;
    image_clear(&r->result);
    r->result = made;
    return true;
}

static void tell_end(const struct run *r)
{
    const struct upscale_plan *p = &r->plan;

    fprintf(r->to, "seconds: %.3f", r->seconds);
    if (r->filter) {
        fprintf(r->to, "\n");
        return;
    }
    fprintf(r->to, " (%.0f GFLOP/s)\n", p->flops / r->seconds / 1e9);
    fprintf(r->to, "memory: budget %.1f MB, planned peak %.1f MB, ", (double)r->limit_bytes / 1e6,
            (double)p->peak_bytes / 1e6);
    if (r->measured_bytes)
        fprintf(r->to, "measured peak %.1f MB", (double)r->measured_bytes / 1e6);
    else
        fprintf(r->to, "the system does not tell the measured peak");
    fprintf(r->to, "; bands of %d rows%s\n", p->rows, p->stream ? ", weights streamed" : "");
}

static bool save(const struct run *r, const struct cli_output *output, struct error *err)
{
    const struct settings *settings = &r->options->settings;
    const struct image_format *format;
    char path[CLI_OUTPUT_PATH_BYTES];

    if (!cli_output_path(path, output, 0, err) || !image_format_find_path(&format, path, err))
        return false;
    const struct image_write_options options = {.infotext = r->input.infotext,
                                                .quality = settings_quality(settings, format->name),
                                                .avif_speed = (int)settings->avif_speed};
    if (!image_format_save(path, &r->result, &options, err))
        return false;
    fprintf(r->to, "picture: %s (%dx%d)\n", path, r->result.width, r->result.height);
    return true;
}

bool cli_upscale_run(const struct cli_options *o, FILE *to, struct error *err)
{
    const char *name = o->upscaler ? o->upscaler : "Lanczos";
    struct run r = {.options = o,
                    .to = to,
                    .filter = builtin_upscaler_find(name),
                    .terminal = isatty(fileno(to)) == 1};
    struct cli_output output;

    bool ok = cli_output_init(&output, o->output, 1, err) && load(&r, err) &&
              (r.filter || open_network(&r, name, err));
    const double started = clock_seconds();
    ok = ok && (r.filter || run_network(&r, err)) && fit(&r, err);
    r.seconds = clock_seconds() - started;
    ok = ok && save(&r, &output, err);
    if (ok)
        tell_end(&r);
    clear(&r);
    return ok;
}
