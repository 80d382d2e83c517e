#include "memory/memory_policy.h"

#include "base/assert.h"

#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define RESERVE_LEAST (512 * MIB)
#define RESERVE_SHARE 20 /* a twentieth, 5 % */

struct memory_policy memory_policy_defaults(void)
{
    return (struct memory_policy){
        .thresholds = levels_default_thresholds(),
        .sizes = levels_default_sizes(),
        .model_idle_seconds = 600,
    };
}

struct memory_size memory_policy_max_size(const struct memory_policy *p, enum machine_device device,
                                          enum memory_level level)
{
    ASSERT(device < MACHINE_DEVICE_COUNT && level < MEMORY_LEVELS);
    return p->sizes.max[device][level];
}

struct memory_size memory_policy_fit_size(const struct memory_policy *p, enum machine_device device,
                                          enum memory_level level, struct memory_size asked)
{
    return p->size_policy == MEMORY_SIZE_TABLE
               ? memory_fit_size(asked, memory_policy_max_size(p, device, level))
               : asked;
}

uint64_t memory_policy_reserve_bytes(const struct memory_policy *p, const struct machine *m)
{
    uint64_t share = m->total_bytes / RESERVE_SHARE;
    if (p->reserve_is_set)
        return p->reserve_bytes;
    return share > RESERVE_LEAST ? share : RESERVE_LEAST;
}

uint64_t memory_policy_usable_bytes(const struct memory_policy *p, const struct machine *m)
{
    uint64_t reserve = memory_policy_reserve_bytes(p, m);
    uint64_t left = m->available_bytes > reserve ? m->available_bytes - reserve : 0;
    return p->budget_bytes && p->budget_bytes < left ? p->budget_bytes : left;
}

static bool decide(const struct memory_policy *p, enum memory_optimization o, bool automatic)
{
    enum tri t = p->optimization[o];
    return t == TRI_TRUE || (t == TRI_AUTO && automatic);
}

struct memory_choice memory_policy_choose(const struct memory_policy *p, enum machine_device device,
                                          enum memory_level level, bool is_sdxl)
{
    const bool mps = device == MACHINE_MPS, cuda = device == MACHINE_CUDA;
    struct memory_choice c = {0};

    /* Tiles of a reduced size are tiles: forcing the size asks for them, and forbidding tiles
     * leaves no size to reduce. */
    const bool reduced = is_sdxl && decide(p, MEMORY_REDUCE_VAE_SAMPLE_SIZE, mps);
    c.on[MEMORY_VAE_TILING] =
        decide(p, MEMORY_VAE_TILING,
               mps || (reduced && p->optimization[MEMORY_REDUCE_VAE_SAMPLE_SIZE] == TRI_TRUE));
    c.on[MEMORY_REDUCE_VAE_SAMPLE_SIZE] = reduced && c.on[MEMORY_VAE_TILING];

    /* Slices already keep attention small; the one-pass kernel is the default where they are not
     * used: always on CUDA, elsewhere for SDXL, whose matrices are the large ones. */
    c.on[MEMORY_ATTENTION_SLICING] = decide(p, MEMORY_ATTENTION_SLICING, mps);
    c.on[MEMORY_EFFICIENT_ATTENTION] =
        decide(p, MEMORY_EFFICIENT_ATTENTION, cuda || (is_sdxl && !c.on[MEMORY_ATTENTION_SLICING]));

    c.on[MEMORY_MODEL_CPU_OFFLOAD] = decide(p, MEMORY_MODEL_CPU_OFFLOAD, mps);
    c.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] =
        decide(p, MEMORY_SEQUENTIAL_CPU_OFFLOAD, mps && level == MEMORY_VERY_LOW);

    /* CUDA keeps its arena between generations; the others give everything back. */
    c.on[MEMORY_CLEANUP_AFTER_GENERATION] = decide(p, MEMORY_CLEANUP_AFTER_GENERATION, !cuda);
    c.on[MEMORY_CLEANUP_BEFORE_LOADING] = decide(p, MEMORY_CLEANUP_BEFORE_LOADING, true);
    c.pooling = !c.on[MEMORY_CLEANUP_AFTER_GENERATION];
    return c;
}

const char *memory_policy_optimization_name(enum memory_optimization o)
{
    static const char *const name[MEMORY_OPTIMIZATIONS] = {
        [MEMORY_VAE_TILING] = "vae_tiling",
        [MEMORY_ATTENTION_SLICING] = "attention_slicing",
        [MEMORY_EFFICIENT_ATTENTION] = "memory_efficient_attention",
        [MEMORY_MODEL_CPU_OFFLOAD] = "model_cpu_offload",
        [MEMORY_SEQUENTIAL_CPU_OFFLOAD] = "sequential_cpu_offload",
        [MEMORY_REDUCE_VAE_SAMPLE_SIZE] = "reduce_vae_sample_size",
        [MEMORY_CLEANUP_AFTER_GENERATION] = "force_cleanup_after_generation",
        [MEMORY_CLEANUP_BEFORE_LOADING] = "cleanup_before_loading",
    };
    ASSERT(o < MEMORY_OPTIMIZATIONS);
    return name[o];
}

const char *memory_policy_size_policy_name(enum memory_size_policy p)
{
    static const char *const name[MEMORY_SIZE_POLICIES] = {"table", "planned", "refuse"};
    ASSERT(p < MEMORY_SIZE_POLICIES);
    return name[p];
}

bool memory_policy_find_size_policy(enum memory_size_policy *out, const char *name)
{
    for (enum memory_size_policy p = MEMORY_SIZE_TABLE; p < MEMORY_SIZE_POLICIES; p++)
        if (strcmp(memory_policy_size_policy_name(p), name) == 0) {
            *out = p;
            return true;
        }
    return false;
}
