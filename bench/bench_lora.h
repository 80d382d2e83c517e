/* What LoRAs cost: a guided step with them and one without, by turns, so that whatever else the
 * machine does falls on both. */
#ifndef BENCH_LORA_H
#define BENCH_LORA_H

#include "bench_report.h"
#include "engine/backend.h"

enum { BENCH_LORA_MAX = 16 };

/* Adds both steps' results; printing tells the ratio of their medians and the bytes, too. */
bool bench_lora_run(struct bench_report *r, struct backend *b, const char *isa, const char *model,
                    const char *const *loras, int n_loras, int width, int height, bool print,
                    struct error *err) MUST_CHECK;

#endif
