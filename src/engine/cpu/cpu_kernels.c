/* Which tables this processor can run, and the choice among them. */
#include "engine/cpu/cpu_kernels.h"

#include "engine/cpu/cpu_isa.h"

#include <stdio.h>
#include <string.h>

/* One instruction set.  supported NULL: every processor of this architecture. */
struct isa {
    const char *name;
    bool (*supported)(void);
    const struct cpu_kernels *(*table)(void);
    void (*begin)(void), (*end)(void);
};

#if defined(__x86_64__)
/* Every processor with AVX2 converts half precision too (F16C is one generation older), and the
 * built-in looks at what the system saves on a task switch. */
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

/* From the slowest to the fastest. */
static const struct isa isas[] = {
    {"portable", NULL, cpu_isa_portable_table, NULL, NULL},
#if defined(__x86_64__)
    {"avx2", has_avx2, cpu_isa_avx2_table, NULL, NULL},
    {"avx512", has_avx512, cpu_isa_avx512_table, NULL, NULL},
    {"amx", has_avx512, cpu_isa_amx_table, cpu_isa_amx_begin, cpu_isa_amx_end},
#elif defined(__aarch64__)
    {"neon", NULL, cpu_isa_neon_table, NULL, NULL},
#endif
};

enum { N_ISAS = sizeof isas / sizeof *isas };

static const struct cpu_kernels *find_table(const struct isa *isa)
{
    return isa->supported && !isa->supported() ? NULL : isa->table();
}

static const struct isa *find_isa(const char *name)
{
    for (int i = 0; i < N_ISAS; i++)
        if (strcmp(isas[i].name, name) == 0)
            return &isas[i];
    return NULL;
}

void cpu_kernels_thread_begin(const struct cpu_kernels *k)
{
    const struct isa *isa = find_isa(k->name);
    if (isa && isa->begin)
        isa->begin();
}

void cpu_kernels_thread_end(const struct cpu_kernels *k)
{
    const struct isa *isa = find_isa(k->name);
    if (isa && isa->end)
        isa->end();
}

int cpu_kernels_list(const struct cpu_kernels *out[8])
{
    int n = 0;
    for (int i = 0; i < N_ISAS; i++) {
        const struct cpu_kernels *k = find_table(&isas[i]);
        if (k)
            out[n++] = k;
    }
    return n;
}

const struct cpu_kernels *cpu_kernels_find(const char *name, struct error *err)
{
    const struct cpu_kernels *can[8];
    const int n = cpu_kernels_list(can);
    if (!name || strcmp(name, "auto") == 0)
        return can[n - 1];

    char names[128] = "auto";
    size_t used = strlen(names);
    for (int i = 0; i < n; i++) {
        if (strcmp(can[i]->name, name) == 0)
            return can[i];
        const int wrote = snprintf(names + used, sizeof names - used, ", %s", can[i]->name);
        if (wrote > 0 && (size_t)wrote < sizeof names - used)
            used += (size_t)wrote;
    }
    error_set(err, ERROR_INVALID, "%s '%.40s'; this machine runs %s",
              find_isa(name) ? "this processor or system does not offer the instruction set"
                             : "there is no instruction set",
              name, names);
    return NULL;
}
