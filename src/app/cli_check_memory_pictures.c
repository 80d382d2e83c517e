/* Each optimization draws the picture of the plain path, and within its plan; nothing piles up. */
#include "app/cli_check_memory.h"
#include "memory/process_memory.h"

#include <stdlib.h>

enum {
    /* A small model's plan is mostly the margin for code, stacks and small allocations. */
    SLACK_BYTES = 5 << 19,
    KEPT_BYTES = 2 << 20,           /* allowed to stay after a run */
    REFUSAL_GROWTH_BYTES = 8 << 20, /* graphs and layouts; weights would be more */
    LADDER_BYTES = 1 << 20,         /* between budgets */
    LEAST_SIDE = 256,               /* pixels; smaller pictures are not cut into tiles */
    SMALL_BYTES = 8 << 20,          /* arenas come in pieces; in small ones nothing is seen */
    BUDGET_STEPS = 128,             /* from a plan's peak down to nothing */
};

enum part { WEIGHTS, ARENA };

struct drawn {
    struct gen_result result;
    struct plan_levers levers;
    size_t bytes[PLAN_PHASES][2]; /* planned, by enum part */
};

/* What a way is held against: its picture, and the bytes that it saves. */
enum reference { PLAIN, WHOLE_ATTENTION, REFERENCES };

struct way {
    const char *what;
    enum reference than;
    enum memory_optimization optimization, with; /* both are set to true */
    int largest; /* difference of a pixel's channel that is allowed, of 255; 0: the same bits */
    enum plan_phase phase; /* that needs less */
    enum part part;
    bool is_for_sdxl;
    bool (*pulled)(const struct plan_levers *l); /* by a budget that is lowered; NULL: by itself */
};

static bool is_in_turn(const struct plan_levers *l)
{
    return l->guidance_in_turn && !l->stream && l->vae == PLAN_VAE_EXACT;
}

static bool is_again(const struct plan_levers *l)
{
    return l->vae_again > 0 && l->vae == PLAN_VAE_EXACT;
}

static const struct way ways[] = {
    {"model CPU offload", PLAIN, MEMORY_MODEL_CPU_OFFLOAD, MEMORY_MODEL_CPU_OFFLOAD, 0,
     PLAN_VAE_DECODE, WEIGHTS, false, NULL},
    /* A network that is streamed does not stay. */
    {"sequential CPU offload", PLAIN, MEMORY_SEQUENTIAL_CPU_OFFLOAD, MEMORY_MODEL_CPU_OFFLOAD, 0,
     PLAN_DENOISE, WEIGHTS, false, NULL},
    {"VAE tiling, exact", PLAIN, MEMORY_VAE_TILING, MEMORY_VAE_TILING, 0, PLAN_VAE_DECODE, ARENA,
     false, NULL},
    {"VAE tiling, levels computed again", PLAIN, MEMORY_VAE_TILING, MEMORY_MODEL_CPU_OFFLOAD, 0,
     PLAN_VAE_DECODE, ARENA, false, is_again},
    {"reduced VAE sample size", PLAIN, MEMORY_REDUCE_VAE_SAMPLE_SIZE, MEMORY_VAE_TILING, 0,
     PLAN_VAE_DECODE, ARENA, true, NULL},
    {"attention slicing", WHOLE_ATTENTION, MEMORY_ATTENTION_SLICING, MEMORY_ATTENTION_SLICING, 2,
     PLAN_DENOISE, ARENA, false, NULL},
    {"memory-efficient attention", WHOLE_ATTENTION, MEMORY_EFFICIENT_ATTENTION,
     MEMORY_EFFICIENT_ATTENTION, 2, PLAN_DENOISE, ARENA, false, NULL},
    {"guidance in turn", PLAIN, MEMORY_VAE_TILING, MEMORY_MODEL_CPU_OFFLOAD, 2, PLAN_DENOISE, ARENA,
     false, is_in_turn},
};

/* Rounding where products are made in another order; two of 255 levels are not seen. */
enum { BUDGET_LARGEST = 2 };
static const double BLENDED_MEAN = 10;

