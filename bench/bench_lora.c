#include "bench_lora.h"

#include "base/clock.h"
#include "bench_model.h"
#include "nn/vae.h"
#include "plan/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Each network has a mapping of the model to itself: deltas are merged into one of them. */
struct bench {
    struct model *plain_model, *model;
    struct lora_set *loras;
    struct network plain, with;
    double plain_first_s, with_first_s; /* steps that read the weights, and merge the deltas */
    double plain_s[BENCH_REPORT_MAX_RUNS], with_s[BENCH_REPORT_MAX_RUNS];
    /* What a step with them takes of one without, pair by pair: by the clock, and processor time
     * of all threads. */
    double ratio[BENCH_REPORT_MAX_RUNS], cpu_ratio[BENCH_REPORT_MAX_RUNS];
};

static bool open_loras(struct lora_set *s, const struct model *m, const char *const *paths, int n,
                       struct error *err)
{
    struct lora_set_wish wishes[BENCH_LORA_MAX];

    for (int i = 0; i < n; i++)
        wishes[i] = (struct lora_set_wish){
            .name = paths[i], .is_path = true, .text_scale = 1, .unet_scale = 1};
    lora_set_open(s, wishes, n, NULL, model_view(m));
    return s->n_warnings == 0 || error_set(err, ERROR_INVALID, "%s", s->warnings[0]);
}

/* What all threads have computed: on a busy machine steadier than what a clock on the wall says. */
static double processor_seconds(void)
{
    struct timespec t = {0};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool timed(double *seconds, double *cpu_s, struct network *n, struct error *err)
{
    const double begin = clock_seconds(), cpu_begin = processor_seconds();
    const bool ok = exec_run(n->exec, NULL, NULL, err);
    *seconds = clock_seconds() - begin;
    *cpu_s = processor_seconds() - cpu_begin;
    return ok;
}

static bool start(struct network *n, double *first_s, const struct model *m,
                  const struct lora_set *loras, struct backend *b,
                  const struct bench_lora_options *o, struct error *err)
{
    const struct network_options options = {.loras = loras};
    const int scale = vae_scale(&model_view(m)->vae);
    double cpu_s;

    if (!network_unet(n, m, b, 2, o->height / scale, o->width / scale, &options, err))
        return false;
    weights_set_policy(n->weights, o->anew ? WEIGHTS_HELD : WEIGHTS_MERGED);
    return exec_start(n->exec, NULL, err) && bench_model_fill(n, err) &&
           timed(first_s, &cpu_s, n, err);
}

static bool measure(struct bench *x, int runs, struct error *err)
{
    double plain_cpu_s, with_cpu_s;

    for (int i = 0; i < runs; i++) {
        if (!timed(&x->plain_s[i], &plain_cpu_s, &x->plain, err) ||
            !timed(&x->with_s[i], &with_cpu_s, &x->with, err))
            return false;
        x->ratio[i] = x->with_s[i] / x->plain_s[i];
        x->cpu_ratio[i] = with_cpu_s / plain_cpu_s;
    }
    return true;
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* More than 1, in percent. */
static double median_excess(double *ratios, int n)
{
    qsort(ratios, (size_t)n, sizeof *ratios, compare_numbers);
    return 100 * ((ratios[(n - 1) / 2] + ratios[n / 2]) / 2 - 1);
}

static void print_both(const struct bench_report *r, struct bench *x)
{
    bench_report_print_result(r, &r->results[r->n_results - 2]);
    bench_report_print_result(r, &r->results[r->n_results - 1]);
    printf("the LoRAs cost %.2f %% of a step (%.2f %% of processor time; medians of %d pairs), "
           "%.1f MB of weights and %.1f MB of arena\n",
           median_excess(x->ratio, r->runs), median_excess(x->cpu_ratio, r->runs), r->runs,
           (double)(x->with.resident_bytes - x->plain.resident_bytes) / 1e6,
           ((double)x->with.arena_bytes - (double)x->plain.arena_bytes) / 1e6);
    printf("the first step took %.2f s with them and %.2f s without\n", x->with_first_s,
           x->plain_first_s);
}

bool bench_lora_run(struct bench_report *r, struct backend *b, const char *isa,
                    const struct bench_lora_options *o, struct error *err)
{
    struct bench *x = calloc(1, sizeof *x);
    char what[64];

    if (!x || !(x->loras = calloc(1, sizeof *x->loras))) {
        free(x);
        return error_set(err, ERROR_MEMORY, "no memory to measure LoRAs");
    }
    bool ok = model_open(&x->plain_model, o->model, err) && model_open(&x->model, o->model, err) &&
              open_loras(x->loras, x->model, o->loras, o->n_loras, err) &&
              start(&x->plain, &x->plain_first_s, x->plain_model, NULL, b, o, err) &&
              start(&x->with, &x->with_first_s, x->model, x->loras, b, o, err) &&
              measure(x, r->runs, err);
    snprintf(what, sizeof what, "guided step %dx%d", o->width, o->height);
    ok = ok && bench_report_add(r, what, isa, x->plain.flops, x->plain_s, r->runs, err);
    snprintf(what, sizeof what, "guided step %dx%d, %d LoRAs%s", o->width, o->height, o->n_loras,
             o->anew ? " added anew" : "");
    ok = ok && bench_report_add(r, what, isa, x->with.flops, x->with_s, r->runs, err);
    if (ok && o->print)
        print_both(r, x);
    network_clear(&x->plain);
    network_clear(&x->with);
    lora_set_clear(x->loras);
    model_close(x->model);
    model_close(x->plain_model);
    free(x->loras);
    free(x);
    return ok;
}
