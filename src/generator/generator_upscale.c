#include "generator/generator_upscale.h"

#include "base/clock.h"
#include "engine/cpu/cpu_backend.h"
#include "generator/generator_memory.h"
#include "image/builtin_upscaler.h"
#include "image/image_format.h"
#include "memory/process_memory.h"
#include "pipeline/upscale.h"
#include "plan/plan_policy.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

/* As in A1111: a network is asked again while the picture is too small, but not for ever. */
enum { MAX_PASSES = 3 };

/* What one run is about. */
struct enlarging {
    struct generator *g;
    const struct generator_watch *watch;
    double began, best;
    int part, parts; /* upscalers, of the job */
    int pass;        /* of this upscaler, from 0 on */
    size_t limit_bytes, planned_bytes, measured_bytes;
};

/* What the process may become. */
static bool find_limit(struct generator *g, size_t *out, struct error *err)
{
    const struct memory_policy *policy = &g->now.policy;
    struct process_memory now = {0};

    if (!process_memory_read(&now, err))
        return false;
    /* A budget counts what the process holds already; what is available does not. */
    *out = (size_t)now.resident_bytes + (size_t)memory_policy_usable_bytes(policy, &g->now.machine);
    if (policy->budget_bytes && policy->budget_bytes < *out)
        *out = (size_t)policy->budget_bytes;
    return true;
}

/* The size that the upscalers bring the picture to, and the size that it is cut to. */
static bool find_sizes(const struct generator *g, struct memory_size *whole,
                       struct memory_size *cut, struct error *err)
{
    const struct gen_job_upscale *u = &g->now.task.job->upscale;
    const struct image *in = &g->now.input;
    const bool by_size = u->resize_w > 0;
    const double x = (double)u->resize_w / in->width, y = (double)u->resize_h / in->height;
    const double scale = by_size ? fmax(x, y) : u->resize;
    /* Of the side that decides, exactly what was asked for. */
    const double w = by_size && x >= y ? u->resize_w : fmax(1, floor(in->width * scale));
    const double h = by_size && y >= x ? u->resize_h : fmax(1, floor(in->height * scale));

    if (!image_check_size((int64_t)w, (int64_t)h, image_default_limits(), err))
        return error_prefix(err, by_size ? "upscaling_resize_w, upscaling_resize_h"
                                         : "upscaling_resize");
    *whole = *cut = (struct memory_size){(int)w, (int)h};
    if (by_size && u->crop) {
        cut->width = u->resize_w < whole->width ? u->resize_w : whole->width;
        cut->height = u->resize_h < whole->height ? u->resize_h : whole->height;
    }
    return true;
}

static bool open_network(struct generator *g, struct upscaler **out, const char *name,
                         struct error *err)
{
    const struct settings *s = g->options.settings;
    char path[GENERATOR_PATH_BYTES];

    return (g->backend || cpu_backend_open(&g->backend, (int)s->threads, s->isa, err)) &&
           generator_open_upscaler(g, path, name, err) && upscale_open(out, path, g->backend, err);
}

/* What the first pass of an upscaler would take. */
static bool plan_one(struct generator *g, const char *name, struct error *err)
{
    struct generator_prepared *n = &g->now;
    struct upscale_bounds bounds = {0};
    struct upscale_plan plan = {0};
    struct upscaler *u = NULL;

    if (!name[0] || builtin_upscaler_find(name))
        return true;
    bool ok = open_network(g, &u, name, err) && find_limit(g, &bounds.limit_bytes, err) &&
              upscale_plan(&plan, u, n->input.width, n->input.height, &bounds, err);
    if (ok && plan.peak_bytes > n->upscale_bytes)
        n->upscale_bytes = plan.peak_bytes;
    upscale_plan_clear(&plan);
    upscale_close(u);
    return ok;
}

bool generator_upscale_prepare(struct generator *g, struct error *err)
{
    struct generator_prepared *n = &g->now;
    const struct gen_job_upscale *u = &n->task.job->upscale;
    struct memory_size whole, cut;

    n->policy = plan_policy_of(g->options.settings);
    return generator_memory_machine(&n->machine, g->options.settings, true, err) &&
           find_sizes(g, &whole, &cut, err) && plan_one(g, u->upscaler_1, err) &&
           plan_one(g, u->upscaler_2, err);
}

