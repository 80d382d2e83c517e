#include "app/cli_progress.h"

#include "base/clock.h"

#include <unistd.h>

enum { BAR_CELLS = 24 };

static const double bar_seconds = 0.1, line_seconds = 1.0;

void cli_progress_init(struct cli_progress *p, FILE *to, const struct gen_plan *plan,
                       const struct gen_request *r)
{
    *p = (struct cli_progress){.to = to, .terminal = isatty(fileno(to)) == 1};
    for (int i = 0; i < PLAN_PHASES; i++)
        p->steps[i] = gen_plan_steps(plan, r, (enum plan_phase)i);
}

static void write_eta(char *out, size_t room, double seconds)
{
    long s = (long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(out, room, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(out, room, "%ld:%02ld", s / 60, s % 60);
}

/* "5/20  0.43 s/step  ETA 0:06" for the steps, "40 %" for the other phases. */
static void write_state(char *out, size_t room, const struct cli_progress *p, int step,
                        double fraction, double now)
{
    double elapsed = now - p->phase_began;
    char eta[40];

    if (!p->steps[p->phase]) {
        snprintf(out, room, "%d %%", (int)(100 * fraction));
        return;
    }
    if (fraction <= 0) {
        snprintf(out, room, "step %d/%d", step, p->steps[p->phase]);
        return;
    }
    write_eta(eta, sizeof eta, elapsed * (1 - fraction) / fraction);
    snprintf(out, room, "step %d/%d  %.3g s/step  ETA %s", step, p->steps[p->phase],
             elapsed / (fraction * p->steps[p->phase]), eta);
}

static void show_bar(struct cli_progress *p, const char *state, double fraction)
{
    char bar[BAR_CELLS + 1];
    for (int i = 0; i < BAR_CELLS; i++)
        bar[i] = i < (int)(fraction * BAR_CELLS) ? '#' : '-';
    bar[BAR_CELLS] = 0;
    /* back to the line's begin, and what is left of the old line erased */
    fprintf(p->to, "\r%s [%s] %s\033[K", gen_plan_phase_name(p->phase), bar, state);
    fflush(p->to);
    p->line_open = true;
}

void cli_progress_report(void *ctx, enum plan_phase phase, double done, double total)
{
    struct cli_progress *p = ctx;
    double now = clock_seconds(), fraction = total > 0 ? done / total : 0;
    int step = (int)(fraction * p->steps[phase] + 1e-9);
    char state[120];

    if (!p->started || phase != p->phase) {
        p->started = true;
        p->phase = phase;
        p->phase_began = p->shown_at = now;
        p->shown_step = 0;
    }
    bool last = p->steps[phase] && step == p->steps[phase] && step != p->shown_step;
    if (now - p->shown_at < (p->terminal ? bar_seconds : line_seconds) && !last)
        return;
    if (!p->terminal && p->steps[phase] && step == p->shown_step)
        return; /* a line for each step, not for parts of one */
    p->shown_at = now;
    p->shown_step = step;
    write_state(state, sizeof state, p, step, fraction, now);
    if (p->terminal)
        show_bar(p, state, fraction);
    else
        fprintf(p->to, "%s: %s\n", gen_plan_phase_name(phase), state);
}

void cli_progress_end(struct cli_progress *p)
{
    if (!p->line_open)
        return;
    fputs("\r\033[K", p->to);
    fflush(p->to);
    p->line_open = false;
}
