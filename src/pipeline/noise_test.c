#include "base/test.h"
#include "pipeline/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { C = 4, H = 8, W = 6, N = C * H * W };

static const struct noise_shape shape = {C, H, W, 8};

static void start(float *out, const struct gen_request *r, int i, struct noise_shape s)
{
    struct rng rng;
    struct error err = {0};

    rng_init(&rng, r->rng, gen_request_seed(r, i));
    CHECK(noise_start(out, &rng, r, i, s, &err));
}

/* Torch's own numbers for its CPU generator are rng_test's business. */
static void is_the_generators_first_draw(void)
{
    struct gen_request r = gen_request_defaults();
    struct rng rng;
    float a[N], b[N];

    r.seed = 7;
    start(a, &r, 2, shape);
    rng_init(&rng, r.rng, 9);
    rng_normal(&rng, b, N);
    CHECK(memcmp(a, b, sizeof a) == 0);
}

static void goes_from_the_seed_to_the_variations_seed(void)
{
    struct gen_request r = gen_request_defaults();
    float own[N], other[N], mixed[N];

    r.seed = 7;
    start(own, &r, 0, shape);
    r.seed = 50;
    start(other, &r, 0, shape);
    r.seed = 7;
    r.subseed = 50;
    r.subseed_strength = 1e-9;
    start(mixed, &r, 0, shape);
    for (int i = 0; i < N; i++)
        CHECK(fabsf(mixed[i] - own[i]) < 1e-5f);
    r.subseed_strength = 1;
    start(mixed, &r, 0, shape);
    for (int i = 0; i < N; i++)
        CHECK(fabsf(mixed[i] - other[i]) < 1e-5f);
    r.subseed_strength = 0.5; /* the seed stays and the subseed rises */
    start(mixed, &r, 0, shape);
    start(own, &r, 1, shape);
    CHECK(memcmp(mixed, own, sizeof own) != 0);
    r.subseed = 51;
    start(other, &r, 0, shape);
    CHECK(memcmp(other, own, sizeof own) == 0);
}

/* Computed by hand: columns at right angles meet in the middle at 1/sqrt(2) of each; A1111 norms
 * over the second dimension of a latent, its rows. */
static void interpolates_each_column_along_a_circle(void)
{
    const struct noise_shape two = {1, 2, 2, 8};
    float low[4] = {1, 3, 0, 4}, high[4] = {0, 4, 2, -3};
    const float want[4] = {0.70710678f, 0.70710678f * 7, 1.41421356f, 0.70710678f};

    noise_slerp(low, high, 0.5, two);
    for (int i = 0; i < 4; i++)
        CHECK(fabsf(low[i] - want[i]) < 1e-5f);
}

/* A1111's straight line has its ends the other way around. */
static void goes_straight_where_the_two_hardly_differ(void)
{
    const struct noise_shape two = {1, 2, 2, 8};
    float low[4] = {1, 1, 1, 1}, same[4] = {1, 1, 1, 1.01f};

    noise_slerp(low, same, 0.25, two);
    CHECK(fabsf(low[3] - 1.0075f) < 1e-6f && low[0] == 1);
}

static void puts_another_sizes_noise_into_the_middle(void)
{
    struct gen_request r = gen_request_defaults();
    const struct noise_shape small = {C, 4, 2, 8}, large = {C, 12, 10, 8};
    float whole[N], inner[C * 4 * 2], outer[C * 12 * 10], plain[N];

    start(plain, &r, 0, shape);
    start(inner, &r, 0, small);
    r.seed_resize_width = 2 * 8;
    r.seed_resize_height = 4 * 8 + 7;
    start(whole, &r, 0, shape);
    for (int c = 0; c < C; c++)
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++) {
                const bool in = x >= 2 && x < 4 && y >= 2 && y < 6;
                const float want =
                    in ? inner[(c * 4 + y - 2) * 2 + x - 2] : plain[(c * H + y) * W + x];
                CHECK(whole[(c * H + y) * W + x] == want);
            }
    r.seed_resize_width = r.seed_resize_height = 0;
    start(outer, &r, 0, large);
    r.seed_resize_width = 10 * 8;
    r.seed_resize_height = 12 * 8;
    start(whole, &r, 0, shape);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            CHECK(whole[y * W + x] == outer[(y + 2) * 10 + x + 2]);
    r.seed_resize_width = W * 8;
    r.seed_resize_height = H * 8;
    start(whole, &r, 0, shape);
    CHECK(memcmp(whole, plain, sizeof plain) == 0);
}

int main(void)
{
    is_the_generators_first_draw();
    goes_from_the_seed_to_the_variations_seed();
    interpolates_each_column_along_a_circle();
    goes_straight_where_the_two_hardly_differ();
    puts_another_sizes_noise_into_the_middle();
    return TEST_END();
}
