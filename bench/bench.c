/* Measures this machine, then the engine on it: single operations on the shapes that matter, or the
 * phases of a model.
 *
 * Each group of measurements is a file of its own (bench_ops.c, bench_model.c) that adds results to
 * the report. */
#include "base/parse.h"
#include "bench_lora.h"
#include "bench_machine.h"
#include "bench_model.h"
#include "bench_ops.h"
#include "bench_plan.h"
#include "bench_report.h"
#include "bench_upscale.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/cpu/cpu_kernels.h"
#include "engine/cpu/cpu_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *isa; /* NULL: the best; "all": one after another */
    const char *only;
    const char *model; /* its phases instead of single operations */
    const char *upscaler;
    const char *loras[BENCH_LORA_MAX]; /* with the model: what they cost */
    int n_loras;
    bool anew; /* LoRAs in every step */
    int width, height;
    int threads; /* 0: one per physical core */
    int runs;
    bool plans; /* how long planning for the model takes */
    bool json;
};

static void print_help(void)
{
    puts(
        "usage: bench [--isa NAME|all] [--threads N] [--runs N] [--only SUBSTRING] [--json]\n"
        "       [--model PATH [--lora FILE [--anew] | --plans] | --upscaler PATH] [--width N] "
        "[--height N]\n"
        "\n"
        "Measures memory, float32 multiply-adds and the engine's operations.\n"
        "  --isa NAME        instruction set (portable, avx2, avx512, amx, neon); all: each that\n"
        "                    runs here; otherwise the best\n"
        "  --threads N       otherwise one per physical core\n"
        "  --runs N          the median of so many counts; 5\n"
        "  --only SUBSTRING  only work whose name contains it, such as conv or 64x64\n"
        "  --model PATH      the phases of a model instead: text encode, one guided step of the\n"
        "                    UNet, VAE decode and encode\n"
        "  --lora FILE       with a model: a guided step with it and one without, by turns; may "
        "be\n"
        "                    repeated\n"
        "  --anew            LoRAs are added in every step, as where weights are streamed, and "
        "not\n"
        "                    merged in the first one\n"
        "  --plans           planning for that model instead, for every budget from ample to none\n"
        "  --upscaler PATH   an upscaler's network instead, on a picture\n"
        "  --width N, --height N  the picture; 512\n"
        "  --json            results as JSON");
}

static bool read_count(int *out, const char *name, const char *text, int max, struct error *err)
{
    int64_t n;
    if (!text)
        return error_set(err, ERROR_INVALID, "%s wants a value", name);
    if (!parse_int64(&n, text, 1, max, err))
        return error_prefix(err, "%s", name);
    *out = (int)n;
    return true;
}

static bool read_text(const char **out, const char *name, const char *text, struct error *err)
{
    *out = text;
    return text || error_set(err, ERROR_INVALID, "%s wants a value", name);
}

static bool read_lora(struct options *o, const char *name, const char *text, struct error *err)
{
    if (o->n_loras == BENCH_LORA_MAX)
        return error_set(err, ERROR_INVALID, "%s: at most %d", name, (int)BENCH_LORA_MAX);
    return read_text(&o->loras[o->n_loras++], name, text, err);
}

/* argv ends with NULL, which stands for a missing value. */
static bool read_options(struct options *o, char **argv, struct error *err)
{
    *o = (struct options){.runs = 5, .width = 512, .height = 512};
    for (char **arg = argv + 1; *arg; arg++) {
        bool ok = true;
        const char *name = *arg;
        if (strcmp(name, "--json") == 0) {
            o->json = true;
            continue;
        }
        if (strcmp(name, "--anew") == 0) {
            o->anew = true;
            continue;
        }
        if (strcmp(name, "--plans") == 0) {
            o->plans = true;
            continue;
        }
        if (strcmp(name, "--isa") == 0)
            ok = read_text(&o->isa, name, *++arg, err);
        else if (strcmp(name, "--only") == 0)
            ok = read_text(&o->only, name, *++arg, err);
        else if (strcmp(name, "--model") == 0)
            ok = read_text(&o->model, name, *++arg, err);
        else if (strcmp(name, "--lora") == 0)
            ok = read_lora(o, name, *++arg, err);
        else if (strcmp(name, "--upscaler") == 0)
            ok = read_text(&o->upscaler, name, *++arg, err);
        else if (strcmp(name, "--width") == 0)
            ok = read_count(&o->width, name, *++arg, 8192, err);
        else if (strcmp(name, "--height") == 0)
            ok = read_count(&o->height, name, *++arg, 8192, err);
        else if (strcmp(name, "--threads") == 0)
            ok = read_count(&o->threads, name, *++arg, CPU_POOL_MAX_THREADS, err);
        else if (strcmp(name, "--runs") == 0)
            ok = read_count(&o->runs, name, *++arg, BENCH_REPORT_MAX_RUNS, err);
        else
            ok = error_set(err, ERROR_INVALID, "unknown option '%s'; see bench --help", name);
        if (!ok)
            return false;
    }
    return o->model || !o->n_loras ||
           error_set(err, ERROR_INVALID, "--lora wants a --model that it is for");
}

