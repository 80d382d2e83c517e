/* The networks one by one: text encoder, UNet, VAE, from folders and from single files. */
#include "engine/exec.h"
#include "engine/weights_bind.h"
#include "nn/clip.h"
#include "nn/unet.h"
#include "nn/vae.h"
#include "refcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One model against one folder of expect/. */
struct stage {
    struct refcheck *r;
    const struct model *model;
    const char *expect; /* "sd15" */
    const char *label;  /* how rows begin */
};

struct input {
    int tensor;
    const float *numbers;
    enum backend_order order;
};

struct output {
    int tensor;
    size_t count;
    enum backend_order order;
};

static bool run(const struct stage *s, const struct graph *g, struct weights *w,
                const struct input *in, int n_in, const struct output *out, float *have,
                struct error *err)
{
    struct exec *e = NULL;
    bool ok = exec_new(&e, g, s->r->backend, w, 0, err) && exec_start(e, NULL, err);

    for (int i = 0; ok && i < n_in; i++)
        exec_write(e, in[i].tensor, in[i].numbers, in[i].order);
    ok = ok && exec_run(e, NULL, NULL, err);
    if (ok)
        exec_read(e, out->tensor, have, out->order);
    exec_free(e);
    return ok;
}

/* Runs the graph, which it frees.  Returns the output's numbers, which the caller frees, or NULL
 * after a FAIL row. */
static float *run_graph(const struct stage *s, struct graph *g, enum model_part part,
                        const struct input *in, int n_in, struct output out, const char *row)
{
    struct weights *w = NULL;
    struct error err = {0};
    float *have = calloc(out.count ? out.count : 1, sizeof *have);
    bool ok = have || error_set(&err, ERROR_MEMORY, "no memory");

    graph_output(g, out.tensor);
    ok = ok && weights_bind(&w, g, s->model, part, &err);
    if (ok && (size_t)graph_shape_count(graph_tensor_view(g, out.tensor)->shape) != out.count)
        ok = error_set(&err, ERROR_CORRUPT, "the network's output has another size");
    ok = ok && run(s, g, w, in, n_in, &out, have, &err);
    weights_free(w);
    graph_free(g);
    if (ok)
        return have;
    refcheck_fail(s->r, row, err.text);
    free(have);
    return NULL;
}

static void hold(const struct stage *s, const float *have, const struct refcheck_tensor *want,
                 const char *row)
{
    refcheck_row(s->r, row, refcheck_error(have, want->x, want->count), REFCHECK_STAGE);
}

static struct safetensors *open_rows(const struct stage *s, const char *name)
{
    char file[96];

    snprintf(file, sizeof file, "%s/%s.safetensors", s->expect, name);
    return refcheck_tensors(s->r, file);
}

/* A file without rows must not pass for one whose rows are right. */
static void close_rows(const struct stage *s, struct safetensors *file, const char *name,
                       int n_rows)
{
    char row[160];

    snprintf(row, sizeof row, "%s %s", s->label, name);
    if (file && n_rows == 0)
        refcheck_fail(s->r, row, "the file holds no rows");
    safetensors_close(file);
}

static struct graph_shape shape_of(const struct refcheck_tensor *t)
{
    return (struct graph_shape){t->dims[0], t->dims[1], t->dims[2], t->dims[3]};
}

static void hidden_states(const struct stage *s, const struct refcheck_tensor *ids,
                          const struct refcheck_tensor *want, int skip, const char *row)
{
    struct graph *g = graph_new();
    if (!g || ids->n_dims != 2 || !want->x) {
        refcheck_fail(s->r, row, "the file does not hold ids and hidden states");
        graph_free(g);
        return;
    }
    const int in = graph_input(g, (struct graph_shape){ids->dims[0], 1, 1, ids->dims[1]});
    const struct input input = {in, ids->x, BACKEND_ROWS};
    const struct output out = {clip_build(g, &model_view(s->model)->clip[0], in, skip, true),
                               want->count, BACKEND_ROWS};
    float *have = run_graph(s, g, MODEL_TEXT_ENCODER, &input, 1, out, row);
    if (have)
        hold(s, have, want, row);
    free(have);
}

