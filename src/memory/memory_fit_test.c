#include "base/test.h"
#include "memory/memory_fit.h"

#include <limits.h>
#include <stdint.h>

static void gives_the_known_sizes(void)
{
    static const struct {
        const char *why;
        struct memory_size asked, max, want;
    } row[] = {
        {"the example of the log", {2048, 2048}, {768, 768}, {768, 768}},
        {"wide", {1920, 1080}, {768, 768}, {1024, 576}},
        {"tall", {1080, 1920}, {768, 768}, {576, 1024}},
        {"fits exactly", {768, 768}, {768, 768}, {768, 768}},
        {"same pixels, other shape", {1024, 576}, {768, 768}, {1024, 576}},
        {"never up", {64, 64}, {768, 768}, {64, 64}},
        {"one step over", {776, 768}, {768, 768}, {768, 760}},
        {"rounded down", {1088, 1088}, {768, 768}, {768, 768}},
        {"odd ratio", {1000, 600}, {512, 512}, {656, 392}},
        {"four to one", {4096, 1024}, {512, 512}, {1024, 256}},
        {"1024 from 2048 exactly", {2048, 2048}, {1024, 1024}, {1024, 1024}},
        {"1280 from 4096 exactly", {4096, 4096}, {1280, 1280}, {1280, 1280}},
        {"a table cell that is no square", {2048, 1024}, {1024, 512}, {1024, 512}},
        {"exact, but a hair less in floats", {1280, 4252}, {720, 1063}, {480, 1592}},
        {"likewise", {7546, 3388}, {2352, 2376}, {3528, 1584}},
        {"very wide stops at 64", {8192, 64}, {512, 512}, {4096, 64}},
        {"very tall stops at 64", {64, 8192}, {512, 512}, {64, 4096}},
        {"wide, short side comes to exactly 64", {16384, 256}, {512, 512}, {4096, 64}},
        {"the smallest limit", {100, 100}, {64, 64}, {64, 64}},
        {"the smallest limit, wide", {4096, 4096}, {64, 64}, {64, 64}},
        {"a side below 64 stays", {16384, 32}, {512, 512}, {8192, 32}},
        {"sides beyond any picture", {INT_MAX, INT_MAX}, {768, 768}, {768, 768}},
        {"one line of pixels", {INT_MAX, 1}, {768, 768}, {589824, 1}},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct memory_size got = memory_fit_size(row[i].asked, row[i].max);
        bool same = got.width == row[i].want.width && got.height == row[i].want.height;
        if (!same)
            fprintf(stderr, "row: %s: %dx%d\n", row[i].why, got.width, got.height);
        CHECK(same);
    }
}

/* A quotient of floats makes 760 of some of these. */
static void keeps_every_exact_multiple(void)
{
    for (int from = 8; from <= 512; from++)
        for (int to = 8; to <= from; to++) {
            struct memory_size got = memory_fit_size((struct memory_size){8 * from, 8 * from},
                                                     (struct memory_size){8 * to, 8 * to});
            if (got.width != 8 * to || got.height != 8 * to)
                fprintf(stderr, "%d under %d: %dx%d\n", 8 * from, 8 * to, got.width, got.height);
            CHECK(got.width == 8 * to && got.height == 8 * to);
        }
}

/* The largest multiple of 8 that is right: one step more has too many pixels for its side. */
static bool is_largest(int side, int own, int other, int64_t allowed)
{
    int64_t next = side + 8;
    return next * next * other > own * allowed;
}

static void keeps_its_promises_everywhere(void)
{
    static const int max[] = {64, 512, 768, 1024, 1280, 2048};

    for (int w = 64; w <= 8192; w += 104)
        for (int h = 64; h <= 8192; h += 88)
            for (size_t k = 0; k < sizeof max / sizeof max[0]; k++) {
                struct memory_size asked = {w, h}, limit = {max[k], max[k]};
                struct memory_size got = memory_fit_size(asked, limit);
                int64_t allowed = (int64_t)max[k] * max[k];
                bool small = got.width == 64 || got.height == 64;

                CHECK((int64_t)got.width * got.height <= allowed);
                CHECK(got.width <= w && got.height <= h);
                CHECK(got.width >= 64 && got.height >= 64);
                if (!memory_fit_is_over(asked, limit)) {
                    CHECK(got.width == w && got.height == h);
                    continue;
                }
                CHECK(got.width % 8 == 0 && got.height % 8 == 0);
                CHECK(small || (is_largest(got.width, w, h, allowed) &&
                                is_largest(got.height, h, w, allowed)));
            }
}

int main(void)
{
    gives_the_known_sizes();
    keeps_every_exact_multiple();
    keeps_its_promises_everywhere();
    return TEST_END();
}
