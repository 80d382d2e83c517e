#include "bench_model.h"

#include "nn/vae.h"
#include "plan/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench {
    struct bench_report *report;
    struct backend *backend;
    const char *isa, *only;
    const struct model *model;
    int latent_w, latent_h;
    bool print;
};

/* Inputs of sane size; their values do not change the time. */
static bool fill(struct network *n, int tensor, struct error *err)
{
    size_t count = (size_t)graph_shape_count(graph_tensor_view(n->graph, tensor)->shape);
    float *x = calloc(count, sizeof *x);
    uint32_t seed = 1;

    if (!x)
        return error_set(err, ERROR_MEMORY, "no memory for %zu numbers", count);
    for (size_t i = 0; i < count && tensor != n->ids; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)seed * 0x1p-31f;
    }
    exec_write(n->exec, tensor, x, BACKEND_ROWS);
    free(x);
    return true;
}

bool bench_model_fill(struct network *n, struct error *err)
{
    const int inputs[] = {n->ids,          n->unet.sample, n->unet.timestep,
                          n->unet.context, n->unet.added,  n->in};
    for (size_t i = 0; i < sizeof inputs / sizeof inputs[0]; i++)
        if (inputs[i] && !fill(n, inputs[i], err))
            return false;
    return true;
}

static bool work(void *ctx, struct error *err)
{
    struct network *n = ctx;
    return exec_run(n->exec, NULL, NULL, err);
}

/* Owns the network from now on. */
static bool measure(const struct bench *b, struct network *n, const char *what, struct error *err)
{
    bool ok = exec_start(n->exec, NULL, err) && bench_model_fill(n, err) &&
              bench_report_measure(b->report, what, b->isa, n->flops, work, n, err);
    if (ok && b->print)
        bench_report_print_result(b->report, &b->report->results[b->report->n_results - 1]);
    network_clear(n);
    return ok;
}

static bool is_wanted(const struct bench *b, char what[64], const char *phase)
{
    snprintf(what, 64, "%s %dx%d", phase, b->latent_w * vae_scale(&model_view(b->model)->vae),
             b->latent_h * vae_scale(&model_view(b->model)->vae));
    return !b->only || strstr(what, b->only);
}

static bool run(const struct bench *b, struct error *err)
{
    const struct network_vae_options whole = {0};
    const struct network_options streaming = {0};
    struct network n;
    char what[64];

    return (!is_wanted(b, what, "text encode, 2 prompts") ||
            (network_text_encoder(&n, b->model, b->backend, 2, 1, &streaming, err) &&
             measure(b, &n, what, err))) &&
           (!is_wanted(b, what, "guided step") ||
            (network_unet(&n, b->model, b->backend, 2, b->latent_h, b->latent_w, &streaming, err) &&
             measure(b, &n, what, err))) &&
           (!is_wanted(b, what, "vae decode") ||
            (network_vae_decoder(&n, b->model, b->backend, 1, b->latent_h, b->latent_w, &whole,
                                 err) &&
             measure(b, &n, what, err))) &&
           (!is_wanted(b, what, "vae encode") ||
            (network_vae_encoder(&n, b->model, b->backend, 1, b->latent_h, b->latent_w, &whole,
                                 err) &&
             measure(b, &n, what, err)));
}

bool bench_model_run(struct bench_report *r, struct backend *b, const char *isa, const char *path,
                     int width, int height, const char *only, bool print, struct error *err)
{
    struct model *m = NULL;
    if (!model_open(&m, path, err))
        return false;
    int scale = vae_scale(&model_view(m)->vae);
    struct bench bench = {.report = r,
                          .backend = b,
                          .isa = isa,
                          .only = only,
                          .model = m,
                          .latent_w = width / scale,
                          .latent_h = height / scale,
                          .print = print};
    bool ok = run(&bench, err);
    model_close(m);
    return ok;
}