static struct plan_bounds bounds_of(enum reference reference)
{
    struct plan_bounds b = gen_plan_no_bounds(0);
    b.optimization[MEMORY_MODEL_CPU_OFFLOAD] = TRI_FALSE;
    if (reference == WHOLE_ATTENTION)
        b.optimization[MEMORY_EFFICIENT_ATTENTION] = b.optimization[MEMORY_ATTENTION_SLICING] =
            TRI_FALSE;
    return b;
}

static bool make_input(struct image *out, const struct gen_request *r, struct error *err)
{
    if (!image_init(out, r->width, r->height, err))
        return false;
    for (int y = 0; y < r->height; y++)
        for (int x = 0; x < r->width; x++) {
            uint8_t *px = out->px + 3 * ((size_t)y * (size_t)r->width + (size_t)x);
            px[0] = (uint8_t)(255 * x / r->width);
            px[1] = (uint8_t)(255 * y / r->height);
            px[2] = 96;
        }
    return true;
}

static bool draw(struct drawn *out, struct cli_check *c, const struct gen_request *r,
                 const struct plan_bounds *bounds, struct error *err)
{
    struct gen_plan p = {0};
    struct image input = {0};

    *out = (struct drawn){0};
    bool ok = (r->mode != GEN_IMG2IMG || make_input(&input, r, err)) &&
              pipeline_plan(&p, c->pipeline, r, bounds, err) &&
              pipeline_run(&out->result, c->pipeline, r, &p,
                           &(struct pipeline_input){.image = &input}, NULL, err);
    out->levers = p.levers;
    for (int i = 0; i < PLAN_PHASES; i++) {
        out->bytes[i][WEIGHTS] = p.phase[i].weights_bytes;
        out->bytes[i][ARENA] = p.phase[i].arena_bytes;
    }
    gen_plan_clear(&p);
    image_clear(&input);
    return ok;
}

struct difference {
    int largest;
    double mean;
};

static struct difference compare(const struct image *a, const struct image *b)
{
    struct difference d = {0};

    for (size_t i = 0; i < image_bytes(a); i++) {
        const int one = abs(a->px[i] - b->px[i]);
        d.largest = one > d.largest ? one : d.largest;
        d.mean += one;
    }
    d.mean /= (double)image_bytes(a);
    return d;
}

static void tell_peak(struct cli_check *c, const char *mode, const char *what,
                      const struct drawn *d, const struct drawn *plain)
{
    const double planned = (double)d->result.planned_peak_bytes;
    const double measured = (double)d->result.measured_peak_bytes;
    const double saved = (double)plain->result.measured_peak_bytes - measured;
    char than_plain[60] = "", slack[60] = "";

    if (measured <= 0) {
        fprintf(c->to, "skipped %s, %s: the system does not tell the peak\n", mode, what);
        return;
    }
    if (d != plain)
        snprintf(than_plain, sizeof than_plain, "; %.2f MB %s than plain",
                 (saved < 0 ? -saved : saved) / 1e6, saved < 0 ? "more" : "less");
    const bool small = measured < 0.95 * planned;
    if (small)
        snprintf(slack, sizeof slack, ", within %.1f MB: the model is small", SLACK_BYTES / 1e6);
    cli_check_memory_tell(c, measured <= planned && (!small || planned - measured <= SLACK_BYTES),
                          "the output of `diffusionapi plan --json`",
                          "%s, %s: peak planned %.2f MB, measured %.2f MB (%+.1f %%)%s%s", mode,
                          what, planned / 1e6, measured / 1e6, 100 * (measured / planned - 1),
                          slack, than_plain);
}

