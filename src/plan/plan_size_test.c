/* Sizes, bounds and refusals, planned for the demo model; nothing is run. */
#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "plan/plan_size.h"

#include <string.h>

#define GIB ((uint64_t)1 << 30)
#define MB ((size_t)1000000)

struct scene {
    struct model *model;
    struct backend *backend;
    struct memory_policy policy;
    struct machine machine;
    struct gen_request request;
    struct plan_size_ask ask;
};

static bool open_scene(struct scene *s)
{
    struct error err = {0};

    *s = (struct scene){.policy = memory_policy_defaults(),
                        .machine = {MACHINE_CPU, 64 * GIB, 40 * GIB, MACHINE_NORMAL},
                        .request = gen_request_defaults()};
    s->ask = (struct plan_size_ask){
        .policy = &s->policy, .machine = &s->machine, .request = &s->request, .base_bytes = 5 * MB};
    if (!model_open(&s->model, "assets/demo-model", &err) ||
        !cpu_backend_open(&s->backend, 2, "portable", &err)) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    s->ask.models.base = s->model;
    s->ask.backend = s->backend;
    return true;
}

/* What every test begins with. */
static void reset(struct scene *s, int width, int height)
{
    s->policy = memory_policy_defaults();
    s->machine = (struct machine){MACHINE_CPU, 64 * GIB, 40 * GIB, MACHINE_NORMAL};
    s->request = gen_request_defaults();
    s->request.width = width;
    s->request.height = height;
    s->ask.base_bytes = 5 * MB;
}

