/* What LoRAs cost: a guided step with them and one without, by turns, so that whatever else the
 * machine does falls on both. */
#ifndef BENCH_LORA_H
#define BENCH_LORA_H

#include "bench_report.h"
#include "engine/backend.h"

enum { BENCH_LORA_MAX = 16 };

struct bench_lora_options {
    const char *model;
    const char *const *loras;
    int n_loras;
    int width, height;
    bool anew; /* added in every step, as where weights are streamed, instead of merged in the first
                */
    bool print;
};

/* Adds both steps' results; printing tells the medians of the pairs' ratios, the bytes and what the
 * first step took, too. */
bool bench_lora_run(struct bench_report *r, struct backend *b, const char *isa,
                    const struct bench_lora_options *o, struct error *err) MUST_CHECK;

#endif
