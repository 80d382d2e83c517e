/* A plan as JSON, for `plan --json`. */
#ifndef APP_CLI_PLAN_JSON_H
#define APP_CLI_PLAN_JSON_H

#include "plan/plan_size.h"

#include <stdio.h>

/* What the command found out. */
struct cli_plan_report {
    const struct model_info *model;
    const struct memory_policy *policy;
    const struct plan_size *sized;
    struct memory_size largest; /* zeroes: none */
    double planning_seconds;
};

bool cli_plan_json_write(const struct cli_plan_report *report, FILE *to,
                         struct error *err) MUST_CHECK;

#endif
