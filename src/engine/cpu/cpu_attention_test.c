#include "engine/cpu/cpu_ops_testing.h"

#include <math.h>

struct shape {
    const char *why;
    int64_t n, q_h, q_w, k_w;
    int heads, d;
    bool causal;
    float scale; /* of q: large ones make softmax steep and the running maximum move */
};

static const struct shape shapes[] = {
    {"one of everything", 1, 1, 1, 1, 1, 1, false, 1},
    {"CLIP", 2, 1, 77, 77, 2, 64, true, 1},
    {"causal over several blocks", 1, 1, 700, 700, 1, 8, true, 3},
    {"cross attention", 2, 9, 11, 77, 3, 40, false, 2},
    {"self attention over several blocks", 1, 23, 27, 621, 2, 40, false, 8},
    {"head of 80", 1, 1, 130, 300, 2, 80, false, 4},
    {"head of 160", 1, 1, 65, 500, 1, 160, false, 4},
    {"decoder", 1, 15, 13, 195, 1, 512, false, 20},
    {"odd head", 3, 1, 5, 33, 7, 3, false, 1},
    {"head of 7 over a long text", 1, 1, 3, 1025, 2, 7, false, 30},
    {"more pairs than are packed at a time", 1, 1, 2, 2000, 24, 40, false, 4},
    {"wide head", 1, 1, 4, 70, 1, 1283, false, 1},
};

/* The plain definition in double, whole rows of scores at a time. */
static void attend(double *out, const struct shape *s, const float *q, const float *k,
                   const float *v)
{
    const int64_t nq = s->q_h * s->q_w, nk = s->k_w, c = (int64_t)s->heads * s->d;
    double *p = malloc((size_t)nk * sizeof *p);
    if (!p)
        exit(2);

    for (int64_t i = 0; i < s->n * nq * s->heads; i++) {
        const int64_t picture = i / s->heads / nq, row = i / s->heads % nq;
        const int64_t head = i % s->heads * s->d;
        const float *q_row = q + (picture * nq + row) * c + head;
        const int64_t see = s->causal && row + 1 < nk ? row + 1 : nk;
        double max = -INFINITY, sum = 0;
        for (int64_t t = 0; t < see; t++) {
            p[t] = 0;
            for (int j = 0; j < s->d; j++)
                p[t] += (double)q_row[j] * (double)k[(picture * nk + t) * c + head + j];
            p[t] /= sqrt((double)s->d);
            max = p[t] > max ? p[t] : max;
        }
        double *to = out + (picture * nq + row) * c + head;
        for (int j = 0; j < s->d; j++)
            to[j] = 0;
        for (int64_t t = 0; t < see; t++) {
            const double e = exp(p[t] - max);
            sum += e;
            for (int j = 0; j < s->d; j++)
                to[j] += e * (double)v[(picture * nk + t) * c + head + j];
        }
        for (int j = 0; j < s->d; j++)
            to[j] /= sum;
    }
    free(p);
}

/* The same operation twice with the best table: how far the results are apart, of the largest. */
static double apart(const float *a, const float *b, int64_t n)
{
    double worst = 0, largest = 0;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)a[i]));
    }
    return worst / largest;
}

