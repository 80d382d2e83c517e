#include "engine/engine_testing.h"
#include "engine/layout.h"

static void keeps_apart_what_lives_at_the_same_time(struct backend *b)
{
    for (uint32_t seed = 1; seed <= 300; seed++) {
        struct graph *g = engine_testing_graph(seed);
        struct layout l = {0};
        struct error err = {0};
        const bool ok = layout_make(&l, g, b, 0, &err);
        CHECK(ok && l.flops == graph_n_ops(g));
        CHECK(ok && engine_testing_layout_is_sound(&l, g, b));
        layout_clear(&l);
        graph_free(g);
    }
}

/* Layouts that were given up have no places: what an attempt left over lies behind the arena's end.
 */
static bool has_no_places(const struct layout *l, const struct graph *g)
{
    bool none = true;

    for (int t = 1; t <= graph_n_tensors(g); t++)
        none = none && l->tensor_offset[t] == 0;
    for (int op = 0; op < graph_n_ops(g); op++)
        none = none && l->workspace_offset[op] == 0 && l->touched_bytes[op] == 0;
    return none;
}

/* A limit changes nothing but that larger layouts are given up, where nothing is placed.  Limits
 * just below the layout's size are the hard ones: only trying shows that nothing fits, and the
 * answer is then the next larger size instead of the bytes that no layout can do without. */
static void gives_up_under_a_limit_what_it_could_not_place_without(struct backend *b)
{
    int tried = 0;

    for (uint32_t seed = 1; seed <= 300; seed++) {
        struct graph *g = engine_testing_graph(seed);
        struct layout all = {0}, l = {0};
        struct error err = {0};
        CHECK(layout_make(&all, g, b, 0, &err) && all.is_placed);
        for (size_t part = 1; part <= 20; part++) {
            const size_t most = part < 10   ? all.arena_bytes * part / 10 + 1
                                : part < 20 ? all.arena_bytes - (part - 9) * BACKEND_ALIGN
                                            : all.arena_bytes;
            CHECK(layout_make(&l, g, b, most, &err));
            CHECK(l.is_placed == (all.arena_bytes <= most));
            if (l.is_placed)
                CHECK(memcmp(l.tensor_offset, all.tensor_offset,
                             (size_t)(graph_n_tensors(g) + 1) * sizeof *l.tensor_offset) == 0);
            else
                CHECK(l.arena_bytes > most && has_no_places(&l, g));
            tried += part > 10 && part < 20 && l.arena_bytes == most + BACKEND_ALIGN;
            layout_clear(&l);
        }
        layout_clear(&all);
        graph_free(g);
    }
    CHECK(tried > 100);
}

static const struct graph_shape shape = {1, 16, 8, 8};
enum { SHAPE_BYTES = 16 * 8 * 8 * sizeof(float) };

static int act(struct graph *g, int a, int b)
{
    return graph_act(g, &(struct graph_act_op){.a = a, .b = b, .act = GRAPH_ACT_SILU});
}

static int conv(struct graph *g, int x, int residual)
{
    const int64_t dims[2] = {16, 16};
    return graph_conv(g, &(struct graph_conv){.in = {.x = x},
                                              .weight = graph_weight(g, 2, dims, "w"),
                                              .out_c = 16,
                                              .kernel = 1,
                                              .stride = 1,
                                              .residual = residual});
}

/* The last tensor shares its place with `with`. */
static bool shares(struct graph *g, struct backend *b, int out, int with)
{
    struct layout l = {0};
    struct error err = {0};

    graph_output(g, out);
    const bool ok = layout_make(&l, g, b, 0, &err);
    const bool same = ok && l.tensor_offset[out] == l.tensor_offset[with];
    CHECK(ok && engine_testing_layout_is_sound(&l, g, b));
    layout_clear(&l);
    graph_free(g);
    return same;
}

static void writes_over_a_residual_nobody_needs_later(struct backend *b)
{
    struct graph *g = graph_new();
    int in = graph_input(g, shape), r = conv(g, in, 0), x = conv(g, in, 0);
    CHECK(shares(g, b, conv(g, x, r), r));

    g = graph_new();
    in = graph_input(g, shape), r = conv(g, in, 0), x = conv(g, in, 0);
    int y = conv(g, x, r), z = conv(g, y, r); /* r is read once more */
    CHECK(shares(g, b, z, r));

    g = graph_new();
    in = graph_input(g, shape), r = conv(g, in, 0), x = conv(g, in, 0);
    y = conv(g, x, r), z = conv(g, y, r);
    graph_output(g, z);
    CHECK(!shares(g, b, y, r));

    g = graph_new();
    in = graph_input(g, shape), r = conv(g, in, 0);
    CHECK(!shares(g, b, conv(g, r, r), r)); /* the convolution still reads it */

    g = graph_new();
    in = graph_input(g, shape), x = conv(g, in, 0);
    CHECK(!shares(g, b, conv(g, x, in), in)); /* inputs are kept */

    g = graph_new();
    in = graph_input(g, shape), r = conv(g, in, 0), x = conv(g, in, 0);
    graph_output(g, r); /* so are outputs */
    CHECK(!shares(g, b, conv(g, x, r), r));
}

