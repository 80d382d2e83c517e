#include "base/test.h"
#include "sampler/rng.h"
#include "sampler/rng_math.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

/* The first numbers of torch.randn for a length, as printed by torch with all their digits. */
static void draws_what_torch_draws(void)
{
    static const struct {
        enum rng_kind kind;
        uint64_t seed;
        size_t n;
        float first[4];
    } row[] = {
        {RNG_CPU,
         0,
         5,
         {1.5409960746765137f, -0.293428897857666f, -2.1787893772125244f, 0.5684312582015991f}},
        {RNG_CPU,
         0,
         16,
         {-1.1258398294448853f, -1.152360200881958f, -0.2505785822868347f, -0.4338788092136383f}},
        {RNG_CPU,
         42,
         17,
         {1.9269152879714966f, -0.1595974713563919f, -0.4973975419998169f, 0.439589262008667f}},
        {RNG_CPU,
         1234567890123,
         256,
         {-0.5685415267944336f, -0.1992170363664627f, 1.0399844646453857f, -0.4995630979537964f}},
        {RNG_PHILOX,
         0,
         4,
         {-0.9246624112129211f, -0.42534393072128296f, -2.643845796585083f, 0.14518386125564575f}},
        {RNG_PHILOX,
         1234567890123,
         4,
         {0.4745931029319763f, 0.8396766185760498f, -0.7642828822135925f, -1.0388206243515015f}},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct rng r;
        float out[256];
        rng_init(&r, row[i].kind, row[i].seed);
        rng_normal(&r, out, row[i].n);
        for (int k = 0; k < 4; k++)
            CHECK(out[k] == row[i].first[k]);
    }
}

static void advances_philox_by_one_per_call(void)
{
    struct rng r;
    float out[2];
    rng_init(&r, RNG_PHILOX, 0);
    rng_normal(&r, out, 2);
    rng_normal(&r, out, 2);
    CHECK(out[0] == 0.18082581460475922f && out[1] == -0.5522626638412476f);
}

static void has_mean_0_and_deviation_1(void)
{
    for (int kind = RNG_CPU; kind <= RNG_PHILOX; kind++) {
        static float out[100000];
        const size_t n = sizeof out / sizeof out[0];
        double sum = 0, squares = 0;
        struct rng r;
        rng_init(&r, (enum rng_kind)kind, 7);
        rng_normal(&r, out, n);
        for (size_t i = 0; i < n; i++) {
            sum += (double)out[i];
            squares += (double)out[i] * (double)out[i];
        }
        CHECK(fabs(sum / (double)n) < 0.01);
        CHECK(fabs(squares / (double)n - 1) < 0.015);
    }
}

/* The polynomials are good to about one unit in the last place; far more would be a slip. */
static void computes_log_and_sine(void)
{
    int wrong = 0;
    for (int i = 1; i <= 1 << 16; i++) {
        const float u = (float)i / 65536.0f, angle = u * 6.2831855f;
        float s, c;
        rng_math_sincos(angle, &s, &c);
        wrong += fabs((double)rng_math_numpy_sin(angle) - sin((double)angle)) > 2e-7;
        wrong += fabs((double)rng_math_numpy_log(u) - log((double)u)) > 2e-6;
        if (fabs((double)s - sin((double)angle)) > 2e-7 ||
            fabs((double)c - cos((double)angle)) > 2e-7 ||
            fabs((double)rng_math_log(u) - log((double)u)) > 2e-7 * (1 + fabs(log((double)u)))) {
            wrong++;
        }
    }
    CHECK(wrong == 0);
}

static void knows_its_names(void)
{
    enum rng_kind kind;
    CHECK(rng_kind_find(&kind, "CPU") && kind == RNG_CPU);
    CHECK(rng_kind_find(&kind, "gpu") && kind == RNG_PHILOX);
    CHECK(rng_kind_find(&kind, rng_kind_name(RNG_PHILOX)) && kind == RNG_PHILOX);
    CHECK(!rng_kind_find(&kind, "cuda"));
}

static void check_numbers(struct rng *r, const json_t *want, const char *key)
{
    static float out[MOST];
    const size_t n = json_array_size(want);
    int wrong = 0;
    CHECK(n > 0 && n <= MOST);
    if (n > MOST)
        return;
    rng_normal(r, out, n);
    for (size_t i = 0; i < n; i++)
        wrong += out[i] != (float)json_number_value(json_array_get(want, i));
    if (wrong)
        fprintf(stderr, "%s: %d of %zu numbers differ\n", key, wrong, n);
    CHECK(wrong == 0);
}

/* Every number of the reference file, bit for bit.  Keys: KIND.SEED.LENGTH, torch_cpu_twice.SEED
 * (two draws of one generator) and philox.SEED.CALL. */
static bool repeats_the_reference(void)
{
    const char *refs = getenv("DAPI_REFS");
    char path[1024];
    snprintf(path, sizeof path, "%s/expect/rng.json", refs ? refs : "../shared/refs");
    json_t *root = json_load_file(path, 0, NULL);
    if (!root) {
        fprintf(stderr, "no reference numbers: %s\n", path);
        return false;
    }
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        struct rng r;
        const char *seed = strchr(key, '.') + 1;
        char *end;
        const uint64_t number = strtoull(seed, &end, 10);
        rng_init(&r, strncmp(key, "philox", 6) == 0 ? RNG_PHILOX : RNG_CPU, number);
        if (strncmp(key, "torch_cpu_twice", 15) == 0) {
            for (size_t i = 0; i < json_array_size(value); i++)
                check_numbers(&r, json_array_get(value, i), key);
            continue;
        }
        if (r.kind == RNG_PHILOX)
            r.philox_offset = (uint32_t)strtoul(end + 1, NULL, 10);
        check_numbers(&r, value, key);
    }
    json_decref(root);
    return true;
}

int main(void)
{
    draws_what_torch_draws();
    advances_philox_by_one_per_call();
    has_mean_0_and_deviation_1();
    computes_log_and_sine();
    knows_its_names();
    if (!repeats_the_reference() && !test_failures)
        return 77;
    return TEST_END();
}
