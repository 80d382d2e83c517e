/* Every lever of memory under real runs of the demo model: the same picture, less memory. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "memory/process_memory.h"
#include "pipeline/pipeline.h"

#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    SIDE = 256,
    TILED_SIDE = 768,
    NOISE_BYTES = 4000000, /* what a small process takes or not and what is read ahead on a busy
                              machine, beside 5 % of the plan */
};

static struct gen_request request_of(enum gen_mode mode)
{
    struct gen_request r = gen_request_defaults();
    r.prompt = "a red circle on a blue background";
    r.mode = mode;
    r.width = r.height = SIDE;
    r.steps = 3;
    r.cfg_scale = 5;
    r.seed = 5;
    return r;
}

struct lever {
    const char *name;
    enum tri optimization[MEMORY_OPTIMIZATIONS];
    size_t limit_bytes;           /* above the base; 0: none */
    bool in_turn, blended, again; /* what the limit must lead to */
    int apart;                    /* 8-bit steps that any sample may lie apart from the plain run */
};

/* In turn, the products of guidance are of other shapes, whose sums round differently. */
static const struct lever levers[] = {
    {.name = "vae_tiling", .optimization[MEMORY_VAE_TILING] = TRI_TRUE},
    {.name = "sequential_cpu_offload", .optimization[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = TRI_TRUE},
    {.name = "both",
     .optimization[MEMORY_VAE_TILING] = TRI_TRUE,
     .optimization[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = TRI_TRUE},
    {.name = "no model_cpu_offload", .optimization[MEMORY_MODEL_CPU_OFFLOAD] = TRI_FALSE},
    {.name = "attention_slicing", .optimization[MEMORY_ATTENTION_SLICING] = TRI_TRUE, .apart = 1},
    {.name = "no memory_efficient_attention",
     .optimization[MEMORY_EFFICIENT_ATTENTION] = TRI_FALSE,
     .optimization[MEMORY_ATTENTION_SLICING] = TRI_FALSE,
     .apart = 1},
    {.name = "levels computed again", .again = true, .limit_bytes = 10500000},
    {.name = "guidance in turn",
     .optimization[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = TRI_FALSE,
     .in_turn = true,
     .limit_bytes = 20500000,
     .apart = 1},
};

static bool run(struct gen_result *out, struct gen_plan *plan, struct pipeline *p,
                const struct gen_request *r, const struct lever *lever, const struct image *input)
{
    struct plan_bounds b = gen_plan_no_bounds(0);
    struct process_memory now = {0};
    struct error err = {0};

    process_memory_return_freed(); /* as planning does */
    if (!process_memory_read(&now, &err))
        return false;
    memcpy(b.optimization, lever->optimization, sizeof b.optimization);
    for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++)
        b.on.on[i] = lever->optimization[i] == TRI_TRUE;
    b.limit_bytes = lever->limit_bytes ? (size_t)now.resident_bytes + lever->limit_bytes : 0;
    bool ok = pipeline_plan(plan, p, r, &b, &err) &&
              pipeline_run(out, p, r, plan, &(struct pipeline_input){.image = input}, NULL, &err);
    if (!ok)
        fprintf(stderr, "%s: %s\n", lever->name, err.text);
    return ok;
}

/* Largest distance of two samples; above any where the sizes differ. */
static int apart(const struct image *a, const struct image *b)
{
    int most = 0;
    if (a->width != b->width || a->height != b->height)
        return 256;
    for (int i = 0; i < a->width * a->height * IMAGE_CHANNELS; i++) {
        int d = abs(a->px[i] - b->px[i]);
        most = d > most ? d : most;
    }
    return most;
}

static void check_memory(const char *name, const struct gen_result *r)
{
    size_t plan = r->planned_peak_bytes, measured = r->measured_peak_bytes;
    bool ok = SANITIZED || measured == 0 ||
              (measured <= plan && measured + plan / 20 + NOISE_BYTES >= plan);
    if (!ok)
        fprintf(stderr, "%s: planned %zu, measured %zu\n", name, plan, measured);
    CHECK(ok);
}

/* The plan does what the lever asks for. */
static bool pulled(const struct gen_plan *p, const struct lever *lever)
{
    const struct plan_levers *l = &p->levers;
    const enum tri *o = lever->optimization;

    return (!lever->in_turn || l->guidance_in_turn) &&
           (!lever->blended || l->vae == PLAN_VAE_BLENDED) &&
           (!lever->again || (l->vae == PLAN_VAE_EXACT && l->vae_again > 0)) &&
           (o[MEMORY_VAE_TILING] != TRI_TRUE || l->vae == PLAN_VAE_EXACT) &&
           (o[MEMORY_SEQUENTIAL_CPU_OFFLOAD] != TRI_TRUE ||
            (l->stream && l->stream_vae && l->stream_text)) &&
           (o[MEMORY_MODEL_CPU_OFFLOAD] != TRI_FALSE || !l->offload) &&
           (o[MEMORY_ATTENTION_SLICING] != TRI_TRUE || l->attention == GRAPH_ATTENTION_SLICED) &&
           (o[MEMORY_ATTENTION_SLICING] != TRI_FALSE || l->attention == GRAPH_ATTENTION_PLAIN);
}

/* Every lever in a pipeline of its own, so that none finds another one's memory. */
static bool draw(struct gen_result *out, struct gen_plan *plan, struct backend *b,
                 const struct gen_request *r, const struct lever *lever, const struct image *input)
{
    struct pipeline *p = NULL;
    struct error err = {0};

    *out = (struct gen_result){0};
    *plan = (struct gen_plan){0};
    bool ok =
        pipeline_open(&p, "assets/demo-model", NULL, b, &err) && run(out, plan, p, r, lever, input);
    if (ok && !pulled(plan, lever))
        fprintf(stderr, "%s: not pulled\n", lever->name);
    CHECK(ok && pulled(plan, lever));
    gen_plan_clear(plan);
    pipeline_close(p);
    return ok;
}

static void draws_the_same_picture_under_every_lever(struct backend *b, enum gen_mode mode,
                                                     const struct image *input)
{
    const struct gen_request r = request_of(mode);
    const struct lever plain = {.name = "plain"};
    struct gen_result first, other;
    struct gen_plan plan;

    if (!draw(&first, &plan, b, &r, &plain, input))
        return;
    check_memory(plain.name, &first);
    for (size_t i = 0; i < sizeof levers / sizeof levers[0]; i++) {
        if (!draw(&other, &plan, b, &r, &levers[i], input))
            continue;
        int most = apart(&first.images[0], &other.images[0]);
        if (most > levers[i].apart)
            fprintf(stderr, "%s: %d apart\n", levers[i].name, most);
        CHECK(most <= levers[i].apart);
        check_memory(levers[i].name, &other);
        pipeline_result_clear(&other);
    }
    pipeline_result_clear(&first);
}

/* Blended tiles, here a third of a side: another picture, close by. */
static void draws_nearly_the_same_in_tiles(struct backend *b)
{
    struct gen_request r = request_of(GEN_TXT2IMG);
    const struct lever plain = {.name = "plain"},
                       tight = {.name = "tight", .blended = true, .limit_bytes = 33500000};
    struct gen_result first, other;
    struct gen_plan plan;
    double sum = 0;

    r.steps = 2;
    r.width = r.height = TILED_SIDE; /* a small picture's bands need no more than its tiles */
    if (!draw(&first, &plan, b, &r, &plain, NULL) || !draw(&other, &plan, b, &r, &tight, NULL))
        return;
    for (int i = 0; i < TILED_SIDE * TILED_SIDE * IMAGE_CHANNELS; i++)
        sum += abs(first.images[0].px[i] - other.images[0].px[i]);
    sum /= TILED_SIDE * TILED_SIDE * IMAGE_CHANNELS;
    if (sum > 5)
        fprintf(stderr, "tiles: %.2f apart on average\n", sum);
    CHECK(sum > 0 && sum <= 5);
    CHECK(other.planned_peak_bytes < first.planned_peak_bytes);
    check_memory(tight.name, &other);
    pipeline_result_clear(&first);
    pipeline_result_clear(&other);
}

static bool pressed_from_the_second_call(void *ctx)
{
    int *asked = ctx;
    return ++*asked > 1;
}

/* The plan holds the weights; pressure in the middle of the run makes it stream them. */
static void streams_under_pressure_and_draws_the_same_bits(struct backend *b)
{
    const struct gen_request r = request_of(GEN_TXT2IMG);
    const struct lever plain = {.name = "plain"};
    struct gen_result first, other = {0};
    struct gen_plan plan = {0};
    struct pipeline *p = NULL;
    struct error err = {0};
    int asked = 0;
    const struct watch watch = {.ctx = &asked, .pressed = pressed_from_the_second_call};

    if (!draw(&first, &plan, b, &r, &plain, NULL))
        return;
    CHECK(!first.relieved);
    bool ok = pipeline_open(&p, "assets/demo-model", NULL, b, &err) &&
              pipeline_plan(&plan, p, &r, NULL, &err) && !plan.levers.stream &&
              pipeline_run(&other, p, &r, &plan, NULL, &watch, &err);
    CHECK(ok && other.relieved && plan.levers.stream && asked == 2);
    CHECK(ok && apart(&first.images[0], &other.images[0]) == 0);
    CHECK(other.measured_peak_bytes <= other.planned_peak_bytes || SANITIZED);

    gen_plan_clear(&plan);
    pipeline_result_clear(&other);
    asked = 0;
    ok = pipeline_plan(&plan, p, &r, NULL, &err);
    plan.may_stream = false; /* as when sequential offload is forbidden */
    ok = ok && pipeline_run(&other, p, &r, &plan, NULL, &watch, &err);
    CHECK(ok && !other.relieved);
    gen_plan_clear(&plan);
    pipeline_result_clear(&other);
    pipeline_result_clear(&first);
    pipeline_close(p);
}

int main(void)
{
    struct backend *b = NULL;
    struct error err = {0};
    struct gen_result input = {0};
    struct gen_plan plan = {0};
    const struct gen_request r = request_of(GEN_TXT2IMG);
    const struct lever plain = {.name = "plain"};

    if (!cpu_backend_open(&b, 2, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    draws_the_same_picture_under_every_lever(b, GEN_TXT2IMG, NULL);
    if (draw(&input, &plan, b, &r, &plain, NULL))
        draws_the_same_picture_under_every_lever(b, GEN_IMG2IMG, &input.images[0]);
    pipeline_result_clear(&input);
    draws_nearly_the_same_in_tiles(b);
    streams_under_pressure_and_draws_the_same_bits(b);
    b->fn->close(b);
    return TEST_END();
}
