/* The planner's choices for the demo model; nothing is run. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "plan/gen_plan.h"

#include <stdint.h>

#define MB ((size_t)1000000)

enum { BASE_BYTES = 5000000 };

struct scene {
    struct model *model;
    struct backend *backend;
};

static struct gen_request request_of(enum gen_mode mode, int side)
{
    struct gen_request r = gen_request_defaults();
    r.mode = mode;
    r.width = r.height = side;
    return r;
}

/* 0: fits; otherwise the bytes that the leanest way needs. */
static size_t make(struct gen_plan *out, const struct scene *s, const struct gen_request *r,
                   const struct plan_bounds *b)
{
    struct error err = {0};
    size_t least = 0;

    if (gen_plan_make(out, r, &(const struct plan_models){.base = s->model}, s->backend, b, &least,
                      &err))
        return 0;
    CHECK(err.code == ERROR_LIMIT && least > b->limit_bytes);
    return least;
}

static void gives_up_speed_first_and_exactness_last(const struct scene *s)
{
    const struct gen_request r = request_of(GEN_TXT2IMG, 512);
    struct plan_bounds b = gen_plan_no_bounds(BASE_BYTES);
    struct gen_plan p = {0};
    enum plan_vae last = PLAN_VAE_WHOLE;
    size_t peak = SIZE_MAX;
    bool seen[3] = {false}, streamed = false, in_turn = false;

    CHECK(make(&p, s, &r, &b) == 0 && p.levers.vae == PLAN_VAE_WHOLE && !p.levers.stream &&
          !p.levers.guidance_in_turn && p.levers.offload);
    for (size_t limit = p.peak_bytes; limit > BASE_BYTES; limit -= MB) {
        gen_plan_clear(&p);
        b.limit_bytes = limit;
        if (make(&p, s, &r, &b) != 0)
            break;
        CHECK(p.peak_bytes <= limit && p.peak_bytes <= peak && p.levers.vae >= last);
        CHECK(gen_plan_phase_bytes(&p, p.peak_phase) == p.peak_bytes);
        for (int i = 0; i < PLAN_PHASES; i++)
            CHECK(gen_plan_phase_bytes(&p, (enum plan_phase)i) <= p.peak_bytes);
        peak = p.peak_bytes;
        last = p.levers.vae;
        seen[last] = true;
        streamed = streamed || p.levers.stream;
        in_turn = in_turn || p.levers.guidance_in_turn;
    }
    CHECK(seen[PLAN_VAE_WHOLE] && seen[PLAN_VAE_EXACT] && seen[PLAN_VAE_BLENDED]);
    CHECK(streamed && in_turn);
    gen_plan_clear(&p);
}

/* The leanest plan, found through the refusal of an impossible bound. */
static size_t least_of(const struct scene *s, const struct gen_request *r, struct plan_bounds b)
{
    struct gen_plan p = {0};
    b.limit_bytes = BASE_BYTES + 1;
    size_t least = make(&p, s, r, &b);
    gen_plan_clear(&p);
    return least;
}

static void fits_exactly_what_a_refusal_says(const struct scene *s)
{
    for (int i = 0; i < 2; i++) {
        const struct gen_request r = request_of(i ? GEN_IMG2IMG : GEN_TXT2IMG, 256);
        struct plan_bounds b = gen_plan_no_bounds(BASE_BYTES);
        struct gen_plan p = {0};

        b.limit_bytes = least_of(s, &r, b);
        CHECK(b.limit_bytes > 0 && make(&p, s, &r, &b) == 0);
        CHECK(p.peak_bytes == b.limit_bytes && p.phase[PLAN_VAE_ENCODE].used == (i == 1));
        gen_plan_clear(&p);
        b.limit_bytes--;
        CHECK(make(&p, s, &r, &b) == b.limit_bytes + 1);
        gen_plan_clear(&p);
    }
}

