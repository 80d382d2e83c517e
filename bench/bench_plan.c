#include "bench_plan.h"

#include "model/model.h"
#include "plan/gen_plan.h"

#include <stdio.h>

enum {
    LADDER_STEP_BYTES = 1 << 20, /* a budget that much under a peak needs another plan */
    LADDER_MAX = 60,
    BASE_BYTES = 8 << 20 /* a process before its run */
};

struct planning {
    struct gen_request request;
    struct plan_models models;
    struct backend *backend;
    struct plan_bounds bounds;
    size_t peak_bytes; /* 0: refused */
};

static bool work(void *ctx, struct error *err)
{
    struct planning *p = ctx;
    struct gen_plan plan = {0};
    struct error why = {0};

    p->peak_bytes = 0;
    if (gen_plan_make(&plan, &p->request, &p->models, p->backend, &p->bounds, NULL, &why)) {
        p->peak_bytes = plan.peak_bytes;
        gen_plan_clear(&plan);
        return true;
    }
    *err = why;
    return why.code == ERROR_LIMIT;
}

static bool run_ladder(struct bench_report *r, struct planning *p, const char *isa, bool print,
                       struct error *err)
{
    for (int i = 0; i < LADDER_MAX && r->n_results < BENCH_REPORT_MAX_RESULTS; i++) {
        char what[64];

        if (!work(p, err))
            return false;
        const size_t peak = p->peak_bytes;
        snprintf(what, sizeof what, "plan %s %dx%d, %s %.1f MB",
                 gen_request_mode_name(p->request.mode), p->request.width, p->request.height,
                 peak ? "peak" : "nothing fits",
                 (double)(peak ? peak : p->bounds.limit_bytes) / 1e6);
        if (!bench_report_measure(r, what, isa, 0, work, p, err))
            return false;
        if (print)
            bench_report_print_result(r, &r->results[r->n_results - 1]);
        if (peak <= LADDER_STEP_BYTES)
            return true;
        p->bounds.limit_bytes = peak - LADDER_STEP_BYTES;
    }
    return true;
}

bool bench_plan_run(struct bench_report *r, struct backend *b, const char *isa, const char *path,
                    int width, int height, bool print, struct error *err)
{
    struct model *m = NULL;
    bool ok = model_open(&m, path, err);

    for (int mode = GEN_TXT2IMG; ok && mode <= GEN_IMG2IMG; mode++) {
        struct planning p = {.request = gen_request_defaults(),
                             .models.base = m,
                             .backend = b,
                             .bounds = gen_plan_no_bounds(BASE_BYTES)};
        p.request.mode = (enum gen_mode)mode;
        p.request.width = width;
        p.request.height = height;
        ok = run_ladder(r, &p, isa, print, err);
    }
    model_close(m);
    return ok;
}