static void report(void *ctx, double done, double total)
{
    struct enlarging *e = ctx;
    /* Nobody knows how often a network has to be asked; each pass gets half of what is left. */
    const double of_pass = total > 0 ? fmin(1, done / total) : 0;
    const double of_part = 1 - pow(0.5, e->pass) * (1 - of_pass / 2);

    e->best = fmax(e->best, (e->part + fmin(1, of_part)) / e->parts);
    if (!e->watch || !e->watch->progress)
        return;
    const struct generator_progress p = {
        .phase = PLAN_HIRES_UPSCALE,
        .phase_name = "upscale",
        .phase_done = done,
        .phase_total = total,
        .progress = e->best,
        .seconds_left =
            e->best > 0.01 ? (clock_seconds() - e->began) * (1 - e->best) / e->best : -1,
        .batch = 1,
        .batches = 1};
    e->watch->progress(e->watch->ctx, &p);
}

/* Half a picture is of no use: whatever is wished ends it. */
static bool is_cancelled(void *ctx)
{
    const struct enlarging *e = ctx;
    return e->watch && e->watch->wish && e->watch->wish(e->watch->ctx) != GENERATOR_GO_ON;
}

static bool run_pass(struct enlarging *e, struct image *out, const struct upscaler *u,
                     const struct image *in, struct error *err)
{
    const struct upscale_watch watch = {e, report, is_cancelled};
    struct upscale_bounds bounds = {0};
    struct upscale_plan plan = {0};
    size_t measured = 0;

    bool ok = find_limit(e->g, &bounds.limit_bytes, err) &&
              upscale_plan(&plan, u, in->width, in->height, &bounds, err) &&
              upscale_run(out, u, &plan, in, &watch, &measured, err);
    if (ok) {
        e->limit_bytes = bounds.limit_bytes;
        e->planned_bytes = plan.peak_bytes > e->planned_bytes ? plan.peak_bytes : e->planned_bytes;
        e->measured_bytes = measured > e->measured_bytes ? measured : e->measured_bytes;
    }
    upscale_plan_clear(&plan);
    e->pass++;
    return ok;
}

/* Takes *image, whatever becomes of it. */
static bool fit(struct image *out, struct image *image, struct memory_size size, struct error *err)
{
    bool ok = true;

    if (image->width == size.width && image->height == size.height) {
        *out = *image;
        *image = (struct image){0};
    } else {
        ok = resize_image(out, image, size.width, size.height, RESIZE_LANCZOS, err);
        image_clear(image);
    }
    return ok;
}

static bool run_network(struct enlarging *e, struct image *out, const char *name,
                        struct memory_size size, struct error *err)
{
    struct upscaler *u = NULL;
    struct image now = {0};

    bool ok = open_network(e->g, &u, name, err) && run_pass(e, &now, u, &e->g->now.input, err);
    while (ok && upscale_scale(u) > 1 && e->pass < MAX_PASSES &&
           (now.width < size.width || now.height < size.height)) {
        struct image next = {0};
        ok = run_pass(e, &next, u, &now, err);
        image_clear(&now);
        now = next;
    }
    upscale_close(u);
    if (!ok) {
        image_clear(&now);
        return false;
    }
    return fit(out, &now, size, err);
}

static bool enlarge(struct enlarging *e, struct image *out, const char *name,
                    struct memory_size size, struct error *err)
{
    const struct builtin_upscaler *filter = builtin_upscaler_find(name);
    const struct image *in = &e->g->now.input;

    e->pass = 0;
    return filter ? builtin_upscaler_run(out, in, filter, size.width, size.height, err)
                  : run_network(e, out, name, size, err);
}

/* Lays other over image, of the same size, as far as it is visible. */
static void mix(struct image *image, const struct image *other, double visibility)
{
    const size_t n = image_bytes(image);

    for (size_t i = 0; i < n; i++)
        image->px[i] = (uint8_t)(image->px[i] * (1 - visibility) + other->px[i] * visibility + 0.5);
}

/* The middle of the picture. */
static bool cut_out(struct image *image, struct memory_size size, struct error *err)
{
    struct image made;

    if (image->width == size.width && image->height == size.height)
        return true;
    if (!resize_mode_image(&made, image, size.width, size.height, RESIZE_MODE_CROP, err))
        return false;
    image_clear(image);
    *image = made;
    return true;
}

