#include "memory_sweep_grid.h"

#include <jansson.h>
#include <string.h>

enum {
    LADDER_STEP_BYTES = 512 << 10,  /* a budget that much under a peak needs another plan */
    LADDER_MAX = 40,                /* steps; no ladder is as long */
    REFUSAL_GROWTH_BYTES = 8 << 20, /* graphs and layouts; weights would be more */
};

/* A hard limit may cost reading pages again, no more than this; short runs are all noise. */
static const double CGROUP_ROOM = 1.05, CGROUP_SLOWER = 1.3, CGROUP_NOISE_SECONDS = 0.5;

static double percent_of(const struct sweep_outcome *o)
{
    return o->planned_bytes ? 100.0 * ((double)o->measured_bytes / (double)o->planned_bytes - 1)
                            : 0;
}

static bool is_within(const struct sweep_grid *g, const struct sweep_outcome *o)
{
    if (o->status == SWEEP_PLANNED)
        return true;
    if (o->status == SWEEP_REFUSED)
        return o->grown_bytes <= REFUSAL_GROWTH_BYTES;
    if (o->status != SWEEP_DONE || o->measured_bytes > o->planned_bytes)
        return false;
    return percent_of(o) >= -5 || o->planned_bytes - o->measured_bytes <= g->slack_bytes;
}

static void print_json(const struct sweep_grid *g, const char *row, const struct sweep_outcome *o,
                       const char *note)
{
    static const char *const status[] = {"done", "refused", "planned", "failed"};
    json_t *j =
        json_pack("{s:s, s:s, s:b, s:I, s:I, s:f, s:s, s:f, s:s, s:s}", "row", row, "status",
                  status[o->status], "ok", is_within(g, o), "planned", (json_int_t)o->planned_bytes,
                  "measured", (json_int_t)o->measured_bytes, "percent", percent_of(o), "levers",
                  o->levers, "seconds", o->seconds, "text", o->text, "note", note);
    if (j && json_dumpf(j, stdout, JSON_COMPACT) == 0)
        putchar('\n');
    json_decref(j);
}

static void print_row(const struct sweep_grid *g, const struct sweep_row *r,
                      const struct sweep_outcome *o, const char *note)
{
    char row[MEMORY_SWEEP_ROW_BYTES];
    const char *verdict = is_within(g, o) ? "ok" : "OUTSIDE";

    memory_sweep_row_write(row, r);
    if (g->json)
        print_json(g, row, o, note);
    else if (o->status == SWEEP_REFUSED)
        printf("%-8s refused, needs %.1f MB; grew %.1f MB  %s\n", verdict,
               (double)o->planned_bytes / 1e6, (double)o->grown_bytes / 1e6, row);
    else if (o->status == SWEEP_FAILED)
        printf("%-8s %s  %s\n", verdict, o->text, row);
    else if (o->status == SWEEP_PLANNED)
        printf("%-8s planned %9.1f MB  %s  [%s]%s\n", verdict, (double)o->planned_bytes / 1e6, row,
               o->levers, note);
    else
        printf("%-8s planned %9.1f MB  measured %9.1f MB  %+6.2f %%  %7.2f s  %s  [%s]%s\n",
               verdict, (double)o->planned_bytes / 1e6, (double)o->measured_bytes / 1e6,
               percent_of(o), o->seconds, row, o->levers, note);
    fflush(stdout);
}

static void count(struct sweep_grid *g, const struct sweep_outcome *o)
{
    double percent = percent_of(o);

    g->n_rows++;
    g->n_outside += !is_within(g, o);
    g->n_refused += o->status == SWEEP_REFUSED;
    if (o->status != SWEEP_DONE)
        return;
    g->worst_percent = percent < g->worst_percent ? percent : g->worst_percent;
    g->best_percent = percent > g->best_percent ? percent : g->best_percent;
}

/* Two rows of one size, mode and plan do the same. */
static bool was_run(struct sweep_grid *g, const struct sweep_row *r, const struct sweep_outcome *o)
{
    char key[sizeof g->plans[0]];

    snprintf(key, sizeof key, "%s %d %d %s", gen_request_mode_name(r->mode), r->width, r->height,
             o->levers);
    for (int i = 0; i < g->n_plans; i++)
        if (strcmp(g->plans[i], key) == 0)
            return true;
    if (g->n_plans < MEMORY_SWEEP_GRID_PLANS)
        memcpy(g->plans[g->n_plans++], key, sizeof key);
    return false;
}

