/* The kernels for AVX2 with FMA and F16C: 16 registers of 8 lanes. */
#include "engine/cpu/cpu_isa.h"

#if defined(__x86_64__)

#define VEC_LANES 8
#include "engine/cpu/cpu_isa_vector.h"

#include <immintrin.h>

#define TILE_ROWS 6
#define TILE_VECS 2
#define VEC_FMA(a, b, c) ((vf)_mm256_fmadd_ps(a, b, c))
#define VEC_MAX(a, b) ((vf)_mm256_max_ps(a, b))
#define VEC_FROM_F16(h) ((vf)_mm256_cvtph_ps((__m128i)(h)))
#define VEC_TO_F16(v) ((vh)_mm256_cvtps_ph((__m256)(v), _MM_FROUND_TO_NEAREST_INT))
#include "engine/cpu/cpu_isa_template.h"

const struct cpu_kernels *cpu_isa_avx2_table(void)
{
    static const struct cpu_kernels table = TABLE("avx2");
    return &table;
}

#endif
