#include "base/test.h"
#include "memory/levels.h"

#include <string.h>

static uint64_t gib(double n)
{
    return (uint64_t)(n * (double)((uint64_t)1 << 30));
}

static void finds_the_level_at_and_around_every_bound(void)
{
    static const struct {
        uint64_t gib;
        enum memory_level below, at, above;
    } row[] = {
        {8, MEMORY_VERY_LOW, MEMORY_LOW, MEMORY_LOW},
        {16, MEMORY_LOW, MEMORY_MEDIUM, MEMORY_MEDIUM},
        {24, MEMORY_MEDIUM, MEMORY_HIGH, MEMORY_HIGH},
        {32, MEMORY_HIGH, MEMORY_HIGH, MEMORY_VERY_HIGH},
    };
    const struct levels_thresholds t = levels_default_thresholds();

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        uint64_t bytes = row[i].gib << 30;
        CHECK(levels_of(bytes - 1, &t) == row[i].below);
        CHECK(levels_of(bytes, &t) == row[i].at);
        CHECK(levels_of(bytes + 1, &t) == row[i].above);
    }
    CHECK(levels_of(0, &t) == MEMORY_VERY_LOW);
    CHECK(levels_of(gib(8.5), &t) == MEMORY_LOW);
    CHECK(levels_of(UINT64_MAX, &t) == MEMORY_VERY_HIGH);
}

static void obeys_other_thresholds_and_ignores_the_last(void)
{
    const struct levels_thresholds t = {{6, 12, 18, 24, 99}};
    CHECK(levels_of(gib(6) - 1, &t) == MEMORY_VERY_LOW);
    CHECK(levels_of(gib(6), &t) == MEMORY_LOW);
    CHECK(levels_of(gib(24), &t) == MEMORY_HIGH);
    CHECK(levels_of(gib(24.1), &t) == MEMORY_VERY_HIGH);
    CHECK(levels_of(gib(100), &t) == MEMORY_VERY_HIGH);
}

static void holds_the_documented_sizes(void)
{
    static const struct {
        enum machine_device device;
        int side[MEMORY_LEVELS];
    } row[] = {
        {MACHINE_MPS, {512, 768, 1024, 1280, 1536}},
        {MACHINE_CUDA, {768, 1024, 1280, 1536, 2048}},
        {MACHINE_CPU, {512, 512, 768, 1024, 1024}},
    };
    const struct levels_sizes s = levels_default_sizes();

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        for (int k = 0; k < MEMORY_LEVELS; k++) {
            CHECK(s.max[row[i].device][k].width == row[i].side[k]);
            CHECK(s.max[row[i].device][k].height == row[i].side[k]);
        }
}

static void names_the_levels(void)
{
    CHECK(strcmp(levels_name(MEMORY_VERY_LOW), "very_low") == 0);
    CHECK(strcmp(levels_name(MEMORY_VERY_HIGH), "very_high") == 0);
}

int main(void)
{
    finds_the_level_at_and_around_every_bound();
    obeys_other_thresholds_and_ignores_the_last();
    holds_the_documented_sizes();
    names_the_levels();
    return TEST_END();
}
