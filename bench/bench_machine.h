/* The limits of this machine: float32 multiply-adds in registers, and memory. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include "base/error.h"

/* 10^9 operations per second of one thread with the named table's vectors ("amx" counts as
 * "avx512": the float32 arithmetic it stands beside); the best of several tries. */
double bench_machine_fma_gflops(const char *isa);

/* 10^9 bytes per second of n_threads threads that read, or copy, far more than the caches hold.  A
 * copied byte counts as two. */
bool bench_machine_memory(double *read_gbs, double *copy_gbs, int n_threads,
                          struct error *err) MUST_CHECK;

#endif
