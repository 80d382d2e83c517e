/* Two halves of a plan at the same time end as one after the other. */
#include "base/test.h"
#include "plan/plan_beside.h"

#include <stdio.h>
#include <string.h>

/* How a half ends, by the bytes that its phases would need; 0: they fit. */
static size_t first_bytes, last_bytes;
static bool first_fails, last_fails;

static bool end(struct planner *p, enum plan_phase phase, size_t bytes, bool fails,
                struct error *err)
{
    p->plan->phase[phase].used = true;
    if (fails)
        return error_set(err, ERROR_CORRUPT, "%s fails", gen_plan_phase_name(phase));
    p->least_bytes = bytes;
    if (bytes)
        planner_remember_refusal(p, phase);
    return true;
}

static bool first(struct planner *p, struct error *err)
{
    return end(p, PLAN_DENOISE, first_bytes, first_fails, err);
}

static bool last(struct planner *p, struct error *err)
{
    return end(p, PLAN_VAE_DECODE, last_bytes, last_fails, err);
}

struct outcome {
    bool ok;
    size_t worst_bytes;
    enum plan_phase worst_phase;
    char text[64];
};

static struct outcome plan(bool ends_early)
{
    struct gen_plan out = {0};
    struct planner p = {.plan = &out, .ends_early = ends_early};
    struct error err = {0};
    struct outcome o = {.ok = plan_beside(&p, first, last, &err)};

    CHECK(out.phase[PLAN_DENOISE].used && out.phase[PLAN_VAE_DECODE].used);
    o.worst_bytes = p.worst_bytes;
    o.worst_phase = p.worst_phase;
    snprintf(o.text, sizeof o.text, "%.60s", err.text);
    return o;
}

static struct outcome with(size_t a, size_t b, bool ends_early)
{
    first_bytes = a;
    last_bytes = b;
    return plan(ends_early);
}

static void tells_the_worst_refusal(void)
{
    CHECK(with(0, 0, false).ok && with(0, 0, false).worst_bytes == 0);
    CHECK(with(0, 7, false).worst_bytes == 7 && with(0, 7, false).worst_phase == PLAN_VAE_DECODE);
    CHECK(with(9, 7, false).worst_bytes == 9 && with(9, 7, false).worst_phase == PLAN_DENOISE);
    CHECK(with(5, 7, false).worst_bytes == 7);
    /* Of equals the one that would have come first. */
    CHECK(with(7, 7, false).worst_phase == PLAN_DENOISE);
    /* One is enough: the last would not have been planned. */
    CHECK(with(5, 7, true).worst_bytes == 5 && with(5, 7, true).worst_phase == PLAN_DENOISE);
    CHECK(with(0, 7, true).worst_bytes == 7);
}

static void passes_errors_on(void)
{
    last_fails = true;
    CHECK(!with(0, 0, true).ok && strstr(with(0, 0, true).text, "vae decode"));
    CHECK(with(5, 0, true).ok && with(5, 0, true).worst_bytes == 5);
    first_fails = true;
    CHECK(!with(0, 0, true).ok && strstr(with(0, 0, true).text, "denoise"));
    last_fails = false;
    CHECK(!with(0, 0, true).ok && strstr(with(0, 0, true).text, "denoise"));
}

int main(void)
{
    tells_the_worst_refusal();
    passes_errors_on();
    return TEST_END();
}
