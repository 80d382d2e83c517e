/* What the user wants of memory, and what follows from it on a device before any plan is made.
 *
 * Pure functions of plain values.  The planner starts from memory_policy_choose and pulls further
 * levers, but never one that is forbidden, and never gives up one that is forced. */
#ifndef MEMORY_MEMORY_POLICY_H
#define MEMORY_MEMORY_POLICY_H

#include "base/tri.h"
#include "memory/levels.h"

enum memory_optimization {
    MEMORY_VAE_TILING,
    MEMORY_ATTENTION_SLICING,
    MEMORY_EFFICIENT_ATTENTION,
    MEMORY_MODEL_CPU_OFFLOAD,
    MEMORY_SEQUENTIAL_CPU_OFFLOAD,
    MEMORY_REDUCE_VAE_SAMPLE_SIZE, /* 512-pixel tiles instead of 1024; SDXL's VAE only */
    MEMORY_CLEANUP_AFTER_GENERATION,
    MEMORY_CLEANUP_BEFORE_LOADING,
    MEMORY_OPTIMIZATIONS
};

enum memory_size_policy {
    MEMORY_SIZE_TABLE,   /* down to the level's size, then to what the plan demands */
    MEMORY_SIZE_PLANNED, /* no table: the largest size that the plan proves to fit */
    MEMORY_SIZE_REFUSE,  /* never another size */
    MEMORY_SIZE_POLICIES
};

struct memory_policy {
    struct levels_thresholds thresholds;
    struct levels_sizes sizes;
    enum tri optimization[MEMORY_OPTIMIZATIONS]; /* true forces, false forbids */
    enum memory_size_policy size_policy;
    uint64_t budget_bytes;      /* use no more than this; 0: what there is */
    bool reserve_is_set;        /* false: the larger of 512 MiB and 5 % of the machine */
    uint64_t reserve_bytes;     /* left for the system, when set */
    int64_t model_idle_seconds; /* an idle model is unloaded after these; 0: never */
};

/* What is on before the planner adds levers. */
struct memory_choice {
    bool on[MEMORY_OPTIMIZATIONS];
    bool pooling; /* the arena of one generation is kept for the next */
};

/* The tables of levels.h, everything automatic. */
struct memory_policy memory_policy_defaults(void);

/* The largest picture at a level of a device. */
struct memory_size memory_policy_max_size(const struct memory_policy *p, enum machine_device device,
                                          enum memory_level level);

/* The size that asked becomes by the table: asked itself under the other size policies. */
struct memory_size memory_policy_fit_size(const struct memory_policy *p, enum machine_device device,
                                          enum memory_level level, struct memory_size asked);

/* Bytes that a plan may use on the machine: available less the reserve, at most the budget. */
uint64_t memory_policy_usable_bytes(const struct memory_policy *p, const struct machine *m);
uint64_t memory_policy_reserve_bytes(const struct memory_policy *p, const struct machine *m);

/* The device's defaults under what is forced and forbidden.  is_sdxl: SDXL or its refiner. */
struct memory_choice memory_policy_choose(const struct memory_policy *p, enum machine_device device,
                                          enum memory_level level, bool is_sdxl);

/* "vae_tiling", "attention_slicing", "model_cpu_offload", ..., "cleanup_before_loading". */
const char *memory_policy_optimization_name(enum memory_optimization o);

const char *memory_policy_size_policy_name(enum memory_size_policy p); /* "table", ... */

/* False when there is no size policy of that name. */
bool memory_policy_find_size_policy(enum memory_size_policy *out, const char *name);

#endif
