/* How long planning takes: for every budget that changes the plan, from ample to none. */
#ifndef BENCH_BENCH_PLAN_H
#define BENCH_BENCH_PLAN_H

#include "bench_report.h"
#include "engine/backend.h"

/* Plans txt2img and img2img of width x height; each budget lies just under the peak of the plan
 * before.  Adds a result for each plan that differs, named after its peak, and one for the refusal,
 * which looks for what would fit. */
bool bench_plan_run(struct bench_report *r, struct backend *b, const char *isa, const char *path,
                    int width, int height, bool print, struct error *err) MUST_CHECK;

#endif
