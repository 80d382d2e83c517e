/* LoRAs merged into the weights in memory: the same pictures as when they are added anew in every
 * call, in both passes, under pressure, and nothing left behind. */
#include "pipeline/pipeline_testing.h"

enum { CALLS = 3 };

struct world {
    struct backend *backend;
    struct pipeline *pipeline;
    char model[PIPELINE_TESTING_PATH_BYTES], lora[PIPELINE_TESTING_PATH_BYTES];
};

/* Two passes on the same weights. */
static struct gen_request request(const struct world *w, double scale)
{
    struct gen_request r = pipeline_testing_request();

    r.steps = CALLS;
    r.cfg_scale = 5;
    r.hires.enabled = true;
    r.hires.steps = 2;
    r.hires.denoising_strength = 0.7;
    if (scale != 0)
        r.loras[r.n_loras++] = (struct gen_lora){.name = w->lora, .is_path = true, .scale = scale};
    return r;
}

/* How LoRAs are added, whatever the planner thinks of it. */
static void choose(struct gen_plan *plan, bool merge)
{
    static const enum plan_phase phases[] = {PLAN_DENOISE, PLAN_HIRES_DENOISE};

    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        struct plan_stage *stage = &plan->phase[phases[i]];
        CHECK(stage->used && !stage->stream);
        stage->merge = merge;
        weights_set_policy(stage->net.weights, merge ? WEIGHTS_MERGED : WEIGHTS_HELD);
    }
}

struct way {
    bool merge;
    const struct watch *watch;
    struct plan_bounds bounds;
};

static struct gen_result draw(const struct world *w, double scale, const struct way *way)
{
    const struct gen_request r = request(w, scale);
    struct gen_result out = {0};
    struct gen_plan plan = {0};
    struct error err = {0};

    pipeline_set_loras(w->pipeline, &r, NULL);
    bool ok = pipeline_plan(&plan, w->pipeline, &r, &way->bounds, &err);
    if (ok && !plan.levers.stream)
        choose(&plan, way->merge);
    ok = ok && pipeline_run(&out, w->pipeline, &r, &plan, NULL, way->watch, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok && out.warnings.n == 0 && out.steps == CALLS + 2);
    gen_plan_clear(&plan);
    return out;
}

static bool always(void *ctx)
{
    return ++*(int *)ctx > 2; /* in the middle of the first pass */
}

static void draws_the_same_bits_however_loras_are_added(const struct world *w)
{
    int asked = 0;
    const struct watch pressed = {.ctx = &asked, .pressed = always};
    const struct way anew = {0}, ways[] = {
                                     {.merge = true},
                                     {.merge = true,
                                      .bounds.optimization[MEMORY_MODEL_CPU_OFFLOAD] = TRI_FALSE},
                                     {.merge = true, .watch = &pressed},
                                     {.bounds.on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = true},
                                 };
    struct gen_result plain = draw(w, 0, &anew), want = draw(w, 0.8, &anew);

    CHECK(!pipeline_testing_same_first(&plain, &want));
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct gen_result have = draw(w, 0.8, &ways[i]), none = draw(w, 0, &anew);
        if (!pipeline_testing_same_first(&want, &have))
            fprintf(stderr, "way %zu draws another picture\n", i);
        CHECK(pipeline_testing_same_first(&want, &have));
        CHECK(have.relieved == (ways[i].watch != NULL));
        CHECK(pipeline_testing_is_within_plan("LoRA", &have));
        CHECK(pipeline_testing_same_first(&plain, &none)); /* nothing is left of it */
        pipeline_result_clear(&have);
        pipeline_result_clear(&none);
    }
    pipeline_result_clear(&plain);
    pipeline_result_clear(&want);
}

/* Few calls do not pay for it, many do; LoRAs that there are none of never. */
static void merges_where_it_pays(const struct world *w)
{
    const int steps[] = {1, 1000};
    struct error err = {0};

    for (int i = 0; i < 4; i++) {
        struct gen_request r = request(w, i < 2 ? 0.8 : 0);
        struct gen_plan plan = {0};
        r.hires.enabled = false;
        r.steps = steps[i % 2];
        pipeline_set_loras(w->pipeline, &r, NULL);
        CHECK(pipeline_plan(&plan, w->pipeline, &r, NULL, &err));
        CHECK(plan.levers.merge_loras == (i == 1));
        CHECK(plan.phase[PLAN_DENOISE].merge == plan.levers.merge_loras);
        gen_plan_clear(&plan);
    }
}

int main(void)
{
    struct world w = {0};
    struct error err = {0};

    const bool made = pipeline_testing_make_model(w.model, "tiny-sdxl", NULL) &&
                      pipeline_testing_make_model(w.lora, "tiny-sdxl", "4");
    CHECK(made);
    bool ok = made && cpu_backend_open(&w.backend, 2, NULL, &err) &&
              pipeline_open(&w.pipeline, w.model, pipeline_testing_tokenizer, w.backend, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    if (ok) {
        draws_the_same_bits_however_loras_are_added(&w);
        merges_where_it_pays(&w);
    }
    pipeline_testing_close(w.backend, w.pipeline);
    unlink(w.model);
    unlink(w.lora);
    return TEST_END();
}
