#include "base/test.h"
#include "engine/graph.h"

#include <string.h>

/* A picture of 8 channels, and the weights that fit it. */
struct parts {
    struct graph *g;
    int x, other, small, w3, w1, wide, joined, bias, scale, affine;
};

static const struct graph_shape shape = {2, 8, 6, 5};

static struct parts new_parts(void)
{
    const int64_t joined[] = {4, 16, 3, 3}, k3[] = {4, 8, 3, 3}, k1[] = {4, 8}, wide[] = {8, 8},
                  four[] = {4}, eight[] = {8};
    struct parts p = {.g = graph_new()};

    p.x = graph_input(p.g, shape);
    p.other = graph_input(p.g, (struct graph_shape){2, 8, 6, 4});
    p.small = graph_input(p.g, (struct graph_shape){2, 4, 6, 5});
    p.w3 = graph_weight(p.g, 4, k3, "three");
    p.w1 = graph_weight(p.g, 2, k1, "one");
    p.wide = graph_weight(p.g, 2, wide, "wide");
    p.joined = graph_weight(p.g, 4, joined, "joined");
    p.bias = graph_weight(p.g, 1, four, "bias");
    p.scale = graph_weight(p.g, 1, eight, "scale");
    p.affine = graph_group_norm(
        p.g, &(struct graph_group_norm){.x = p.x, .weight = p.scale, .bias = p.scale, .groups = 2});
    return p;
}

static struct graph_conv good_conv(const struct parts *p)
{
    return (struct graph_conv){.in = {.x = p->x},
                               .weight = p->w3,
                               .bias = p->bias,
                               .out_c = 4,
                               .kernel = 3,
                               .stride = 1,
                               .pad_before = 1,
                               .pad_after = 1};
}

static bool is_shape(const struct graph *g, int tensor, int64_t n, int64_t c, int64_t h, int64_t w)
{
    if (!tensor)
        return false;
    const struct graph_shape s = graph_tensor_view(g, tensor)->shape;
    return s.n == n && s.c == c && s.h == h && s.w == w;
}

static void knows_the_shapes_of_convolutions(void)
{
    struct parts p = new_parts();
    struct graph_conv c = good_conv(&p);
    struct error err = {0};

    CHECK(is_shape(p.g, graph_conv(p.g, &c), 2, 4, 6, 5));
    c.in.x2 = p.x, c.weight = p.joined;
    CHECK(is_shape(p.g, graph_conv(p.g, &c), 2, 4, 6, 5));
    c = good_conv(&p);
    c.stride = 2;
    CHECK(is_shape(p.g, graph_conv(p.g, &c), 2, 4, 3, 3));
    c.pad_before = 0;
    CHECK(is_shape(p.g, graph_conv(p.g, &c), 2, 4, 3, 2));
    c.stride = 1, c.pad_before = 1;
    c.in.enlarge = true;
    CHECK(is_shape(p.g, graph_conv(p.g, &c), 2, 4, 12, 10));
    c.in.enlarge_h = 11, c.in.enlarge_w = 9;
    CHECK(is_shape(p.g, graph_conv(p.g, &c), 2, 4, 11, 9));
    c = good_conv(&p);
    c.weight = p.wide, c.bias = p.scale, c.kernel = 1, c.pad_before = c.pad_after = 0;
    c.act = GRAPH_ACT_GEGLU; /* 8 rows make 4 channels */
    CHECK(is_shape(p.g, graph_conv(p.g, &c), 2, 4, 6, 5));
    CHECK(graph_check(p.g, &err));
    graph_free(p.g);
}

static void knows_the_shapes_of_the_rest(void)
{
    struct graph *g = graph_new();
    const int64_t table[] = {100, 8}, places[] = {7, 8}, eight[] = {8};
    struct error err = {0};
    int ids = graph_input(g, (struct graph_shape){3, 1, 1, 7});
    int tokens = graph_weight(g, 2, table, "tokens"), at = graph_weight(g, 2, places, "places");
    int norm = graph_weight(g, 1, eight, "norm");

    int x = graph_embed(g, &(struct graph_embed){.ids = ids, .tokens = tokens, .position = at});
    CHECK(is_shape(g, x, 3, 8, 1, 7));
    CHECK(is_shape(g, graph_layer_norm(g, &(struct graph_layer_norm){x, norm, norm, 1e-5f}), 3, 8,
                   1, 7));
    int memory = graph_input(g, (struct graph_shape){3, 8, 1, 4});
    CHECK(is_shape(
        g,
        graph_attention(g, &(struct graph_attention){.q = x, .k = memory, .v = memory, .heads = 2}),
        3, 8, 1, 7));
    CHECK(is_shape(g, graph_act(g, &(struct graph_act_op){.a = x, .b = x}), 3, 8, 1, 7));
    struct graph_embed more = {.ids = ids, .tokens = tokens, .position = at};
    more.more = graph_input(g, (struct graph_shape){1, 8, 1, 5});
    CHECK(is_shape(g, graph_embed(g, &more), 3, 8, 1, 7));
    CHECK(graph_check(g, &err));
    more.more = memory; /* of three prompts */
    CHECK(graph_embed(g, &more) == 0 && !graph_check(g, &err));
    graph_free(g);
}

