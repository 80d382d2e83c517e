/* The grid of rows, what they must come to, and the table of what they did. */
#ifndef TOOLS_MEMORY_SWEEP_GRID_H
#define TOOLS_MEMORY_SWEEP_GRID_H

#include "memory_sweep.h"

enum { MEMORY_SWEEP_GRID_SIZES = 16, MEMORY_SWEEP_GRID_PLANS = 512 };

struct sweep_grid {
    struct sweep_model model;
    int sides[MEMORY_SWEEP_GRID_SIZES]; /* pixels */
    int n_sides;
    int steps;
    struct sweep_row loras; /* those that every row has; of nothing else */
    size_t slack_bytes;     /* small models may lie so far under their plan, whatever the share */
    bool quick;             /* plans that were run already are not run again */
    bool plan_only, json, cgroup;

    /* What was found. */
    int n_rows, n_outside, n_refused, n_skipped;
    double worst_percent, best_percent;
    char plans[MEMORY_SWEEP_GRID_PLANS][MEMORY_SWEEP_LEVERS_BYTES + 60];
    int n_plans;
};

/* Runs everything and prints a line a row.  False when a process could not be started; what lies
 * outside is counted. */
bool memory_sweep_grid_run(struct sweep_grid *g, struct error *err) MUST_CHECK;

/* One row instead, whatever the sizes. */
bool memory_sweep_grid_run_row(struct sweep_grid *g, const struct sweep_row *r,
                               struct error *err) MUST_CHECK;

#endif