static void tell_way(struct cli_check *c, const char *mode, const struct way *w,
                     const struct drawn *d, const struct drawn *than)
{
    const struct difference diff = compare(&d->result.images[0], &than->result.images[0]);
    const size_t have = d->bytes[w->phase][w->part], had = than->bytes[w->phase][w->part];

    if (w->largest == 0)
        cli_check_memory_tell(c, diff.largest == 0, "where the model comes from",
                              "%s, %s: the plain picture, bit by bit", mode, w->what);
    else
        cli_check_memory_tell(c, diff.largest <= w->largest, "where the model comes from",
                              "%s, %s: differs from the plain picture by at most %d of 255 "
                              "(%d allowed)",
                              mode, w->what, diff.largest, w->largest);
    cli_check_memory_tell(c, have < had || (have == had && had <= SMALL_BYTES),
                          "the output of `diffusionapi plan --json`",
                          "%s, %s: %s takes %.2f MB for %s instead of %.2f MB", mode, w->what,
                          gen_plan_phase_name(w->phase), (double)have / 1e6,
                          w->part == ARENA ? "tensors" : "weights", (double)had / 1e6);
    tell_peak(c, mode, w->what, d, than);
}

/* The highest budget under which the plan does what the way is about; false where none does. */
static bool seek(struct plan_bounds *b, struct cli_check *c, const struct gen_request *r,
                 const struct way *w)
{
    struct gen_plan p = {0};
    struct error why = {0};
    bool pulled = false;

    if (!pipeline_plan(&p, c->pipeline, r, b, &why))
        return false;
    const size_t step = p.peak_bytes / BUDGET_STEPS;
    for (b->limit_bytes = p.peak_bytes - step; b->limit_bytes > step && !pulled;) {
        gen_plan_clear(&p);
        if (!pipeline_plan(&p, c->pipeline, r, b, &why))
            break;
        pulled = w->pulled(&p.levers);
        b->limit_bytes -= pulled ? 0 : step;
    }
    gen_plan_clear(&p);
    return pulled;
}

static bool check_way(struct cli_check *c, const struct gen_request *r, const struct way *w,
                      const struct drawn *than, struct error *err)
{
    const char *mode = gen_request_mode_name(r->mode);
    struct plan_bounds b = bounds_of(w->than);
    struct drawn d;

    b.optimization[w->optimization] = b.optimization[w->with] = TRI_TRUE;
    b.on.on[w->optimization] = b.on.on[w->with] = true;
    if (w->pulled && !seek(&b, c, r, w)) {
        fprintf(c->to, "skipped %s, %s: no budget leads to it with this model\n", mode, w->what);
        return true;
    }
    const bool ok = draw(&d, c, r, &b, err);
    if (ok)
        tell_way(c, mode, w, &d, than);
    pipeline_result_clear(&d.result);
    return ok || error_prefix(err, "%s, %s", mode, w->what);
}

static bool check_ways(struct cli_check *c, const struct gen_request *r,
                       const struct drawn than[REFERENCES], struct error *err)
{
    const bool is_sdxl = model_view(pipeline_model(c->pipeline))->family != MODEL_SD1;

    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if ((is_sdxl || !ways[i].is_for_sdxl) &&
            !check_way(c, r, &ways[i], &than[ways[i].than], err))
            return false;
    return true;
}

static void tell_budget(struct cli_check *c, const struct gen_request *r, const struct drawn *d,
                        const struct drawn *plain, size_t limit)
{
    const struct difference diff = compare(&d->result.images[0], &plain->result.images[0]);
    const bool blended = d->levers.vae == PLAN_VAE_BLENDED;
    char what[120];

    snprintf(what, sizeof what, "budget of %.2f MB%s%s", (double)limit / 1e6,
             d->levers.guidance_in_turn ? ", guidance in turn" : "",
             blended ? ", VAE in blended tiles" : "");
    cli_check_memory_tell(
        c, blended ? diff.mean <= BLENDED_MEAN : diff.largest <= BUDGET_LARGEST,
        "where the model comes from",
        "%s, %s: differs from the plain picture by at most %d of 255, %.2f on average%s",
        gen_request_mode_name(r->mode), what, diff.largest, diff.mean,
        blended ? " (approximate by design)" : "");
    tell_peak(c, gen_request_mode_name(r->mode), what, d, plain);
}

