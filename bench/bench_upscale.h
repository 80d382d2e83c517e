/* An upscaler network on one picture. */
#ifndef BENCH_BENCH_UPSCALE_H
#define BENCH_BENCH_UPSCALE_H

#include "bench_report.h"
#include "engine/backend.h"

/* Measures the network of the file on a picture of width x height. */
bool bench_upscale_run(struct bench_report *r, struct backend *b, const char *isa, const char *path,
                       int width, int height, bool print, struct error *err) MUST_CHECK;

#endif
