/* Every lever of memory under real runs of the demo model and of a small SDXL of random weights:
 * the picture of the plain path in less memory, as planned and as measured. */
#include "memory/process_memory.h"
#include "pipeline/pipeline_testing.h"

enum { SMALL = 64, MIDDLE = 256, LARGE = 512, VAST = 1152 }; /* pixels of a side */

enum { MOST_SAVINGS = 4, STEPS = 2 };

/* Between the limits that are tried to find one under which a lever is pulled. */
enum { LIMIT_STEP_BYTES = 256 << 10 };

/* Planned differences of peaks that can be told from what a small process takes or not. */
enum { PLAIN_TO_SEE_BYTES = 3 << 20 };

/* What a lever is held against. */
enum reference { PLAIN, KEPT, WHOLE_ATTENTION, REFERENCES };

enum part { WEIGHTS, ARENA };

struct saving {
    enum plan_phase phase;
    enum part part;
    int percent; /* of the reference's that are left, at most; 0: no such saving */
};

struct lever {
    const char *name;
    enum reference than;
    int side, sdxl_side; /* pixels; 0: the same */
    enum tri optimization[MEMORY_OPTIMIZATIONS];
    bool (*pulled)(const struct plan_levers *l);
    bool seeks; /* a limit is lowered until it is pulled */
    int apart;  /* 8-bit steps that any sample may lie apart; 0: the same bits */
    struct saving saves[MOST_SAVINGS];
};

static bool is_exact(const struct plan_levers *l)
{
    return l->vae == PLAN_VAE_EXACT && l->band_rows > 0;
}

static bool is_again(const struct plan_levers *l)
{
    return l->vae == PLAN_VAE_EXACT && l->vae_again > 0;
}

static bool is_blended(const struct plan_levers *l)
{
    return l->vae == PLAN_VAE_BLENDED;
}

static bool is_streamed(const struct plan_levers *l)
{
    return l->stream && l->stream_vae && l->stream_text;
}

static bool is_both(const struct plan_levers *l)
{
    return is_exact(l) && is_streamed(l);
}

static bool is_offloaded(const struct plan_levers *l)
{
    return l->offload;
}

static bool is_sliced(const struct plan_levers *l)
{
    return l->attention == GRAPH_ATTENTION_SLICED;
}

static bool is_streaming(const struct plan_levers *l)
{
    return l->attention == GRAPH_ATTENTION_STREAMING;
}

static bool is_in_turn(const struct plan_levers *l)
{
    return l->guidance_in_turn && !l->stream && l->vae == PLAN_VAE_EXACT;
}

/* What they are held against, by their settings alone. */
static const struct lever references[REFERENCES] = {
    [PLAIN] = {.name = "plain"},
    [KEPT] = {.name = "networks kept", .optimization[MEMORY_MODEL_CPU_OFFLOAD] = TRI_FALSE},
    [WHOLE_ATTENTION] = {.name = "whole attention",
                         .optimization[MEMORY_EFFICIENT_ATTENTION] = TRI_FALSE,
                         .optimization[MEMORY_ATTENTION_SLICING] = TRI_FALSE},
};

/* Weights are looked at in small pictures, where they are most of a peak, arenas in larger ones.
 * Attention adds up in another order in each of its ways; in turn, the products of guidance are of
 * other shapes, whose sums round differently. */
