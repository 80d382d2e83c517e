#include "sampler/rng.h"

#include "sampler/rng_math.h"

#include <math.h>
#include <strings.h>

enum { MT_SHIFT = 397, BLOCK = 16, HALF = BLOCK / 2 };

static const double PI = 3.14159265358979323846;

/* Matsumoto and Nishimura, MT19937 (1998), seeded by Knuth's multiplier. */
static void mt_seed(struct rng *r, uint32_t seed)
{
    r->mt[0] = seed;
    for (uint32_t i = 1; i < RNG_MT_WORDS; i++)
        r->mt[i] = 1812433253u * (r->mt[i - 1] ^ (r->mt[i - 1] >> 30)) + i;
    r->mt_next = RNG_MT_WORDS;
}

static void mt_refill(struct rng *r)
{
    uint32_t *s = r->mt;
    for (int i = 0; i < RNG_MT_WORDS; i++) {
        const uint32_t low = s[(i + 1) % RNG_MT_WORDS];
        const uint32_t mixed = (s[i] & 0x80000000u) | (low & 0x7fffffffu);
        s[i] = s[(i + MT_SHIFT) % RNG_MT_WORDS] ^ (mixed >> 1) ^ (low & 1 ? 0x9908b0dfu : 0);
    }
    r->mt_next = 0;
}

static uint32_t mt_draw(struct rng *r)
{
    if (r->mt_next >= RNG_MT_WORDS)
        mt_refill(r);
    uint32_t y = r->mt[r->mt_next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* 24 random bits in [0, 1), as torch's uniform_real_distribution<float>. */
static float uniform_float(struct rng *r)
{
    return (float)(mt_draw(r) & 0xffffffu) * (1.0f / 16777216.0f);
}

/* 53 random bits in [0, 1); the first draw is the high half. */
static double uniform_double(struct rng *r)
{
    const uint64_t high = mt_draw(r);
    const uint64_t bits = high << 32 | mt_draw(r);
    return (double)(bits & ((UINT64_C(1) << 53) - 1)) * (1.0 / 9007199254740992.0);
}

static double scalar_normal(struct rng *r)
{
    if (r->has_cached) {
        r->has_cached = false;
        return r->cached;
    }
    const double u1 = uniform_double(r), u2 = uniform_double(r);
    const double radius = sqrt(-2.0 * log1p(-u2)), theta = 2.0 * PI * u1;
    r->cached = radius * sin(theta);
    r->has_cached = true;
    return radius * cos(theta);
}

/* One block in place: number i and number i + 8 are a pair. */
static void box_muller_block(float *x)
{
    const float two_pi = (float)(2.0 * PI);
    for (int i = 0; i < HALF; i++) {
        const float radius = sqrtf(-2.0f * rng_math_log(1.0f - x[i]));
        float sine, cosine;
        rng_math_sincos(two_pi * x[i + HALF], &sine, &cosine);
        x[i] = radius * cosine;
        x[i + HALF] = radius * sine;
    }
}

static void cpu_normal(struct rng *r, float *out, size_t n)
{
    if (n < BLOCK) {
        for (size_t i = 0; i < n; i++)
            out[i] = (float)scalar_normal(r);
        return;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = uniform_float(r);
    for (size_t i = 0; i + BLOCK <= n; i += BLOCK)
        box_muller_block(out + i);
    if (n % BLOCK) {
        /* torch draws the last 16 anew instead of treating a shorter block. */
        float *tail = out + n - BLOCK;
        for (int i = 0; i < BLOCK; i++)
            tail[i] = uniform_float(r);
        box_muller_block(tail);
    }
}

static void philox_normal(struct rng *r, float *out, size_t n)
{
    /* float32 throughout, as the numpy version that web UIs share. */
    const float to_unit = 2.3283064e-10f;                      /* 2^-32 */
    const float to_angle = (float)(2.3283064e-10 * 6.2831855); /* 2 pi 2^-32 */
    for (size_t i = 0; i < n; i++) {
        uint32_t c[4] = {r->philox_offset, 0, (uint32_t)i, 0};
        rng_math_philox(c, r->seed);
        const float u = (float)c[0] * to_unit + to_unit / 2;
        const float v = (float)c[1] * to_angle + to_angle / 2;
        out[i] = sqrtf(-2.0f * rng_math_numpy_log(u)) * rng_math_numpy_sin(v);
    }
    r->philox_offset++;
}

void rng_init(struct rng *r, enum rng_kind kind, uint64_t seed)
{
    *r = (struct rng){.kind = kind, .seed = seed};
    mt_seed(r, (uint32_t)seed);
}

void rng_normal(struct rng *r, float *out, size_t n)
{
    if (r->kind == RNG_PHILOX)
        philox_normal(r, out, n);
    else
        cpu_normal(r, out, n);
}

bool rng_kind_find(enum rng_kind *out, const char *name)
{
    static const struct {
        const char *name;
        enum rng_kind kind;
    } row[] = {{"cpu", RNG_CPU}, {"philox", RNG_PHILOX}, {"gpu", RNG_PHILOX}};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        if (strcasecmp(name, row[i].name) == 0) {
            *out = row[i].kind;
            return true;
        }
    return false;
}

const char *rng_kind_name(enum rng_kind kind)
{
    return kind == RNG_PHILOX ? "philox" : "cpu";
}
