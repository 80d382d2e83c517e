/* Each memory setting, and what it changes. */
#include "app/cli_check_memory.h"
#include "config/memory_file.h"
#include "plan/plan_policy.h"
#include "plan/plan_size.h"

#include <string.h>

/* What a setting led to, on a described CPU machine of 16 GiB with 8.5 available. */
struct effect {
    struct memory_policy policy;
    struct machine machine;
    struct memory_choice sdxl_on_mps;
    enum memory_level level;
    bool planned;        /* plan and request are there */
    enum error_code why; /* else */
    struct plan_levers levers;
    struct memory_size used;
    size_t limit_bytes;
    uint64_t usable_bytes;
    bool after, before, pooling; /* cleanups */
};

static bool is_tiled(const struct effect *e)
{
    return e->levers.vae != PLAN_VAE_WHOLE;
}
static bool is_whole(const struct effect *e)
{
    return e->levers.vae == PLAN_VAE_WHOLE;
}
static bool is_sliced(const struct effect *e)
{
    return e->levers.attention == GRAPH_ATTENTION_SLICED;
}
static bool is_streaming_attention(const struct effect *e)
{
    return e->levers.attention == GRAPH_ATTENTION_STREAMING;
}
static bool is_plain_attention(const struct effect *e)
{
    return e->levers.attention == GRAPH_ATTENTION_PLAIN;
}
static bool is_offloaded(const struct effect *e)
{
    return e->levers.offload;
}
static bool is_kept(const struct effect *e)
{
    return !e->levers.offload;
}
static bool is_streamed(const struct effect *e)
{
    return e->levers.stream && e->levers.stream_vae;
}
static bool is_held(const struct effect *e)
{
    return !e->levers.stream && !e->levers.stream_vae && !e->levers.stream_text;
}
static bool is_reduced(const struct effect *e)
{
    return e->sdxl_on_mps.on[MEMORY_REDUCE_VAE_SAMPLE_SIZE];
}
static bool is_not_reduced(const struct effect *e)
{
    return !e->sdxl_on_mps.on[MEMORY_REDUCE_VAE_SAMPLE_SIZE];
}
static bool cleans_after(const struct effect *e)
{
    return e->after && !e->pooling;
}
static bool pools(const struct effect *e)
{
    return !e->after && e->pooling;
}
static bool cleans_before(const struct effect *e)
{
    return e->before;
}
static bool does_not_clean_before(const struct effect *e)
{
    return !e->before;
}
static bool is_64(const struct effect *e)
{
    return e->used.width == 64 && e->used.height == 64;
}
static bool is_as_asked(const struct effect *e)
{
    return e->used.width > 64;
}
static bool is_within_budget(const struct effect *e)
{
    return e->limit_bytes == (size_t)2 << 30;
}
static bool is_refused(const struct effect *e)
{
    return !e->planned && e->why == ERROR_LIMIT;
}
static bool leaves_reserve(const struct effect *e)
{
    return e->usable_bytes == e->machine.available_bytes - ((uint64_t)4 << 30);
}
static bool is_very_high(const struct effect *e)
{
    return e->level == MEMORY_VERY_HIGH;
}
static bool is_refuse_policy(const struct effect *e)
{
    return e->policy.size_policy == MEMORY_SIZE_REFUSE;
}
static bool is_planned_policy(const struct effect *e)
{
    return e->policy.size_policy == MEMORY_SIZE_PLANNED;
}
static bool idles_five(const struct effect *e)
{
    return e->policy.model_idle_seconds == 5;
}
static bool is_mps(const struct effect *e)
{
    return e->machine.device == MACHINE_MPS;
}
static bool is_high_level(const struct effect *e)
{
    return e->level == MEMORY_HIGH;
}

static bool is_64_on(const struct effect *e, enum machine_device device)
{
    const struct memory_size s = memory_policy_max_size(&e->policy, device, e->level);
    return s.width == 64 && s.height == 64;
}
static bool is_64_on_mps(const struct effect *e)
{
    return is_64_on(e, MACHINE_MPS);
}
static bool is_64_on_cuda(const struct effect *e)
{
    return is_64_on(e, MACHINE_CUDA);
}
static bool is_table_policy(const struct effect *e)
{
    return e->policy.size_policy == MEMORY_SIZE_TABLE;
}
static bool is_cuda(const struct effect *e)
{
    return e->machine.device == MACHINE_CUDA;
}
static bool is_32_in_total(const struct effect *e)
{
    return e->machine.total_bytes == (uint64_t)32 << 30;
}
static bool is_of_the_file(const struct effect *e)
{
    return e->level == MEMORY_MEDIUM && is_tiled(e) && is_64(e);
}

#define MEMORY_FILE                                                                                \
    "{\"memory_thresholds\": {\"very_low\": 4, \"low\": 8}, "                                      \
    "\"max_image_sizes\": {\"cpu\": {\"medium\": [64, 64]}}, "                                     \
    "\"optimizations\": {\"enable_vae_tiling\": true}}"