static void knows_how_long_everything_lives(void)
{
    struct parts p = new_parts(); /* op 0 is the group norm */
    struct graph_conv c = good_conv(&p);
    int first = graph_conv(p.g, &c); /* op 1 */
    c.residual = first;
    c.in.affine = p.affine;
    int second = graph_conv(p.g, &c); /* op 2 */
    graph_output(p.g, second);

    const struct graph_tensor *x = graph_tensor_view(p.g, p.x);
    const struct graph_tensor *t = graph_tensor_view(p.g, first);
    CHECK(x->role == GRAPH_INPUT && x->first_op == -1 && x->last_op == 2);
    CHECK(t->role == GRAPH_VALUE && t->first_op == 1 && t->last_op == 2);
    CHECK(graph_tensor_view(p.g, p.affine)->last_op == 2);
    CHECK(graph_tensor_view(p.g, second)->role == GRAPH_OUTPUT);
    CHECK(graph_tensor_view(p.g, p.other)->last_op == -1);
    CHECK(graph_weight_view(p.g, p.w3)->first_op == 1 &&
          graph_weight_view(p.g, p.w3)->last_op == 2);
    CHECK(graph_weight_view(p.g, p.w1)->first_op == -1);
    CHECK(graph_n_ops(p.g) == 3 && graph_op_view(p.g, 2)->out == second);
    /* Two operations for each of 3 x 3 x 8 products. */
    CHECK(graph_op_flops(p.g, 1) == 2.0 * 2 * 4 * 6 * 5 * 9 * 8);
    graph_free(p.g);
}

static void refuses_convolutions_that_do_not_fit(void)
{
    static const char *const why[] = {"nothing wrong",
                                      "no input",
                                      "input of the future",
                                      "no weight",
                                      "weight of another kernel",
                                      "even kernel",
                                      "stride 3",
                                      "negative padding",
                                      "padding of 3",
                                      "other channels",
                                      "bias of another width",
                                      "residual of another shape",
                                      "residual, stride 2",
                                      "affine of another width",
                                      "channels of another size",
                                      "second input of another size",
                                      "GEGLU of a 3x3",
                                      "add that is no single place"};
    enum { ROWS = sizeof why / sizeof why[0] };

    for (int i = 0; i < ROWS; i++) {
        struct parts p = new_parts();
        struct graph_conv c = good_conv(&p);
        struct error err = {0};
        switch (i) {
        case 1:
            c.in.x = 0;
            break;
        case 2:
            c.in.x = graph_n_tensors(p.g) + 1;
            break;
        case 3:
            c.weight = 0;
            break;
        case 4:
            c.kernel = 1;
            break;
        case 5:
            c.kernel = 2;
            break;
        case 6:
            c.stride = 3;
            break;
        case 7:
            c.pad_before = -1;
            break;
        case 8:
            c.pad_after = 3;
            break;
        case 9:
            c.in.x = p.small;
            break;
        case 10:
            c.bias = p.scale;
            break;
        case 11:
            c.residual = p.x;
            break;
        case 12:
            c.stride = 2, c.residual = p.small;
            break;
        case 13:
            c.in.affine = p.small;
            break;
        case 14:
            c.out_c = 5;
            break;
        case 15:
            c.in.x2 = p.other, c.weight = p.joined;
            break;
        case 16:
            c.act = GRAPH_ACT_GEGLU;
            break;
        case 17:
            c.channel_add = p.small;
            break;
        default:
            break;
        }
        const int ops = graph_n_ops(p.g);
        const int out = graph_conv(p.g, &c);
        if ((out != 0) != (i == 0))
            fprintf(stderr, "row '%s': ", why[i]);
        CHECK((out != 0) == (i == 0));
        CHECK(graph_check(p.g, &err) == (i == 0) && (i == 0 || err.code == ERROR_INVALID));
        CHECK(graph_n_ops(p.g) == ops + (i == 0));
        graph_free(p.g);
    }
}

