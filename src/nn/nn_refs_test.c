/* The networks with the weights of small models against what PyTorch computes from them. */
#include "engine/weights_bind.h"
#include "model/model.h"
#include "nn/clip.h"
#include "nn/nn_test_refs.h"
#include "nn/nn_test_run.h"
#include "nn/unet.h"
#include "nn/vae.h"

/* The references' own bound for whole stages in float32. */
static const double TOLERANCE = 2e-3;

struct stage {
    struct backend *backend;
    const struct model *model;
    enum model_part part;
};

static void hold(const float *have, const struct nn_test_tensor *want, const char *what, int row)
{
    const double error = nn_test_error(have, want->x, want->count);

    printf("%s, row %d: error %.2g\n", what, row, error);
    CHECK(error <= TOLERANCE);
}

/* Runs g and takes ownership of it; returns the output's numbers, which the caller frees, or NULL.
 */
static float *run(const struct stage *s, struct graph *g, const struct nn_test_input *in, int n_in,
                  int out, size_t count, enum backend_order order)
{
    struct weights *w = NULL;
    struct error err = {0};
    float *have = calloc(count, sizeof *have);
    bool ok = false;

    graph_output(g, out);
    if (!weights_bind(&w, g, s->model, s->part, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(w != NULL);
    if (w && have && (size_t)graph_shape_count(graph_tensor_view(g, out)->shape) == count)
        ok = nn_test_run(g, w, s->backend, in, n_in, out, have, order);
    CHECK(ok);
    weights_free(w);
    graph_free(g);
    if (ok)
        return have;
    free(have);
    return NULL;
}

static void encodes_text(const struct stage *s)
{
    static const struct {
        const char *name;
        int skip;
    } column[] = {{"last_hidden_state", 1}, {"clip_skip_2", 2}};
    struct safetensors *file = nn_test_refs_open("sd15/text_encoder");
    int row = 0;

    for (; file; row++) {
        struct nn_test_tensor ids = nn_test_refs_read(file, row, "ids");
        if (!ids.n_dims)
            break;
        for (size_t i = 0; i < 2; i++) {
            struct nn_test_tensor want = nn_test_refs_read(file, row, column[i].name);
            struct graph *g = graph_new();
            const int in = graph_input(g, (struct graph_shape){ids.dims[0], 1, 1, ids.dims[1]});
            const int out = clip_build(g, &model_view(s->model)->clip[0], in, column[i].skip, true);
            float *have = run(s, g, &(struct nn_test_input){in, ids.x, BACKEND_ROWS}, 1, out,
                              want.count, BACKEND_ROWS);
            if (have)
                hold(have, &want, column[i].name, row);
            free(have);
            free(want.x);
        }
        free(ids.x);
    }
    CHECK(row > 0);
    safetensors_close(file);
}

/* Pooled text, then the time ids, each embedded. */
static float *added_input(const struct unet_config *c, const struct nn_test_tensor *pooled,
                          const struct nn_test_tensor *time_ids)
{
    const size_t n = (size_t)pooled->dims[0], width = (size_t)c->addition_input_dim;
    const size_t n_pooled = (size_t)pooled->dims[1], n_ids = (size_t)time_ids->dims[1];
    float *added = calloc(n * width, sizeof *added);

    CHECK(n_pooled + n_ids * (size_t)c->addition_time_dim == width);
    if (!added || n_pooled + n_ids * (size_t)c->addition_time_dim != width)
        return added;
    for (size_t i = 0; i < n; i++) {
        memcpy(added + i * width, pooled->x + i * n_pooled, n_pooled * sizeof *added);
        unet_timestep_embedding(added + i * width + n_pooled, time_ids->x + i * n_ids, (int)n_ids,
                                c->addition_time_dim, c->flip_sin_to_cos, c->freq_shift);
    }
    return added;
}

static void denoises(const struct stage *s, const char *expect)
{
    const struct unet_config *c = &model_view(s->model)->unet;
    struct safetensors *file = nn_test_refs_open(expect);
    int row = 0;

    for (; file; row++) {
        struct nn_test_tensor sample = nn_test_refs_read(file, row, "sample");
        if (!sample.n_dims)
            break;
        struct nn_test_tensor context = nn_test_refs_read(file, row, "context");
        struct nn_test_tensor timestep = nn_test_refs_read(file, row, "timestep");
        struct nn_test_tensor want = nn_test_refs_read(file, row, "out");
        struct nn_test_tensor pooled = nn_test_refs_read(file, row, "pooled");
        struct nn_test_tensor time_ids = nn_test_refs_read(file, row, "time_ids");
        const int64_t *d = sample.dims;
        const size_t n = (size_t)d[0], width = (size_t)c->channels[0];
        float *added = pooled.n_dims ? added_input(c, &pooled, &time_ids) : NULL;
        float *embedded = calloc(n * width, sizeof *embedded);
        if (!embedded)
            abort();
        for (size_t i = 0; i < n; i++)
            unet_timestep_embedding(embedded + i * width, timestep.x, 1, c->channels[0],
                                    c->flip_sin_to_cos, c->freq_shift);

        struct graph *g = graph_new();
        struct unet_inputs in = {
            .sample = graph_input(g, (struct graph_shape){d[0], d[1], d[2], d[3]}),
            .timestep = graph_input(g, (struct graph_shape){d[0], c->channels[0], 1, 1}),
            .context =
                graph_input(g, (struct graph_shape){d[0], context.dims[2], 1, context.dims[1]}),
        };
        if (added)
            in.added = graph_input(g, (struct graph_shape){d[0], c->addition_input_dim, 1, 1});
        const struct nn_test_input inputs[4] = {{in.sample, sample.x, BACKEND_PLANES},
                                                {in.timestep, embedded, BACKEND_ROWS},
                                                {in.context, context.x, BACKEND_ROWS},
                                                {in.added, added, BACKEND_ROWS}};
        float *have =
            run(s, g, inputs, added ? 4 : 3, unet_build(g, c, &in), want.count, BACKEND_PLANES);
        if (have)
            hold(have, &want, expect, row);
        free(have);
        free(added);
        free(embedded);
        struct nn_test_tensor *const all[] = {&sample, &context, &timestep,
                                              &want,   &pooled,  &time_ids};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
            free(all[i]->x);
    }
    CHECK(row > 0);
    safetensors_close(file);
}

static void decodes(const struct stage *s)
{
    const struct vae_config *c = &model_view(s->model)->vae;
    struct safetensors *file = nn_test_refs_open("sd15/vae");
    int row = 0;

    for (; file; row++) {
        struct nn_test_tensor latent = nn_test_refs_read(file, row, "latent");
        if (!latent.n_dims)
            break;
        struct nn_test_tensor want = nn_test_refs_read(file, row, "decoded");
        const int64_t *d = latent.dims;
        struct graph *g = graph_new();
        const int in = graph_input(g, (struct graph_shape){d[0], d[1], d[2], d[3]});
        float *have = run(s, g, &(struct nn_test_input){in, latent.x, BACKEND_PLANES}, 1,
                          vae_build_decode(g, c, in), want.count, BACKEND_PLANES);
        if (have)
            hold(have, &want, "decoded", row);
        free(have);
        free(latent.x);
        free(want.x);
    }
    CHECK(row > 0);
    safetensors_close(file);
}

static void encodes_pictures(const struct stage *s)
{
    const struct vae_config *c = &model_view(s->model)->vae;
    struct safetensors *file = nn_test_refs_open("sd15/vae");
    int row = 0;

    for (; file; row++) {
        struct nn_test_tensor image = nn_test_refs_read(file, row, "image");
        if (!image.n_dims)
            break;
        struct nn_test_tensor mean = nn_test_refs_read(file, row, "mean");
        struct nn_test_tensor logvar = nn_test_refs_read(file, row, "logvar");
        const int64_t *d = image.dims;
        CHECK(d[0] == 1); /* one picture: means and variances lie one behind the other */
        struct graph *g = graph_new();
        const int in = graph_input(g, (struct graph_shape){d[0], d[1], d[2], d[3]});
        float *have = run(s, g, &(struct nn_test_input){in, image.x, BACKEND_PLANES}, 1,
                          vae_build_encode(g, c, in), mean.count + logvar.count, BACKEND_PLANES);
        if (have) {
            hold(have, &mean, "mean", row);
            hold(have + mean.count, &logvar, "logvar", row);
        }
        free(have);
        free(image.x);
        free(mean.x);
        free(logvar.x);
    }
    CHECK(row > 0);
    safetensors_close(file);
}

static struct model *open_model(const char *name)
{
    char path[4096];
    struct model *m = NULL;
    struct error err = {0};

    snprintf(path, sizeof path, "%s/%s", nn_test_refs_dir(), name);
    if (!model_open(&m, path, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(m != NULL);
    return m;
}

int main(void)
{
    struct stage s = {0};
    struct error err = {0};

    if (!nn_test_refs_exist())
        return 77;
    if (!cpu_backend_open(&s.backend, 2, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    struct model *sd15 = open_model("tiny-sd15");
    if ((s.model = sd15)) {
        s.part = MODEL_TEXT_ENCODER;
        encodes_text(&s);
        s.part = MODEL_UNET;
        denoises(&s, "sd15/unet");
        s.part = MODEL_VAE;
        decodes(&s);
        encodes_pictures(&s);
    }
    struct model *sdxl = open_model("tiny-sdxl");
    if ((s.model = sdxl)) {
        s.part = MODEL_UNET;
        denoises(&s, "sdxl/unet");
    }
    model_close(sd15);
    model_close(sdxl);
    s.backend->fn->close(s.backend);
    return TEST_END();
}
