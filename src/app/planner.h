/* Answers of the planner: what a request would take. */
#ifndef APP_PLANNER_H
#define APP_PLANNER_H

#include "base/json.h"
#include "config/settings.h"
#include "library/library.h"

struct planner {
    const struct settings *settings;
    struct library *library;
    bool (*is_dropped)(void *ctx); /* looked at while it works: nobody waits for the answer */
    void *ctx;
};

/* The line that answers an "ask".  NULL: no memory.  The caller owns it. */
json_t *planner_answer(const struct planner *p, const json_t *ask);

#endif
