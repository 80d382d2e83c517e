#include "memory/transcript.h"

struct transcript transcript_of(const struct memory_policy *p, const struct machine *m,
                                struct memory_size asked, bool is_sdxl)
{
    const enum memory_level level = levels_of(m->available_bytes, &p->thresholds);

    return (struct transcript){
        .machine = *m,
        .level = level,
        .asked = asked,
        .used = memory_policy_fit_size(p, m->device, level, asked),
        .choice = memory_policy_choose(p, m->device, level, is_sdxl),
        .cleanup_after_generation = p->optimization[MEMORY_CLEANUP_AFTER_GENERATION],
        .cleanup_before_loading = p->optimization[MEMORY_CLEANUP_BEFORE_LOADING],
    };
}

/* "GB" as everybody writes it on such lines, GiB as everybody means it. */
static double gib(uint64_t bytes)
{
    return (double)bytes / (double)((uint64_t)1 << 30);
}

/* In the order of their lines. */
static const struct {
    enum memory_optimization optimization;
    const char *line;
} optimization_lines[] = {
    {MEMORY_VAE_TILING, "Enabled VAE tiling"},
    {MEMORY_ATTENTION_SLICING, "Enabled attention slicing"},
    {MEMORY_EFFICIENT_ATTENTION, "Enabled memory efficient attention"},
    {MEMORY_MODEL_CPU_OFFLOAD, "Enabled model CPU offload"},
    {MEMORY_SEQUENTIAL_CPU_OFFLOAD, "Enabled sequential CPU offload"},
    {MEMORY_REDUCE_VAE_SAMPLE_SIZE, "Reduced VAE sample size for memory optimization"},
};

static void write_optimizations(const struct transcript *t, const struct log *log)
{
    for (size_t i = 0; i < sizeof optimization_lines / sizeof optimization_lines[0]; i++)
        if (t->choice.on[optimization_lines[i].optimization])
            log_plain(log, "%s", optimization_lines[i].line);
    if (t->choice.pooling)
        log_plain(log, "Enabled memory pooling");
    if (t->cleanup_after_generation == TRI_TRUE)
        log_plain(log, "Enabled cleanup after generation");
    if (t->cleanup_before_loading == TRI_TRUE)
        log_plain(log, "Enabled cleanup before loading");
}

void transcript_write(const struct transcript *t, const struct log *log)
{
    const char *device = machine_device_name(t->machine.device);
    const char *level = levels_name(t->level);

    log_plain(log, "System memory: %.1fGB total, %.1fGB available", gib(t->machine.total_bytes),
              gib(t->machine.available_bytes));
    log_plain(log, "Using device: %s", device);
    log_plain(log, "Memory level: %s", level);
    if (t->used.width != t->asked.width || t->used.height != t->asked.height)
        log_plain(log, "Image size adjusted from %dx%d to %dx%d to prevent memory issues",
                  t->asked.width, t->asked.height, t->used.width, t->used.height);
    log_plain(log, "Applying memory optimizations for device: %s (memory level: %s)", device,
              level);
    write_optimizations(t, log);
}
