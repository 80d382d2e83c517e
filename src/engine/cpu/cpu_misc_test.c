#include "engine/cpu/cpu_ops_testing.h"

#include <math.h>

enum { WORDS = 19, PLACES = 9, WIDTH = 37, TOKENS = 7 };

/* Number i of a table of our own, exact in every type. */
static float entry(int64_t i)
{
    return (float)(i % 61 - 30) / 16.0f;
}

static unsigned char *make_table(int64_t n, enum dtype dtype)
{
    unsigned char *bytes = malloc((size_t)n * dtype_bytes(dtype) + 1);
    if (!bytes)
        exit(2);
    for (int64_t i = 0; i < n; i++) {
        const float x = entry(i);
        const uint16_t half = dtype == DTYPE_F16 ? dtype_f16_from_f32(x) : dtype_bf16_from_f32(x);
        memcpy(bytes + 1 + (size_t)i * dtype_bytes(dtype),
               dtype == DTYPE_F32 ? (const void *)&x : (const void *)&half, dtype_bytes(dtype));
    }
    return bytes;
}

static void embeds_tokens_and_places(enum dtype tokens_dtype, enum dtype position_dtype)
{
    static const float ids[2 * TOKENS] = {0, 18, 3, 3, 7, 1, 17, 5, 0, 0, 2, 18, 9, 4};
    const int64_t token_dims[2] = {WORDS, WIDTH}, place_dims[2] = {PLACES, WIDTH};
    struct error err;
    struct graph *g = graph_new();
    struct graph_embed op = {0};
    op.ids = graph_input(g, (struct graph_shape){2, 1, 1, TOKENS});
    op.tokens = graph_weight(g, 2, token_dims, "token_embedding.weight");
    op.position = graph_weight(g, 2, place_dims, "position_embedding.weight");
    const int out = graph_embed(g, &op);
    graph_output(g, out);
    CHECK(graph_check(g, &err));

    unsigned char *tokens = make_table(WORDS * WIDTH, tokens_dtype);
    unsigned char *places = make_table(PLACES * WIDTH, position_dtype);
    const struct weight_view views[2] = {{tokens + 1, tokens_dtype, WORDS * WIDTH},
                                         {places + 1, position_dtype, PLACES * WIDTH}};
    struct weights *w = NULL;
    CHECK(weights_from_views(&w, g, views, &err));

    float *tensors[8] = {NULL};
    tensors[op.ids] = ops_testing_floats(2 * TOKENS, 1);
    memcpy(tensors[op.ids], ids, sizeof ids);
    tensors[out] = ops_testing_floats(2 * TOKENS * WIDTH, 1);
    double want[2 * TOKENS * WIDTH];
    for (int i = 0; i < 2 * TOKENS * WIDTH; i++) {
        const int row = i / WIDTH, j = i % WIDTH;
        want[i] = (double)(entry((int64_t)ids[row] * WIDTH + j) +
                           entry((int64_t)(row % TOKENS) * WIDTH + j));
    }
    ops_testing_compare("embedding", &cpu_misc_embed_op, g, 0, tensors, out, w, want, 0);
    weights_free(w);
    free(tokens);
    free(places);
    free(tensors[op.ids]);
    free(tensors[out]);
    graph_free(g);
}

