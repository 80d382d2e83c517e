#include "plan/plan_policy.h"

#include "base/assert.h"

_Static_assert((int)SETTINGS_LEVELS == (int)MEMORY_LEVELS, "the same levels");

/* Sides are at most SETTINGS_SIDE_MAX, so they fit. */
static struct memory_size size_of(struct settings_size s)
{
    return (struct memory_size){(int)s.width, (int)s.height};
}

static struct levels_sizes sizes_of(const struct settings *s)
{
    struct levels_sizes sizes;

    for (int i = 0; i < MEMORY_LEVELS; i++) {
        bool replaced = s->max_image_size.width > 0;
        struct settings_size one = s->max_image_size;
        sizes.max[MACHINE_MPS][i] = size_of(replaced ? one : s->max_image_sizes_mps[i]);
        sizes.max[MACHINE_CUDA][i] = size_of(replaced ? one : s->max_image_sizes_cuda[i]);
        sizes.max[MACHINE_CPU][i] = size_of(replaced ? one : s->max_image_sizes_cpu[i]);
    }
    return sizes;
}

struct memory_policy plan_policy_of(const struct settings *s)
{
    struct memory_policy p = {
        .sizes = sizes_of(s),
        .optimization =
            {
                [MEMORY_VAE_TILING] = s->enable_vae_tiling,
                [MEMORY_ATTENTION_SLICING] = s->enable_attention_slicing,
                [MEMORY_EFFICIENT_ATTENTION] = s->enable_memory_efficient_attention,
                [MEMORY_MODEL_CPU_OFFLOAD] = s->enable_cpu_offload,
                [MEMORY_SEQUENTIAL_CPU_OFFLOAD] = s->enable_sequential_cpu_offload,
                [MEMORY_REDUCE_VAE_SAMPLE_SIZE] = s->reduce_vae_sample_size,
                [MEMORY_CLEANUP_AFTER_GENERATION] = s->force_cleanup_after_generation,
                [MEMORY_CLEANUP_BEFORE_LOADING] = s->cleanup_before_loading,
            },
        .budget_bytes = s->memory_budget == SETTINGS_BYTES_AUTO ? 0 : s->memory_budget,
        .reserve_is_set = s->memory_reserve != SETTINGS_BYTES_AUTO,
        .reserve_bytes = s->memory_reserve != SETTINGS_BYTES_AUTO ? s->memory_reserve : 0,
        .model_idle_seconds = s->model_idle_seconds,
    };

    for (int i = 0; i < MEMORY_LEVELS; i++)
        p.thresholds.gib[i] = s->memory_thresholds[i];
    bool known = memory_policy_find_size_policy(&p.size_policy, s->size_policy);
    ASSERT(known); /* the row's choices are these names */
    return p;
}

bool plan_policy_machine(struct machine *out, const struct settings *s,
                         const struct machine_source *source, struct error *err)
{
    struct machine_words words = {
        .has_total = s->total != SETTINGS_BYTES_AUTO,
        .has_available = s->available != SETTINGS_BYTES_AUTO,
        .total_bytes = s->total,
        .available_bytes = s->available,
    };
    struct machine found;

    words.has_device = machine_find_device(&words.device, s->device); /* "auto" is none */
    bool all_said = words.has_device && words.has_total && words.has_available;
    if (!all_said && !machine_detect(&found, source, err))
        return false;
    return machine_describe(out, &words, all_said ? NULL : &found, err) ||
           error_prefix(err, "--total, --available");
}
