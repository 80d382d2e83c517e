/* The whole table of cpu_kernels.h for one instruction set.
 *
 * A file cpu_isa_<name>.c defines VEC_LANES and includes cpu_isa_vector.h, defines TILE_ROWS and
 * TILE_VECS and, where the instruction set has better than the general form, VEC_FMA(a, b, c),
 * VEC_MAX(a, b), VEC_FROM_F16(h) and VEC_TO_F16(v), and includes this.  TABLE(name) is then its
 * table. */
#ifndef ENGINE_CPU_CPU_ISA_TEMPLATE_H
#define ENGINE_CPU_CPU_ISA_TEMPLATE_H

#include "engine/cpu/cpu_isa.h"
#include "engine/cpu/cpu_isa_gemm.h"
#include "engine/cpu/cpu_isa_math.h"
#include "engine/cpu/cpu_isa_pack.h"
#include "engine/cpu/cpu_isa_rows.h"

#define TABLE(isa)                                                                                 \
    {                                                                                              \
        .name = isa, .mr = TILE_ROWS, .nr = TILE_COLUMNS, .k_multiple = 1, .a_is_f32 = true,       \
        .gemm = gemm, .prepare_rows = prepare_rows, .pack_weights = pack_weights,                  \
        .pack_columns = pack_columns, .finish_rows = finish_rows, .softmax_rows = softmax_rows,    \
        .scale_rows = scale_rows, .layer_norm_rows = layer_norm_rows,                              \
        .channel_sums = channel_sums, .act_rows = act_rows, .to_f32 = to_f32, .from_f32 = from_f32 \
    }

#endif