/* The names of the tables to measure; returns how many, 0 after a failure. */
static int find_isas(const char *names[BENCH_REPORT_MAX_ISAS], const struct options *o,
                     struct error *err)
{
    const struct cpu_kernels *tables[BENCH_REPORT_MAX_ISAS];
    int n = 1;

    if (o->isa && strcmp(o->isa, "all") == 0)
        n = cpu_kernels_list(tables);
    else
        tables[0] = cpu_kernels_find(o->isa, err);
    if (!tables[0])
        return 0;
    for (int i = 0; i < n; i++)
        names[i] = tables[i]->name;
    return n;
}

static bool measure_machine(struct bench_report *r, const char *const *isas, int n_isas,
                            struct error *err)
{
    for (int i = 0; i < n_isas; i++) {
        struct bench_peak *peak = &r->peaks[r->n_peaks++];
        snprintf(peak->isa, sizeof peak->isa, "%s", isas[i]);
        peak->gflops = bench_machine_fma_gflops(isas[i]);
    }
    return bench_machine_memory(&r->read_gbs, &r->copy_gbs, r->threads, err);
}

static bool measure_isa(struct bench_report *r, const struct options *o, const char *isa,
                        struct error *err)
{
    struct backend *b = NULL;
    if (!cpu_backend_open(&b, r->threads, isa, err))
        return false;
    const struct bench_lora_options lora = {.model = o->model,
                                            .loras = o->loras,
                                            .n_loras = o->n_loras,
                                            .width = o->width,
                                            .height = o->height,
                                            .anew = o->anew,
                                            .print = !o->json};
    const bool ok =
        o->upscaler  ? bench_upscale_run(r, b, isa, o->upscaler, o->width, o->height, !o->json, err)
        : o->n_loras ? bench_lora_run(r, b, isa, &lora, err)
        : o->model && o->plans
            ? bench_plan_run(r, b, isa, o->model, o->width, o->height, !o->json, err)
        : o->model
            ? bench_model_run(r, b, isa, o->model, o->width, o->height, o->only, !o->json, err)
            : bench_ops_run(r, b, isa, o->only, !o->json, err);
    b->fn->close(b);
    return ok;
}

/* The backend decides what 0 threads means. */
static bool count_threads(int *threads, struct error *err)
{
    struct backend *b = NULL;
    if (!cpu_backend_open(&b, *threads, "portable", err))
        return false;
    *threads = cpu_backend_threads(b);
    b->fn->close(b);
    return true;
}

static bool run(struct bench_report *r, const struct options *o, struct error *err)
{
    const char *isas[BENCH_REPORT_MAX_ISAS];
    const int n = find_isas(isas, o, err);

    r->threads = o->threads;
    r->runs = o->runs;
    if (n == 0 || !count_threads(&r->threads, err) || !measure_machine(r, isas, n, err))
        return false;
    if (!o->json)
        bench_report_print_head(r);
    for (int i = 0; i < n; i++)
        if (!measure_isa(r, o, isas[i], err))
            return false;
    if (r->n_results == 0)
        return error_set(err, ERROR_NOT_FOUND, "no work has '%s' in its name", o->only);
    return !o->json || bench_report_print_json(r, err);
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        print_help();
        return 0;
    }
    struct bench_report *report = calloc(1, sizeof *report);
    const bool ok = report ? read_options(&options, argv, &err) && run(report, &options, &err)
                           : error_set(&err, ERROR_MEMORY, "no memory for the report");
    if (!ok)
        fprintf(stderr, "bench: %s\n", err.text);
    free(report);
    return ok ? 0 : 1;
}
