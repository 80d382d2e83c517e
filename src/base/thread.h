/* Threads, locks and conditions: pthreads under names that say what they do.
 *
 * <threads.h> is missing on macOS, so this is the one place that knows pthreads. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>

/* Starts fn(arg) on a new thread with a stack of at least stack_bytes (0: the system's default).
 * The caller joins it with pthread_join. */
bool thread_start(pthread_t *out, void *(*fn)(void *arg), void *arg, size_t stack_bytes,
                  struct error *err) MUST_CHECK;

/* Physical cores this process may run on: cores of its affinity mask, hyper-threads counted once,
 * no more than a cgroup's processor quota allows.  At least 1. */
int thread_physical_cores(void);

#endif