static void refuses_other_operations_that_do_not_fit(void)
{
    for (int i = 0; i < 9; i++) {
        struct parts p = new_parts();
        struct error err = {0};
        int out = 1;
        switch (i) {
        case 0: /* 8 channels in 3 groups */
            out = graph_group_norm(p.g,
                                   &(struct graph_group_norm){
                                       .x = p.x, .weight = p.scale, .bias = p.scale, .groups = 3});
            break;
        case 1:
            out =
                graph_group_norm(p.g, &(struct graph_group_norm){
                                          .x = p.x, .weight = p.bias, .bias = p.bias, .groups = 2});
            break;
        case 2:
            out = graph_layer_norm(p.g, &(struct graph_layer_norm){p.x, p.scale, p.bias, 1e-5f});
            break;
        case 3:
            out = graph_attention(
                p.g, &(struct graph_attention){.q = p.x, .k = p.x, .v = p.other, .heads = 2});
            break;
        case 4:
            out = graph_attention(
                p.g, &(struct graph_attention){.q = p.x, .k = p.x, .v = p.x, .heads = 3});
            break;
        case 5:
            out = graph_attention(
                p.g, &(struct graph_attention){.q = p.small, .k = p.x, .v = p.x, .heads = 1});
            break;
        case 6:
            out = graph_embed(
                p.g, &(struct graph_embed){.ids = p.x, .tokens = p.wide, .position = p.wide});
            break;
        case 7:
            out = graph_act(p.g, &(struct graph_act_op){.a = p.x, .b = p.other});
            break;
        default:
            out = graph_act(p.g, &(struct graph_act_op){.a = p.x, .act = GRAPH_ACT_GEGLU});
        }
        if (out)
            fprintf(stderr, "row %d: ", i);
        CHECK(!out && !graph_check(p.g, &err) && err.code == ERROR_INVALID && err.text[0]);
        graph_free(p.g);
    }
}

static void keeps_the_first_failure(void)
{
    struct parts p = new_parts();
    struct graph_conv c = good_conv(&p);
    struct error err = {0};
    const int tensors = graph_n_tensors(p.g), ops = graph_n_ops(p.g);

    graph_fail(p.g, "the %s", "first");
    graph_fail(p.g, "the second");
    CHECK(!graph_conv(p.g, &c) && !graph_input(p.g, shape));
    graph_output(p.g, 99);
    CHECK(!graph_check(p.g, &err) && strcmp(err.text, "the first") == 0);
    CHECK(graph_n_tensors(p.g) == tensors && graph_n_ops(p.g) == ops);
    graph_free(p.g);
}