static void writes_an_activation_in_place(struct backend *b)
{
    struct graph *g = graph_new();
    int in = graph_input(g, shape), x = conv(g, in, 0);
    CHECK(shares(g, b, act(g, x, 0), x));

    g = graph_new();
    in = graph_input(g, shape);
    CHECK(!shares(g, b, act(g, in, 0), in));
}

static bool no_workspace(struct backend *b, const struct graph *g, int op,
                         struct backend_needs *out, struct error *err)
{
    (void)b, (void)g, (void)op, (void)err;
    *out = (struct backend_needs){0};
    return true;
}

/* A chain needs its input, the tensor read and the tensor written: three places, however long. */
static void wastes_nothing_on_a_chain(struct backend *b)
{
    struct backend_functions fn = *b->fn;
    struct backend plain = {.fn = &fn};
    struct graph *g = graph_new();
    struct layout l = {0};
    struct error err = {0};
    int x = graph_input(g, shape);

    fn.op_needs = no_workspace;
    for (int i = 0; i < 20; i++)
        x = conv(g, x, 0);
    graph_output(g, x);
    CHECK(layout_make(&l, g, &plain, 0, &err) && l.arena_bytes == 3 * SHAPE_BYTES && l.is_placed);
    layout_clear(&l);
    CHECK(layout_make(&l, g, &plain, 3 * SHAPE_BYTES, &err) && l.is_placed);
    layout_clear(&l);
    CHECK(layout_make(&l, g, &plain, 3 * SHAPE_BYTES - 1, &err) && !l.is_placed);
    CHECK(l.arena_bytes == 3 * SHAPE_BYTES);
    layout_clear(&l);
    graph_free(g);
}

static bool huge_needs(struct backend *b, const struct graph *g, int op, struct backend_needs *out,
                       struct error *err)
{
    (void)b, (void)g, (void)op, (void)err;
    *out = (struct backend_needs){.workspace_bytes = SIZE_MAX / 2};
    return true;
}

static void refuses_sums_that_wrap_around(struct backend *b)
{
    struct backend_functions fn = *b->fn;
    struct backend huge = {.fn = &fn};
    struct graph *g = graph_new();
    struct layout l = {0};
    struct error err = {0};
    int x = graph_input(g, shape);

    fn.op_needs = huge_needs;
    for (int i = 0; i < 3; i++)
        x = conv(g, x, 0);
    graph_output(g, x);
    CHECK(!layout_make(&l, g, &huge, 0, &err) && err.code == ERROR_LIMIT && !l.tensor_offset);
    graph_free(g);
}

/* Granules of one tensor: input and first result, then a third place, then the first one's again.
 */
static void tells_how_much_is_touched_by_when(struct backend *b)
{
    struct backend_functions fn = *b->fn;
    struct backend plain = {.fn = &fn};
    struct graph *g = graph_new();
    struct layout l = {0};
    struct error err = {0};
    int x = graph_input(g, shape);

    fn.op_needs = no_workspace;
    fn.arena_granule = SHAPE_BYTES;
    for (int i = 0; i < 4; i++)
        x = conv(g, x, 0);
    graph_output(g, x);
    CHECK(layout_make(&l, g, &plain, 0, &err) && l.arena_bytes == 3 * SHAPE_BYTES);
    if (l.touched_bytes) {
        CHECK(l.touched_bytes[0] == 2 * SHAPE_BYTES);
        for (int op = 1; op < 4; op++)
            CHECK(l.touched_bytes[op] == 3 * SHAPE_BYTES);
    }
    layout_clear(&l);
    graph_free(g);
}

static void passes_on_a_graphs_failure(struct backend *b)
{
    struct graph *g = graph_new();
    struct layout l = {0};
    struct error err = {0};

    graph_fail(g, "no such thing");
    CHECK(!layout_make(&l, g, b, 0, &err) && strcmp(err.text, "no such thing") == 0);
    graph_free(g);
}

int main(void)
{
    struct engine_testing_device d = {.base = {&engine_testing_functions}};

    keeps_apart_what_lives_at_the_same_time(&d.base);
    gives_up_under_a_limit_what_it_could_not_place_without(&d.base);
    writes_over_a_residual_nobody_needs_later(&d.base);
    writes_an_activation_in_place(&d.base);
    wastes_nothing_on_a_chain(&d.base);
    refuses_sums_that_wrap_around(&d.base);
    tells_how_much_is_touched_by_when(&d.base);
    passes_on_a_graphs_failure(&d.base);
    return TEST_END();
}
