#include "memory/levels.h"

#include "base/assert.h"

struct levels_thresholds levels_default_thresholds(void)
{
    return (struct levels_thresholds){{8, 16, 24, 32, 32}};
}

struct levels_sizes levels_default_sizes(void)
{
    return (struct levels_sizes){{
        [MACHINE_MPS] = {{512, 512}, {768, 768}, {1024, 1024}, {1280, 1280}, {1536, 1536}},
        [MACHINE_CUDA] = {{768, 768}, {1024, 1024}, {1280, 1280}, {1536, 1536}, {2048, 2048}},
        [MACHINE_CPU] = {{512, 512}, {512, 512}, {768, 768}, {1024, 1024}, {1024, 1024}},
    }};
}

enum memory_level levels_of(uint64_t available_bytes, const struct levels_thresholds *t)
{
    const double gib = (double)available_bytes / (double)((uint64_t)1 << 30);

    for (int i = MEMORY_VERY_LOW; i < MEMORY_HIGH; i++)
        if (gib < t->gib[i])
            return (enum memory_level)i;
    return gib <= t->gib[MEMORY_HIGH] ? MEMORY_HIGH : MEMORY_VERY_HIGH;
}

const char *levels_name(enum memory_level level)
{
    static const char *const name[MEMORY_LEVELS] = {"very_low", "low", "medium", "high",
                                                    "very_high"};
    ASSERT(level < MEMORY_LEVELS);
    return name[level];
}
