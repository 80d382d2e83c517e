/* Whole phases of a model: text encode, one UNet call, VAE decode and encode. */
#ifndef BENCH_BENCH_MODEL_H
#define BENCH_BENCH_MODEL_H

#include "bench_report.h"
#include "plan/network.h"

/* Measures every phase whose name contains only (NULL: all) for pictures of width x height.  The
 * UNet call is that of one guided step: a batch of two. */
bool bench_model_run(struct bench_report *r, struct backend *b, const char *isa, const char *path,
                     int width, int height, const char *only, bool print,
                     struct error *err) MUST_CHECK;

/* Gives every input of a started network numbers of sane size; they do not change the time. */
bool bench_model_fill(struct network *n, struct error *err) MUST_CHECK;

#endif
