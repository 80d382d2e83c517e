#include "pipeline/upscale.h"

#include "base/size.h"
#include "memory/process_memory.h"
#include "nn/rrdb.h"
#include "pipeline/stages.h"
#include "plan/gen_plan.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_ROWS = 32, /* more bring no speed */
    LEAST_ROWS = 4, /* fewer spend more on weights than on pictures */
    UP_SHARE = 4,   /* rows that are enlarged at a time: each becomes many */
    ROOMY_OPS = GRAPH_MAX_OPS - 2048
};

struct upscaler {
    struct upscaler_file *file;
    struct backend *backend;
};

bool upscale_open(struct upscaler **out, const char *path, struct backend *b, struct error *err)
{
    struct upscaler *u = calloc(1, sizeof *u);

    if (!u)
        return error_set(err, ERROR_MEMORY, "no memory for an upscaler");
    u->backend = b;
    if (!upscaler_file_open(&u->file, path, err)) {
        free(u);
        return false;
    }
    *out = u;
    return true;
}

void upscale_close(struct upscaler *u)
{
    if (!u)
        return;
    upscaler_file_close(u->file);
    free(u);
}

const char *upscale_name(const struct upscaler *u)
{
    return upscaler_file_name(u->file);
}

int upscale_scale(const struct upscaler *u)
{
    return upscaler_config_scale(upscaler_file_config(u->file));
}

/* --- The plan. --- */

static int folded(int side, const struct upscaler_config *c)
{
    return (side + c->fold - 1) / c->fold;
}

static bool find_weights(struct upscale_plan *p, const struct upscaler *u, struct error *err)
{
    const int n = graph_n_weights(p->graph);
    struct weight_view *views = calloc((size_t)n + 1, sizeof *views);

    if (!views)
        return error_set(err, ERROR_MEMORY, "no memory for a table of weights");
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        const struct graph_weight *w = graph_weight_view(p->graph, i + 1);
        const struct tensor_info *t = upscaler_file_find(u->file, w->name);
        ok = t || error_set(err, ERROR_CORRUPT, "tensor '%s' is missing", w->name);
        if (ok)
            views[i] = (struct weight_view){t->bytes, t->dtype,
                                            (int64_t)(t->n_bytes / dtype_bytes(t->dtype))};
    }
    ok = ok && weights_from_mapping(&p->weights, p->graph, views, err);
    free(views);
    return ok;
}

/* Beside arena and weights: the result's pixels, and a ring of them as floats. */
static size_t host_bytes(const struct upscale_plan *p)
{
    const struct graph_shape ring = graph_tensor_view(p->graph, p->out)->shape;
    return (size_t)p->out_width * (size_t)p->out_height * IMAGE_CHANNELS +
           (size_t)graph_shape_count(ring) * sizeof(float);
}

static bool set_peak(struct upscale_plan *p, size_t base_bytes, struct error *err)
{
    struct process_memory now = {0};

    stages_return_freed();
    if (!base_bytes && !process_memory_read(&now, err))
        return false;
    p->base_bytes = base_bytes ? base_bytes : (size_t)now.resident_bytes;
    p->peak_bytes =
        p->base_bytes + GEN_PLAN_PROCESS_BYTES + p->weights_bytes + p->arena_bytes + p->host_bytes;
    return true;
}

/* One way, laid out. */
static bool lay_out(struct upscale_plan *p, const struct upscaler *u, size_t base_bytes,
                    struct error *err)
{
    const struct upscaler_config *c = upscaler_file_config(u->file);
    const struct rrdb_tiling tiling = {p->rows, p->up_rows};
    const struct graph_shape image = {1, (int64_t)IMAGE_CHANNELS * c->fold * c->fold,
                                      folded(p->height, c), folded(p->width, c)};

    p->graph = graph_new();
    if (!p->graph)
        return error_set(err, ERROR_MEMORY, "no memory for a network");
    p->image = graph_input(p->graph, image);
    p->out = rrdb_build(p->graph, c, p->image, &tiling);
    if (!graph_check(p->graph, err) || !find_weights(p, u, err) ||
        !exec_new(&p->exec, p->graph, u->backend, p->weights, 0, err))
        return false;
    weights_set_policy(p->weights, p->stream ? WEIGHTS_STREAMED : WEIGHTS_HELD);
    p->weights_bytes =
        weights_peak_resident_bytes(p->weights, p->stream ? WEIGHTS_STREAMED : WEIGHTS_HELD);
    p->arena_bytes = exec_arena_bytes(p->exec);
    p->host_bytes = host_bytes(p);
    p->flops = exec_flops(p->exec);
    p->seconds = exec_seconds(p->exec);
    return set_peak(p, base_bytes, err);
}