static const struct {
    const char *key, *value;
    bool (*holds)(const struct effect *e);
    const char *what;
    bool needs_plan;
} rows[] = {
    {"enable_vae_tiling", "true", is_tiled, "the VAE works in bands", true},
    {"enable_vae_tiling", "false", is_whole, "the VAE works at once", true},
    {"enable_attention_slicing", "true", is_sliced, "attention works in slices", true},
    {"enable_attention_slicing", "false", is_streaming_attention, "attention streams", true},
    {"enable_memory_efficient_attention", "true", is_streaming_attention, "attention streams",
     true},
    {"enable_memory_efficient_attention", "false", is_plain_attention, "attention is whole", true},
    {"enable_cpu_offload", "true", is_offloaded, "networks leave after their phase", true},
    {"enable_cpu_offload", "false", is_kept, "networks stay", true},
    {"enable_sequential_cpu_offload", "true", is_streamed, "weights are streamed", true},
    {"enable_sequential_cpu_offload", "false", is_held, "no weights are streamed", true},
    {"reduce_vae_sample_size", "true", is_reduced, "SDXL's tiles are 512 pixels", false},
    {"reduce_vae_sample_size", "false", is_not_reduced, "SDXL's tiles are 1024 pixels", false},
    {"force_cleanup_after_generation", "true", cleans_after, "scratch goes after a run", false},
    {"force_cleanup_after_generation", "false", pools, "scratch serves the next run", false},
    {"cleanup_before_loading", "true", cleans_before, "cleanup before loading", false},
    {"cleanup_before_loading", "false", does_not_clean_before, "no cleanup before", false},
    {"max_image_size", "64x64", is_64, "the picture becomes 64x64", true},
    {"max_image_sizes_cpu", "64x64 64x64 64x64 64x64 64x64", is_64, "the picture becomes 64x64",
     true},
    {"max_image_sizes_mps", "64x64 64x64 64x64 64x64 64x64", is_64_on_mps,
     "pictures on Apple GPUs become 64x64", false},
    {"max_image_sizes_cuda", "64x64 64x64 64x64 64x64 64x64", is_64_on_cuda,
     "pictures on NVIDIA GPUs become 64x64", false},
    {"memory_config", MEMORY_FILE, is_of_the_file,
     "level, size and VAE tiling are those of the file", true},
    {"memory_thresholds", "1 2 3 4 4", is_very_high, "8.5 GiB are level very_high", false},
    {"size_policy", "table", is_table_policy, "the level's size bounds the picture's", false},
    {"size_policy", "planned", is_planned_policy, "the plan alone decides on the size", false},
    {"size_policy", "refuse", is_refuse_policy, "no picture is made smaller", false},
    {"memory_budget", "2GiB", is_within_budget, "the plan's bound is 2 GiB", true},
    {"memory_budget", "1M", is_refused, "nothing fits and the request is refused", false},
    {"memory_reserve", "4G", leaves_reserve, "4 GiB stay free", false},
    {"model_idle_seconds", "5", idles_five, "idle models stay for 5 s", false},
    {"device", "mps", is_mps, "plans are made for mps", false},
    {"device", "cuda", is_cuda, "plans are made for cuda", false},
    {"total", "32G", is_32_in_total, "the machine has 32 GiB", false},
    {"available", "30G", is_high_level, "30 GiB are level high", false},
    {"max_image_size", "auto", is_as_asked, "the picture keeps its size", true},
};

static bool describe(struct settings *s, struct settings_origins *origins, struct error *err)
{
    settings_defaults(s, origins);
    return settings_set(s, origins, "device", "cpu", err) &&
           settings_set(s, origins, "total", "64G", err) &&
           settings_set(s, origins, "available", "8.5G", err);
}

/* The memory file is given by what it holds. */
static bool set(struct settings *s, struct settings_origins *origins, const char *key,
                const char *value, struct error *err)
{
    if (strcmp(key, "memory_config") == 0)
        return memory_file_read_bytes(s, origins, key, value, strlen(value), err);
    return settings_set(s, origins, key, value, err);
}

static void look(struct effect *out, const struct cli_check *c, const struct settings *s,
                 const struct machine *m)
{
    const struct gen_request request = cli_check_memory_request(c, GEN_TXT2IMG);
    struct effect e = {.policy = plan_policy_of(s), .machine = *m};
    const struct plan_size_ask ask = {.policy = &e.policy,
                                      .machine = &e.machine,
                                      .request = &request,
                                      .models = pipeline_models(c->pipeline),
                                      .backend = c->backend,
                                      .base_bytes = 16 << 20};
    struct plan_size p = {0};
    struct error why = {0};

    e.level = levels_of(m->available_bytes, &e.policy.thresholds);
    e.sdxl_on_mps = memory_policy_choose(&e.policy, MACHINE_MPS, e.level, true);
    e.usable_bytes = memory_policy_usable_bytes(&e.policy, m);
    const struct memory_choice choice = memory_policy_choose(&e.policy, m->device, e.level, false);
    e.after = choice.on[MEMORY_CLEANUP_AFTER_GENERATION];
    e.before = choice.on[MEMORY_CLEANUP_BEFORE_LOADING];
    e.pooling = choice.pooling;
    e.planned = plan_size_make(&p, &ask, &why);
    e.why = why.code;
    e.limit_bytes = p.bounds.limit_bytes;
    e.levers = p.plan.levers;
    e.used = (struct memory_size){p.request.width, p.request.height};
    plan_size_clear(&p);
    *out = e;
}

bool cli_check_memory_settings(struct cli_check *c, struct error *err)
{
    const struct machine_source system = machine_this_system();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings s;
        struct settings_origins origins;
        struct machine m;
        struct effect e;
        if (!describe(&s, &origins, err) || !set(&s, &origins, rows[i].key, rows[i].value, err) ||
            !plan_policy_machine(&m, &s, &system, err))
            return false;
        look(&e, c, &s, &m);
        cli_check_memory_tell(c, (e.planned || !rows[i].needs_plan) && rows[i].holds(&e),
                              "the output of `diffusionapi settings`", "setting %s=%s: %s",
                              rows[i].key, rows[i].value, rows[i].what);
    }
    return true;
}
