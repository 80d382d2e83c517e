/* The kernels in 16-byte vectors that every compiler can make of plain C: the table the others are
 * tested against. */
#include "engine/cpu/cpu_isa.h"

#define VEC_LANES 4
#include "engine/cpu/cpu_isa_vector.h"

#define TILE_ROWS 4
#define TILE_VECS 2
#include "engine/cpu/cpu_isa_template.h"

const struct cpu_kernels *cpu_isa_portable_table(void)
{
    static const struct cpu_kernels table = TABLE("portable");
    return &table;
}