static void check_text_encoder(const struct stage *s)
{
    static const struct {
        const char *name;
        int skip;
    } column[] = {{"last_hidden_state", 1}, {"clip_skip_2", 2}};
    struct safetensors *file = open_rows(s, "text_encoder");
    char row[160];
    int i = 0;

    for (; file; i++) {
        struct refcheck_tensor ids = refcheck_tensor(file, i, "ids");
        if (!ids.x)
            break;
        for (size_t k = 0; k < sizeof column / sizeof column[0]; k++) {
            struct refcheck_tensor want = refcheck_tensor(file, i, column[k].name);
            snprintf(row, sizeof row, "%s text encoder, row %d, %s", s->label, i, column[k].name);
            hidden_states(s, &ids, &want, column[k].skip, row);
            free(want.x);
        }
        free(ids.x);
    }
    close_rows(s, file, "text encoder", i);
}

/* One row of the UNet's file. */
struct unet_row {
    struct refcheck_tensor sample, context, timestep, out, pooled, time_ids;
};

static bool is_complete(const struct unet_row *t, const struct unet_config *c)
{
    const int64_t n = t->sample.dims[0];
    const int64_t added =
        t->pooled.x ? t->pooled.dims[1] + t->time_ids.dims[1] * (int64_t)c->addition_time_dim : 0;

    return t->sample.n_dims == 4 && t->context.n_dims == 3 && t->context.dims[0] == n &&
           t->timestep.count >= 1 && t->out.x && added == c->addition_input_dim &&
           (!t->pooled.x || (t->pooled.dims[0] == n && t->time_ids.dims[0] == n));
}

/* Fills the embedded timestep and, for SDXL, the pooled text with the embedded time ids behind it.
 */
static void embed(const struct unet_config *c, const struct unet_row *t, float *timestep,
                  float *added)
{
    const size_t n_pooled = (size_t)t->pooled.dims[1], n_ids = (size_t)t->time_ids.dims[1];

    for (size_t i = 0; i < (size_t)t->sample.dims[0]; i++) {
        const bool one_each = t->timestep.count == (size_t)t->sample.dims[0];
        unet_timestep_embedding(timestep + i * (size_t)c->channels[0],
                                &t->timestep.x[one_each ? i : 0], 1, c->channels[0],
                                c->flip_sin_to_cos, c->freq_shift);
        if (!t->pooled.x)
            continue;
        float *to = added + i * (size_t)c->addition_input_dim;
        memcpy(to, t->pooled.x + i * n_pooled, n_pooled * sizeof *to);
        unet_timestep_embedding(to + n_pooled, t->time_ids.x + i * n_ids, (int)n_ids,
                                c->addition_time_dim, c->flip_sin_to_cos, c->freq_shift);
    }
}

static void denoise(const struct stage *s, const struct unet_row *t, const char *row)
{
    const struct unet_config *c = &model_view(s->model)->unet;
    struct graph *g = graph_new();
    const int64_t n = t->sample.dims[0];
    float *timestep = calloc((size_t)(n * c->channels[0]) + 1, sizeof *timestep);
    float *added = calloc((size_t)(n * c->addition_input_dim) + 1, sizeof *added);

    if (!g || !timestep || !added || !is_complete(t, c)) {
        refcheck_fail(s->r, row, "the file does not hold what this UNet takes");
        graph_free(g);
    } else {
        struct unet_inputs in = {
            .sample = graph_input(g, shape_of(&t->sample)),
            .timestep = graph_input(g, (struct graph_shape){n, c->channels[0], 1, 1}),
            .context =
                graph_input(g, (struct graph_shape){n, t->context.dims[2], 1, t->context.dims[1]}),
        };
        if (c->addition_input_dim)
            in.added = graph_input(g, (struct graph_shape){n, c->addition_input_dim, 1, 1});
        embed(c, t, timestep, added);
        const struct input inputs[] = {{in.sample, t->sample.x, BACKEND_PLANES},
                                       {in.timestep, timestep, BACKEND_ROWS},
                                       {in.context, t->context.x, BACKEND_ROWS},
                                       {in.added, added, BACKEND_ROWS}};
        const struct output out = {unet_build(g, c, &in), t->out.count, BACKEND_PLANES};
        float *have = run_graph(s, g, MODEL_UNET, inputs, in.added ? 4 : 3, out, row);
        if (have)
            hold(s, have, &t->out, row);
        free(have);
    }
    free(timestep);
    free(added);
}

