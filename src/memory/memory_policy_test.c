#include "base/test.h"
#include "memory/memory_policy.h"

#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

#define BIT(o) (1u << (o))
#define TILING BIT(MEMORY_VAE_TILING)
#define SLICING BIT(MEMORY_ATTENTION_SLICING)
#define EFFICIENT BIT(MEMORY_EFFICIENT_ATTENTION)
#define OFFLOAD BIT(MEMORY_MODEL_CPU_OFFLOAD)
#define SEQUENTIAL BIT(MEMORY_SEQUENTIAL_CPU_OFFLOAD)
#define REDUCED BIT(MEMORY_REDUCE_VAE_SAMPLE_SIZE)
#define CLEANUPS (BIT(MEMORY_CLEANUP_AFTER_GENERATION) | BIT(MEMORY_CLEANUP_BEFORE_LOADING))
#define BEFORE_LOADING BIT(MEMORY_CLEANUP_BEFORE_LOADING)

static unsigned bits(const struct memory_choice *c)
{
    unsigned b = 0;
    for (unsigned i = 0; i < MEMORY_OPTIMIZATIONS; i++)
        b |= (unsigned)c->on[i] << i;
    return b;
}

static void chooses_what_a_device_is_known_for(void)
{
    static const struct {
        const char *why;
        enum machine_device device;
        enum memory_level level;
        bool is_sdxl, pooling;
        unsigned want;
    } row[] = {
        {"mps, SDXL", MACHINE_MPS, MEMORY_LOW, true, false,
         TILING | SLICING | OFFLOAD | REDUCED | CLEANUPS},
        {"mps, SD 1.5", MACHINE_MPS, MEMORY_VERY_HIGH, false, false,
         TILING | SLICING | OFFLOAD | CLEANUPS},
        {"mps, very low", MACHINE_MPS, MEMORY_VERY_LOW, true, false,
         TILING | SLICING | OFFLOAD | SEQUENTIAL | REDUCED | CLEANUPS},
        {"cuda, SDXL", MACHINE_CUDA, MEMORY_VERY_LOW, true, true, EFFICIENT | BEFORE_LOADING},
        {"cuda, SD 1.5", MACHINE_CUDA, MEMORY_HIGH, false, true, EFFICIENT | BEFORE_LOADING},
        {"cpu, SDXL", MACHINE_CPU, MEMORY_VERY_LOW, true, false, EFFICIENT | CLEANUPS},
        {"cpu, SD 1.5", MACHINE_CPU, MEMORY_MEDIUM, false, false, CLEANUPS},
    };
    const struct memory_policy p = memory_policy_defaults();

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct memory_choice c =
            memory_policy_choose(&p, row[i].device, row[i].level, row[i].is_sdxl);
        if (bits(&c) != row[i].want || c.pooling != row[i].pooling)
            fprintf(stderr, "row: %s: %#x\n", row[i].why, bits(&c));
        CHECK(bits(&c) == row[i].want);
        CHECK(c.pooling == row[i].pooling);
    }
}

static void does_what_is_forced_and_leaves_what_is_forbidden(void)
{
    for (int o = 0; o < MEMORY_OPTIMIZATIONS; o++)
        for (int device = 0; device < MACHINE_DEVICE_COUNT; device++)
            for (int level = 0; level < MEMORY_LEVELS; level++) {
                struct memory_policy p = memory_policy_defaults();
                p.optimization[o] = TRI_TRUE;
                struct memory_choice c = memory_policy_choose(&p, (enum machine_device)device,
                                                              (enum memory_level)level, true);
                CHECK(c.on[o]);
                p.optimization[o] = TRI_FALSE;
                c = memory_policy_choose(&p, (enum machine_device)device, (enum memory_level)level,
                                         true);
                CHECK(!c.on[o]);
            }
}