static void never_pulls_a_forbidden_lever(const struct scene *s)
{
    static const enum memory_optimization lever[] = {
        MEMORY_VAE_TILING, MEMORY_SEQUENTIAL_CPU_OFFLOAD, MEMORY_MODEL_CPU_OFFLOAD};
    const struct gen_request r = request_of(GEN_IMG2IMG, 256);
    struct plan_bounds all = gen_plan_no_bounds(BASE_BYTES);
    size_t with_all = least_of(s, &r, all);

    for (size_t i = 0; i < sizeof lever / sizeof lever[0]; i++) {
        struct plan_bounds b = gen_plan_no_bounds(BASE_BYTES);
        struct gen_plan p = {0};
        b.optimization[lever[i]] = TRI_FALSE;
        for (size_t limit = 90 * MB; limit > with_all; limit -= 4 * MB) {
            b.limit_bytes = limit;
            if (make(&p, s, &r, &b) != 0)
                break;
            CHECK(lever[i] != MEMORY_VAE_TILING || p.levers.vae == PLAN_VAE_WHOLE);
            CHECK(lever[i] != MEMORY_SEQUENTIAL_CPU_OFFLOAD ||
                  (!p.levers.stream && !p.levers.stream_vae && !p.levers.stream_text));
            CHECK(p.levers.offload == (lever[i] != MEMORY_MODEL_CPU_OFFLOAD));
            gen_plan_clear(&p);
        }
        gen_plan_clear(&p);
        CHECK(lever[i] == MEMORY_MODEL_CPU_OFFLOAD || least_of(s, &r, b) > with_all);
    }
}

static void always_pulls_a_forced_lever(const struct scene *s)
{
    const struct gen_request r = request_of(GEN_TXT2IMG, 256);
    for (size_t limit = 0; limit <= 90 * MB; limit += 30 * MB) {
        for (int tiling = 0; tiling < 2; tiling++) {
            for (int stream = 0; stream < 2; stream++) {
                struct plan_bounds b = gen_plan_no_bounds(BASE_BYTES);
                struct gen_plan p = {0};
                b.limit_bytes = limit;
                b.on.on[MEMORY_VAE_TILING] = tiling;
                b.on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = stream;
                CHECK(make(&p, s, &r, &b) == 0);
                CHECK(!tiling || p.levers.vae != PLAN_VAE_WHOLE);
                CHECK(!stream || (p.levers.stream && p.levers.stream_vae && p.levers.stream_text));
                CHECK(limit || tiling == (p.levers.vae != PLAN_VAE_WHOLE));
                CHECK(limit || stream == p.levers.stream);
                gen_plan_clear(&p);
            }
        }
    }
}

static void carries_weights_where_networks_stay(const struct scene *s)
{
    const struct gen_request r = request_of(GEN_TXT2IMG, 64);
    struct plan_bounds b = gen_plan_no_bounds(BASE_BYTES);
    struct gen_plan gone = {0}, stays = {0};

    CHECK(make(&gone, s, &r, &b) == 0);
    b.optimization[MEMORY_MODEL_CPU_OFFLOAD] = TRI_FALSE;
    CHECK(make(&stays, s, &r, &b) == 0);
    CHECK(stays.phase[PLAN_VAE_DECODE].weights_bytes ==
          gone.phase[PLAN_TEXT_ENCODE].weights_bytes + gone.phase[PLAN_DENOISE].weights_bytes +
              gone.phase[PLAN_VAE_DECODE].weights_bytes);
    /* Where that is too much, the networks still may not leave after their phase, but may be
     * streamed through it. */
    b.limit_bytes = gone.peak_bytes - MB;
    gen_plan_clear(&stays);
    CHECK(make(&stays, s, &r, &b) == 0 && stays.levers.stream && !stays.levers.offload);
    gen_plan_clear(&gone);
    gen_plan_clear(&stays);
}

static void refuses_sides_that_the_vae_cannot_make(const struct scene *s)
{
    struct gen_request r = request_of(GEN_TXT2IMG, 64);
    struct plan_bounds b = gen_plan_no_bounds(BASE_BYTES);
    struct gen_plan p = {0};
    struct error err = {0};

    r.width = 65;
    CHECK(!gen_plan_make(&p, &r, &(const struct plan_models){.base = s->model}, s->backend, &b,
                         NULL, &err));
    CHECK(err.code == ERROR_INVALID);
}

int main(void)
{
    struct scene s = {0};
    struct error err = {0};

    if (!model_open(&s.model, "assets/demo-model", &err) ||
        !cpu_backend_open(&s.backend, 2, "portable", &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    gives_up_speed_first_and_exactness_last(&s);
    fits_exactly_what_a_refusal_says(&s);
    never_pulls_a_forbidden_lever(&s);
    always_pulls_a_forced_lever(&s);
    carries_weights_where_networks_stay(&s);
    refuses_sides_that_the_vae_cannot_make(&s);
    s.backend->fn->close(s.backend);
    model_close(s.model);
    return TEST_END();
}