static bool makes(const struct scene *s, struct plan_size *out)
{
    struct error err = {0};
    bool ok = plan_size_make(out, &s->ask, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    return ok;
}

static void takes_the_size_of_the_table(struct scene *s)
{
    static const struct {
        enum machine_device device;
        double gib;
        int w, h, used_w, used_h;
    } row[] = {
        {MACHINE_MPS, 8.5, 2048, 2048, 768, 768},   {MACHINE_MPS, 8, 1920, 1080, 1024, 576},
        {MACHINE_MPS, 7.9, 2048, 2048, 512, 512},   {MACHINE_CUDA, 12, 2048, 2048, 1024, 1024},
        {MACHINE_CPU, 17, 1024, 512, 1024, 512},    {MACHINE_CPU, 9, 1024, 512, 720, 360},
        {MACHINE_MPS, 32, 2048, 2048, 1280, 1280},  {MACHINE_MPS, 32.1, 2048, 2048, 1536, 1536},
        {MACHINE_CUDA, 40, 2048, 2048, 2048, 2048}, {MACHINE_CPU, 40, 1024, 1032, 1016, 1024},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct plan_size p = {0};
        reset(s, row[i].w, row[i].h);
        s->machine.device = row[i].device;
        s->machine.available_bytes = (uint64_t)(row[i].gib * (double)GIB);
        CHECK(makes(s, &p));
        bool right = p.request.width == row[i].used_w && p.request.height == row[i].used_h &&
                     p.transcript.used.width == row[i].used_w &&
                     p.transcript.asked.width == row[i].w;
        if (!right)
            fprintf(stderr, "row %zu: %dx%d\n", i, p.request.width, p.request.height);
        CHECK(right);
        plan_size_clear(&p);
    }
}

static void leaves_the_size_alone_without_the_table(struct scene *s)
{
    for (int i = 0; i < 2; i++) {
        struct plan_size p = {0};
        reset(s, 1024, 1024);
        s->machine.available_bytes = 9 * GIB;
        s->policy.size_policy = i ? MEMORY_SIZE_REFUSE : MEMORY_SIZE_PLANNED;
        CHECK(makes(s, &p) && p.request.width == 1024 && p.request.height == 1024);
        plan_size_clear(&p);
    }
}

static void lets_the_request_choose_the_policy(struct scene *s)
{
    const enum memory_size_policy planned = MEMORY_SIZE_PLANNED, table = MEMORY_SIZE_TABLE;
    struct plan_size p = {0};

    reset(s, 1024, 1024);
    s->machine.available_bytes = 9 * GIB;
    s->ask.size_policy = &planned;
    CHECK(makes(s, &p) && p.request.width == 1024);
    plan_size_clear(&p);
    s->policy.size_policy = MEMORY_SIZE_REFUSE;
    s->ask.size_policy = &table;
    CHECK(makes(s, &p) && p.request.width == 512);
    plan_size_clear(&p);
    s->ask.size_policy = NULL;
}

static void bounds_a_plan_by_what_is_free_and_by_the_budget(struct scene *s)
{
    reset(s, 512, 512);
    s->policy.reserve_is_set = true;
    s->policy.reserve_bytes = GIB;
    s->machine.available_bytes = 3 * GIB;
    CHECK(plan_size_bounds(&s->ask).limit_bytes == 5 * MB + 2 * GIB);
    s->policy.budget_bytes = GIB;
    CHECK(plan_size_bounds(&s->ask).limit_bytes == GIB);
    s->policy.budget_bytes = 4 * GIB;
    CHECK(plan_size_bounds(&s->ask).limit_bytes == 5 * MB + 2 * GIB);
    s->policy.reserve_bytes = 4 * GIB;
    CHECK(plan_size_bounds(&s->ask).limit_bytes == 5 * MB);
    s->ask.base_bytes = 0;
    CHECK(plan_size_bounds(&s->ask).limit_bytes > 0);
}

/* The smaller the budget, the smaller the plan; the size shrinks last. */
static void fits_every_budget_down_to_the_least(struct scene *s)
{
    size_t last_peak = SIZE_MAX, least = 0;
    bool shrunk = false;

    for (size_t budget = 120 * MB; budget >= 6 * MB; budget -= 3 * MB) {
        struct plan_size p = {0};
        struct error err = {0};
        reset(s, 512, 384);
        s->policy.budget_bytes = budget;
        bool ok = plan_size_make(&p, &s->ask, &err);
        CHECK(ok || err.code == ERROR_LIMIT);
        CHECK(ok || shrunk);
        if (!ok)
            break;
        CHECK(p.plan.peak_bytes <= budget && p.plan.peak_bytes <= last_peak);
        bool smaller = p.request.width != 512;
        CHECK(!shrunk || smaller);
        shrunk = smaller;
        if (smaller) {
            CHECK(p.request.width % 8 == 0 && p.request.height % 8 == 0);
            CHECK(p.request.width < 512 && p.request.height < 384);
            CHECK(p.request.width <= 128 || /* the shape stays, to the multiple of 8 */
                  (p.request.width * 3 >= (p.request.height - 12) * 4 &&
                   p.request.width * 3 <= (p.request.height + 12) * 4));
            CHECK(p.transcript.choice.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD]);
        }
        last_peak = p.plan.peak_bytes;
        least = budget;
        plan_size_clear(&p);
    }
    CHECK(shrunk && least > 0);
}

static void finds_the_largest_size_that_fits(struct scene *s)
{
    struct memory_size largest;
    struct plan_size p = {0};
    struct error err = {0};

    reset(s, 512, 384);
    s->policy.size_policy = MEMORY_SIZE_PLANNED;
    s->policy.budget_bytes = 20 * MB;
    CHECK(plan_size_largest(&largest, &s->ask, (struct memory_size){4096, 4096}, &err));
    CHECK(largest.width > 64 && largest.width < 4096 && largest.width > largest.height);
    s->request.width = largest.width;
    s->request.height = largest.height;
    s->policy.size_policy = MEMORY_SIZE_REFUSE;
    CHECK(makes(s, &p));
    plan_size_clear(&p);
    s->request.width = largest.width + 64;
    s->request.height = largest.height + 64;
    CHECK(!plan_size_make(&p, &s->ask, &err) && err.code == ERROR_LIMIT);

    s->policy.budget_bytes = 6 * MB;
    CHECK(plan_size_largest(&largest, &s->ask, (struct memory_size){4096, 4096}, &err));
    CHECK(largest.width == 0 && largest.height == 0);
}

