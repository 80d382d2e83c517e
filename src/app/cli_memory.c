#include "app/cli_memory.h"

#include "memory/process_memory.h"
#include "plan/plan_policy.h"

#include <string.h>

static const char built_for[] = "cpu"; /* the one backend there is */

bool cli_memory_machine(struct machine *out, const struct settings *s, bool for_run,
                        struct error *err)
{
    const struct machine_source system = machine_this_system();
    struct settings here = *s;

    if (for_run && strcmp(s->device, "auto") != 0 && strcmp(s->device, built_for) != 0)
        return error_set(err, ERROR_INVALID,
                         "--device %s: this build computes on the %s; `diffusionapi plan --device "
                         "%s` plans for that device",
                         s->device, built_for, s->device);
    if (for_run)
        snprintf(here.device, sizeof here.device, "%s", built_for);
    return plan_policy_machine(out, &here, &system, err);
}

/* Planning takes memory itself and the plan stays: a second one starts from what the first left. */
bool cli_memory_plan(struct plan_size *out, struct plan_size_ask *ask, struct error *err)
{
    struct process_memory before = {0}, after = {0};

    if (!process_memory_read(&before, err))
        return false;
    ask->base_bytes = (size_t)before.resident_bytes;
    if (!plan_size_make(out, ask, err))
        return false;
    bool ok = process_memory_read(&after, err);
    if (ok && after.resident_bytes <= before.resident_bytes)
        return true;
    plan_size_clear(out);
    ask->base_bytes = (size_t)after.resident_bytes;
    return ok && plan_size_make(out, ask, err);
}

static void add(char *list, const char *what)
{
    size_t have = strlen(list);
    snprintf(list + have, CLI_MEMORY_LEVERS_BYTES - have, "%s%s", have ? ", " : "", what);
}

void cli_memory_write_levers(char out[CLI_MEMORY_LEVERS_BYTES], const struct gen_plan *plan)
{
    const struct plan_levers *l = &plan->levers;
    char text[80];

    out[0] = 0;
    if (l->stream_text)
        add(out, "text encoder's weights streamed");
    if (l->stream)
        add(out, "UNet's weights streamed");
    if (l->guidance_in_turn)
        add(out, "guidance in turn");
    if (l->attention != GRAPH_ATTENTION_STREAMING)
        add(out,
            l->attention == GRAPH_ATTENTION_SLICED ? "attention in slices" : "plain attention");
    if (l->vae == PLAN_VAE_EXACT) {
        snprintf(text, sizeof text, "VAE in exact bands of %d rows", l->band_rows);
        add(out, text);
    } else if (l->vae == PLAN_VAE_BLENDED) {
        snprintf(text, sizeof text, "VAE in blended tiles of %dx%d latent places (approximate)",
                 l->tile_w, l->tile_h);
        add(out, text);
    }
    if (l->stream_vae)
        add(out, "VAE's weights streamed");
    if (!l->offload)
        add(out, "all networks stay in memory");
    if (!out[0])
        add(out, "none");
}

/* "MB" of 10^6 bytes, as in the summary after a run. */
static double mb(size_t bytes)
{
    return (double)bytes / 1e6;
}

void cli_memory_tell(const struct plan_size *p, const struct log *log)
{
    const struct gen_plan *plan = &p->plan;
    char levers[CLI_MEMORY_LEVERS_BYTES];

    transcript_write(&p->transcript, log);
    cli_memory_write_levers(levers, plan);
    log_plain(log, "Image size: %dx%d requested, %dx%d used", p->transcript.asked.width,
              p->transcript.asked.height, p->transcript.used.width, p->transcript.used.height);
    log_plain(log, "Planned peak: %.1f MB in %s, %.1f MB may be used", mb(plan->peak_bytes),
              gen_plan_phase_name(plan->peak_phase), mb(plan->limit_bytes));
    for (int i = 0; i < PLAN_PHASES; i++)
        if (plan->phase[i].used)
            log_plain(log, "Phase %s: %.1f MB", gen_plan_phase_name((enum plan_phase)i),
                      mb(gen_plan_phase_bytes(plan, (enum plan_phase)i)));
    log_plain(log, "Levers: %s", levers);
}

bool cli_memory_is_pressed(void *ctx)
{
    const struct machine_source source = machine_this_system();
    struct machine now;
    struct error err = {0};

    (void)ctx;
    return machine_detect(&now, &source, &err) && now.pressure == MACHINE_CRITICAL;
}
