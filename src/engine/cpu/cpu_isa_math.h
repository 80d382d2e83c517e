/* Activations on vectors.  Included by cpu_isa_template.h. */
#ifndef ENGINE_CPU_CPU_ISA_MATH_H
#define ENGINE_CPU_CPU_ISA_MATH_H

#include "engine/cpu/cpu_isa_vector.h"
#include "engine/graph.h"

#ifndef VEC_FMA
#define VEC_FMA(a, b, c) ((a) * (b) + (c))
#endif
#ifndef VEC_MAX
#define VEC_MAX(a, b) select_vf((a) > (b), (a), (b))
#endif

ALWAYS_INLINE vf abs_vf(vf x)
{
    return (vf)((vi)x & 0x7fffffff);
}

/* e^x for x <= 0, relative error below 2e-7; exactly 1 at 0, and 0 below -87.3 where float32 leaves
 * its normal range.  Range reduction and polynomial are those of Cephes' expf (Moshier). */
ALWAYS_INLINE vf exp_negative(vf x)
{
    const float round_magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    const vi in_range = x >= splat(-87.3f);

    x = VEC_MAX(x, splat(-87.3f));
    const vf shifted = VEC_FMA(x, splat(1.44269504088896341f), splat(round_magic));
    const vf n = shifted - splat(round_magic);
    vf r = VEC_FMA(n, splat(-0.693359375f), x);
    r = VEC_FMA(n, splat(2.12194440e-4f), r);

    vf p = splat(1.9875691500e-4f);
    p = VEC_FMA(p, r, splat(1.3981999507e-3f));
    p = VEC_FMA(p, r, splat(8.3334519073e-3f));
    p = VEC_FMA(p, r, splat(4.1665795894e-2f));
    p = VEC_FMA(p, r, splat(1.6666665459e-1f));
    p = VEC_FMA(p, r, splat(5.0000001201e-1f));
    p = VEC_FMA(p, r * r, r) + splat(1.0f);

    /* The whole number stands in the low bits of shifted; moved up it is the exponent to add. */
    const vi power = (vi)((vu)shifted << 23) + (vi)splat(1.0f);
    return (vf)((vi)(p * (vf)power) & in_range);
}

/* 2^x for x <= 0, relative error below 2e-7; exactly 1 at 0, and 0 below -126, where float32 leaves
 * its normal range.  The polynomial is that of Cephes' exp2f. */
ALWAYS_INLINE vf exp2_negative(vf x)
{
    const float round_magic = 12582912.0f;
    const vi in_range = x >= splat(-126.0f);

    x = VEC_MAX(x, splat(-126.0f));
    const vf shifted = x + splat(round_magic);
    const vf r = x - (shifted - splat(round_magic));

    vf p = splat(1.535336188319500e-4f);
    p = VEC_FMA(p, r, splat(1.339887440266574e-3f));
    p = VEC_FMA(p, r, splat(9.618437357674640e-3f));
    p = VEC_FMA(p, r, splat(5.550332471162809e-2f));
    p = VEC_FMA(p, r, splat(2.402264791363012e-1f));
    p = VEC_FMA(p, r, splat(6.931472028550421e-1f));
    p = VEC_FMA(p, r, splat(1.0f));

    const vi power = (vi)((vu)shifted << 23) + (vi)splat(1.0f);
    return (vf)((vi)(p * (vf)power) & in_range);
}

/* No branch overflows: e^-|x| is at most 1. */
ALWAYS_INLINE vf sigmoid(vf x)
{
    const vf e = exp_negative(-abs_vf(x));
    return select_vf(x >= splat(0.0f), splat(1.0f), e) / (splat(1.0f) + e);
}

ALWAYS_INLINE vf silu(vf x)
{
    return x * sigmoid(x);
}

/* x Phi(x) with erf by Abramowitz and Stegun 7.1.26 (absolute error of erf 1.5e-7), written for |x|
 * so that both tails come out as x and 0 without cancellation. */
ALWAYS_INLINE vf gelu(vf x)
{
    const vf magnitude = abs_vf(x);
    const vf z = magnitude * splat(0.707106781186547524f);
    const vf t = splat(1.0f) / VEC_FMA(z, splat(0.3275911f), splat(1.0f));

    vf q = splat(1.061405429f);
    q = VEC_FMA(q, t, splat(-1.453152027f));
    q = VEC_FMA(q, t, splat(1.421413741f));
    q = VEC_FMA(q, t, splat(-0.284496736f));
    q = VEC_FMA(q, t, splat(0.254829592f));
    q = q * t * exp_negative(-(z * z)); /* erfc(z) */
    return VEC_MAX(x, splat(0.0f)) - magnitude * splat(0.5f) * q;
}

/* GEGLU takes two operands and is none of these. */
ALWAYS_INLINE vf activate(vf x, const enum graph_act act)
{
    switch (act) {
    case GRAPH_ACT_SILU:
        return silu(x);
    case GRAPH_ACT_QUICK_GELU:
        return x * sigmoid(x * splat(1.702f));
    case GRAPH_ACT_GELU:
        return gelu(x);
    case GRAPH_ACT_RELU: /* the second operand is what the maximum of a NaN is on x86 */
        return VEC_MAX(splat(0.0f), x);
    case GRAPH_ACT_LEAKY_RELU:
        return VEC_MAX(x * splat(0.2f), x);
    case GRAPH_ACT_NONE:
    case GRAPH_ACT_GEGLU:
        break;
    }
    return x;
}

#endif
