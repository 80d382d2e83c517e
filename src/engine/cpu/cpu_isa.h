/* The instruction sets cpu_kernels chooses from: each file cpu_isa_<name>.c gives one table.
 *
 * A table may only be used on a processor that has its instructions; cpu_kernels.c asks. */
#ifndef ENGINE_CPU_CPU_ISA_H
#define ENGINE_CPU_CPU_ISA_H

#include "engine/cpu/cpu_kernels.h"

const struct cpu_kernels *cpu_isa_portable_table(void);

#if defined(__x86_64__)
const struct cpu_kernels *cpu_isa_avx2_table(void);
const struct cpu_kernels *cpu_isa_avx512_table(void);

/* NULL when the processor or the system does not grant the tiles. */
const struct cpu_kernels *cpu_isa_amx_table(void);
void cpu_isa_amx_begin(void);
void cpu_isa_amx_end(void);
#elif defined(__aarch64__)
const struct cpu_kernels *cpu_isa_neon_table(void);
#endif

#endif
