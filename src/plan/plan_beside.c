#include "plan/plan_beside.h"

#include "base/thread.h"

/* One of the two, with a planner of its own. */
struct side {
    plan_beside_fn fn;
    struct planner p;
    struct error err;
    bool ok;
};

static void *run(void *arg)
{
    struct side *side = arg;
    side->ok = side->fn(&side->p, &side->err);
    return NULL;
}

bool plan_beside(struct planner *p, plan_beside_fn first, plan_beside_fn last, struct error *err)
{
    struct side a = {.fn = first, .p = *p}, b = {.fn = last, .p = *p};
    struct error ignored;
    pthread_t thread;

    if (!thread_start(&thread, run, &a, 0, &ignored))
        return first(p, err) && (!planner_goes_on(p) || last(p, err));
    run(&b);
    pthread_join(thread, NULL);
    *p = a.p;
    if (!a.ok || (planner_goes_on(p) && !b.ok)) {
        *err = a.ok ? b.err : a.err;
        return false;
    }
    if (planner_goes_on(p) && b.p.worst_bytes > p->worst_bytes) {
        p->worst_bytes = b.p.worst_bytes;
        p->worst_phase = b.p.worst_phase;
    }
    return true;
}
