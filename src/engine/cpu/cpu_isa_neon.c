/* The kernels for 64-bit ARM: 32 registers of 4 lanes. */
#include "engine/cpu/cpu_isa.h"

#if defined(__aarch64__)

#define VEC_LANES 4
#include "engine/cpu/cpu_isa_vector.h"

#include <arm_neon.h>

#define TILE_ROWS 8
#define TILE_VECS 2
#define VEC_FMA(a, b, c) ((vf)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define VEC_MAX(a, b) ((vf)vmaxq_f32((float32x4_t)(a), (float32x4_t)(b)))
#define VEC_FROM_F16(h) ((vf)vcvt_f32_f16((float16x4_t)(h)))
#define VEC_TO_F16(v) ((vh)vcvt_f16_f32((float32x4_t)(v)))
#include "engine/cpu/cpu_isa_template.h"

const struct cpu_kernels *cpu_isa_neon_table(void)
{
    static const struct cpu_kernels table = TABLE("neon");
    return &table;
}

#endif
