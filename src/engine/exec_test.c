#include "engine/engine_testing.h"
#include "engine/exec.h"

enum { MAX_NUMBERS = 1024 };

/* Every tensor in a place of its own: what the arena has to agree with. */
struct apart {
    float *at[2 * ENGINE_TESTING_OPS + 4];
};

static float *in_own_place(void *ctx, int tensor)
{
    return ((struct apart *)ctx)->at[tensor];
}

static void fill(float *x, int64_t n, int seed)
{
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)((i * 7 + seed * 13) % 101);
}

static void run_apart(const struct graph *g, int seed, float *out)
{
    struct apart a = {0};
    const int n = graph_n_tensors(g);

    for (int t = 1; t <= n; t++) {
        const int64_t count = graph_shape_count(graph_tensor_view(g, t)->shape);
        a.at[t] = calloc((size_t)count, sizeof(float));
        if (graph_tensor_view(g, t)->role == GRAPH_INPUT)
            fill(a.at[t], count, seed);
    }
    for (int op = 0; op < graph_n_ops(g); op++)
        engine_testing_op(g, op, in_own_place, &a);
    memcpy(out, a.at[n], sizeof(float) * (size_t)graph_shape_count(graph_tensor_view(g, n)->shape));
    for (int t = 1; t <= n; t++)
        free(a.at[t]);
}

static void write_inputs(struct exec *e, const struct graph *g, int seed)
{
    float numbers[MAX_NUMBERS];

    for (int t = 1; t <= 2; t++) {
        fill(numbers, graph_shape_count(graph_tensor_view(g, t)->shape), seed);
        exec_write(e, t, numbers, BACKEND_ROWS);
    }
}

static bool gives(struct exec *e, const struct graph *g, const float *want)
{
    float have[MAX_NUMBERS];
    struct error err = {0};
    const int out = graph_n_tensors(g);

    if (!exec_run(e, NULL, NULL, &err))
        return false;
    exec_read(e, out, have, BACKEND_ROWS);
    return memcmp(have, want,
                  sizeof(float) * (size_t)graph_shape_count(graph_tensor_view(g, out)->shape)) == 0;
}

static void computes_in_the_arena_what_it_would_apart(struct engine_testing_device *d)
{
    for (int seed = 1; seed <= 100; seed++) {
        struct graph *g = engine_testing_graph((uint32_t)seed);
        struct exec *e = NULL;
        struct error err = {0};
        float want[MAX_NUMBERS];

        CHECK(exec_new(&e, g, &d->base, NULL, 0, &err) && d->arenas == 0);
        CHECK(e && exec_start(e, NULL, &err) && d->arenas == 1);
        run_apart(g, seed, want);
        write_inputs(e, g, seed);
        CHECK(gives(e, g, want));
        CHECK(gives(e, g, want)); /* the inputs are still there */
        run_apart(g, seed + 1, want);
        write_inputs(e, g, seed + 1);
        CHECK(gives(e, g, want));
        exec_free(e);
        graph_free(g);
        CHECK(d->arenas == 0 && d->prepared == 0);
    }
}

static void borrows_an_arena_and_starts_again(struct engine_testing_device *d)
{
    struct graph *g = engine_testing_graph(7);
    struct exec *e = NULL;
    struct error err = {0};
    void *arena = NULL;
    float want[MAX_NUMBERS];

    run_apart(g, 1, want);
    CHECK(exec_new(&e, g, &d->base, NULL, 0, &err));
    CHECK(exec_flops(e) == graph_n_ops(g) && exec_arena_bytes(e) > 0);
    CHECK(d->base.fn->arena_new(&d->base, &arena, exec_arena_bytes(e), &err));
    for (int i = 0; i < 2; i++) {
        CHECK(exec_start(e, arena, &err) && d->arenas == 1 && d->prepared == 1);
        write_inputs(e, g, 1);
        CHECK(gives(e, g, want));
        exec_stop(e);
        CHECK(d->arenas == 1 && d->prepared == 0);
    }
    CHECK(exec_start(e, NULL, &err) && d->arenas == 2);
    exec_stop(e); /* gives its own arena back, and once only */
    exec_stop(e);
    CHECK(d->arenas == 1);
    exec_free(e);
    d->base.fn->arena_free(&d->base, arena, 0);
    graph_free(g);
}

static bool stop_at(void *ctx, int done_ops, int n_ops)
{
    return done_ops < *(int *)ctx && done_ops < n_ops;
}

static void stops_between_ops_and_runs_again(struct engine_testing_device *d)
{
    struct graph *g = engine_testing_graph(9);
    struct exec *e = NULL;
    struct error err = {0};
    int at = 5;
    float want[MAX_NUMBERS];

    run_apart(g, 3, want);
    CHECK(exec_new(&e, g, &d->base, NULL, 0, &err) && exec_start(e, NULL, &err));
    write_inputs(e, g, 3);
    CHECK(!exec_run(e, stop_at, &at, &err) && err.code == ERROR_CANCELLED);
    CHECK(gives(e, g, want));
    exec_free(e);
    graph_free(g);
}

static void leaves_nothing_behind_when_it_cannot_start(struct engine_testing_device *d)
{
    struct graph *g = engine_testing_graph(3), *broken = graph_new();
    struct exec *e = NULL;
    struct error err = {0};

    graph_fail(broken, "broken");
    CHECK(!exec_new(&e, broken, &d->base, NULL, 0, &err) && !e);
    graph_free(broken);

    CHECK(exec_new(&e, g, &d->base, NULL, 0, &err));
    d->refuses_arenas = true;
    CHECK(!exec_start(e, NULL, &err) && d->arenas == 0 && d->prepared == 0);
    d->refuses_arenas = false;
    d->refuses_graphs = true;
    CHECK(!exec_start(e, NULL, &err) && d->arenas == 0 && d->prepared == 0);
    d->refuses_graphs = false;
    CHECK(exec_start(e, NULL, &err) && d->arenas == 1);
    exec_free(e);
    exec_free(NULL);
    CHECK(d->arenas == 0 && d->prepared == 0);
    graph_free(g);
}

int main(void)
{
    struct engine_testing_device d = {.base = {&engine_testing_functions}};

    computes_in_the_arena_what_it_would_apart(&d);
    borrows_an_arena_and_starts_again(&d);
    stops_between_ops_and_runs_again(&d);
    leaves_nothing_behind_when_it_cannot_start(&d);
    return TEST_END();
}