void upscale_plan_clear(struct upscale_plan *p)
{
    exec_free(p->exec);
    weights_free(p->weights);
    graph_free(p->graph);
    *p = (struct upscale_plan){0};
}

/* Fewest rows at a time for which the network has not too many operations. */
static int least_rows(const struct upscaler *u, int64_t h)
{
    const struct upscaler_config *c = upscaler_file_config(u->file);
    int64_t rows = LEAST_ROWS;

    while (rows < h && rrdb_ops(c, h, &(struct rrdb_tiling){rows, rows / UP_SHARE}) > ROOMY_OPS)
        rows++;
    return (int)rows;
}

static bool does_not_fit(const struct upscale_plan *p, size_t limit, struct error *err)
{
    return error_set(err, ERROR_LIMIT,
                     "enlarging %dx%d needs %.0f MB at least, and %.0f MB may be used", p->width,
                     p->height, (double)p->peak_bytes / 1e6, (double)limit / 1e6);
}

/* Fewer and fewer rows at a time, then the same with streamed weights. */
static bool find_way(struct upscale_plan *p, const struct upscaler *u,
                     const struct upscale_bounds *bounds, struct error *err)
{
    const struct upscale_plan empty = *p;
    const int least = least_rows(u, folded(p->height, upscaler_file_config(u->file)));
    const int most = bounds->rows ? bounds->rows : least > MOST_ROWS ? least : MOST_ROWS;

    for (int stream = 0; stream < 2; stream++)
        for (int rows = most;; rows = rows / 2 > least ? rows / 2 : least) {
            upscale_plan_clear(p);
            *p = empty;
            p->rows = rows;
            p->up_rows = bounds->up_rows ? bounds->up_rows : rows >= UP_SHARE ? rows / UP_SHARE : 1;
            p->stream = stream;
            if (!lay_out(p, u, bounds->base_bytes, err))
                return false;
            if (!bounds->limit_bytes || p->peak_bytes <= bounds->limit_bytes)
                return true;
            if (bounds->rows || rows <= least)
                break;
        }
    return does_not_fit(p, bounds->limit_bytes, err);
}

bool upscale_plan(struct upscale_plan *out, const struct upscaler *u, int width, int height,
                  const struct upscale_bounds *bounds, struct error *err)
{
    const int scale = upscale_scale(u);
    struct upscale_plan p = {.width = width, .height = height};

    if (!image_check_size(width, height, image_default_limits(), err) ||
        !image_check_size((int64_t)width * scale, (int64_t)height * scale, image_default_limits(),
                          err))
        return error_prefix(err, "%s enlarges %d times", upscale_name(u), scale);
    p.out_width = width * scale;
    p.out_height = height * scale;
    if (!find_way(&p, u, bounds, err)) {
        upscale_plan_clear(&p);
        return error_prefix(err, "%s", upscale_name(u));
    }
    *out = p;
    return true;
}

/* --- The run. --- */

struct run {
    struct upscale_plan *plan;
    const struct upscale_watch *watch;
    struct image *out;
    float *ring; /* what the last convolutions wrote last */
    int next_op; /* first one whose result is not read yet */
    bool finite;
};

/* Where the picture ends before a whole place does, it is continued by its mirror image, as
 * Real-ESRGAN's own program does. */
static int mirrored(int at, int size)
{
    const int back = 2 * (size - 1) - at;
    return at < size ? at : back > 0 ? back : 0;
}

/* The picture as places of fold * fold pixels: PyTorch's pixel_unshuffle. */
static bool write_image(const struct upscale_plan *p, const struct upscaler *u,
                        const struct image *in, struct error *err)
{
    const int fold = upscaler_file_config(u->file)->fold;
    const struct graph_shape s = graph_tensor_view(p->graph, p->image)->shape;
    float *rows = malloc((size_t)graph_shape_count(s) * sizeof *rows);

    if (!rows)
        return error_set(err, ERROR_MEMORY, "no memory for the picture's numbers");
    for (int64_t i = 0; i < s.h * s.w; i++)
        for (int k = 0; k < (int)s.c; k++) {
            const int y = mirrored((int)(i / s.w) * fold + k / fold % fold, in->height);
            const int x = mirrored((int)(i % s.w) * fold + k % fold, in->width);
            const uint8_t *px =
                in->px + ((size_t)y * (size_t)in->width + (size_t)x) * IMAGE_CHANNELS;
            rows[i * s.c + k] = (float)px[k / (fold * fold)] / 255.0f;
        }
    exec_write(p->exec, p->image, rows, BACKEND_ROWS);
    free(rows);
    stages_return_freed();
    return true;
}