static bool refuses(const struct scene *s, const char *a, const char *b)
{
    struct plan_size p = {0};
    struct error err = {0};
    struct memory_size largest = {-1, -1};
    struct plan_size_ask ask = s->ask;
    char sentence[80] = "no size would fit";

    ask.would_fit = &largest;
    bool ok = !plan_size_make(&p, &ask, &err) && err.code == ERROR_LIMIT && strstr(err.text, a) &&
              strstr(err.text, b);
    if (largest.width > 0)
        snprintf(sentence, sizeof sentence, "%dx%d would fit", largest.width, largest.height);
    ok = ok && strstr(err.text, sentence);
    if (!ok)
        fprintf(stderr, "want '%s', '%s': %s\n", a, b, err.text);
    plan_size_clear(&p);
    return ok;
}

static void says_what_would_fit(struct scene *s)
{
    reset(s, 512, 512);
    s->policy.size_policy = MEMORY_SIZE_REFUSE;
    s->policy.budget_bytes = 12 * MB;
    CHECK(refuses(s, "512x512 needs", "12.0 MB (12000000 bytes)"));
    CHECK(refuses(s, " would fit", "--size-policy planned"));
    CHECK(refuses(s, "--memory-budget", "what would help"));
    s->policy.budget_bytes = 40 * MB;
    s->policy.optimization[MEMORY_VAE_TILING] = TRI_FALSE;
    CHECK(refuses(s, "--enable-vae-tiling auto", " would fit"));
    reset(s, 64, 64);
    s->policy.budget_bytes = 6 * MB;
    CHECK(refuses(s, "64x64 needs", "no size would fit"));
    reset(s, 512, 512);
    s->machine.available_bytes = 100 * MB;
    CHECK(refuses(s, "--memory-reserve", "no size would fit"));
}

static void tells_the_planners_levers(struct scene *s)
{
    struct plan_size p = {0};

    reset(s, 512, 512);
    CHECK(makes(s, &p) && !p.transcript.choice.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] &&
          !p.transcript.choice.on[MEMORY_VAE_TILING] &&
          !p.transcript.choice.on[MEMORY_MODEL_CPU_OFFLOAD] && p.plan.levers.offload);
    plan_size_clear(&p);
    s->policy.budget_bytes = 22 * MB;
    CHECK(makes(s, &p) && p.transcript.choice.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] &&
          p.transcript.choice.on[MEMORY_VAE_TILING]);
    plan_size_clear(&p);
    reset(s, 64, 64);
    s->policy.optimization[MEMORY_MODEL_CPU_OFFLOAD] = TRI_TRUE;
    CHECK(makes(s, &p) && p.transcript.choice.on[MEMORY_MODEL_CPU_OFFLOAD]);
    plan_size_clear(&p);
}

static void names_sizes_that_the_model_cannot_take(struct scene *s)
{
    struct plan_size p = {0};
    struct error err = {0};

    reset(s, 100, 64);
    CHECK(!plan_size_make(&p, &s->ask, &err) && err.code == ERROR_INVALID);
}