static void refuses_sizes_beyond_its_limits(void)
{
    static const struct graph_shape bad[] = {{0, 1, 1, 1},
                                             {1, -1, 1, 1},
                                             {1, 1, GRAPH_MAX_DIM + 1, 1},
                                             {1, 1 << 20, 1 << 20, 1 << 20},
                                             {INT64_MAX, INT64_MAX, 1, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct graph *g = graph_new();
        struct error err = {0};
        CHECK(!graph_input(g, bad[i]) && !graph_check(g, &err));
        graph_free(g);
    }

    char name[GRAPH_MAX_NAME + 1];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const int64_t dims[5] = {1, 1, 1, 1, 1}, none[1] = {0};
    struct error err = {0};
    struct graph *g = graph_new();
    CHECK(graph_weight(g, 1, dims, "%s", name + 1) == 1);
    CHECK(!graph_weight(g, 1, dims, "%s", name) && !graph_check(g, &err));
    graph_free(g);
    g = graph_new();
    CHECK(!graph_weight(g, 5, dims, "five") && !graph_check(g, &err));
    graph_free(g);
    g = graph_new();
    CHECK(!graph_weight(g, 1, none, "none") && !graph_check(g, &err));
    graph_free(g);

    g = graph_new();
    int x = graph_input(g, (struct graph_shape){1, 1, 1, 1});
    for (int i = 0; i < GRAPH_MAX_TENSORS + 1; i++)
        x = graph_act(g, &(struct graph_act_op){.a = x});
    CHECK(!x && !graph_check(g, &err) && err.code == ERROR_LIMIT);
    CHECK(graph_n_tensors(g) <= GRAPH_MAX_TENSORS);
    graph_free(g);
}

static void refuses_an_output_that_does_not_exist(void)
{
    struct graph *g = graph_new();
    struct error err = {0};
    graph_output(g, 0);
    CHECK(!graph_check(g, &err));
    graph_free(g);
    graph_free(NULL);
}

/* Rows of sums follow each other, also in a ring, and reach the end before they are a norm's. */
static void adds_rows_up_without_a_gap(void)
{
    static const struct {
        const char *why;
        int64_t y, rows, next_y, next_rows;
        bool fits;
    } row[] = {
        {"one after the other", 0, 4, 4, 2, true},
        {"a gap", 0, 3, 4, 2, false},
        {"a row twice", 0, 4, 3, 3, false},
        {"not from the first", 1, 3, 4, 2, false},
        {"more than the ring keeps", 0, 5, 5, 1, false},
        {"beyond the end", 0, 4, 4, 3, false},
        {"not to the end", 0, 3, 3, 2, false},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct parts p = new_parts();
        struct graph_conv c = good_conv(&p);
        struct error err = {0};
        c.into = graph_ring(p.g, (struct graph_shape){2, 4, 4, 5}, 6);
        c.out_rows = 2;
        for (c.out_y = 0; c.out_y < 6; c.out_y += 2)
            graph_conv(p.g, &c);
        struct graph_norm_sums s = {.x = c.into, .y = row[i].y, .rows = row[i].rows};
        s.before = graph_norm_sums(p.g, &s);
        s.y = row[i].next_y;
        s.rows = row[i].next_rows;
        const struct graph_group_norm norm = {.sums = graph_norm_sums(p.g, &s),
                                              .weight = p.bias,
                                              .bias = p.bias,
                                              .groups = 2,
                                              .eps = 1};
        const int out = graph_group_norm(p.g, &norm);
        if (graph_check(p.g, &err) != row[i].fits)
            fprintf(stderr, "%s: %s\n", row[i].why, err.text);
        CHECK(graph_check(p.g, &err) == row[i].fits &&
              is_shape(p.g, out, 2, 8, 1, 1) == row[i].fits);
        graph_free(p.g);
    }
}

/* A layer of many places and one of few, of as many numbers, with a delta each.  Of the work of
 * both, keeping the small one's apart takes places / (places + many) of rank (1/1024 + 1/1024). */
static void keeps_small_deltas_apart_while_they_cost_next_to_nothing(void)
{
    static const struct {
        const char *why;
        int places, many, rank;
        bool apart;
    } row[] = {
        {"0.8 %", 77, 77, 4, true},
        {"1.2 %", 77, 77, 6, false},
        {"0.98 %, beside many places", 77, 400, 31, true},
        {"1.04 %, beside many places", 77, 400, 33, false},
        {"few places", 128, 100000, 1, true},
        {"not few", 129, 100000, 1, false},
        {"no delta", 77, 77, 0, false},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct graph *g = graph_new();
        const int x = graph_input(g, (struct graph_shape){2, 1024, 1, row[i].places});
        const int y = graph_input(g, (struct graph_shape){2, 1024, 1, row[i].many});
        struct graph_conv op = {.in.x = x, .out_c = 1024, .kernel = 1, .stride = 1};
        const int64_t dims[] = {1024, 1024};
        for (int k = 0; k < 2; k++) {
            op.in.x = k ? y : x;
            op.weight = graph_weight(g, 2, dims, "w%d", k);
            CHECK(graph_conv(g, &op) > 0);
        }
        for (int k = 1; k <= 2 && row[i].rank; k++)
            CHECK(graph_add_rank(g, k, row[i].rank));
        CHECK(!graph_rounds_deltas(g) && !graph_keeps_deltas_apart(g, 0));
        graph_round_deltas(g);
        const bool apart = graph_keeps_deltas_apart(g, 0);
        if (apart != row[i].apart)
            fprintf(stderr, "%s\n", row[i].why);
        CHECK(apart == row[i].apart && graph_rounds_deltas(g));
        CHECK(!graph_keeps_deltas_apart(g, 1) || (row[i].many <= 128 && apart));
        graph_free(g);
    }
}

int main(void)
{
    keeps_small_deltas_apart_while_they_cost_next_to_nothing();
    adds_rows_up_without_a_gap();
    knows_the_shapes_of_convolutions();
    knows_the_shapes_of_the_rest();
    knows_how_long_everything_lives();
    refuses_convolutions_that_do_not_fit();
    refuses_other_operations_that_do_not_fit();
    keeps_the_first_failure();
    refuses_sizes_beyond_its_limits();
    refuses_an_output_that_does_not_exist();
    return TEST_END();
}