static void check_unet(const struct stage *s)
{
    struct safetensors *file = open_rows(s, "unet");
    char row[160];
    bool more = file != NULL;
    int n_rows = 0;

    for (int i = 0; more; i++) {
        struct unet_row t = {.sample = refcheck_tensor(file, i, "sample"),
                             .context = refcheck_tensor(file, i, "context"),
                             .timestep = refcheck_tensor(file, i, "timestep"),
                             .out = refcheck_tensor(file, i, "out"),
                             .pooled = refcheck_tensor(file, i, "pooled"),
                             .time_ids = refcheck_tensor(file, i, "time_ids")};
        more = t.sample.x != NULL;
        snprintf(row, sizeof row, "%s unet, row %d", s->label, i);
        if (more)
            denoise(s, &t, row);
        n_rows += more;
        free(t.sample.x);
        free(t.context.x);
        free(t.timestep.x);
        free(t.out.x);
        free(t.pooled.x);
        free(t.time_ids.x);
    }
    close_rows(s, file, "unet", n_rows);
}

static float *vae(const struct stage *s, const struct refcheck_tensor *from, bool encode,
                  size_t count, const char *row)
{
    const struct vae_config *c = &model_view(s->model)->vae;
    struct graph *g = graph_new();

    if (!g || from->n_dims != 4 || !count) {
        refcheck_fail(s->r, row, "the file does not hold pictures and latents");
        graph_free(g);
        return NULL;
    }
    const int in = graph_input(g, shape_of(from));
    const struct input input = {in, from->x, BACKEND_PLANES};
    const struct output out = {encode ? vae_build_encode(g, c, in) : vae_build_decode(g, c, in),
                               count, BACKEND_PLANES};
    return run_graph(s, g, MODEL_VAE, &input, 1, out, row);
}

/* A picture's means stand before its variances; the file has all means in one tensor. */
static void hold_posterior(const struct stage *s, const float *have,
                           const struct refcheck_tensor *mean, const struct refcheck_tensor *logvar,
                           const char *row)
{
    const size_t n = (size_t)mean->dims[0], each = mean->count / n;
    double error = 0;

    for (size_t i = 0; i < n; i++) {
        const float *picture = have + 2 * i * each;
        const double e_mean = refcheck_error(picture, mean->x + i * each, each);
        const double e_logvar = refcheck_error(picture + each, logvar->x + i * each, each);
        error = e_mean > error ? e_mean : error;
        error = e_logvar > error ? e_logvar : error;
    }
    refcheck_row(s->r, row, error, REFCHECK_STAGE);
}

static void check_vae_row(const struct stage *s, const struct safetensors *file, int i)
{
    struct refcheck_tensor latent = refcheck_tensor(file, i, "latent");
    struct refcheck_tensor decoded = refcheck_tensor(file, i, "decoded");
    struct refcheck_tensor image = refcheck_tensor(file, i, "image");
    struct refcheck_tensor mean = refcheck_tensor(file, i, "mean");
    struct refcheck_tensor logvar = refcheck_tensor(file, i, "logvar");
    char row[160];

    snprintf(row, sizeof row, "%s vae decode, row %d", s->label, i);
    float *have = vae(s, &latent, false, decoded.count, row);
    if (have)
        hold(s, have, &decoded, row);
    free(have);

    snprintf(row, sizeof row, "%s vae encode, row %d", s->label, i);
    const size_t count = mean.count == logvar.count ? mean.count + logvar.count : 0;
    have = vae(s, &image, true, count, row);
    if (have)
        hold_posterior(s, have, &mean, &logvar, row);
    free(have);

    free(latent.x);
    free(decoded.x);
    free(image.x);
    free(mean.x);
    free(logvar.x);
}

static void check_vae(const struct stage *s)
{
    struct safetensors *file = open_rows(s, "vae");
    char name[64];
    int i = 0;

    for (; file; i++) {
        snprintf(name, sizeof name, "%d.latent", i);
        if (!safetensors_find(file, name))
            break;
        check_vae_row(s, file, i);
    }
    close_rows(s, file, "vae", i);
}

void refcheck_stage(struct refcheck *r)
{
    for (int single = 0; single < 2; single++) {
        struct stage s = {.r = r, .expect = "sd15", .label = single ? "sd15 single file" : "sd15"};
        struct model *m = refcheck_model(r, "sd15", single);
        if ((s.model = m)) {
            check_text_encoder(&s);
            check_unet(&s);
            check_vae(&s);
        }
        model_close(m);

        s = (struct stage){.r = r, .expect = "sdxl", .label = single ? "sdxl single file" : "sdxl"};
        m = refcheck_model(r, "sdxl", single);
        if ((s.model = m))
            check_unet(&s);
        model_close(m);
    }
}
