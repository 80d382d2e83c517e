#include "plan/plan_size.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

bool plan_size_is_sdxl(const struct model *m)
{
    return model_view(m)->family != MODEL_SD1;
}

/* A budget counts what the process holds already; what is available does not. */
static size_t limit_of(const struct plan_size_ask *ask)
{
    const uint64_t budget = ask->policy->budget_bytes;
    uint64_t limit;

    if (__builtin_add_overflow(ask->base_bytes,
                               memory_policy_usable_bytes(ask->policy, ask->machine), &limit))
        limit = UINT64_MAX;
    if (budget && budget < limit)
        limit = budget;
    return limit < SIZE_MAX ? (size_t)limit : SIZE_MAX;
}

struct plan_bounds plan_size_bounds(const struct plan_size_ask *ask)
{
    struct plan_bounds b = {.base_bytes = ask->base_bytes + ask->beside_bytes,
                            .limit_bytes = limit_of(ask)};
    const enum memory_level level =
        levels_of(ask->machine->available_bytes, &ask->policy->thresholds);

    if (!b.limit_bytes)
        b.limit_bytes = 1; /* 0 would be no bound */
    b.on = memory_policy_choose(ask->policy, ask->machine->device, level,
                                plan_size_is_sdxl(ask->models.base));
    memcpy(b.optimization, ask->policy->optimization, sizeof b.optimization);
    return b;
}

static struct memory_size result_size(const struct gen_request *r)
{
    struct memory_size s;
    gen_request_hires_size(r, &s.width, &s.height);
    return s;
}

static int64_t pixels(struct memory_size s)
{
    return (int64_t)s.width * s.height;
}

/* The request for pictures of this size.  A second pass gives way first: it enlarges to less, and
 * is gone where the size leaves nothing to enlarge. */
static struct gen_request of_size(const struct plan_size_ask *ask, struct memory_size size)
{
    struct gen_request r = *ask->request;
    const struct memory_size first = {r.width, r.height}, asked = result_size(&r);

    if (size.width == asked.width && size.height == asked.height)
        return r;
    if (gen_request_has_hires(&r) && pixels(size) > pixels(first)) {
        r.hires.width = size.width;
        r.hires.height = size.height;
        return r;
    }
    if (gen_request_has_hires(&r)) {
        r.hires.scale = 1;
        r.hires.width = r.hires.height = 0;
        size = memory_fit_size(first, size);
    }
    r.width = size.width;
    r.height = size.height;
    return r;
}

/* A plan for one size.  *fits false: nothing fits, and *least_bytes is what the leanest way needs.
 */
static bool try_size(struct gen_plan *out, bool *fits, const struct plan_size_ask *ask,
                     const struct plan_bounds *bounds, struct memory_size size, size_t *least_bytes,
                     struct error *err)
{
    const struct gen_request r = of_size(ask, size);
    struct error why = {0};

    if (ask->stop && ask->stop(ask->stop_ctx))
        return error_set(err, ERROR_CANCELLED, "the plan is not wanted any more");
    *fits = gen_plan_make(out, &r, &ask->models, ask->backend, bounds, least_bytes, &why);
    if (*fits || why.code == ERROR_LIMIT)
        return true;
    *err = why;
    return false;
}

static bool size_fits(bool *fits, const struct plan_size_ask *ask, const struct plan_bounds *bounds,
                      struct memory_size size, struct error *err)
{
    struct gen_plan plan = {0};
    if (!try_size(&plan, fits, ask, bounds, size, NULL, err))
        return false;
    gen_plan_clear(&plan);
    return true;
}

static struct memory_size scaled(struct memory_size asked, int side)
{
    return memory_fit_size(asked, (struct memory_size){side, side});
}

/* The largest size of the shape of most, at most that itself, by halving the interval of the side
 * of a square of as many pixels: from 64, which must fit, to what must not. */
