/* Tells how far a run is: a bar on a terminal, plain lines elsewhere. */
#ifndef APP_CLI_PROGRESS_H
#define APP_CLI_PROGRESS_H

#include "plan/gen_plan.h"

#include <stdio.h>

/* Zero is no valid state; see init. */
struct cli_progress {
    FILE *to;               /* borrowed */
    bool terminal;          /* to is one: lines may be rewritten */
    int steps[PLAN_PHASES]; /* that a phase makes; 0: it is told in percent */

    bool started, line_open;
    enum plan_phase phase;
    double phase_began, shown_at; /* seconds of clock_seconds */
    int shown_step;
};

/* For a run of this plan. */
void cli_progress_init(struct cli_progress *p, FILE *to, const struct gen_plan *plan,
                       const struct gen_request *r);

/* struct watch's progress; ctx is the struct cli_progress. */
void cli_progress_report(void *ctx, enum plan_phase phase, double done, double total);

/* Removes the bar, so that other lines may follow. */
void cli_progress_end(struct cli_progress *p);

#endif