static uint8_t pixel(float x)
{
    const float clamped = x > 0.0f ? x < 1.0f ? x : 1.0f : 0.0f;
    return (uint8_t)lrintf(clamped * 255.0f);
}

/* Takes the rows that an operation has just written into the result. */
static void take_rows(struct run *r, const struct graph_conv *conv)
{
    const struct upscale_plan *p = r->plan;
    const struct graph_shape ring = graph_tensor_view(p->graph, p->out)->shape;

    exec_read(p->exec, p->out, r->ring, BACKEND_ROWS);
    for (int64_t y = conv->out_y; y < conv->out_y + conv->out_rows && y < r->out->height; y++) {
        const float *from = r->ring + (y % ring.h) * ring.w * IMAGE_CHANNELS;
        const size_t n = (size_t)r->out->width * IMAGE_CHANNELS;
        uint8_t *to = r->out->px + (size_t)y * n;
        for (size_t i = 0; i < n; i++) {
            r->finite = r->finite && isfinite(from[i]);
            to[i] = pixel(from[i]);
        }
    }
}

static void take_results(struct run *r, int done_ops)
{
    for (; r->next_op < done_ops; r->next_op++) {
        const struct graph_op *op = graph_op_view(r->plan->graph, r->next_op);
        if (op->out == r->plan->out)
            take_rows(r, &op->u.conv);
    }
}

static bool between_ops(void *ctx, int done_ops, int n_ops)
{
    struct run *r = ctx;

    take_results(r, done_ops);
    if (!r->watch)
        return true;
    if (r->watch->cancelled && r->watch->cancelled(r->watch->ctx))
        return false;
    if (r->watch->progress)
        r->watch->progress(r->watch->ctx, done_ops, n_ops);
    return true;
}

static bool run_network(struct run *r, const struct upscaler *u, const struct image *in,
                        struct error *err)
{
    struct upscale_plan *p = r->plan;
    const size_t n = (size_t)graph_shape_count(graph_tensor_view(p->graph, p->out)->shape);
    const int n_ops = graph_n_ops(p->graph);

    r->ring = malloc(n * sizeof *r->ring);
    bool ok = r->ring || error_set(err, ERROR_MEMORY, "no memory for rows of the result");
    ok = ok && exec_start(p->exec, NULL, err);
    if (ok) {
        ok = write_image(p, u, in, err) && exec_run(p->exec, between_ops, r, err);
        if (ok)
            take_results(r, n_ops);
        exec_stop(p->exec);
    }
    weights_drop(p->weights);
    free(r->ring);
    if (ok && r->watch && r->watch->progress)
        r->watch->progress(r->watch->ctx, n_ops, n_ops);
    return ok;
}

bool upscale_run(struct image *out, const struct upscaler *u, struct upscale_plan *p,
                 const struct image *in, const struct upscale_watch *watch,
                 size_t *measured_peak_bytes, struct error *err)
{
    struct image made = {0};
    struct run r = {.plan = p, .watch = watch, .out = &made, .finite = true};
    struct process_memory now = {0};
    struct error ignored;

    if (in->width != p->width || in->height != p->height)
        return error_set(err, ERROR_INVALID, "the plan is for a picture of %dx%d", p->width,
                         p->height);
    const bool is_reset = process_memory_reset_peak();
    if (!image_init(&made, p->out_width, p->out_height, err))
        return false;
    bool ok = run_network(&r, u, in, err);
    if (ok && !r.finite)
        ok = error_set(err, ERROR_CORRUPT,
                       "%s: the answer is no picture: some of its numbers are not finite",
                       upscale_name(u));
    if (measured_peak_bytes)
        *measured_peak_bytes =
            is_reset && process_memory_read(&now, &ignored) ? (size_t)now.peak_bytes : 0;
    if (!ok) {
        image_clear(&made);
        return false;
    }
    *out = made;
    return true;
}
