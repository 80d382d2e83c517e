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

bool upscale_plan(struct upscale_plan *out, const struct upscaler *u, int width, int height,
                  const struct upscale_bounds *bounds, struct error *err)
{
    return upscale_plan_make(out, u->file, u->backend, width, height, bounds, err);
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
static bool write_image(const struct upscale_plan *p, const struct upscaler_file *file,
                        const struct image *in, struct error *err)
{
    const int fold = upscaler_file_config(file)->fold;
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
    process_memory_return_freed();
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

static bool run_network(struct run *r, const struct upscaler_file *file, const struct image *in,
                        void *arena, struct error *err)
{
    struct upscale_plan *p = r->plan;
    const size_t n = (size_t)graph_shape_count(graph_tensor_view(p->graph, p->out)->shape);
    const int n_ops = graph_n_ops(p->graph);

    r->ring = malloc(n * sizeof *r->ring);
    bool ok = r->ring || error_set(err, ERROR_MEMORY, "no memory for rows of the result");
    ok = ok && exec_start(p->exec, arena, err);
    if (ok) {
        ok = write_image(p, file, in, err) && exec_run(p->exec, between_ops, r, err);
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

bool upscale_run_inside(struct image *out, const struct upscaler_file *file, struct upscale_plan *p,
                        const struct image *in, void *arena, const struct upscale_watch *watch,
                        struct error *err)
{
    struct image made = {0};
    struct run r = {.plan = p, .watch = watch, .out = &made, .finite = true};

    if (in->width != p->width || in->height != p->height)
        return error_set(err, ERROR_INVALID, "the plan is for a picture of %dx%d", p->width,
                         p->height);
    if (!image_init(&made, p->out_width, p->out_height, err))
        return false;
    bool ok = run_network(&r, file, in, arena, err);
    if (ok && !r.finite)
        ok = error_set(err, ERROR_CORRUPT,
                       "%s: the answer is no picture: some of its numbers are not finite",
                       upscaler_file_name(file));
    if (!ok) {
        image_clear(&made);
        return false;
    }
    *out = made;
    return true;
}

bool upscale_run(struct image *out, const struct upscaler *u, struct upscale_plan *p,
                 const struct image *in, const struct upscale_watch *watch,
                 size_t *measured_peak_bytes, struct error *err)
{
    struct process_memory now = {0};
    struct error ignored;
    const bool is_reset = process_memory_reset_peak();

    if (!upscale_run_inside(out, u->file, p, in, NULL, watch, err))
        return false;
    if (measured_peak_bytes)
        *measured_peak_bytes =
            is_reset && process_memory_read(&now, &ignored) ? (size_t)now.peak_bytes : 0;
    return true;
}
