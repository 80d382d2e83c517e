/* The kernels for AVX-512 (F, BW, VL, DQ): 32 registers of 16 lanes. */
#include "engine/cpu/cpu_isa.h"

#if defined(__x86_64__)

#define VEC_LANES 16
#include "engine/cpu/cpu_isa_vector.h"

#include <immintrin.h>

#define TILE_ROWS 14
#define TILE_VECS 2
#define VEC_FMA(a, b, c) ((vf)_mm512_fmadd_ps(a, b, c))
#define VEC_MAX(a, b) ((vf)_mm512_max_ps(a, b))
#define VEC_FROM_F16(h) ((vf)_mm512_cvtph_ps((__m256i)(h)))
#define VEC_TO_F16(v) ((vh)_mm512_cvtps_ph((__m512)(v), _MM_FROUND_TO_NEAREST_INT))
#include "engine/cpu/cpu_isa_template.h"

const struct cpu_kernels *cpu_isa_avx512_table(void)
{
    static const struct cpu_kernels table = TABLE("avx512");
    return &table;
}

#endif
