/* memory-sweep: planned against measured memory of many requests, each in a process of its own. */
#include "memory_sweep.h"

#include "base/parse.h"
#include "memory_sweep_grid.h"

#include <stdlib.h>
#include <string.h>

struct options {
    struct sweep_grid grid;
    const char *row, *trace; /* one row in this process */
    int soak;                /* generations; 0: no soak */
};

static const char usage[] =
    "usage: memory-sweep --model PATH [--sizes 256,512,768,1024] [--steps 1] [--threads 0]\n"
    "                    [--tokenizer DIR] [--quick] [--plan-only] [--slack 0] [--json]\n"
    "                    [--lora FILE[:SCALE]]... [--cgroup]\n"
    "       memory-sweep --model PATH --row 'txt2img 512x512 steps=2 limit=300M\n"
    "                    sequential_cpu_offload=true lora=FILE:0.8' [--trace FILE.csv | --cgroup]\n"
    "       memory-sweep --model PATH --soak 200\n\n"
    "  --lora       a LoRA that every row has; up to four\n"
    "  --quick      plans that were run already are not run again\n"
    "  --slack      bytes a small model may lie under its plan, whatever the share\n"
    "  --cgroup     each row once more in a control group of its plan plus 5 % (root only)\n"
    "  --trace      resident bytes over time, for memory-plot\n\n"
    "Exit status 1 when a row lies outside [-5 %, 0 %] of its plan.\n";

static bool read_sizes(struct sweep_grid *g, const char *text, struct error *err)
{
    g->n_sides = 0;
    while (*text) {
        char word[20];
        int64_t side = 0;
        size_t len = strcspn(text, ",");
        if (len >= sizeof word || g->n_sides == MEMORY_SWEEP_GRID_SIZES)
            return error_set(err, ERROR_INVALID, "at most %d sizes", MEMORY_SWEEP_GRID_SIZES);
        memcpy(word, text, len);
        word[len] = 0;
        if (!parse_int64(&side, word, 64, 8192, err))
            return false;
        g->sides[g->n_sides++] = (int)side;
        text += len + (text[len] == ',');
    }
    return g->n_sides > 0 || error_set(err, ERROR_INVALID, "at least one size");
}

static bool read_int(int *out, const char *value, int max, struct error *err)
{
    int64_t n = 0;
    if (!parse_int64(&n, value, 0, max, err))
        return false;
    *out = (int)n;
    return true;
}

static bool read_switch(struct options *o, const char *flag)
{
    bool *const to[] = {&o->grid.quick, &o->grid.plan_only, &o->grid.json, &o->grid.cgroup};
    static const char *const name[] = {"--quick", "--plan-only", "--json", "--cgroup"};

    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++)
        if (strcmp(flag, name[i]) == 0) {
            *to[i] = true;
            return true;
        }
    return false;
}

static bool read_value(struct options *o, const char *flag, const char *value, struct error *err)
{
    const char **const to[] = {&o->grid.model.path, &o->grid.model.tokenizer_dir, &o->row,
                               &o->trace};
    static const char *const name[] = {"--model", "--tokenizer", "--row", "--trace"};
    uint64_t bytes = 0;

    if (!value)
        return error_set(err, ERROR_INVALID, "%s\n%s", flag, usage);
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++)
        if (strcmp(flag, name[i]) == 0) {
            *to[i] = value;
            return true;
        }
    if (strcmp(flag, "--lora") == 0)
        return memory_sweep_row_add_lora(&o->grid.loras, value, err);
    if (strcmp(flag, "--sizes") == 0)
        return read_sizes(&o->grid, value, err);
    if (strcmp(flag, "--steps") == 0)
        return read_int(&o->grid.steps, value, 1000, err);
    if (strcmp(flag, "--threads") == 0)
        return read_int(&o->grid.model.threads, value, 1024, err);
    if (strcmp(flag, "--soak") == 0)
        return read_int(&o->soak, value, 1000000, err);
    if (strcmp(flag, "--slack") == 0 && parse_bytes(&bytes, value, 0, 1 << 30, err)) {
        o->grid.slack_bytes = (size_t)bytes;
        return true;
    }
    return error_set(err, ERROR_INVALID, "%s\n%s", flag, usage);
}

static bool read_options(struct options *o, int argc, char **argv, struct error *err)
{
    for (int i = 1; i < argc; i++) {
        if (read_switch(o, argv[i]))
            continue;
        if (!read_value(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL, err))
            return false;
        i++;
    }
    if (o->trace && (!o->row || o->grid.cgroup))
        return error_set(err, ERROR_INVALID, "--trace goes with --row, and not with --cgroup");
    return o->grid.model.path || error_set(err, ERROR_INVALID, "%s", usage);
}

static bool run(struct options *o, bool *good, struct error *err)
{
    struct sweep_grid *g = &o->grid;
    struct sweep_row row;

    *good = true;
    if (o->soak)
        return memory_sweep_soak_run(good, &g->model, o->soak, err);
    if (o->row && !memory_sweep_row_read(&row, o->row, err))
        return false;
    if (o->row && !g->cgroup)
        return memory_sweep_child_run(&g->model, &row, g->plan_only, o->trace, err);
    g->best_percent = -100;
    if (!(o->row ? memory_sweep_grid_run_row(g, &row, err) : memory_sweep_grid_run(g, err)))
        return false;
    *good = g->n_outside == 0;
    if (g->json)
        return true;
    printf("%d rows, %d of them refused, %d left out because their plan had been run: %d outside",
           g->n_rows, g->n_refused, g->n_skipped, g->n_outside);
    if (g->best_percent > -100)
        printf("; measured %+.2f %% to %+.2f %% of planned", g->worst_percent, g->best_percent);
    putchar('\n');
    return true;
}

int main(int argc, char **argv)
{
    static const int sides[] = {256, 512, 768, 1024};
    struct error err = {0};
    bool good = false;

    struct options *o = calloc(1, sizeof *o);
    if (!o) {
        fputs("memory-sweep: no memory\n", stderr);
        return 1;
    }
    memcpy(o->grid.sides, sides, sizeof sides);
    o->grid.n_sides = 4;
    o->grid.steps = 1;
    bool ok = read_options(o, argc, argv, &err) && run(o, &good, &err);
    if (!ok)
        fprintf(stderr, "memory-sweep: %s\n", err.text);
    free(o);
    return ok && good ? 0 : 1;
}
