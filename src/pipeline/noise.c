#include "pipeline/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t count(struct noise_shape s)
{
    return (size_t)s.channels * (size_t)s.height * (size_t)s.width;
}

struct column {
    double low, high, cosine; /* lengths of the two and the cosine between them */
};

/* Column x of plane c. */
static struct column measure(const float *low, const float *high, struct noise_shape s, size_t at)
{
    double a = 0, b = 0, ab = 0;

    for (int y = 0; y < s.height; y++) {
        const size_t i = at + (size_t)y * (size_t)s.width;
        a += (double)low[i] * low[i];
        b += (double)high[i] * high[i];
        ab += (double)low[i] * high[i];
    }
    return (struct column){sqrt(a), sqrt(b), ab / sqrt(a * b)};
}

static size_t column_at(struct noise_shape s, int c, int x)
{
    return ((size_t)c * (size_t)s.height) * (size_t)s.width + (size_t)x;
}

static double mean_cosine(const float *low, const float *high, struct noise_shape s)
{
    double sum = 0;

    for (int c = 0; c < s.channels; c++)
        for (int x = 0; x < s.width; x++)
            sum += measure(low, high, s, column_at(s, c, x)).cosine;
    return sum / ((double)s.channels * s.width);
}

void noise_slerp(float *low, const float *high, double part, struct noise_shape s)
{
    const double nearly_equal = 0.9995;

    if (mean_cosine(low, high, s) > nearly_equal) {
        for (size_t i = 0; i < count(s); i++)
            low[i] = (float)(low[i] * part + high[i] * (1 - part));
        return;
    }
    for (int c = 0; c < s.channels; c++)
        for (int x = 0; x < s.width; x++) {
            const size_t at = column_at(s, c, x);
            const double omega = acos(fmin(1, fmax(-1, measure(low, high, s, at).cosine)));
            const double sine = sin(omega);
            const double a = sine > 0 ? sin((1 - part) * omega) / sine : 1 - part;
            const double b = sine > 0 ? sin(part * omega) / sine : part;
            for (int y = 0; y < s.height; y++) {
                const size_t i = at + (size_t)y * (size_t)s.width;
                low[i] = (float)(a * low[i] + b * high[i]);
            }
        }
}

/* The variation's noise of the same shape, mixed in. */
static bool add_variation(float *noise, const struct gen_request *r, int i, struct noise_shape s,
                          struct error *err)
{
    struct rng rng;
    float *other;

    if (!(r->subseed_strength > 0))
        return true;
    other = malloc(count(s) * sizeof *other);
    if (!other)
        return error_set(err, ERROR_MEMORY, "no memory for a variation's noise");
    rng_init(&rng, r->rng, gen_request_subseed(r, i));
    rng_normal(&rng, other, count(s));
    noise_slerp(noise, other, r->subseed_strength, s);
    free(other);
    return true;
}

/* The overlap of two sides that share their middle: its length, and where it begins in each. */
struct overlap {
    int length, from, to;
};

static struct overlap overlap_of(int from, int to)
{
    const int twice = to - from, half = twice >= 0 ? twice / 2 : -((1 - twice) / 2);

    return half >= 0 ? (struct overlap){from, 0, half}
                     : (struct overlap){from + 2 * half, -half, 0};
}

static void put_into_middle(float *out, struct noise_shape s, const float *in, struct noise_shape t)
{
    const struct overlap x = overlap_of(t.width, s.width), y = overlap_of(t.height, s.height);

    for (int c = 0; c < s.channels; c++)
        for (int row = 0; row < y.length; row++)
            memcpy(out + column_at(s, c, x.to) + (size_t)(y.to + row) * (size_t)s.width,
                   in + column_at(t, c, x.from) + (size_t)(y.from + row) * (size_t)t.width,
                   (size_t)x.length * sizeof *out);
}

/* Noise of another size from a generator of its own, over what the picture's draws. */
static bool start_resized(float *out, struct rng *rng, const struct gen_request *r, int i,
                          struct noise_shape s, struct noise_shape t, struct error *err)
{
    float *noise = malloc(count(t) * sizeof *noise);
    struct rng own;
    bool ok = noise || error_set(err, ERROR_MEMORY, "no memory for resized noise");

    if (ok) {
        rng_init(&own, r->rng, gen_request_seed(r, i));
        rng_normal(&own, noise, count(t));
        ok = add_variation(noise, r, i, t, err);
    }
    if (ok) {
        rng_normal(rng, out, count(s));
        put_into_middle(out, s, noise, t);
    }
    free(noise);
    return ok;
}

bool noise_start(float *out, struct rng *rng, const struct gen_request *r, int i,
                 struct noise_shape s, struct error *err)
{
    struct noise_shape t = s;

    if (r->seed_resize_width > 0 && r->seed_resize_height > 0) {
        t.width = r->seed_resize_width / s.scale;
        t.height = r->seed_resize_height / s.scale;
    }
    if (t.width > 0 && t.height > 0 && (t.width != s.width || t.height != s.height))
        return start_resized(out, rng, r, i, s, t, err);
    rng_normal(rng, out, count(s));
    return add_variation(out, r, i, s, err);
}
