/* What was measured, and how it is told: a table for people, JSON for programs.
 *
 * Knows nothing of what the work is.  A measurement is some work repeated: once to warm up, then
 * `runs` times, of which the median counts and the fastest and slowest tell the spread. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "base/error.h"

enum { BENCH_REPORT_MAX_RESULTS = 256, BENCH_REPORT_MAX_ISAS = 8, BENCH_REPORT_MAX_RUNS = 1000 };

struct bench_result {
    char what[64];
    char isa[16];
    double flops; /* of one run, a multiply-add counted as two */
    double median_s, fastest_s, slowest_s;
};

/* Float32 multiply-adds of one thread, in registers. */
struct bench_peak {
    char isa[16];
    double gflops;
};

struct bench_report {
    int threads, runs;
    double read_gbs, copy_gbs; /* 10^9 bytes per second, all threads; a copied byte counts twice */
    struct bench_peak peaks[BENCH_REPORT_MAX_ISAS];
    int n_peaks;
    struct bench_result results[BENCH_REPORT_MAX_RESULTS];
    int n_results;
};

typedef bool (*bench_work_fn)(void *ctx, struct error *err);

/* Does the work 1 + runs times and adds the result.  what and isa are copied. */
bool bench_report_measure(struct bench_report *r, const char *what, const char *isa, double flops,
                          bench_work_fn work, void *ctx, struct error *err) MUST_CHECK;

/* Adds what was measured elsewhere: n times, at most BENCH_REPORT_MAX_RUNS, in seconds. */
bool bench_report_add(struct bench_report *r, const char *what, const char *isa, double flops,
                      const double *times, int n, struct error *err) MUST_CHECK;

/* 0 when that instruction set's peak was not measured. */
double bench_report_peak(const struct bench_report *r, const char *isa);

/* The table's head, one line of it, and everything as JSON; all to standard output. */
void bench_report_print_head(const struct bench_report *r);
void bench_report_print_result(const struct bench_report *r, const struct bench_result *x);
bool bench_report_print_json(const struct bench_report *r, struct error *err) MUST_CHECK;

#endif
