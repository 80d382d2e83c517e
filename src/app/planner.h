/* Answers of the planner: what a request would take. */
#ifndef APP_PLANNER_H
#define APP_PLANNER_H

#include "base/json.h"
#include "config/settings.h"
#include "library/library.h"

/* The line that answers an "ask".  NULL: no memory.  The caller owns it. */
json_t *planner_answer(const struct settings *s, struct library *lib, const json_t *ask);

#endif