static const struct lever levers[] = {
    {.name = "vae_tiling",
     .side = MIDDLE,
     .optimization[MEMORY_VAE_TILING] = TRI_TRUE,
     .pulled = is_exact,
     .saves = {{PLAN_VAE_DECODE, ARENA, 85}, {PLAN_VAE_ENCODE, ARENA, 85}}},
    {.name = "vae_tiling, levels computed again",
     .side = MIDDLE,
     .optimization[MEMORY_VAE_TILING] = TRI_TRUE,
     .pulled = is_again,
     .seeks = true,
     .saves = {{PLAN_VAE_DECODE, ARENA, 70}}},
    {.name = "sequential_cpu_offload",
     .side = SMALL,
     .optimization[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = TRI_TRUE,
     .pulled = is_streamed,
     .saves = {{PLAN_DENOISE, WEIGHTS, 25}, {PLAN_VAE_DECODE, WEIGHTS, 95}}},
    {.name = "vae_tiling and sequential_cpu_offload",
     .side = MIDDLE,
     .optimization[MEMORY_VAE_TILING] = TRI_TRUE,
     .optimization[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = TRI_TRUE,
     .pulled = is_both,
     .saves = {{PLAN_DENOISE, WEIGHTS, 25}, {PLAN_VAE_DECODE, ARENA, 85}}},
    {.name = "model_cpu_offload",
     .than = KEPT,
     .side = SMALL,
     .optimization[MEMORY_MODEL_CPU_OFFLOAD] = TRI_TRUE,
     .pulled = is_offloaded,
     .saves = {{PLAN_DENOISE, WEIGHTS, 99}, {PLAN_VAE_DECODE, WEIGHTS, 50}}},
    {.name = "attention_slicing",
     .than = WHOLE_ATTENTION,
     .side = MIDDLE,
     .sdxl_side = LARGE, /* its first level has no attention */
     .optimization[MEMORY_ATTENTION_SLICING] = TRI_TRUE,
     .pulled = is_sliced,
     .apart = 1,
     .saves = {{PLAN_DENOISE, ARENA, 80}}},
    {.name = "memory_efficient_attention",
     .than = WHOLE_ATTENTION,
     .side = MIDDLE,
     .sdxl_side = LARGE, /* its first level has no attention */
     .optimization[MEMORY_EFFICIENT_ATTENTION] = TRI_TRUE,
     .pulled = is_streaming,
     .apart = 1,
     .saves = {{PLAN_DENOISE, ARENA, 80}}},
    {.name = "guidance in turn",
     .side = MIDDLE,
     .optimization[MEMORY_VAE_TILING] = TRI_TRUE,
     .pulled = is_in_turn,
     .seeks = true,
     .apart = 1,
     .saves = {{PLAN_DENOISE, ARENA, 70}}},
};

/* A model on a device, and what is asked of it. */
struct scene {
    const char *name, *model, *tokenizer;
    bool is_sdxl;
    struct backend *backend;
    enum gen_mode mode;
};

struct drawn {
    int side; /* 0: nothing was drawn */
    struct gen_result result;
    struct plan_levers levers;
    size_t bytes[PLAN_PHASES][2]; /* planned, by enum part */
    int tile;                     /* of the decoder, in latent places */
};

static struct gen_request request_of(const struct scene *s, int side)
{
    struct gen_request r = pipeline_testing_request();

    r.mode = s->mode;
    r.width = r.height = side;
    r.steps = STEPS;
    r.cfg_scale = 5;
    r.denoising_strength = 1; /* all steps are run */
    return r;
}

static struct plan_bounds bounds_of(const enum tri *optimization)
{
    struct plan_bounds b = gen_plan_no_bounds(0);

    memcpy(b.optimization, optimization, sizeof b.optimization);
    for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++)
        b.on.on[i] = optimization[i] == TRI_TRUE;
    return b;
}

/* A sanitizer keeps what is freed, so that a plan would never settle; nothing is measured under
 * one. */
static bool make_plan(struct gen_plan *out, const struct scene *s, struct pipeline *p,
                      const struct gen_request *r, const struct plan_bounds *b, struct error *err)
{
    const struct plan_models models = pipeline_models(p);
    struct gen_request read = *r;

    if (!TEST_SANITIZED)
        return pipeline_plan(out, p, r, b, err);
    return pipeline_read_prompts(&read, p, NULL, err) &&
           gen_plan_make(out, &read, &models, s->backend, b, NULL, err);
}

/* The plan; where a limit has to lead to it, the one of the highest limit that does. */
static bool plan_for(struct gen_plan *out, const struct scene *s, struct pipeline *p,
                     const struct gen_request *r, const struct lever *l, struct error *err)
{
    struct plan_bounds b = bounds_of(l->optimization);
    bool ok = make_plan(out, s, p, r, &b, err);

    b.limit_bytes = ok ? out->peak_bytes : 0;
    while (ok && l->seeks && !l->pulled(&out->levers)) {
        gen_plan_clear(out);
        b.limit_bytes -= LIMIT_STEP_BYTES;
        ok = make_plan(out, s, p, r, &b, err);
    }
    return ok;
}

static bool make_input(struct image *out, const struct gen_request *r)
{
    struct error err = {0};

    if (!image_init(out, r->width, r->height, &err))
        return false;
    for (int i = 0; i < r->width * r->height; i++) {
        out->px[3 * i] = (uint8_t)(255 * (i % r->width) / r->width);
        out->px[3 * i + 1] = (uint8_t)(255 * (i / r->width) / r->height);
        out->px[3 * i + 2] = 96;
    }
    return true;
}

/* Every lever in a pipeline of its own, so that none finds another one's memory. */
static struct drawn draw(const struct scene *s, const struct lever *l, int side)
{
    const struct gen_request r = request_of(s, side);
    struct drawn d = {.side = 0};
    struct gen_plan plan = {0};
    struct image input = {0};
    struct pipeline *p = NULL;
    struct error err = {0};

    const bool ok = pipeline_open(&p, s->model, s->tokenizer, s->backend, &err) &&
                    make_input(&input, &r) && plan_for(&plan, s, p, &r, l, &err) &&
                    pipeline_run(&d.result, p, &r, &plan, &(struct pipeline_input){.image = &input},
                                 NULL, &err);
    if (!ok)
        fprintf(stderr, "%s, %s: %s\n", s->name, l->name, err.text);
    CHECK(ok);
    d.side = ok ? side : 0;
    d.levers = plan.levers;
    d.tile = plan.phase[PLAN_VAE_DECODE].tile_w;
    for (int i = 0; i < PLAN_PHASES; i++) {
        d.bytes[i][WEIGHTS] = plan.phase[i].weights_bytes;
        d.bytes[i][ARENA] = plan.phase[i].arena_bytes;
    }
    gen_plan_clear(&plan);
    image_clear(&input);
    pipeline_close(p);
    return d;
}

static void check_savings(const struct scene *s, const struct lever *l, const struct drawn *d,
                          const struct drawn *than)
{
    for (int i = 0; i < MOST_SAVINGS && l->saves[i].percent; i++) {
        const struct saving *saving = &l->saves[i];
        const size_t have = d->bytes[saving->phase][saving->part],
                     had = than->bytes[saving->phase][saving->part];
        const bool is_used = saving->phase != PLAN_VAE_ENCODE || s->mode == GEN_IMG2IMG;
        const bool ok = is_used ? have * 100 <= had * (size_t)saving->percent && have < had
                                : have == 0 && had == 0;
        if (!ok)
            fprintf(stderr, "%s, %s, %s of %s: %zu bytes instead of %zu\n", s->name, l->name,
                    saving->part == ARENA ? "arena" : "weights", gen_plan_phase_name(saving->phase),
                    have, had);
        CHECK(ok);
    }
}

/* What the plans promise to save is seen in the process. */
static void check_measured(const struct scene *s, const struct lever *l, const struct drawn *d,
                           const struct drawn *than)
{
    const struct gen_result *a = &d->result, *b = &than->result;
    const int64_t planned = (int64_t)b->planned_peak_bytes - (int64_t)a->planned_peak_bytes;
    const int64_t measured = (int64_t)b->measured_peak_bytes - (int64_t)a->measured_peak_bytes;
    const bool ok = TEST_SANITIZED || !a->measured_peak_bytes || planned < PLAIN_TO_SEE_BYTES ||
                    measured >= planned / 2;

    if (!ok)
        fprintf(stderr, "%s, %s: saves %lld bytes as planned, %lld as measured\n", s->name, l->name,
                (long long)planned, (long long)measured);
    CHECK(ok);
}

static void draws_the_same_picture_in_less_memory(const struct scene *s)
{
    struct drawn first[REFERENCES] = {{0}}, small = {0};

    for (size_t i = 0; i < sizeof levers / sizeof levers[0]; i++) {
        const struct lever *l = &levers[i];
        const int side = s->is_sdxl && l->sdxl_side ? l->sdxl_side : l->side;
        struct drawn *than = l->than == PLAIN && side == SMALL ? &small : &first[l->than];
        if (!than->side)
            *than = draw(s, &references[l->than], side);
        CHECK(than->side == side);
        if (than->side != side)
            continue;
        CHECK(pipeline_testing_is_within_plan(references[l->than].name, &than->result));
        struct drawn d = draw(s, l, side);
        if (d.side) {
            const int most =
                pipeline_testing_furthest(&d.result.images[0], &than->result.images[0]);
            if (most > l->apart || !l->pulled(&d.levers))
                fprintf(stderr, "%s, %s: %d apart, %s\n", s->name, l->name, most,
                        l->pulled(&d.levers) ? "pulled" : "not pulled");
            CHECK(most <= l->apart && l->pulled(&d.levers));
            CHECK(pipeline_testing_is_within_plan(l->name, &d.result));
            check_savings(s, l, &d, than);
            check_measured(s, l, &d, than);
        }
        pipeline_result_clear(&d.result);
    }
    for (int i = 0; i < REFERENCES; i++)
        pipeline_result_clear(&first[i].result);
    pipeline_result_clear(&small.result);
}

/* Blended tiles: another picture, close by.  SDXL's are of a reduced size here. */
static void draws_nearly_the_same_in_tiles(const struct scene *s)
{
    static const struct lever tight = {.name = "blended tiles",
                                       .optimization[MEMORY_REDUCE_VAE_SAMPLE_SIZE] = TRI_TRUE,
                                       .pulled = is_blended,
                                       .seeks = true};
    const int side = s->is_sdxl ? 640 : 768;
    struct drawn plain = draw(s, &references[PLAIN], side), d = draw(s, &tight, side);
    /* Smaller tiles see less of their surroundings, and random weights make more of those. */
    const double allowed = d.tile < 32 || s->is_sdxl ? 8 : 5;

    if (plain.side && d.side) {
        const double apart =
            pipeline_testing_distance(&plain.result.images[0], &d.result.images[0]);
        if (apart > allowed)
            fprintf(stderr, "%s: tiles are %.2f apart on average\n", s->name, apart);
        CHECK(apart > 0 && apart <= allowed);
        CHECK(d.tile * 8 <= 512);
        CHECK(pipeline_testing_is_within_plan(tight.name, &d.result));
        CHECK(d.bytes[PLAN_VAE_DECODE][ARENA] < plain.bytes[PLAN_VAE_DECODE][ARENA] / 4);
        check_measured(s, &tight, &d, &plain);
    }
    pipeline_result_clear(&plain.result);
    pipeline_result_clear(&d.result);
}

/* What the leanest plan of a huge picture needs. */
static size_t least_of(const struct scene *s, enum tri reduced)
{
    const struct gen_request r = request_of(s, VAST);
    enum tri optimization[MEMORY_OPTIMIZATIONS] = {[MEMORY_REDUCE_VAE_SAMPLE_SIZE] = reduced};
    struct plan_bounds b = bounds_of(optimization);
    struct gen_plan plan = {0};
    struct pipeline *p = NULL;
    struct error err = {0};
    size_t least = 0;

    b.limit_bytes = 1;
    CHECK(pipeline_open(&p, s->model, s->tokenizer, s->backend, &err));
    if (p) {
        const struct plan_models models = pipeline_models(p);
        CHECK(!gen_plan_make(&plan, &r, &models, s->backend, &b, &least, &err));
        CHECK(err.code == ERROR_LIMIT);
    }
    pipeline_close(p);
    return least;
}

static void needs_less_where_sdxls_tiles_may_be_smaller(const struct scene *s)
{
    const size_t reduced = least_of(s, TRI_TRUE), full = least_of(s, TRI_FALSE);

    if (s->is_sdxl ? reduced >= full - full / 4 : reduced != full)
        fprintf(stderr, "%s: %zu bytes with tiles of 512 pixels, else %zu\n", s->name, reduced,
                full);
    CHECK(s->is_sdxl ? reduced < full - full / 4 : reduced == full);
    CHECK(least_of(s, TRI_AUTO) == reduced);
}

static bool pressed_from_the_second_call(void *ctx)
{
    int *asked = ctx;
    return ++*asked > 1;
}

/* The plan holds the weights; pressure in the middle of the run makes it stream them. */
static void streams_under_pressure_and_draws_the_same_bits(const struct scene *s)
{
    const struct gen_request r = request_of(s, MIDDLE);
    struct drawn first = draw(s, &references[PLAIN], MIDDLE);
    struct gen_result other = {0};
    struct gen_plan plan = {0};
    struct pipeline *p = NULL;
    struct error err = {0};
    int asked = 0;
    const struct watch watch = {.ctx = &asked, .pressed = pressed_from_the_second_call};

    CHECK(first.side && !first.result.relieved);
    bool ok = pipeline_open(&p, s->model, s->tokenizer, s->backend, &err) &&
              pipeline_plan(&plan, p, &r, NULL, &err) && !plan.levers.stream &&
              pipeline_run(&other, p, &r, &plan, NULL, &watch, &err);
    CHECK(ok && other.relieved && plan.levers.stream && asked == 2);
    CHECK(ok && pipeline_testing_same_first(&first.result, &other));
    CHECK(other.measured_peak_bytes <= other.planned_peak_bytes || TEST_SANITIZED);

    gen_plan_clear(&plan);
    pipeline_result_clear(&other);
    asked = 0;
    ok = ok && pipeline_plan(&plan, p, &r, NULL, &err);
    plan.may_stream = false; /* as when sequential offload is forbidden */
    ok = ok && pipeline_run(&other, p, &r, &plan, NULL, &watch, &err);
    CHECK(ok && !other.relieved);
    gen_plan_clear(&plan);
    pipeline_result_clear(&other);
    pipeline_result_clear(&first.result);
    pipeline_close(p);
}

/* What is left of one run is the next one's, or gone; neither changes a bit, nothing piles up. */
static void draws_the_same_after_cleanup_and_without(const struct scene *s)
{
    const struct gen_request r = request_of(s, MIDDLE);
    struct process_memory first = {0}, now = {0};
    struct gen_result want = {0};
    struct pipeline *p = NULL;
    struct error err = {0};

    CHECK(pipeline_open(&p, s->model, s->tokenizer, s->backend, &err));
    for (int i = 0; p && i < 4; i++) {
        struct gen_result out = pipeline_testing_draw(p, &r, NULL);
        CHECK(i == 0 || pipeline_testing_same_first(&want, &out));
        if (i == 0)
            want = out;
        else
            pipeline_result_clear(&out);
        if (i % 2)
            pipeline_release(p);
        CHECK(process_memory_read(i <= 1 ? &first : &now, &err));
    }
    CHECK(TEST_SANITIZED || now.resident_bytes <= first.resident_bytes + (2 << 20));
    pipeline_result_clear(&want);
    pipeline_close(p);
}

int main(void)
{
    char sdxl[PIPELINE_TESTING_PATH_BYTES];
    struct scene scenes[] = {
        {.name = "SD 1.5", .model = pipeline_testing_model},
        {.name = "SDXL", .model = sdxl, .tokenizer = pipeline_testing_tokenizer, .is_sdxl = true}};
    struct backend *b = NULL;
    struct error err = {0};

    if (!cpu_backend_open(&b, 2, NULL, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const bool made = pipeline_testing_make_model(sdxl, "tiny-sdxl", NULL);
    CHECK(made);
    for (int i = 0; i < 1 + made; i++) {
        struct scene *s = &scenes[i];
        s->backend = b;
        draws_the_same_picture_in_less_memory(s);
        draws_nearly_the_same_in_tiles(s);
        needs_less_where_sdxls_tiles_may_be_smaller(s);
        streams_under_pressure_and_draws_the_same_bits(s);
        draws_the_same_after_cleanup_and_without(s);
        s->mode = GEN_IMG2IMG;
        draws_the_same_picture_in_less_memory(s);
    }
    unlink(sdxl);
    b->fn->close(b);
    return TEST_END();
}
