/* The log lines about memory that every generation begins with.
 *
 * Their wording is fixed: people and scripts read them.  Nothing is decided here; further lines
 * may follow, none comes between. */
#ifndef MEMORY_TRANSCRIPT_H
#define MEMORY_TRANSCRIPT_H

#include "base/log.h"
#include "memory/memory_policy.h"

struct transcript {
    struct machine machine;
    enum memory_level level;
    struct memory_size asked, used; /* a line tells of it when they differ */
    struct memory_choice choice;    /* what is on, the planner's own levers included */
    /* Settings that the user made: cleanups are lines only where he asked for them. */
    enum tri cleanup_after_generation, cleanup_before_loading;
};

/* What a generation under the policy says before a planner adds to it: level, size by the table,
 * and the device's optimizations. */
struct transcript transcript_of(const struct memory_policy *p, const struct machine *m,
                                struct memory_size asked, bool is_sdxl);

/* Writes the lines with log_plain, in their order. */
void transcript_write(const struct transcript *t, const struct log *log);

#endif
