/* What is said to be alive together in a UNet never needs more than a layout, and not much less. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/layout.h"
#include "nn/nn_test_configs.h"
#include "nn/unet.h"

static bool needs_nothing(struct backend *b, const struct graph *g, int op,
                          struct backend_needs *out, struct error *err)
{
    (void)b, (void)g, (void)op, (void)err;
    *out = (struct backend_needs){0};
    return true;
}

/* alive over arena. */
static double part_of(struct backend *b, const struct unet_config *c, struct graph_shape sample)
{
    struct graph_shape alive[UNET_ALIVE_MOST];
    struct graph *g = graph_new();
    struct layout l = {0};
    struct error err = {0};
    size_t bytes = 0;
    const int n = unet_alive(c, sample, alive);
    struct unet_inputs in = {.sample = graph_input(g, sample)};

    in.timestep = graph_input(g, (struct graph_shape){sample.n, c->channels[0], 1, 1});
    in.context = graph_input(g, (struct graph_shape){sample.n, c->cross_attention_dim, 1, 77});
    if (c->addition_input_dim)
        in.added = graph_input(g, (struct graph_shape){sample.n, c->addition_input_dim, 1, 1});
    graph_output(g, unet_build(g, c, &in));
    for (int i = 0; i < n; i++) {
        size_t one;
        CHECK(b->fn->tensor_bytes(b, alive[i], &one, &err));
        bytes += one;
    }
    CHECK(n > 0 && layout_make(&l, g, b, 0, &err));
    const double part = (double)bytes / (double)l.arena_bytes;
    if (!(part <= 1))
        fprintf(stderr, "%d x %dx%d: %zu > %zu\n", (int)sample.n, (int)sample.w, (int)sample.h,
                bytes, l.arena_bytes);
    layout_clear(&l);
    graph_free(g);
    return part;
}

static const struct unet_config *const configs[] = {&nn_test_unet_sd15, &nn_test_unet_sdxl,
                                                    &nn_test_unet_refiner};

int main(void)
{
    struct error err = {0};
    struct backend *b = NULL;

    CHECK(cpu_backend_open(&b, 2, "auto", &err));
    if (!b)
        return TEST_END();
    struct backend_functions fn = *b->fn;
    struct backend plain = {.fn = &fn};
    fn.op_needs = needs_nothing;
    fn.arena_granule = BACKEND_ALIGN;
    for (size_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        const int64_t channels = configs[i]->in_channels;
        for (int64_t n = 1; n <= 3; n++)
            for (int64_t side = 1; side <= 128; side = side * 2 + (side == 8))
                for (int64_t other = 1; other <= 96; other *= 6)
                    CHECK(part_of(&plain, configs[i],
                                  (struct graph_shape){n, channels, side, other}) <= 1);
        CHECK(part_of(b, configs[i], (struct graph_shape){2, channels, 128, 128}) >= 0.9);
    }
    b->fn->close(b);
    const struct unet_config none = {0};
    struct graph_shape out[UNET_ALIVE_MOST];
    CHECK(unet_alive(&none, (struct graph_shape){1, 4, 8, 8}, out) == 0);
    return TEST_END();
}
