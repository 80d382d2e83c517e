/* The tiny autoencoder against PyTorch (tools/make_taesd_vectors.py), whole and in bands. */
#include "engine/cpu/cpu_kernels.h"
#include "engine/engine_testing.h"
#include "engine/weights_bind.h"
#include "model/model_vae.h"
#include "model/tensor_file.h"
#include "nn/nn_test_refs.h"
#include "nn/nn_test_run.h"
#include "nn/taesd.h"

static const char vectors_path[] = "tests/data/taesd-random.safetensors";

/* What the published decoders and encoders look like. */
static const struct vae_config published = {.in_channels = 3,
                                            .out_channels = 3,
                                            .latent_channels = 4,
                                            .n_levels = 4,
                                            .channels = {64, 64, 64, 64},
                                            .tiny = true,
                                            .encoder_blocks = {1, 3, 3, 3},
                                            .decoder_blocks = {3, 3, 3, 1}};

static struct graph *build(const struct vae_config *c, bool encode, struct graph_shape in,
                           int64_t rows, int *input, int *out)
{
    struct graph *g = graph_new();
    struct error err = {0};

    *input = graph_input(g, in);
    *out = encode ? taesd_build_encode(g, c, *input, rows) : taesd_build_decode(g, c, *input, rows);
    graph_output(g, *out);
    if (!graph_check(g, &err))
        fprintf(stderr, "%s\n", err.text);
    CHECK(graph_check(g, &err) && *out > 0);
    return g;
}

static struct nn_test_tensor expected(const struct tensor_file *file, const char *name)
{
    char full[64];
    struct nn_test_tensor t;
    snprintf(full, sizeof full, "expect.%s", name);
    t = (struct nn_test_tensor){0};
    const struct tensor_info *s = tensor_file_find(file, full);
    CHECK(s && s->dtype == DTYPE_F32 && s->n_dims == 4);
    if (!s)
        return t;
    t.n_dims = s->n_dims;
    memcpy(t.dims, s->dims, sizeof t.dims);
    t.count = s->n_bytes / sizeof(float);
    t.x = malloc(s->n_bytes);
    CHECK(t.x);
    memcpy(t.x, s->bytes, s->n_bytes);
    return t;
}

/* Runs one half and returns its answer, planes. */
static float *run(const struct model *m, struct backend *b, bool encode,
                  const struct nn_test_tensor *from, size_t n_out, int64_t rows)
{
    struct nn_test_input in = {.numbers = from->x, .order = BACKEND_PLANES};
    struct weights *w = NULL;
    struct error err = {0};
    int out;
    struct graph *g =
        build(&model_view(m)->vae, encode,
              (struct graph_shape){from->dims[0], from->dims[1], from->dims[2], from->dims[3]},
              rows, &in.tensor, &out);
    float *answer = calloc(n_out, sizeof *answer);

    CHECK((size_t)graph_shape_count(graph_tensor_view(g, out)->shape) == n_out);
    bool bound = weights_bind(&w, g, m, MODEL_VAE, &err);
    if (!bound)
        fprintf(stderr, "%s\n", err.text);
    CHECK(bound);
    if (bound)
        nn_test_run(g, w, b, &in, 1, out, answer, BACKEND_PLANES);
    weights_free(w);
    graph_free(g);
    return answer;
}

/* The AMX kernels keep 16 bits of both factors. */
static double tolerance(const char *isa)
{
    return strcmp(isa, "amx") == 0 ? 2e-2 : 2e-6;
}

static void compare(const struct model *m, const struct tensor_file *file, const char *isa,
                    bool encode)
{
    static const int64_t rows[] = {0, 1, 4, 5, 8, 16, 100};
    struct nn_test_tensor from = expected(file, encode ? "picture" : "latent");
    struct nn_test_tensor want = expected(file, encode ? "encoded" : "decoded");
    struct backend *b = NULL;
    struct error err = {0};
    float *whole = NULL;

    if (!encode)
        taesd_clamp(from.x, from.count);
    CHECK(cpu_backend_open(&b, 2, isa, &err));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        float *have = run(m, b, encode, &from, want.count, rows[i]);
        const double error = nn_test_error(have, want.x, want.count);
        if (!(error <= tolerance(isa)))
            fprintf(stderr, "%s, %s in bands of %d: %g\n", isa, encode ? "encode" : "decode",
                    (int)rows[i], error);
        CHECK(error <= tolerance(isa));
        if (whole)
            CHECK(memcmp(whole, have, want.count * sizeof *have) == 0);
        if (!whole)
            whole = have;
        else
            free(have);
    }
    free(whole);
    free(from.x);
    free(want.x);
    b->fn->close(b);
}

static void computes_what_pytorch_does_however_it_is_cut(void)
{
    const struct cpu_kernels *table[8];
    int n = cpu_kernels_list(table);
    struct tensor_file *file = NULL;
    struct model *m = NULL;
    struct error err = {0};

    bool ok =
        tensor_file_open(&file, vectors_path, &err) && model_vae_open(&m, vectors_path, NULL, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    if (ok) {
        const struct vae_config *c = &model_view(m)->vae;
        CHECK(c->tiny && c->n_levels == 4 && c->channels[0] == 8 && c->scaling_factor == 1);
    }
    for (int i = 0; ok && i < n; i++)
        for (int encode = 0; encode < 2; encode++)
            compare(m, file, table[i]->name, encode);
    model_close(m);
    tensor_file_close(file);
}

/* Bytes at the published width, without running. */
static void takes_little_memory(void)
{
    static const struct {
        bool encode;
        int side_px, rows;
        double most_bytes, most_flops;
    } row[] = {
        {false, 512, 0, 270e6, 150e9},
        {false, 512, 16, 40e6, 175e9},
        {false, 1024, 16, 110e6, 700e9},
        {true, 1024, 16, 110e6, 700e9},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const int64_t px = row[i].side_px;
        const struct graph_shape in = row[i].encode ? (struct graph_shape){1, 3, px, px}
                                                    : (struct graph_shape){1, 4, px / 8, px / 8};
        struct error err = {0};
        struct backend *b = NULL;
        struct layout l = {0};
        int input, out;
        struct graph *g = build(&published, row[i].encode, in, row[i].rows, &input, &out);

        CHECK(cpu_backend_open(&b, 2, "auto", &err) && layout_make(&l, g, b, 0, &err));
        bool fits = (double)l.arena_bytes <= row[i].most_bytes && l.flops <= row[i].most_flops;
        if (!fits || getenv("TAESD_TELL"))
            fprintf(stderr, "%s %d in bands of %d: %.1f MB, %.1f GFLOP\n",
                    row[i].encode ? "encode" : "decode", row[i].side_px, row[i].rows,
                    (double)l.arena_bytes / 1e6, l.flops / 1e9);
        CHECK(fits);
        CHECK(engine_testing_layout_is_sound(&l, g, b));
        layout_clear(&l);
        if (b)
            b->fn->close(b);
        graph_free(g);
    }
}

static void refuses_to_encode_without_an_encoder(void)
{
    struct vae_config half = published;
    struct graph *g = graph_new();
    struct error err = {0};

    half.no_encoder = true;
    CHECK(taesd_build_encode(g, &half, graph_input(g, (struct graph_shape){1, 3, 64, 64}), 0) == 0);
    CHECK(!graph_check(g, &err) && strstr(err.text, "decoder only"));
    graph_free(g);
}

int main(void)
{
    computes_what_pytorch_does_however_it_is_cut();
    takes_little_memory();
    refuses_to_encode_without_an_encoder();
    return TEST_END();
}
