/* How much memory there is, in five words, and the largest picture each of them allows.
 *
 * Tables and look-ups only; what follows from a level is memory_policy's. */
#ifndef MEMORY_LEVELS_H
#define MEMORY_LEVELS_H

#include "memory/machine.h"
#include "memory/memory_fit.h"

enum memory_level {
    MEMORY_VERY_LOW,
    MEMORY_LOW,
    MEMORY_MEDIUM,
    MEMORY_HIGH,
    MEMORY_VERY_HIGH,
    MEMORY_LEVELS
};

/* Upper bounds of the levels in GiB of available memory, rising.  Memory of exactly a bound belongs
 * to the level that begins there, but exactly the bound of `high` is still high.  The last level
 * has no upper bound: its place is accepted in files and changes nothing. */
struct levels_thresholds {
    double gib[MEMORY_LEVELS];
};

/* Largest sizes; only the number of their pixels counts. */
struct levels_sizes {
    struct memory_size max[MACHINE_DEVICE_COUNT][MEMORY_LEVELS];
};

struct levels_thresholds levels_default_thresholds(void); /* 8, 16, 24, 32 */
struct levels_sizes levels_default_sizes(void);

enum memory_level levels_of(uint64_t available_bytes, const struct levels_thresholds *t);

/* "very_low", "low", "medium", "high", "very_high". */
const char *levels_name(enum memory_level level);

#endif