/* A bound that nothing fits. */
static bool check_refusal(struct cli_check *c, const struct gen_request *r, struct error *err)
{
    struct plan_bounds b = gen_plan_no_bounds(0);
    struct process_memory before = {0}, after = {0};
    struct drawn d;
    struct error why = {0};

    b.limit_bytes = 1 << 20;
    if (!process_memory_read(&before, err))
        return false;
    const bool drawn = draw(&d, c, r, &b, &why);
    pipeline_result_clear(&d.result);
    if (!process_memory_read(&after, err))
        return false;
    const int64_t grown = (int64_t)after.resident_bytes - (int64_t)before.resident_bytes;
    cli_check_memory_tell(c, !drawn && why.code == ERROR_LIMIT && grown <= REFUSAL_GROWTH_BYTES,
                          "the output of `diffusionapi plan --json`",
                          "%s, budget of 1 MB: refused before any weight is read (%+.2f MB): %s",
                          gen_request_mode_name(r->mode), (double)grown / 1e6,
                          drawn ? "it was not refused" : why.text);
    return true;
}

/* Budgets from half the plain peak downwards, each under the last plan, until nothing fits. */
static bool check_budgets(struct cli_check *c, const struct gen_request *r,
                          const struct drawn *plain, struct error *err)
{
    struct plan_bounds b = gen_plan_no_bounds(0);

    b.limit_bytes = plain->result.planned_peak_bytes / 2;
    for (int i = 0; i < 4; i++) {
        struct drawn d;
        struct error why = {0};
        const bool ok = draw(&d, c, r, &b, &why);
        if (ok) {
            tell_budget(c, r, &d, plain, b.limit_bytes);
            b.limit_bytes = d.result.planned_peak_bytes - LADDER_BYTES;
        }
        pipeline_result_clear(&d.result);
        if (!ok && why.code != ERROR_LIMIT) {
            *err = why;
            return false;
        }
        if (!ok)
            break;
    }
    return check_refusal(c, r, err);
}

bool cli_check_memory_pictures(struct cli_check *c, enum gen_mode mode, struct error *err)
{
    static const char *const names[REFERENCES] = {"plain", "whole attention"};
    struct gen_request r = cli_check_memory_request(c, mode);
    struct drawn than[REFERENCES] = {{.result = {0}}};
    bool ok = true;

    r.width = r.height = r.width < LEAST_SIDE ? LEAST_SIDE : r.width;
    for (int i = 0; ok && i < REFERENCES; i++) {
        const struct plan_bounds bounds = bounds_of((enum reference)i);
        ok = draw(&than[i], c, &r, &bounds, err);
        if (ok)
            tell_peak(c, gen_request_mode_name(mode), names[i], &than[i], &than[PLAIN]);
    }
    ok = ok && check_ways(c, &r, than, err) && check_budgets(c, &r, &than[PLAIN], err);
    for (int i = 0; i < REFERENCES; i++)
        pipeline_result_clear(&than[i].result);
    return ok;
}

bool cli_check_memory_pictures_cleanup(struct cli_check *c, struct error *err)
{
    uint64_t resident[4] = {0};
    int64_t most = 0;
    enum { RUNS = sizeof resident / sizeof resident[0] };

    for (int i = 0; i < RUNS; i++) {
        const struct gen_request r = cli_check_memory_request(c, i % 2 ? GEN_IMG2IMG : GEN_TXT2IMG);
        const struct plan_bounds b = gen_plan_no_bounds(0);
        struct process_memory now = {0};
        struct drawn d;
        bool ok = draw(&d, c, &r, &b, err);
        pipeline_result_clear(&d.result);
        if (!ok || !process_memory_read(&now, err))
            return false;
        resident[i] = now.resident_bytes;
        const int64_t more = (int64_t)now.resident_bytes - (int64_t)resident[i ? 1 : 0];
        most = i > 1 && more > most ? more : most;
    }
    cli_check_memory_tell(c, most <= KEPT_BYTES, "how many pictures were made before",
                          "cleanup: %.2f MB resident after the second run, at most %.2f MB more "
                          "after later ones (2.10 MB allowed)",
                          (double)resident[1] / 1e6, (double)most / 1e6);
    return true;
}