static bool search(struct memory_size *out, const struct plan_size_ask *ask,
                   const struct plan_bounds *bounds, struct memory_size most, struct error *err)
{
    int low = MEMORY_FIT_SMALLEST, high = (int)sqrt((double)most.width * most.height) + 1;
    bool fits = false;

    *out = (struct memory_size){0, 0};
    if (!size_fits(&fits, ask, bounds, most, err))
        return false;
    if (fits) {
        *out = most;
        return true;
    }
    if (!size_fits(&fits, ask, bounds, scaled(most, low), err))
        return false;
    if (!fits)
        return true;
    *out = scaled(most, low);
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        struct memory_size size = scaled(most, middle);
        if (!size_fits(&fits, ask, bounds, size, err))
            return false;
        if (fits) {
            low = middle;
            *out = size;
        } else {
            high = middle;
        }
    }
    return true;
}

bool plan_size_largest(struct memory_size *out, const struct plan_size_ask *ask,
                       struct memory_size max, struct error *err)
{
    const struct plan_bounds bounds = plan_size_bounds(ask);
    const struct memory_size asked = result_size(ask->request);
    double w = asked.width, h = asked.height;
    double scale = fmin(max.width / w, max.height / h);
    struct memory_size most = {(int)(w * scale + 1e-6) / MEMORY_FIT_MULTIPLE * MEMORY_FIT_MULTIPLE,
                               (int)(h * scale + 1e-6) / MEMORY_FIT_MULTIPLE * MEMORY_FIT_MULTIPLE};

    if (most.width < MEMORY_FIT_SMALLEST)
        most.width = MEMORY_FIT_SMALLEST;
    if (most.height < MEMORY_FIT_SMALLEST)
        most.height = MEMORY_FIT_SMALLEST;
    return search(out, ask, &bounds, most, err);
}

static void add(char *list, size_t room, const char *what)
{
    size_t have = strlen(list);
    snprintf(list + have, room - have, "%s%s", have ? "; " : "", what);
}

/* Which forbidden levers, taken alone, would make the size fit. */
static bool add_levers(char *list, size_t room, const struct plan_size_ask *ask,
                       const struct plan_bounds *bounds, struct memory_size size, struct error *err)
{
    static const enum memory_optimization lever[] = {MEMORY_VAE_TILING, MEMORY_MODEL_CPU_OFFLOAD,
                                                     MEMORY_SEQUENTIAL_CPU_OFFLOAD};
    static const char *const flag[] = {"--enable-vae-tiling auto", "--enable-cpu-offload auto",
                                       "--enable-sequential-cpu-offload auto",
                                       "--enable-memory-efficient-attention auto"};

    for (size_t i = 0; i < sizeof lever / sizeof lever[0]; i++) {
        struct plan_bounds without = *bounds;
        bool fits = false;
        if (without.optimization[lever[i]] != TRI_FALSE)
            continue;
        without.optimization[lever[i]] = TRI_AUTO;
        if (!size_fits(&fits, ask, &without, size, err))
            return false;
        if (fits)
            add(list, room, flag[i]);
    }
    return true;
}

/* What may be done about it, as settings. */
static bool add_advice(char *list, size_t room, const struct plan_size_ask *ask,
                       const struct plan_bounds *bounds, struct memory_size size,
                       size_t least_bytes, struct memory_size largest, struct error *err)
{
    char text[100];

    if (!add_levers(list, room, ask, bounds, size, err))
        return false;
    if (ask->policy->size_policy == MEMORY_SIZE_REFUSE && largest.width > 0)
        add(list, room, "--size-policy planned");
    if (ask->policy->budget_bytes && ask->policy->budget_bytes == bounds->limit_bytes) {
        snprintf(text, sizeof text, "--memory-budget %" PRIu64 "M",
                 ((uint64_t)least_bytes + (2 << 20)) >> 20);
        add(list, room, text);
    } else if (memory_policy_reserve_bytes(ask->policy, ask->machine) > 0) {
        snprintf(text, sizeof text, "a --memory-reserve below %.0fM",
                 (double)memory_policy_reserve_bytes(ask->policy, ask->machine) / (1 << 20));
        add(list, room, text);
    }
    if (ask->request->batch_size > 1)
        add(list, room, "--batch-size 1");
    return true;
}

