#include "plan/plan_settle.h"

#include "memory/process_memory.h"

/* Every further plan is leaner than the one before, and there are not that many ways. */
enum { MOST_PLANS = 5 };

/* Pages that come and go with the allocator: small beside GEN_PLAN_PROCESS_BYTES. */
enum { SLACK_BYTES = 1 << 17 };

bool plan_settle(plan_settle_fn make, void *ctx, struct error *err)
{
    uint64_t base = 0;

    for (int i = 0; i < MOST_PLANS; i++) {
        struct process_memory now = {0};
        process_memory_return_freed();
        if (!process_memory_read(&now, err))
            return false;
        if (i > 0 && now.resident_bytes <= base + SLACK_BYTES)
            return true;
        base = now.resident_bytes > base ? now.resident_bytes : base;
        if (!make(ctx, (size_t)base, err))
            return false;
    }
    return true;
}