/* The same row again with a hard limit a little above its plan. */
static bool run_limited(struct sweep_grid *g, const struct sweep_row *r,
                        const struct sweep_outcome *free_run, struct error *err)
{
    struct sweep_outcome o;
    const size_t limit = (size_t)((double)free_run->planned_bytes * CGROUP_ROOM);
    char note[100];

    if (!memory_sweep_spawn_run(&o, &g->model, r, false, limit, err))
        return false;
    const double slower = free_run->seconds > 0 ? o.seconds / free_run->seconds : 1;
    const bool slow =
        slower > CGROUP_SLOWER && o.seconds - free_run->seconds > CGROUP_NOISE_SECONDS;
    snprintf(note, sizeof note, "  in a hard limit of %.1f MB: %.2f x the time%s",
             (double)limit / 1e6, slower, slow ? ", TOO SLOW" : "");
    print_row(g, r, &o, note);
    count(g, &o);
    g->n_outside += slow && is_within(g, &o);
    return true;
}

static bool run_row(struct sweep_grid *g, const struct sweep_row *r, struct sweep_outcome *o,
                    struct error *err)
{
    if (g->quick || g->plan_only) {
        if (!memory_sweep_spawn_run(o, &g->model, r, true, 0, err))
            return false;
        if (o->status == SWEEP_PLANNED && was_run(g, r, o)) {
            g->n_skipped++;
            return true;
        }
    }
    if ((!g->quick && !g->plan_only) || (o->status == SWEEP_PLANNED && !g->plan_only))
        if (!memory_sweep_spawn_run(o, &g->model, r, false, 0, err))
            return false;
    print_row(g, r, o, "");
    count(g, o);
    return !g->cgroup || o->status != SWEEP_DONE || run_limited(g, r, o, err);
}

/* Nothing said, then each switch on and off alone, then together. */
static bool run_switches(struct sweep_grid *g, struct sweep_row row, struct error *err)
{
    struct sweep_outcome o;
    const struct sweep_row plain = row;

    if (!run_row(g, &row, &o, err))
        return false;
    for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++)
        for (int on = 0; on <= 1; on++) {
            row = plain;
            row.optimization[i] = on ? TRI_TRUE : TRI_FALSE;
            if (!run_row(g, &row, &o, err))
                return false;
        }
    for (int on = 0; on <= 1; on++) {
        for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++)
            row.optimization[i] = on ? TRI_TRUE : TRI_FALSE;
        if (!run_row(g, &row, &o, err))
            return false;
    }
    return true;
}

/* From ample to minimal: each budget lies just under the last plan's peak, down to the refusal. */
static bool run_budgets(struct sweep_grid *g, struct sweep_row row, struct error *err)
{
    struct sweep_outcome o;

    for (int i = 0; i < LADDER_MAX; i++) {
        if (!run_row(g, &row, &o, err))
            return false;
        if (o.status == SWEEP_REFUSED || o.status == SWEEP_FAILED)
            return true;
        size_t next = o.planned_bytes < row.limit_bytes || !row.limit_bytes ? o.planned_bytes
                                                                            : row.limit_bytes;
        if (next <= LADDER_STEP_BYTES)
            return true;
        row.limit_bytes = next - LADDER_STEP_BYTES;
    }
    return true;
}

bool memory_sweep_grid_run_row(struct sweep_grid *g, const struct sweep_row *r, struct error *err)
{
    struct sweep_outcome o;
    return run_row(g, r, &o, err);
}

bool memory_sweep_grid_run(struct sweep_grid *g, struct error *err)
{
    for (int i = 0; i < g->n_sides; i++)
        for (int mode = 0; mode < 2; mode++) {
            struct sweep_row row = g->loras;
            row.mode = mode ? GEN_IMG2IMG : GEN_TXT2IMG;
            row.width = row.height = g->sides[i];
            row.steps = g->steps;
            if (!run_switches(g, row, err) || !run_budgets(g, row, err))
                return false;
        }
    return true;
}
