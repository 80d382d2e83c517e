/* Single operations through the real engine: a graph of one operation, laid out and executed, on
 * the shapes that make up most of SD 1.5 and SDXL, with random half-precision weights. */
#ifndef BENCH_OPS_H
#define BENCH_OPS_H

#include "bench_report.h"
#include "engine/backend.h"

/* Measures every operation whose name contains `only` (NULL: all) on the backend and adds the
 * results to *r, telling each at once if `tell`. */
bool bench_ops_run(struct bench_report *r, struct backend *b, const char *isa, const char *only,
                   bool tell, struct error *err) MUST_CHECK;

#endif
