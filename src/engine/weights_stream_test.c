#include "engine/weights_testing.h"

enum { WIDTH = 300, N_LAYERS = 9, MAX_WEIGHTS = 32 };

/* Linear layers of 180 KB; the first and the last share a weight. */
static struct graph *make_graph(void)
{
    const int64_t square[] = {WIDTH, WIDTH};
    struct graph *g = graph_new();
    int x = graph_input(g, (struct graph_shape){1, WIDTH, 1, 1}), first = 0;

    for (int i = 0; i < N_LAYERS; i++) {
        struct graph_conv linear = {.in.x = x, .out_c = WIDTH, .kernel = 1, .stride = 1};
        linear.weight =
            i == N_LAYERS - 1 ? first : graph_weight(g, 2, square, "layer.%d.weight", i);
        first = i == 0 ? linear.weight : first;
        x = graph_conv(g, &linear);
        x = graph_act(g, &(struct graph_act_op){.a = x, .act = GRAPH_ACT_SILU});
    }
    graph_output(g, x);
    return g;
}

static uint64_t sum_of(const struct weights *w, int weight)
{
    const struct weight_view *v = weights_find(w, weight);
    const unsigned char *bytes = v->bytes;
    uint64_t sum = 0;
    for (size_t i = 0; i < (size_t)v->count * dtype_bytes(v->dtype); i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

struct world {
    struct graph *g;
    struct weight_view views[MAX_WEIGHTS];
    struct file_map map;
    struct weights *w;
    uint64_t want[MAX_WEIGHTS]; /* sums by weight - 1 */
};

static void open_world(struct world *w)
{
    struct error err;
    *w = (struct world){.g = make_graph()};
    CHECK(w->g && graph_check(w->g, &err) && graph_n_weights(w->g) <= MAX_WEIGHTS);
    weights_testing_file(&w->map, w->views, w->g);
    CHECK(weights_from_mapping(&w->w, w->g, w->views, &err));
    CHECK(!weights_has_orders(w->w) && weights_resident_bytes(w->w) == 0);
    CHECK(weights_set_orders(w->w, w->g, NULL, &err) && weights_has_orders(w->w));
    for (int i = 0; i < graph_n_weights(w->g); i++)
        w->want[i] = sum_of(w->w, i + 1);
}

static void close_world(struct world *w)
{
    weights_free(w->w);
    file_map_close(&w->map);
    graph_free(w->g);
}

/* Acquires an op, reads its weights, releases it. */
static void pass(const struct world *w, int op)
{
    int weights[2];
    weights_acquire(w->w, op);
    const int n = graph_op_weights(graph_op_view(w->g, op), weights);
    for (int i = 0; i < n; i++)
        CHECK(sum_of(w->w, weights[i]) == w->want[weights[i] - 1]);
    weights_release(w->w, op);
}

static void shows_the_same_bytes_in_any_order_of_ops(void)
{
    struct world w;
    open_world(&w);
    const int n = graph_n_ops(w.g);

    weights_set_policy(w.w, WEIGHTS_STREAMED);
    for (int step = 1; step < n; step++) {
        for (int i = 0; i < n; i++)
            pass(&w, i * step % n);
        if (step % 3 == 0)
            weights_finish(w.w);
    }
    close_world(&w);
}

static void bears_uneven_calls(void)
{
    struct world w;
    open_world(&w);

    weights_set_policy(w.w, WEIGHTS_STREAMED);
    weights_finish(w.w);
    weights_release(w.w, 3);
    weights_acquire(w.w, 2);
    weights_acquire(w.w, 2);
    weights_release(w.w, 2);
    weights_release(w.w, 2);
    pass(&w, 3);
    weights_acquire(w.w, 4);
    weights_drop(w.w);
    weights_release(w.w, 4);
    weights_acquire(w.w, 5);
    weights_finish(w.w);
    weights_finish(w.w);
    pass(&w, 0);
    weights_acquire(w.w, 1);
    weights_set_policy(w.w, WEIGHTS_HELD);
    pass(&w, 1);
    weights_set_policy(w.w, WEIGHTS_STREAMED);
    weights_acquire(w.w, 0);
    close_world(&w); /* while the thread runs */
}

static void counts_shared_pages_once(void)
{
    struct world w;
    open_world(&w);
    const size_t held = weights_peak_resident_bytes(w.w, WEIGHTS_HELD);
    const size_t streamed = weights_peak_resident_bytes(w.w, WEIGHTS_STREAMED);
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);

    CHECK(weights_bytes(w.w) == (size_t)(N_LAYERS - 1) * WIDTH * WIDTH * 2);
    CHECK(held == weights_resident_bytes(w.w));
    CHECK(held >= weights_bytes(w.w) && held < weights_bytes(w.w) + 2 * page);
    /* The op that runs, and a megabyte ahead: seven layers, neighbours in the file. */
    CHECK(streamed >= (size_t)7 * WIDTH * WIDTH * 2 &&
          streamed < (size_t)7 * WIDTH * WIDTH * 2 + 2 * page);
    close_world(&w);
}

int main(void)
{
    shows_the_same_bytes_in_any_order_of_ops();
    bears_uneven_calls();
    counts_shared_pages_once();
    return TEST_END();
}
