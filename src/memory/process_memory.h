/* What this process holds in memory, as the system counts it.
 *
 * Mapped weights count once they have been touched; address space that was never touched does not.
 */
#ifndef MEMORY_PROCESS_MEMORY_H
#define MEMORY_PROCESS_MEMORY_H

#include "base/error.h"

#include <stdint.h>

struct process_memory {
    uint64_t resident_bytes;  /* now */
    uint64_t peak_bytes;      /* most since the start of the process or the last reset */
    uint64_t anonymous_bytes; /* the part of resident_bytes that no file backs */
};

bool process_memory_read(struct process_memory *out, struct error *err) MUST_CHECK;

/* Starts a new peak at what is resident now.  Returns false where the system cannot do that (macOS,
 * some containers): the peak then goes on counting from the start of the process. */
bool process_memory_reset_peak(void);

/* Gives freed memory back to the system; no plan counts it.  glibc keeps what is freed, the more
 * the larger its blocks were. */
void process_memory_return_freed(void);

#endif