/* Ids behind the vocabulary are rows of a tensor. */
static void embeds_rows_that_are_no_weights(void)
{
    enum { MORE = 2 };
    static const float ids[TOKENS] = {0, WORDS, 3, WORDS + 1, WORDS - 1, WORDS + 1, 17};
    const int64_t token_dims[2] = {WORDS, WIDTH}, place_dims[2] = {PLACES, WIDTH};
    struct error err;
    struct graph *g = graph_new();
    struct graph_embed op = {0};
    op.ids = graph_input(g, (struct graph_shape){1, 1, 1, TOKENS});
    op.more = graph_input(g, (struct graph_shape){1, WIDTH, 1, MORE});
    op.tokens = graph_weight(g, 2, token_dims, "token_embedding.weight");
    op.position = graph_weight(g, 2, place_dims, "position_embedding.weight");
    const int out = graph_embed(g, &op);
    graph_output(g, out);
    CHECK(graph_check(g, &err));

    unsigned char *tokens = make_table(WORDS * WIDTH, DTYPE_F16);
    unsigned char *places = make_table(PLACES * WIDTH, DTYPE_F32);
    const struct weight_view views[2] = {{tokens + 1, DTYPE_F16, WORDS * WIDTH},
                                         {places + 1, DTYPE_F32, PLACES * WIDTH}};
    struct weights *w = NULL;
    CHECK(weights_from_views(&w, g, views, &err));

    float *tensors[8] = {NULL};
    tensors[op.ids] = ops_testing_floats(TOKENS, 1);
    memcpy(tensors[op.ids], ids, sizeof ids);
    tensors[op.more] = ops_testing_floats(MORE * WIDTH, 1);
    tensors[out] = ops_testing_floats(TOKENS * WIDTH, 1);
    double want[TOKENS * WIDTH];
    for (int i = 0; i < TOKENS * WIDTH; i++) {
        const int64_t id = (int64_t)ids[i / WIDTH];
        const float word = id < WORDS ? entry(id * WIDTH + i % WIDTH)
                                      : tensors[op.more][(id - WORDS) * WIDTH + i % WIDTH];
        want[i] = (double)(word + entry(i));
    }
    ops_testing_compare("embedding", &cpu_misc_embed_op, g, 0, tensors, out, w, want, 0);
    weights_free(w);
    free(tokens);
    free(places);
    free(tensors[op.ids]);
    free(tensors[op.more]);
    free(tensors[out]);
    graph_free(g);
}

static void embeds_from_every_type(void)
{
    static const enum dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++)
            embeds_tokens_and_places(types[a], types[b]);
}

static double activated(double x, enum graph_act act)
{
    switch (act) {
    case GRAPH_ACT_SILU:
        return x / (1 + exp(-x));
    case GRAPH_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case GRAPH_ACT_GELU:
        return x * 0.5 * (1 + erf(x / sqrt(2.0)));
    case GRAPH_ACT_RELU:
        return x > 0 ? x : 0;
    case GRAPH_ACT_LEAKY_RELU:
        return x > 0 ? x : 0.2 * x;
    case GRAPH_ACT_NONE:
    case GRAPH_ACT_GEGLU:
        break;
    }
    return x;
}

static void activates(void)
{
    static const struct graph_shape shapes[] = {{1, 1, 1, 1}, {2, 37, 3, 5}, {1, 320, 13, 17}};
    static const enum graph_act acts[] = {GRAPH_ACT_NONE, GRAPH_ACT_SILU, GRAPH_ACT_QUICK_GELU,
                                          GRAPH_ACT_GELU, GRAPH_ACT_RELU, GRAPH_ACT_LEAKY_RELU};

    for (int i = 0; i < 3 * 6 * 2; i++) {
        struct error err;
        struct graph *g = graph_new();
        struct graph_act_op op = {.act = acts[i % 6]};
        op.a = graph_input(g, shapes[i / 12]);
        if (i / 6 % 2)
            op.b = graph_input(g, shapes[i / 12]);
        const int out = graph_act(g, &op);
        graph_output(g, out);
        CHECK(graph_check(g, &err));

        const int64_t n = ops_testing_count(g, out);
        float *tensors[8] = {NULL};
        for (int t = 1; t <= graph_n_tensors(g); t++) {
            tensors[t] = ops_testing_floats(n, (uint64_t)t);
            for (int64_t j = 0; j < n; j++)
                tensors[t][j] *= 8;
        }
        double *want = malloc((size_t)n * sizeof *want);
        if (!want)
            exit(2);
        for (int64_t j = 0; j < n; j++)
            want[j] = activated((double)tensors[op.a][j] + (op.b ? (double)tensors[op.b][j] : 0.0),
                                op.act);
        ops_testing_compare("activation", &cpu_misc_act_op, g, 0, tensors, out, NULL, want, 1e-5);
        free(want);
        for (int t = 1; t <= graph_n_tensors(g); t++)
            free(tensors[t]);
        graph_free(g);
    }
}

int main(void)
{
    embeds_from_every_type();
    embeds_rows_that_are_no_weights();
    activates();
    return TEST_END();
}
