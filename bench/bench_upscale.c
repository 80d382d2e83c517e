#include "bench_upscale.h"

#include "pipeline/upscale.h"

#include <stdio.h>

struct work {
    struct upscaler *upscaler;
    struct upscale_plan plan;
    struct image in;
};

static bool work(void *ctx, struct error *err)
{
    struct work *w = ctx;
    struct image out = {0};
    const bool ok = upscale_run(&out, w->upscaler, &w->plan, &w->in, NULL, NULL, err);
    image_clear(&out);
    return ok;
}

bool bench_upscale_run(struct bench_report *r, struct backend *b, const char *isa, const char *path,
                       int width, int height, bool print, struct error *err)
{
    const struct upscale_bounds all = {0};
    struct work w = {0};
    char what[64];
    bool ok = image_init(&w.in, width, height, err) && upscale_open(&w.upscaler, path, b, err) &&
              upscale_plan(&w.plan, w.upscaler, width, height, &all, err);

    for (size_t i = 0; ok && i < image_bytes(&w.in); i++)
        w.in.px[i] = (uint8_t)(i * 37);
    snprintf(what, sizeof what, "upscale %dx%d %dx", width, height,
             w.upscaler ? upscale_scale(w.upscaler) : 0);
    ok = ok && bench_report_measure(r, what, isa, w.plan.flops, work, &w, err);
    if (ok && print)
        bench_report_print_result(r, &r->results[r->n_results - 1]);
    upscale_plan_clear(&w.plan);
    upscale_close(w.upscaler);
    image_clear(&w.in);
    return ok;
}
