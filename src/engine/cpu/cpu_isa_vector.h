/* Vectors of VEC_LANES float32 in the compilers' vector extensions: types, loads, stores.
 *
 * The file that includes this defines VEC_LANES, then whatever it has better than the general forms
 * of cpu_isa_template.h.  These files are compiled without contraction: a multiply-add is fused
 * where VEC_FMA says so and nowhere else, so that a number never depends on which loop made it. */
#ifndef ENGINE_CPU_CPU_ISA_VECTOR_H
#define ENGINE_CPU_CPU_ISA_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

typedef float vf __attribute__((vector_size(VEC_LANES * 4)));
typedef int32_t vi __attribute__((vector_size(VEC_LANES * 4)));
typedef uint32_t vu __attribute__((vector_size(VEC_LANES * 4)));
typedef uint16_t vh __attribute__((vector_size(VEC_LANES * 2)));

/* x - 0 is x, also for -0. */
ALWAYS_INLINE vf splat(float x)
{
    return x - (vf){0};
}

ALWAYS_INLINE vf load(const void *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

ALWAYS_INLINE void store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

/* The first n numbers, zeros behind them; nothing beyond them is touched. */
ALWAYS_INLINE vf load_part(const void *p, int n)
{
    vf v = {0};
    memcpy(&v, p, (size_t)n * sizeof(float));
    return v;
}

ALWAYS_INLINE void store_part(float *p, vf v, int n)
{
    memcpy(p, &v, (size_t)n * sizeof(float));
}

/* mask is all ones or all zeros per lane, as comparisons give it. */
ALWAYS_INLINE vf select_vf(vi mask, vf yes, vf no)
{
    return (vf)((mask & (vi)yes) | (~mask & (vi)no));
}

#endif