static bool make(struct enlarging *e, struct image *out, struct memory_size whole,
                 struct memory_size cut, struct error *err)
{
    const struct gen_job_upscale *u = &e->g->now.task.job->upscale;
    const bool two = e->parts > 1;
    struct image other = {0};

    if (!enlarge(e, out, u->upscaler_1, whole, err))
        return false;
    e->part++;
    bool ok = !two || enlarge(e, &other, u->upscaler_2, whole, err);
    /* "None" keeps its size: there is nothing to mix it with. */
    if (ok && two && other.width == out->width && other.height == out->height)
        mix(out, &other, u->upscaler_2_visibility);
    image_clear(&other);
    ok = ok && cut_out(out,
                       out->width == whole.width && out->height == whole.height
                           ? cut
                           : (struct memory_size){out->width, out->height},
                       err);
    if (!ok)
        image_clear(out);
    return ok;
}

static json_t *result_json(const struct enlarging *e, const struct image *image, double seconds)
{
    const struct generator_prepared *n = &e->g->now;
    const struct gen_job *j = n->task.job;
    const struct gen_job_upscale *u = &j->upscale;
    const enum memory_level level = levels_of(n->machine.available_bytes, &n->policy.thresholds);

    return json_pack(
        "{s:i, s:i, s:i, s:i, s:[], s:[s], s:s, s:o, s:i, s:f, s:i, s:b, s:s, s:s, s:{s:s, s:s, "
        "s:I, s:I, s:o, s:[], s:n, s:I, s:[]}, s:[], s:{s:f}}",
        "width", image->width, "height", image->height, "requested_width", image->width,
        "requested_height", image->height, "seeds", "infotexts", n->infotext ? n->infotext : "",
        "file_type", gen_job_file_types[j->file_type], "quality",
        j->file_type == GEN_JOB_PNG ? json_null()
                                    : json_integer(generator_result_quality(
                                          e->g, gen_job_file_types[e->g->now.task.job->file_type])),
        "images", 1, "generation_time_sec", seconds, "steps", 0, "finished_early", false,
        "upscaler_1", u->upscaler_1, "upscaler_2", u->upscaler_2, "memory", "level",
        levels_name(level), "device", machine_device_name(n->machine.device), "budget_bytes",
        (json_int_t)e->limit_bytes, "planned_peak_bytes", (json_int_t)e->planned_bytes,
        "measured_peak_bytes",
        e->measured_bytes ? json_integer((json_int_t)e->measured_bytes) : json_null(), "levers",
        "size_adjusted_from", "resident_before_bytes", (json_int_t)n->resident_bytes, "log",
        "warnings", "phases", "upscale", seconds);
}

static bool save(struct enlarging *e, const struct image *image, double seconds,
                 struct generator_result *out, struct error *err)
{
    const struct generator_prepared *n = &e->g->now;
    const struct image_write_options options = {
        .infotext = n->infotext,
        .quality =
            generator_result_quality(e->g, gen_job_file_types[e->g->now.task.job->file_type])};
    char path[GENERATOR_PATH_BYTES];

    if (!n->task.path(n->task.path_ctx, path, 0, err) ||
        !image_format_save(path, image, &options, err))
        return false;
    out->json = result_json(e, image, seconds);
    if (!out->json) {
        unlink(path);
        return error_set(err, ERROR_MEMORY, "the result cannot be written as JSON");
    }
    if (e->watch && e->watch->saved)
        e->watch->saved(e->watch->ctx, 0, path, 0);
    return true;
}

bool generator_upscale_run(struct generator *g, const struct generator_watch *watch,
                           struct generator_result *out, struct error *err)
{
    const struct gen_job_upscale *u = &g->now.task.job->upscale;
    struct enlarging e = {.g = g, .watch = watch, .began = clock_seconds(), .parts = 1};
    struct memory_size whole, cut;
    struct image image = {0};

    if (u->upscaler_2[0] && u->upscaler_2_visibility > 0)
        e.parts = 2;
    bool ok = find_sizes(g, &whole, &cut, err) && make(&e, &image, whole, cut, err);
    const double seconds = clock_seconds() - e.began;
    ok = ok && save(&e, &image, seconds, out, err);
    image_clear(&image);
    if (ok) {
        out->n_pictures = 1;
        out->total_seconds = seconds;
        out->planned_peak_bytes = e.planned_bytes;
        out->measured_peak_bytes = e.measured_bytes;
    }
    return ok;
}
