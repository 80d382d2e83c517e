#include "base/test.h"
#include "sampler/brownian.h"

#include <math.h>
#include <string.h>

enum { N = 4096 };

static void repeats_itself(void)
{
    float a[N], b[N], part[5];
    brownian_noise(7, a, N, 3.5, 1.25);
    brownian_noise(7, b, N, 0.3, 0.1);
    brownian_noise(7, b, N, 3.5, 1.25);
    CHECK(memcmp(a, b, sizeof a) == 0);
    /* an element does not depend on how many there are */
    brownian_noise(7, part, 5, 3.5, 1.25);
    CHECK(memcmp(a, part, sizeof part) == 0);
    brownian_noise(8, b, N, 3.5, 1.25);
    CHECK(memcmp(a, b, sizeof a) != 0);
    brownian_noise(7, b, N, 1.25, 3.5);
    for (int i = 0; i < N; i++)
        CHECK(a[i] == -b[i]);
}

/* Computed once and written down: a picture's noise must not change between versions. */
static void stays_as_it_is(void)
{
    static const double want[6] = {0.462047398, 0.328384191, 0.925687969,
                                   1.06237698,  0.803052962, -1.01628435};
    float got[6];
    brownian_noise(42, got, 6, 14.6, 11.7);
    for (int i = 0; i < 6; i++)
        CHECK(fabs((double)got[i] - want[i]) < 1e-6);
}

static double covariance(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += (double)a[i] * (double)b[i];
    return sum / N;
}

static void adds_up_over_neighbouring_intervals(void)
{
    static const struct {
        double a, b, c;
    } row[] = {{14.6, 11.7, 9.3},  {14.6, 0.1, 0.03}, {4096, 100, 0.03}, {1, 0.999, 0.99},
               {0.5, 0.25, 0.125}, {32768, 2, 0.001}, {3, 3, 2}};
    for (size_t k = 0; k < sizeof row / sizeof row[0]; k++) {
        static float ab[N], bc[N], ac[N];
        const double l_ab = sqrt(brownian_length(row[k].a, row[k].b));
        const double l_bc = sqrt(brownian_length(row[k].b, row[k].c));
        const double l_ac = sqrt(brownian_length(row[k].a, row[k].c));
        brownian_noise(3, ab, N, row[k].a, row[k].b);
        brownian_noise(3, bc, N, row[k].b, row[k].c);
        brownian_noise(3, ac, N, row[k].a, row[k].c);
        CHECK(fabs(l_ac * l_ac - (row[k].a - row[k].c)) < 1e-3 * row[k].a);
        if (row[k].a > row[k].b) /* equal sigmas are told apart, by one place */
            for (int i = 0; i < N; i++)
                CHECK(fabs((double)ab[i] * l_ab + (double)bc[i] * l_bc - (double)ac[i] * l_ac) <
                      1e-5 * l_ac);
        CHECK(fabs(covariance(ab, ab) - 1) < 0.1 && fabs(covariance(ac, ac) - 1) < 0.1);
        CHECK(fabs(covariance(ab, bc)) < 0.08);
    }
}

/* The overlap of two intervals decides how alike their noise is, as for a Brownian motion. */
static void is_as_alike_as_intervals_overlap(void)
{
    static float whole[N], part[N], other[N];
    float ones[N];
    brownian_noise(11, whole, N, 4, 1);
    brownian_noise(11, part, N, 4, 2);
    brownian_noise(11, other, N, 0.9, 0.5);
    CHECK(fabs(covariance(whole, part) - sqrt(2.0 / 3)) < 0.08);
    CHECK(fabs(covariance(whole, other)) < 0.08);
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    CHECK(fabs(covariance(whole, ones)) < 0.08);
    brownian_noise(12, other, N, 4, 1); /* another picture of a batch */
    CHECK(fabs(covariance(whole, other)) < 0.08);
}

static void is_finite_everywhere(void)
{
    static const double sigma[] = {1e-30, 0.002, 0.0291, 1, 14.6, 4096, 32768, 1e9};
    for (size_t a = 0; a < sizeof sigma / sizeof sigma[0]; a++)
        for (size_t b = 0; b < sizeof sigma / sizeof sigma[0]; b++) {
            float x[9];
            brownian_noise(UINT64_MAX, x, 9, sigma[a], sigma[b]);
            CHECK(brownian_length(sigma[a], sigma[b]) > 0);
            for (int i = 0; i < 9; i++)
                CHECK(isfinite(x[i]) && fabs((double)x[i]) < 7);
        }
}

int main(void)
{
    repeats_itself();
    stays_as_it_is();
    adds_up_over_neighbouring_intervals();
    is_as_alike_as_intervals_overlap();
    is_finite_everywhere();
    return TEST_END();
}