static void agrees_with_the_definition(enum graph_attention_mode mode)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const struct shape *s = &shapes[i];
        const int64_t c = (int64_t)s->heads * s->d;
        struct error err;
        struct graph *g = graph_new();
        const int q = graph_input(g, (struct graph_shape){s->n, c, s->q_h, s->q_w});
        const int k = graph_input(g, (struct graph_shape){s->n, c, 1, s->k_w});
        const int v = graph_input(g, (struct graph_shape){s->n, c, 1, s->k_w});
        const int out =
            graph_attention(g, &(struct graph_attention){
                                   .q = q, .k = k, .v = v, .heads = s->heads, .causal = s->causal});
        graph_set_attention(g, mode);
        const int other =
            graph_attention(g, &(struct graph_attention){
                                   .q = q, .k = k, .v = v, .heads = s->heads, .causal = s->causal});
        graph_output(g, out);
        graph_output(g, other);
        CHECK(graph_check(g, &err));

        float *tensors[8] = {NULL};
        for (int t = 1; t <= graph_n_tensors(g); t++)
            tensors[t] = ops_testing_floats(ops_testing_count(g, t), (uint64_t)t);
        for (int64_t j = 0; j < ops_testing_count(g, q); j++)
            tensors[q][j] *= s->scale;
        double *want = malloc((size_t)ops_testing_count(g, out) * sizeof *want);
        if (!want)
            exit(2);
        attend(want, s, tensors[q], tensors[k], tensors[v]);
        /* Values lie within 1.  Steep rows of scores, up to about 20, are the least exact. */
        ops_testing_compare(s->why, &cpu_attention_op, g, 1, tensors, other, NULL, want, 2e-5);

        const struct cpu_kernels *table[8];
        for (int t = cpu_kernels_list(table) - 1; t >= 0; t--) {
            ops_testing_run(&cpu_attention_op, g, 0, tensors, NULL, table[t], 2);
            ops_testing_run(&cpu_attention_op, g, 1, tensors, NULL, table[t], 2);
            /* Prepared rows carry 16 bits of significand. */
            CHECK(apart(tensors[out], tensors[other], ops_testing_count(g, out)) <=
                  (table[t]->a_is_f32 ? 1e-5 : 5e-5));
        }
        free(want);
        for (int t = 1; t <= graph_n_tensors(g); t++)
            free(tensors[t]);
        graph_free(g);
    }
}

/* 4096 tokens and 8 heads would be half a gibibyte of scores; here the workspace stays small. */
static void needs_little_room(void)
{
    struct error err;
    struct graph *g = graph_new();
    const struct graph_shape s = {2, 320, 64, 64};
    const int x = graph_input(g, s);
    graph_output(g,
                 graph_attention(g, &(struct graph_attention){.q = x, .k = x, .v = x, .heads = 8}));
    CHECK(graph_check(g, &err));

    const struct cpu_kernels *table[8];
    for (int t = cpu_kernels_list(table) - 1; t >= 0; t--) {
        size_t one = 0, many = 0;
        CHECK(cpu_attention_op.needs(&one, table[t], 1, g, 0, &err));
        CHECK(cpu_attention_op.needs(&many, table[t], 16, g, 0, &err));
        CHECK(one < (size_t)10 << 20);
        CHECK(many - one < (size_t)15 << 20);
    }
    graph_free(g);
}

/* What each mode says of itself, for 4096 tokens. */
static void holds_the_scores_its_mode_names(void)
{
    struct error err;
    struct graph *g = graph_new();
    const int x = graph_input(g, (struct graph_shape){1, 320, 64, 64});
    for (int mode = 0; mode < 3; mode++) {
        graph_set_attention(g, (enum graph_attention_mode)mode);
        graph_output(
            g, graph_attention(g, &(struct graph_attention){.q = x, .k = x, .v = x, .heads = 8}));
    }
    CHECK(graph_check(g, &err));

    const struct cpu_kernels *table[8];
    for (int t = cpu_kernels_list(table) - 1; t >= 0; t--) {
        size_t streaming = 0, sliced = 0, plain = 0, plain_many = 0;
        const size_t whole = (size_t)4096 * 4096 * (table[t]->a_is_f32 ? 4 : 8);
        CHECK(cpu_attention_op.needs(&streaming, table[t], 1, g, 0, &err));
        CHECK(cpu_attention_op.needs(&sliced, table[t], 1, g, 1, &err));
        CHECK(cpu_attention_op.needs(&plain, table[t], 1, g, 2, &err));
        CHECK(cpu_attention_op.needs(&plain_many, table[t], 16, g, 2, &err));
        CHECK(streaming < sliced && sliced < (size_t)16 << 20);
        CHECK(plain > whole && plain < whole + (whole >> 3));
        CHECK(plain_many > whole && plain_many < whole + (whole >> 3));
    }
    graph_free(g);
}

int main(void)
{
    agrees_with_the_definition(GRAPH_ATTENTION_STREAMING);
    agrees_with_the_definition(GRAPH_ATTENTION_SLICED);
    agrees_with_the_definition(GRAPH_ATTENTION_PLAIN);
    holds_the_scores_its_mode_names();
    needs_little_room();
    return TEST_END();
}
