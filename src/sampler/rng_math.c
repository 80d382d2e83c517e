/* Cephes' single precision log, sin and cos (S. Moshier, 1992), with the rounding torch's AVX2
 * kernel gives them: each product that feeds a sum is fused with it.  The C library's functions
 * differ in the last bit, and so would every picture of a seed. */
#include "sampler/rng_math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Horner's rule with one rounding per step; the first coefficient is of the highest power. */
static float polynomial(const float *c, int n, float x)
{
    float y = c[0];
    for (int i = 1; i < n; i++)
        y = fmaf(y, x, c[i]);
    return y;
}

float rng_math_log(float x)
{
    static const float c[] = {7.0376836292E-2f,  -1.1514610310E-1f, 1.1676998740E-1f,
                              -1.2420140846E-1f, 1.4249322787E-1f,  -1.6668057665E-1f,
                              2.0000714765E-1f,  -2.4999993993E-1f, 3.3333331174E-1f};
    const uint32_t bits = bits_of(x);
    float e = (float)((int)(bits >> 23) - 126);
    float m = float_of((bits & 0x007fffffu) | 0x3f000000u); /* [0.5, 1) */

    if (m < 0.707106781186547524f) {
        e -= 1.0f;
        m = (m - 1.0f) + m;
    } else {
        m -= 1.0f;
    }
    const float z = m * m;
    float y = polynomial(c, 9, m) * m;
    /* ln 2 in two parts, 0.693359375 - 2.12194440e-4. */
    const float low = e * -2.12194440e-4f;
    y = fmaf(y, z, low);
    y = fmaf(-0.5f, z, y);
    const float sum = m + y;
    return fmaf(e, 0.693359375f, sum);
}

void rng_math_sincos(float x, float *sine, float *cosine)
{
    static const float sin_c[] = {-1.9515295891E-4f, 8.3321608736E-3f, -1.6666654611E-1f};
    static const float cos_c[] = {2.443315711809948E-005f, -1.388731625493765E-003f,
                                  4.166664568298827E-002f};
    const float scaled = x * 1.27323954473516f; /* 4 / pi */
    const uint32_t octant = ((uint32_t)scaled + 1) & ~1u;
    const float y = (float)octant;

    /* pi / 4 in three parts, so that the difference keeps all its bits. */
    float r = fmaf(y, -0.78515625f, x);
    r = fmaf(y, -2.4187564849853515625e-4f, r);
    r = fmaf(y, -3.77489497744594108e-8f, r);
    const float z = r * r;

    const float half = z * 0.5f;
    float c = polynomial(cos_c, 3, z) * z;
    c = fmaf(c, z, -half) + 1.0f;
    float s = polynomial(sin_c, 3, z) * z;
    s = fmaf(s, r, r);

    const int swapped = octant & 2 ? 1 : 0;
    const float sin_abs = swapped ? c : s, cos_abs = swapped ? s : c;
    *sine = octant & 4 ? -sin_abs : sin_abs;
    *cosine = (octant + 2) & 4 ? -cos_abs : cos_abs;
}

/* A quotient of two polynomials of degree 5 for log(1 + m), as in numpy's vectorised log. */
float rng_math_numpy_log(float x)
{
    static const float over[] = {2.589979117907922693523e-02f, 3.808837741388407920751e-01f,
                                 1.480000633576506585156e+00f, 2.112677543073053063722e+00f,
                                 9.999999999999998702752e-01f, 0.0f};
    static const float under[] = {5.875095403124574342950e-03f, 1.546476374983906719538e-01f,
                                  9.864942958519418960339e-01f, 2.453006071784736363091e+00f,
                                  2.612677543073109236779e+00f, 1.0f};
    int e;
    float m = frexpf(x, &e); /* [0.5, 1) */
    if (m < 0.707106781186547524f) {
        m *= 2;
        e--;
    }
    m -= 1.0f;
    const float quotient = polynomial(over, 6, m) / polynomial(under, 6, m);
    return fmaf((float)e, 0.693147180559945309417f, quotient);
}

/* Cody and Waite's reduction by quarter turns, then polynomials, as in numpy's vectorised sine. */
float rng_math_numpy_sin(float x)
{
    static const float sin_c[] = {0x1.7d3bbcp-19f, -0x1.a06bbap-13f, 0x1.11119ap-07f,
                                  -0x1.555556p-03f};
    static const float cos_c[] = {0x1.98e616p-16f, -0x1.6c06dcp-10f, 0x1.55553cp-05f, -0.5f, 1.0f};
    const float quarter = rintf(x * 0x1.45f306p-1f); /* 2 / pi */
    float r = fmaf(quarter, -0x1.921fb0p+00f, x);
    r = fmaf(quarter, -0x1.5110b4p-22f, r);
    r = fmaf(quarter, -0x1.846988p-48f, r);
    const float z = r * r;

    const float s = polynomial(sin_c, 4, z) * z;
    const int turn = (int)quarter;
    const float sine = turn & 1 ? polynomial(cos_c, 5, z) : fmaf(s, r, r);
    return turn & 2 ? -sine : sine;
}

/* Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011). */
void rng_math_philox(uint32_t c[4], uint64_t seed)
{
    uint32_t key0 = (uint32_t)seed, key1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)c[0] * 0xD2511F53u, b = (uint64_t)c[2] * 0xCD9E8D57u;
        c[0] = (uint32_t)(b >> 32) ^ c[1] ^ key0;
        c[1] = (uint32_t)b;
        c[2] = (uint32_t)(a >> 32) ^ c[3] ^ key1;
        c[3] = (uint32_t)a;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}
