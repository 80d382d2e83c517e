#include "sampler/brownian.h"

#include "sampler/rng_math.h"

#include <math.h>
#include <stdbool.h>

/* The tree halves log2(sigma), since steps grow with sigma.  Its leaves are places 0 .. TOP. */
enum { LEVELS = 16, TOP = 1 << LEVELS, LANES = 4 };

static const double LOG2_LOW = -9, LOG2_HIGH = 15;

/* The halvings on the way down to one place, and what Levy's bridge takes from both ends. */
struct way {
    int n;
    struct {
        uint32_t place; /* of the halving; it names the random number */
        double part;    /* of the upper end in the mean */
        double deviation;
        bool goes_up; /* to the upper half */
    } at[LEVELS];
};

/* normal numbers of neighbouring elements */
struct lanes {
    float z[LANES];
};

static uint32_t place_of(double sigma)
{
    const double part = (log2(sigma) - LOG2_LOW) / (LOG2_HIGH - LOG2_LOW);
    return (uint32_t)lround(fmin(fmax(part, 0), 1) * TOP);
}

static double sigma_at(uint32_t place)
{
    return exp2(LOG2_LOW + (LOG2_HIGH - LOG2_LOW) * place / TOP);
}

/* Two sigmas that fall on one place are told apart by one. */
static void places_of(uint32_t place[2], double from, double to)
{
    place[0] = place_of(from);
    place[1] = place_of(to);
    if (place[0] != place[1])
        return;
    const int lower = from < to ? 0 : 1;
    if (place[lower] > 0)
        place[lower]--;
    else
        place[1 - lower]++;
}

double brownian_length(double from, double to)
{
    uint32_t place[2];
    places_of(place, from, to);
    return fabs(sigma_at(place[0]) - sigma_at(place[1]));
}

static void way_to(struct way *w, uint32_t place)
{
    uint32_t low = 0, high = TOP;

    w->n = 0;
    while (place != low && place != high) {
        const uint32_t mid = (low + high) / 2;
        const double below = sigma_at(mid) - sigma_at(low), above = sigma_at(high) - sigma_at(mid);
        w->at[w->n].place = mid;
        w->at[w->n].part = below / (below + above);
        w->at[w->n].deviation = sqrt(below * above / (below + above));
        w->at[w->n].goes_up = place >= mid;
        w->n++;
        if (place >= mid)
            low = mid;
        else
            high = mid;
    }
}

/* Box and Muller on the bits that belong to a place and a group of elements.  The last counter
 * keeps them apart from those of rng.c. */
static void normals(struct lanes *out, uint64_t seed, uint32_t place, uint32_t group)
{
    static const float two_pi = 6.2831853f;
    uint32_t c[4] = {place, group, 0, 0x42726f77u};

    rng_math_philox(c, seed);
    for (int i = 0; i < LANES; i += 2) {
        float sine, cosine;
        const float u = (float)(((double)c[i] + 0.5) * 0x1p-32);
        const float radius = sqrtf(-2.0f * rng_math_log(u));
        rng_math_sincos((float)(c[i + 1] >> 8) * 0x1p-24f * two_pi, &sine, &cosine);
        out->z[i] = radius * cosine;
        out->z[i + 1] = radius * sine;
    }
}

/* W at the end of a way, for one element.  W is 0 at the lowest place. */
static double walk(const struct way *w, uint32_t place, const struct lanes *z, int lane, double top)
{
    double low = 0, high = top;

    for (int i = 0; i < w->n; i++) {
        const double part = w->at[i].part;
        const double mid =
            (1 - part) * low + part * high + w->at[i].deviation * (double)z[i].z[lane];
        if (w->at[i].goes_up)
            low = mid;
        else
            high = mid;
    }
    /* The way ends where the place is one of the two ends; only the topmost is a high one. */
    return place == TOP ? high : low;
}

void brownian_noise(uint64_t seed, float *out, size_t n, double from, double to)
{
    const double scale = 1 / sqrt(brownian_length(from, to));
    const double top_deviation = sqrt(sigma_at(TOP) - sigma_at(0));
    uint32_t place[2];
    struct way way[2];
    struct lanes z[2][LEVELS], top;
    int shared = 0;

    places_of(place, from, to);
    way_to(&way[0], place[0]);
    way_to(&way[1], place[1]);
    while (shared < way[0].n && shared < way[1].n &&
           way[0].at[shared].place == way[1].at[shared].place)
        shared++;

    for (size_t k = 0; k < n; k += LANES) {
        const uint32_t group = (uint32_t)(k / LANES);
        normals(&top, seed, TOP, group);
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < way[side].n; i++)
                if (side == 0 || i >= shared)
                    normals(&z[side][i], seed, way[side].at[i].place, group);
                else
                    z[1][i] = z[0][i];
        for (size_t lane = 0; lane < LANES && k + lane < n; lane++) {
            const double end = top_deviation * (double)top.z[lane];
            const double w_from = walk(&way[0], place[0], z[0], (int)lane, end);
            const double w_to = walk(&way[1], place[1], z[1], (int)lane, end);
            out[k + lane] = (float)((w_to - w_from) * scale);
        }
    }
}
