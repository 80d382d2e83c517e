#include "plan/upscale_plan.h"

#include "image/image.h"
#include "memory/process_memory.h"
#include "nn/rrdb.h"
#include "plan/gen_plan.h"

#include <stdlib.h>

enum {
    MOST_ROWS = 32, /* more bring no speed */
    LEAST_ROWS = 4, /* fewer spend more on weights than on pictures */
    UP_SHARE = 4,   /* rows that are enlarged at a time: each becomes many */
    ROOMY_OPS = GRAPH_MAX_OPS - 2048
};

static int folded(int side, const struct upscaler_config *c)
{
    return (side + c->fold - 1) / c->fold;
}

static bool find_weights(struct upscale_plan *p, const struct upscaler_file *file,
                         struct error *err)
{
    const int n = graph_n_weights(p->graph);
    struct weight_view *views = calloc((size_t)n + 1, sizeof *views);

    if (!views)
        return error_set(err, ERROR_MEMORY, "no memory for a table of weights");
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        const struct graph_weight *w = graph_weight_view(p->graph, i + 1);
        const struct tensor_info *t = upscaler_file_find(file, w->name);
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

    process_memory_return_freed();
    if (!base_bytes && !process_memory_read(&now, err))
        return false;
    p->base_bytes = base_bytes ? base_bytes : (size_t)now.resident_bytes;
    p->peak_bytes =
        p->base_bytes + GEN_PLAN_PROCESS_BYTES + p->weights_bytes + p->arena_bytes + p->host_bytes;
    return true;
}

/* One way, laid out. */
static bool lay_out(struct upscale_plan *p, const struct upscaler_file *file, struct backend *b,
                    size_t base_bytes, struct error *err)
{
    const struct upscaler_config *c = upscaler_file_config(file);
    const struct rrdb_tiling tiling = {p->rows, p->up_rows};
    const struct graph_shape image = {1, (int64_t)IMAGE_CHANNELS * c->fold * c->fold,
                                      folded(p->height, c), folded(p->width, c)};

    p->graph = graph_new();
    if (!p->graph)
        return error_set(err, ERROR_MEMORY, "no memory for a network");
    p->image = graph_input(p->graph, image);
    p->out = rrdb_build(p->graph, c, p->image, &tiling);
    if (!graph_check(p->graph, err) || !find_weights(p, file, err) ||
        !exec_new(&p->exec, p->graph, b, p->weights, 0, err))
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
static int least_rows(const struct upscaler_file *file, int64_t h)
{
    const struct upscaler_config *c = upscaler_file_config(file);
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
static bool find_way(struct upscale_plan *p, const struct upscaler_file *file, struct backend *b,
                     const struct upscale_bounds *bounds, struct error *err)
{
    const struct upscale_plan empty = *p;
    const int least = least_rows(file, folded(p->height, upscaler_file_config(file)));
    const int most = bounds->rows ? bounds->rows : least > MOST_ROWS ? least : MOST_ROWS;

    for (int stream = bounds->only_streams; stream < (bounds->never_streams ? 1 : 2); stream++)
        for (int rows = most;; rows = rows / 2 > least ? rows / 2 : least) {
            upscale_plan_clear(p);
            *p = empty;
            p->rows = rows;
            p->up_rows = bounds->up_rows ? bounds->up_rows : rows >= UP_SHARE ? rows / UP_SHARE : 1;
            p->stream = stream;
            if (!lay_out(p, file, b, bounds->base_bytes, err))
                return false;
            if (!bounds->limit_bytes || p->peak_bytes <= bounds->limit_bytes)
                return true;
            if (bounds->rows || rows <= least)
                break;
        }
    return does_not_fit(p, bounds->limit_bytes, err);
}

bool upscale_plan_make(struct upscale_plan *out, const struct upscaler_file *file,
                       struct backend *b, int width, int height,
                       const struct upscale_bounds *bounds, struct error *err)
{
    const int scale = upscaler_config_scale(upscaler_file_config(file));
    const char *name = upscaler_file_name(file);
    struct upscale_plan p = {.width = width, .height = height};

    *out = (struct upscale_plan){0};
    if (!image_check_size(width, height, image_default_limits(), err) ||
        !image_check_size((int64_t)width * scale, (int64_t)height * scale, image_default_limits(),
                          err))
        return error_prefix(err, "%s enlarges %d times", name, scale);
    p.out_width = width * scale;
    p.out_height = height * scale;
    if (!find_way(&p, file, b, bounds, err)) {
        out->peak_bytes = p.peak_bytes;
        upscale_plan_clear(&p);
        return error_prefix(err, "%s", name);
    }
    *out = p;
    return true;
}
