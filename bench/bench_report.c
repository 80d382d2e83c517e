#include "bench_report.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_times(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool bench_report_add(struct bench_report *r, const char *what, const char *isa, double flops,
                      const double *times, int n, struct error *err)
{
    double sorted[BENCH_REPORT_MAX_RUNS];

    if (r->n_results == BENCH_REPORT_MAX_RESULTS)
        return error_set(err, ERROR_LIMIT, "more than %d results", BENCH_REPORT_MAX_RESULTS);
    memcpy(sorted, times, (size_t)n * sizeof *times);
    qsort(sorted, (size_t)n, sizeof sorted[0], compare_times);

    struct bench_result *x = &r->results[r->n_results++];
    snprintf(x->what, sizeof x->what, "%s", what);
    snprintf(x->isa, sizeof x->isa, "%s", isa);
    x->flops = flops;
    x->median_s = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    x->fastest_s = sorted[0];
    x->slowest_s = sorted[n - 1];
    return true;
}

bool bench_report_measure(struct bench_report *r, const char *what, const char *isa, double flops,
                          bench_work_fn work, void *ctx, struct error *err)
{
    double times[BENCH_REPORT_MAX_RUNS];

    if (!work(ctx, err))
        return error_prefix(err, "%s", what);
    for (int i = 0; i < r->runs; i++) {
        const double start = clock_seconds();
        if (!work(ctx, err))
            return error_prefix(err, "%s", what);
        times[i] = clock_seconds() - start;
    }
    return bench_report_add(r, what, isa, flops, times, r->runs, err);
}

double bench_report_peak(const struct bench_report *r, const char *isa)
{
    for (int i = 0; i < r->n_peaks; i++)
        if (strcmp(r->peaks[i].isa, isa) == 0)
            return r->peaks[i].gflops;
    return 0;
}

static double gflops(const struct bench_result *x)
{
    return x->flops / x->median_s * 1e-9;
}

/* Of what all threads could do with float32 multiply-adds; 0 where that is not known. */
static double share(const struct bench_report *r, const struct bench_result *x)
{
    const double limit = bench_report_peak(r, x->isa) * r->threads;
    return limit > 0 ? gflops(x) / limit : 0;
}

void bench_report_print_head(const struct bench_report *r)
{
    printf("%d threads, median of %d runs\n", r->threads, r->runs);
    printf("memory: read %.1f GB/s, copy %.1f GB/s (read and written)\n", r->read_gbs, r->copy_gbs);
    for (int i = 0; i < r->n_peaks; i++)
        printf("float32 multiply-adds, %s: %.0f GFLOP/s per thread\n", r->peaks[i].isa,
               r->peaks[i].gflops);
    printf("\n%-36s %-9s %10s %21s %9s %8s\n", "work", "isa", "ms", "fastest to slowest", "GFLOP/s",
           "of peak");
}

void bench_report_print_result(const struct bench_report *r, const struct bench_result *x)
{
    printf("%-36s %-9s %10.2f %10.2f %10.2f %9.1f %7.0f%%\n", x->what, x->isa, x->median_s * 1e3,
           x->fastest_s * 1e3, x->slowest_s * 1e3, gflops(x), share(r, x) * 100);
    fflush(stdout);
}

static json_t *result_json(const struct bench_report *r, const struct bench_result *x)
{
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "work", x->what, "isa", x->isa,
                     "flops", x->flops, "median_s", x->median_s, "fastest_s", x->fastest_s,
                     "slowest_s", x->slowest_s, "gflops", gflops(x), "share_of_peak", share(r, x));
}

/* json_array_append_new and json_object_set_new refuse NULL, so that a failure before them shows.
 */
bool bench_report_print_json(const struct bench_report *r, struct error *err)
{
    json_t *peaks = json_object(), *results = json_array();
    bool ok = peaks && results;

    for (int i = 0; ok && i < r->n_peaks; i++)
        ok = json_object_set_new(peaks, r->peaks[i].isa, json_real(r->peaks[i].gflops)) == 0;
    for (int i = 0; ok && i < r->n_results; i++)
        ok = json_array_append_new(results, result_json(r, &r->results[i])) == 0;

    json_t *root = json_pack("{s:i, s:i, s:f, s:f, s:O, s:O}", "threads", r->threads, "runs",
                             r->runs, "read_gbs", r->read_gbs, "copy_gbs", r->copy_gbs,
                             "fma_gflops_per_thread", peaks, "results", results);
    ok = ok && root && json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) == 0 &&
         putchar('\n') != EOF;
    json_decref(root);
    json_decref(peaks);
    json_decref(results);
    return ok || error_set(err, ERROR_IO, "cannot write the results as JSON");
}
