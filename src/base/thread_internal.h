/* For thread.c and its test: counting cores below a root that need not be the system's. */
#ifndef BASE_THREAD_INTERNAL_H
#define BASE_THREAD_INTERNAL_H

#include <stdbool.h>

/* Cores among processors 0..n-1 that are allowed: one per group of hyper-threads, as
 * <root>/sys/devices/system/cpu tells; processors it does not describe count one each. */
int thread_count_cores(const char *root, const bool *allowed, int n);

/* Whole processors that the control groups of this process grant, at least 1, as
 * <root>/proc/self/cgroup and <root>/sys/fs/cgroup tell; most when they set no limit. */
int thread_quota(const char *root, int most);

#endif
