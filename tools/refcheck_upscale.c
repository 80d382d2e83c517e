/* The upscalers, from both kinds of file. */
#include "engine/exec.h"
#include "nn/rrdb.h"
#include "refcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scene {
    struct refcheck *r;
    const struct upscaler_file *file;
    const struct refcheck_tensor *image, *want; /* [1, 3, h, w] in 0..1 */
};

/* [1, 3, h, w] as [1, 3 * fold * fold, h / fold, w / fold]: PyTorch's pixel_unshuffle. */
static void fold_pixels(float *to, const float *from, int fold, int64_t h, int64_t w)
{
    for (int64_t k = 0; k < 3 * fold * fold; k++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++)
                to[(k * h + y) * w + x] =
                    from[(k / (fold * fold) * h * fold + y * fold + k / fold % fold) * w * fold +
                         x * fold + k % fold];
}

static bool run(const struct scene *s, float *have, struct error *err)
{
    const struct upscaler_config *c = upscaler_file_config(s->file);
    const int64_t h = s->image->dims[2] / c->fold, w = s->image->dims[3] / c->fold;
    float *folded = calloc(s->image->count, sizeof *folded);
    struct graph *g = graph_new();
    const int image = graph_input(g, (struct graph_shape){1, 3 * c->fold * c->fold, h, w});
    const int out = rrdb_build(g, c, image, NULL), n = graph_n_weights(g);
    struct weight_view *views = calloc((size_t)n + 1, sizeof *views);
    struct weights *weights = NULL;
    struct exec *e = NULL;
    bool ok = (folded && views) || error_set(err, ERROR_MEMORY, "no memory");

    for (int i = 0; ok && i < n; i++) {
        const struct tensor_info *t =
            upscaler_file_find(s->file, graph_weight_view(g, i + 1)->name);
        ok = t || error_set(err, ERROR_CORRUPT, "a tensor is missing");
        if (ok)
            views[i] = (struct weight_view){t->bytes, t->dtype,
                                            (int64_t)(t->n_bytes / dtype_bytes(t->dtype))};
    }
    if (ok && graph_check(g, err))
        graph_output(g, out);
    ok = ok && graph_check(g, err) && weights_from_views(&weights, g, views, err) &&
         exec_new(&e, g, s->r->backend, weights, 0, err) && exec_start(e, NULL, err);
    if (ok && (size_t)graph_shape_count(graph_tensor_view(g, out)->shape) != s->want->count)
        ok = error_set(err, ERROR_CORRUPT, "the network's output has another size");
    if (ok) {
        fold_pixels(folded, s->image->x, c->fold, h, w);
        exec_write(e, image, folded, BACKEND_PLANES);
        ok = exec_run(e, NULL, NULL, err);
    }
    if (ok)
        exec_read(e, out, have, BACKEND_PLANES);
    exec_free(e);
    weights_free(weights);
    graph_free(g);
    free(views);
    free(folded);
    return ok;
}

static void check(struct refcheck *r, int scale, const char *ending,
                  const struct refcheck_tensor *image, const struct refcheck_tensor *want)
{
    char path[REFCHECK_MAX_PATH], row[80];
    struct upscaler_file *file = NULL;
    struct error err = {0};
    float *have = calloc(want->count + 1, sizeof *have);

    snprintf(path, sizeof path, "%s/upscalers/%dx_tiny.%s", r->dir, scale, ending);
    snprintf(row, sizeof row, "upscaler %dx, %s", scale, ending);
    if (have && upscaler_file_open(&file, path, &err) &&
        run(&(struct scene){r, file, image, want}, have, &err))
        refcheck_row(r, row, refcheck_error(have, want->x, want->count), REFCHECK_STAGE);
    else
        refcheck_fail(r, row, err.text);
    upscaler_file_close(file);
    free(have);
}

void refcheck_upscale(struct refcheck *r)
{
    static const int scales[] = {2, 4};

    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++) {
        char name[64];
        snprintf(name, sizeof name, "esrgan_%dx.safetensors", scales[i]);
        struct safetensors *file = refcheck_tensors(r, name);
        if (!file)
            continue;
        struct refcheck_tensor image = refcheck_tensor_named(file, "image");
        struct refcheck_tensor want = refcheck_tensor_named(file, "out");
        if (image.x && want.x && image.n_dims == 4 && image.dims[1] == 3) {
            check(r, scales[i], "safetensors", &image, &want);
            check(r, scales[i], "pth", &image, &want);
        } else {
            refcheck_fail(r, name, "the file holds no image and out");
        }
        free(image.x);
        free(want.x);
        safetensors_close(file);
    }
}
