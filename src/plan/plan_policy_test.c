#include "base/test.h"
#include "plan/plan_policy.h"

#include <string.h>

#define GIB ((uint64_t)1 << 30)

static bool same_sizes(const struct levels_sizes *a, const struct levels_sizes *b)
{
    for (int d = 0; d < MACHINE_DEVICE_COUNT; d++)
        for (int i = 0; i < MEMORY_LEVELS; i++)
            if (a->max[d][i].width != b->max[d][i].width ||
                a->max[d][i].height != b->max[d][i].height)
                return false;
    return true;
}

static void makes_the_default_policy_of_default_settings(void)
{
    struct settings s;
    struct settings_origins origins;
    settings_defaults(&s, &origins);

    const struct memory_policy got = plan_policy_of(&s), want = memory_policy_defaults();
    CHECK(memcmp(&got.thresholds, &want.thresholds, sizeof want.thresholds) == 0);
    CHECK(same_sizes(&got.sizes, &want.sizes));
    for (int i = 0; i < MEMORY_OPTIMIZATIONS; i++)
        CHECK(got.optimization[i] == want.optimization[i]);
    CHECK(got.size_policy == want.size_policy && got.budget_bytes == want.budget_bytes);
    CHECK(got.reserve_is_set == want.reserve_is_set);
    CHECK(got.model_idle_seconds == want.model_idle_seconds);
}

static void passes_every_setting_on(void)
{
    static const struct {
        const char *key;
        enum memory_optimization optimization;
    } row[] = {
        {"enable_vae_tiling", MEMORY_VAE_TILING},
        {"enable_attention_slicing", MEMORY_ATTENTION_SLICING},
        {"enable_memory_efficient_attention", MEMORY_EFFICIENT_ATTENTION},
        {"enable_cpu_offload", MEMORY_MODEL_CPU_OFFLOAD},
        {"enable_sequential_cpu_offload", MEMORY_SEQUENTIAL_CPU_OFFLOAD},
        {"reduce_vae_sample_size", MEMORY_REDUCE_VAE_SAMPLE_SIZE},
        {"force_cleanup_after_generation", MEMORY_CLEANUP_AFTER_GENERATION},
        {"cleanup_before_loading", MEMORY_CLEANUP_BEFORE_LOADING},
    };
    struct settings s;
    struct settings_origins origins;
    struct error err = {0};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        settings_defaults(&s, &origins);
        CHECK(settings_set(&s, &origins, row[i].key, "false", &err));
        struct memory_policy p = plan_policy_of(&s);
        for (int k = 0; k < MEMORY_OPTIMIZATIONS; k++)
            CHECK(p.optimization[k] == (k == (int)row[i].optimization ? TRI_FALSE : TRI_AUTO));
    }
    settings_defaults(&s, &origins);
    CHECK(settings_set(&s, &origins, "memory_thresholds", "4 8 16 24 32", &err));
    CHECK(settings_set(&s, &origins, "size_policy", "refuse", &err));
    CHECK(settings_set(&s, &origins, "memory_budget", "6GiB", &err));
    CHECK(settings_set(&s, &origins, "memory_reserve", "0", &err));
    CHECK(settings_set(&s, &origins, "model_idle_seconds", "5", &err));
    CHECK(
        settings_set(&s, &origins, "max_image_sizes_cuda", "64x64 72x72 80x80 88x88 96x104", &err));
    struct memory_policy p = plan_policy_of(&s);
    CHECK(p.thresholds.gib[0] == 4 && p.thresholds.gib[3] == 24);
    CHECK(p.size_policy == MEMORY_SIZE_REFUSE && p.budget_bytes == 6 * GIB);
    CHECK(p.reserve_is_set && p.reserve_bytes == 0 && p.model_idle_seconds == 5);
    CHECK(p.sizes.max[MACHINE_CUDA][MEMORY_VERY_HIGH].height == 104);
    CHECK(p.sizes.max[MACHINE_MPS][MEMORY_VERY_HIGH].height == 1536);

    CHECK(settings_set(&s, &origins, "max_image_size", "1024x640", &err));
    p = plan_policy_of(&s);
    for (int d = 0; d < MACHINE_DEVICE_COUNT; d++)
        for (int i = 0; i < MEMORY_LEVELS; i++)
            CHECK(p.sizes.max[d][i].width == 1024 && p.sizes.max[d][i].height == 640);
}

struct fake {
    struct machine machine;
    int asked;
};

static bool fake_detect(void *ctx, struct machine *out, struct error *err)
{
    struct fake *f = ctx;
    (void)err;
    f->asked++;
    *out = f->machine;
    return true;
}

static void finds_or_describes_the_machine(void)
{
    struct settings s;
    struct settings_origins origins;
    struct error err = {0};
    struct machine m;
    struct fake fake = {.machine = {MACHINE_CPU, 24 * GIB, 20 * GIB, MACHINE_WARNING}};
    const struct machine_source source = {fake_detect, &fake};

    settings_defaults(&s, &origins);
    CHECK(plan_policy_machine(&m, &s, &source, &err));
    CHECK(m.device == MACHINE_CPU && m.available_bytes == 20 * GIB);
    CHECK(m.pressure == MACHINE_WARNING && fake.asked == 1);

    CHECK(settings_set(&s, &origins, "device", "mps", &err));
    CHECK(plan_policy_machine(&m, &s, &source, &err));
    CHECK(m.device == MACHINE_MPS && m.total_bytes == 24 * GIB && fake.asked == 2);

    CHECK(settings_set(&s, &origins, "total", "16G", &err));
    CHECK(settings_set(&s, &origins, "available", "8.5G", &err));
    CHECK(plan_policy_machine(&m, &s, &source, &err));
    CHECK(m.device == MACHINE_MPS && m.total_bytes == 16 * GIB);
    CHECK(m.available_bytes == 17 * GIB / 2 && m.pressure == MACHINE_NORMAL);
    CHECK(fake.asked == 2);

    CHECK(settings_set(&s, &origins, "available", "17G", &err));
    CHECK(!plan_policy_machine(&m, &s, &source, &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "--available"));
}

int main(void)
{
    makes_the_default_policy_of_default_settings();
    passes_every_setting_on();
    finds_or_describes_the_machine();
    return TEST_END();
}
