#include "generator/generator_memory.h"

#include "memory/process_memory.h"
#include "plan/plan_policy.h"
#include "plan/plan_settle.h"

#include <string.h>

static const char built_for[] = "cpu"; /* the one backend there is */

bool generator_memory_machine(struct machine *out, const struct settings *s, bool for_run,
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

struct sizing {
    struct plan_size *out;
    struct plan_size_ask *ask;
};

static bool make_size(void *ctx, size_t base_bytes, struct error *err)
{
    struct sizing *s = ctx;

    plan_size_clear(s->out);
    s->ask->base_bytes = base_bytes;
    return plan_size_make(s->out, s->ask, err);
}

bool generator_memory_plan(struct plan_size *out, struct plan_size_ask *ask, struct error *err)
{
    *out = (struct plan_size){0};
    return plan_settle(make_size, &(struct sizing){out, ask}, err);
}

enum { MAX_LEVERS = 12, LEVER_BYTES = 80 };

/* The levers that are pulled, one by one. */
static int list_levers(char out[MAX_LEVERS][LEVER_BYTES], const struct gen_plan *plan)
{
    const struct plan_levers *l = &plan->levers;
    int n = 0;

    if (l->stream_text)
        snprintf(out[n++], LEVER_BYTES, "text encoder's weights streamed");
    if (l->stream)
        snprintf(out[n++], LEVER_BYTES, "UNet's weights streamed");
    if (l->guidance_in_turn)
        snprintf(out[n++], LEVER_BYTES, "guidance in turn");
    if (l->attention != GRAPH_ATTENTION_STREAMING)
        snprintf(out[n++], LEVER_BYTES, "%s",
                 l->attention == GRAPH_ATTENTION_SLICED ? "attention in slices"
                                                        : "plain attention");
    if (l->vae == PLAN_VAE_EXACT)
        snprintf(out[n++], LEVER_BYTES, "VAE in exact bands of %d rows", l->band_rows);
    else if (l->vae == PLAN_VAE_BLENDED)
        snprintf(out[n++], LEVER_BYTES, "VAE in blended tiles of %dx%d latent places (approximate)",
                 l->tile_w, l->tile_h);
    if (l->vae_again)
        snprintf(out[n++], LEVER_BYTES, "%d of its levels computed again for every norm",
                 l->vae_again);
    if (l->stream_vae)
        snprintf(out[n++], LEVER_BYTES, "VAE's weights streamed");
    if (l->merge_loras)
        snprintf(out[n++], LEVER_BYTES, "LoRAs merged into the UNet in its first step");
    if (!l->offload)
        snprintf(out[n++], LEVER_BYTES, "all networks stay in memory");
    return n;
}

void generator_memory_write_levers(char out[GENERATOR_MEMORY_LEVERS_BYTES],
                                   const struct gen_plan *plan)
{
    char levers[MAX_LEVERS][LEVER_BYTES];
    const int n = list_levers(levers, plan);

    snprintf(out, GENERATOR_MEMORY_LEVERS_BYTES, "%s", n ? "" : "none");
    for (int i = 0; i < n; i++) {
        size_t have = strlen(out);
        snprintf(out + have, GENERATOR_MEMORY_LEVERS_BYTES - have, "%s%s", i ? ", " : "",
                 levers[i]);
    }
}

json_t *generator_memory_levers_json(const struct gen_plan *plan)
{
    char levers[MAX_LEVERS][LEVER_BYTES];
    const int n = list_levers(levers, plan);
    json_t *all = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(all, json_string(levers[i]));
    return all;
}

/* Gets the log's lines; jansson refuses bytes that are not UTF-8, of which there are none. */
static void take_line(void *ctx, const char *line, size_t len)
{
    json_array_append_new(ctx,
                          json_stringn(line, len > 0 && line[len - 1] == '\n' ? len - 1 : len));
}

json_t *generator_memory_log_json(const struct plan_size *p)
{
    json_t *lines = json_array();
    const struct log log = {.write = take_line, .ctx = lines, .level = LOG_INFO, .part = "plan"};

    generator_memory_tell(p, &log);
    return lines;
}

/* "MB" of 10^6 bytes, as in the summary after a run. */
static double mb(size_t bytes)
{
    return (double)bytes / 1e6;
}

void generator_memory_tell(const struct plan_size *p, const struct log *log)
{
    const struct gen_plan *plan = &p->plan;
    char levers[GENERATOR_MEMORY_LEVERS_BYTES];

    transcript_write(&p->transcript, log);
    generator_memory_write_levers(levers, plan);
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

bool generator_memory_is_pressed(void *ctx)
{
    const struct machine_source source = machine_this_system();
    struct machine now;
    struct error err = {0};

    (void)ctx;
    return machine_detect(&now, &source, &err) && now.pressure == MACHINE_CRITICAL;
}