static void knows_what_depends_on_what(void)
{
    struct memory_policy p = memory_policy_defaults();

    p.optimization[MEMORY_VAE_TILING] = TRI_FALSE;
    struct memory_choice c = memory_policy_choose(&p, MACHINE_MPS, MEMORY_LOW, true);
    CHECK(bits(&c) == (SLICING | OFFLOAD | CLEANUPS));

    p = memory_policy_defaults();
    p.optimization[MEMORY_REDUCE_VAE_SAMPLE_SIZE] = TRI_TRUE;
    c = memory_policy_choose(&p, MACHINE_CUDA, MEMORY_LOW, true);
    CHECK(bits(&c) == (TILING | REDUCED | EFFICIENT | BEFORE_LOADING));
    c = memory_policy_choose(&p, MACHINE_CUDA, MEMORY_LOW, false);
    CHECK(bits(&c) == (EFFICIENT | BEFORE_LOADING));

    p = memory_policy_defaults();
    p.optimization[MEMORY_ATTENTION_SLICING] = TRI_FALSE;
    c = memory_policy_choose(&p, MACHINE_MPS, MEMORY_LOW, true);
    CHECK(bits(&c) == (TILING | OFFLOAD | REDUCED | EFFICIENT | CLEANUPS));

    p = memory_policy_defaults();
    p.optimization[MEMORY_CLEANUP_AFTER_GENERATION] = TRI_TRUE;
    CHECK(!memory_policy_choose(&p, MACHINE_CUDA, MEMORY_LOW, true).pooling);
}

static void leaves_the_reserve_and_keeps_the_budget(void)
{
    static const struct {
        const char *why;
        uint64_t total, available, budget;
        bool reserve_is_set;
        uint64_t reserve, want;
    } row[] = {
        {"small machine: 512 MiB", 8 * GIB, 4 * GIB, 0, false, 0, 4 * GIB - 512 * MIB},
        {"large machine: 5 %", 40 * GIB, 30 * GIB, 0, false, 0, 28 * GIB},
        {"budget below", 40 * GIB, 30 * GIB, 6 * GIB, false, 0, 6 * GIB},
        {"budget above", 8 * GIB, 4 * GIB, 6 * GIB, true, GIB, 3 * GIB},
        {"no reserve", 8 * GIB, 4 * GIB, 0, true, 0, 4 * GIB},
        {"reserve above what there is", 8 * GIB, 4 * GIB, 0, true, 5 * GIB, 0},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct memory_policy p = memory_policy_defaults();
        struct machine m = {.total_bytes = row[i].total, .available_bytes = row[i].available};
        p.budget_bytes = row[i].budget;
        p.reserve_is_set = row[i].reserve_is_set;
        p.reserve_bytes = row[i].reserve;
        if (memory_policy_usable_bytes(&p, &m) != row[i].want)
            fprintf(stderr, "row: %s\n", row[i].why);
        CHECK(memory_policy_usable_bytes(&p, &m) == row[i].want);
    }
}

static void shrinks_by_the_table_only_under_the_policy_table(void)
{
    struct memory_policy p = memory_policy_defaults();
    const struct memory_size asked = {2048, 2048};

    CHECK(memory_policy_fit_size(&p, MACHINE_MPS, MEMORY_LOW, asked).width == 768);
    CHECK(memory_policy_fit_size(&p, MACHINE_CUDA, MEMORY_VERY_HIGH, asked).width == 2048);
    p.size_policy = MEMORY_SIZE_PLANNED;
    CHECK(memory_policy_fit_size(&p, MACHINE_MPS, MEMORY_LOW, asked).width == 2048);
    p.size_policy = MEMORY_SIZE_REFUSE;
    CHECK(memory_policy_fit_size(&p, MACHINE_MPS, MEMORY_LOW, asked).width == 2048);
}

static void names_everything_once(void)
{
    enum memory_size_policy found;

    for (int a = 0; a < MEMORY_OPTIMIZATIONS; a++)
        for (int b = 0; b < a; b++)
            CHECK(strcmp(memory_policy_optimization_name((enum memory_optimization)a),
                         memory_policy_optimization_name((enum memory_optimization)b)) != 0);
    for (enum memory_size_policy p = 0; p < MEMORY_SIZE_POLICIES; p++)
        CHECK(memory_policy_find_size_policy(&found, memory_policy_size_policy_name(p)) &&
              found == p);
    CHECK(!memory_policy_find_size_policy(&found, "tabl"));
}

int main(void)
{
    chooses_what_a_device_is_known_for();
    does_what_is_forced_and_leaves_what_is_forbidden();
    knows_what_depends_on_what();
    leaves_the_reserve_and_keeps_the_budget();
    shrinks_by_the_table_only_under_the_policy_table();
    names_everything_once();
    return TEST_END();
}