/* A second pass's size is the request's, as far as tables and memory go. */
static void lets_a_second_pass_enlarge_to_less(struct scene *s)
{
    static const struct {
        const char *why;
        double gib; /* available to a CPU */
        double scale;
        int hires, used;
    } row[] = {
        {"fits the table", 17, 1.5, 768, 768},
        {"is cut down to the table", 17, 3, 1536, 768},
        {"has nothing left to enlarge", 9, 2, 1024, 512},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct plan_size p = {0};
        int w, h;
        reset(s, 512, 512);
        s->request.hires.enabled = true;
        s->request.hires.scale = row[i].scale;
        s->machine.available_bytes = (uint64_t)(row[i].gib * (double)GIB);
        CHECK(makes(s, &p));
        gen_request_hires_size(&p.request, &w, &h);
        const bool right = w == row[i].used && h == row[i].used && p.request.width == 512 &&
                           p.transcript.asked.width == row[i].hires &&
                           p.transcript.used.width == row[i].used &&
                           gen_request_has_hires(&p.request) == (row[i].used > 512) &&
                           p.plan.phase[PLAN_HIRES_DENOISE].used == (row[i].used > 512);
        if (!right)
            fprintf(stderr, "%s: %dx%d, transcript %dx%d\n", row[i].why, w, h,
                    p.transcript.used.width, p.transcript.used.height);
        CHECK(right);
        plan_size_clear(&p);
    }
}

/* First the second pass gives way, then the first one. */
static void makes_the_second_pass_smaller_until_it_fits(struct scene *s)
{
    const enum memory_size_policy planned = MEMORY_SIZE_PLANNED, refuse = MEMORY_SIZE_REFUSE;
    size_t last = 0;

    for (size_t budget = 20 * MB; budget <= 60 * MB; budget += 10 * MB) {
        struct plan_size p = {0};
        int w, h;
        reset(s, 512, 512);
        s->request.hires.enabled = true;
        s->request.hires.scale = 4;
        s->request.hires.upscaler = "Lanczos";
        s->policy.budget_bytes = budget;
        s->ask.size_policy = &planned;
        CHECK(makes(s, &p) && p.plan.peak_bytes <= budget);
        gen_request_hires_size(&p.request, &w, &h);
        CHECK((size_t)w * (size_t)h >= last && w < 2048 && p.transcript.used.width == w);
        CHECK(p.request.width == 512 || !gen_request_has_hires(&p.request));
        last = (size_t)w * (size_t)h;
        plan_size_clear(&p);

        struct error err = {0};
        s->ask.size_policy = &refuse;
        CHECK(!plan_size_make(&p, &s->ask, &err) && err.code == ERROR_LIMIT);
        CHECK(strstr(err.text, "2048x2048 needs") && strstr(err.text, "would fit"));
    }
    s->ask.size_policy = NULL;
}

/* Tells how often it was asked, and stops at the third time. */
static bool at_third(void *ctx)
{
    int *n = ctx;
    return ++*n >= 3;
}

static void stops_when_it_is_told_to(struct scene *s)
{
    struct memory_size largest;
    struct error err = {0};
    int asked = 0;

    reset(s, 512, 512);
    s->policy.budget_bytes = 20 * MB;
    s->ask.stop = at_third;
    s->ask.stop_ctx = &asked;
    CHECK(!plan_size_largest(&largest, &s->ask, (struct memory_size){4096, 4096}, &err));
    CHECK(err.code == ERROR_CANCELLED && asked == 3);
    s->ask.stop = NULL;
    CHECK(plan_size_largest(&largest, &s->ask, (struct memory_size){4096, 4096}, &err));
}

int main(void)
{
    struct scene s;

    if (!open_scene(&s))
        return 1;
    lets_a_second_pass_enlarge_to_less(&s);
    makes_the_second_pass_smaller_until_it_fits(&s);
    takes_the_size_of_the_table(&s);
    leaves_the_size_alone_without_the_table(&s);
    lets_the_request_choose_the_policy(&s);
    bounds_a_plan_by_what_is_free_and_by_the_budget(&s);
    fits_every_budget_down_to_the_least(&s);
    finds_the_largest_size_that_fits(&s);
    says_what_would_fit(&s);
    tells_the_planners_levers(&s);
    stops_when_it_is_told_to(&s);
    names_sizes_that_the_model_cannot_take(&s);
    s.backend->fn->close(s.backend);
    model_close(s.model);
    return TEST_END();
}
