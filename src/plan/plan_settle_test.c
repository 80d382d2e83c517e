/* Plans that hold more than the one before, and what they are told of it. */
#include "base/test.h"
#include "plan/plan_settle.h"

#include <string.h>
#include <sys/mman.h>

#define MB ((size_t)1 << 20)

enum { MOST = 8 };

struct plans {
    const size_t *bytes; /* that each plan holds */
    int fails_at;        /* number of the plan that fails; 0: none */
    int n;
    size_t base[MOST];
    void *held;
};

static void drop(struct plans *p)
{
    if (p->n > 0 && p->held)
        munmap(p->held, p->bytes[p->n - 1]);
    p->held = NULL;
}

static bool make(void *ctx, size_t base_bytes, struct error *err)
{
    struct plans *p = ctx;

    drop(p);
    p->base[p->n++] = base_bytes;
    if (p->n == p->fails_at)
        return error_set(err, ERROR_LIMIT, "nothing fits");
    const size_t bytes = p->bytes[p->n - 1];
    p->held = bytes ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                    : NULL;
    CHECK(p->held != MAP_FAILED);
    if (p->held)
        memset(p->held, 1, bytes);
    return true;
}

static bool is_about(size_t a, size_t b)
{
    return (a > b ? a - b : b - a) <= MB;
}

static void counts_what_the_last_plan_holds(void)
{
    static const size_t bytes[] = {8 * MB, 32 * MB, 32 * MB, 0};
    struct plans p = {.bytes = bytes};
    struct error err = {0};

    CHECK(plan_settle(make, &p, &err));
    CHECK(p.n == 3);
    CHECK(is_about(p.base[1], p.base[0] + 8 * MB));
    CHECK(is_about(p.base[2], p.base[0] + 32 * MB));
    drop(&p);
}

static void makes_one_plan_where_it_holds_nothing(void)
{
    static const size_t bytes[] = {0, 0};
    struct plans p = {.bytes = bytes};
    struct error err = {0};

    CHECK(plan_settle(make, &p, &err));
    CHECK(p.n == 1);
}

/* What is told never shrinks: a leaner plan would be followed by the fatter one again. */
static void does_not_go_back(void)
{
    static const size_t bytes[] = {32 * MB, 8 * MB, 32 * MB, 8 * MB};
    struct plans p = {.bytes = bytes};
    struct error err = {0};

    CHECK(plan_settle(make, &p, &err));
    CHECK(p.n == 2 && is_about(p.base[1], p.base[0] + 32 * MB));
    drop(&p);
}

static void ends_though_plans_grow_for_ever(void)
{
    static const size_t bytes[MOST] = {2 * MB, 4 * MB, 6 * MB, 8 * MB, 10 * MB, 12 * MB};
    struct plans p = {.bytes = bytes};
    struct error err = {0};

    CHECK(plan_settle(make, &p, &err));
    CHECK(p.n == 5);
    drop(&p);
}

static void passes_a_refusal_on(void)
{
    static const size_t bytes[] = {8 * MB, 8 * MB};
    struct plans p = {.bytes = bytes, .fails_at = 2};
    struct error err = {0};

    CHECK(!plan_settle(make, &p, &err) && err.code == ERROR_LIMIT);
    CHECK(p.n == 2);
}

int main(void)
{
    counts_what_the_last_plan_holds();
    makes_one_plan_where_it_holds_nothing();
    does_not_go_back();
    ends_though_plans_grow_for_ever();
    passes_a_refusal_on();
    return TEST_END();
}
