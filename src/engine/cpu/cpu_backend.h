/* The CPU as a device: its kernels, its threads, float32 rows. */
#ifndef ENGINE_CPU_CPU_BACKEND_H
#define ENGINE_CPU_CPU_BACKEND_H

#include "engine/backend.h"

/* n_threads 0: one per physical core.  isa NULL or "auto": the best there is.  The caller owns *out
 * and gives it back with (*out)->fn->close. */
bool cpu_backend_open(struct backend **out, int n_threads, const char *isa,
                      struct error *err) MUST_CHECK;

int cpu_backend_threads(const struct backend *b);
const char *cpu_backend_isa(const struct backend *b);

#endif