static bool refuse(const struct plan_size_ask *ask, const struct plan_bounds *bounds,
                   struct memory_size size, struct error *err)
{
    struct gen_plan none = {0};
    struct memory_size largest = {0, 0};
    char advice[500] = "", would[80] = "no size would fit";
    size_t least_bytes = 0;
    bool fits;

    if (!try_size(&none, &fits, ask, bounds, size, &least_bytes, err) ||
        !search(&largest, ask, bounds, size, err) ||
        !add_advice(advice, sizeof advice, ask, bounds, size, least_bytes, largest, err))
        return false;
    if (ask->would_fit)
        *ask->would_fit = largest;
    if (largest.width > 0)
        snprintf(would, sizeof would, "%dx%d would fit", largest.width, largest.height);
    return error_set(err, ERROR_LIMIT,
                     "%dx%d needs %.1f MB (%zu bytes), there are %.1f MB (%zu bytes); %s%s%s",
                     size.width, size.height, (double)least_bytes / 1e6, least_bytes,
                     (double)bounds->limit_bytes / 1e6, bounds->limit_bytes, would,
                     advice[0] ? "; what would help: " : "", advice);
}

/* Where everything stays in memory it would be too much, so that giving back is a lever. */
static bool needs_offload(const struct gen_plan *plan)
{
    size_t weights = 0, work = 0;

    for (int i = 0; i < PLAN_PHASES; i++) {
        const struct plan_stage *n = &plan->phase[i];
        weights += n->weights_bytes;
        if (n->used && n->arena_bytes + n->host_bytes > work)
            work = n->arena_bytes + n->host_bytes;
    }
    return plan->levers.offload && plan->limit_bytes &&
           plan->base_bytes + weights + work > plan->limit_bytes;
}

/* The planner's levers become lines of the log. */
static void take_levers(struct memory_choice *c, const struct gen_plan *plan)
{
    const struct plan_levers *l = &plan->levers;

    if (l->stream || l->stream_vae || l->stream_text)
        c->on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = true;
    if (l->vae != PLAN_VAE_WHOLE)
        c->on[MEMORY_VAE_TILING] = true;
    if (l->attention == GRAPH_ATTENTION_SLICED)
        c->on[MEMORY_ATTENTION_SLICING] = true;
    if (needs_offload(plan))
        c->on[MEMORY_MODEL_CPU_OFFLOAD] = true;
}

static bool make(struct plan_size *out, const struct plan_size_ask *ask, struct error *err)
{
    const struct memory_size asked = result_size(ask->request);
    struct plan_size p = {.bounds = plan_size_bounds(ask)};
    bool fits = false;

    p.transcript =
        transcript_of(ask->policy, ask->machine, asked, plan_size_is_sdxl(ask->models.base));
    struct memory_size size = p.transcript.used;
    if (!try_size(&p.plan, &fits, ask, &p.bounds, size, NULL, err))
        return false;
    if (!fits && ask->policy->size_policy != MEMORY_SIZE_REFUSE) {
        struct memory_size smaller;
        if (!search(&smaller, ask, &p.bounds, size, err))
            return false;
        /* Where none fits, the refusal speaks of the smallest. */
        size = smaller.width > 0 ? smaller : scaled(size, MEMORY_FIT_SMALLEST);
        if (!try_size(&p.plan, &fits, ask, &p.bounds, size, NULL, err))
            return false;
    }
    if (!fits)
        return refuse(ask, &p.bounds, size, err);
    p.request = of_size(ask, size);
    p.transcript.used = result_size(&p.request);
    take_levers(&p.transcript.choice, &p.plan);
    *out = p;
    return true;
}

bool plan_size_make(struct plan_size *out, const struct plan_size_ask *ask, struct error *err)
{
    struct memory_policy policy = *ask->policy;
    struct plan_size_ask own = *ask;

    if (ask->size_policy)
        policy.size_policy = *ask->size_policy;
    own.policy = &policy;
    return make(out, &own, err);
}

void plan_size_clear(struct plan_size *p)
{
    gen_plan_clear(&p->plan);
    *p = (struct plan_size){0};
}
