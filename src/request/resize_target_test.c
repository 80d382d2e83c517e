#include "base/test.h"
#include "request/resize_target.h"

#include <math.h>
#include <string.h>

static struct resize_target_number number(double value)
{
    return (struct resize_target_number){.is_given = true, .value = value};
}

static struct resize_target_pair pair(double width, double height)
{
    return (struct resize_target_pair){
        .is_given = true, .width = number(width), .height = number(height)};
}

static void finds_the_size_that_is_asked_for(void)
{
    const struct resize_target_number none = {0};
    const struct resize_target_wish nothing = {0};
    const struct {
        const char *why;
        struct resize_target_wish wish;
        int in_width, in_height, width, height;
    } row[] = {
        {"resize_by {3,3}", {.by = pair(3, 3)}, 512, 512, 1536, 1536},
        {"resize_by 2", {.by = resize_target_factor(2)}, 512, 512, 1024, 1024},
        {"resized_by {2.5,2.5}", {.resized_by = pair(2.5, 2.5)}, 512, 512, 1280, 1280},
        {"resized_by 1.5", {.resized_by = resize_target_factor(1.5)}, 512, 512, 768, 768},
        {"resize_to", {.to = pair(512, 512)}, 256, 256, 512, 512},
        {"resize_to wins",
         {.to = pair(640, 320), .by = resize_target_factor(2)},
         256,
         256,
         640,
         320},
        {"resize_by wins over resized_by",
         {.by = resize_target_factor(2), .resized_by = resize_target_factor(3)},
         64,
         64,
         128,
         128},
        {"a factor 0 is none",
         {.by = resize_target_factor(0), .resized_by = resize_target_factor(3)},
         64,
         64,
         192,
         192},
        {"factors of 0 in an object are some",
         {.by = pair(0, 0), .resized_by = resize_target_factor(3)},
         64,
         64,
         64,
         64},
        {"rounds to multiples of 8", {.to = pair(515, 516)}, 256, 256, 512, 520},
        {"a missing height is the request's",
         {.to = {true, number(640), none}, .width = 512, .height = 384},
         256,
         256,
         640,
         384},
        {"a missing factor is 1", {.by = {true, number(2), none}}, 100, 100, 200, 104},
        {"cuts before it rounds", {.by = resize_target_factor(1.1155)}, 463, 463, 520, 520},
        {"nothing asked", {.width = 512, .height = 512}, 333, 300, 336, 304},
        {"a target of 3 is 0", {.to = pair(3, 512)}, 100, 203, 104, 200},
        {"a negative target", {.by = resize_target_factor(-1)}, 64, 72, 64, 72},
        {"a tiny input", nothing, 1, 3, 8, 8},
    };
    struct error err;

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        int width = 0, height = 0;
        CHECK(resize_target_find(&width, &height, &row[i].wish, row[i].in_width, row[i].in_height,
                                 &err));
        if (width != row[i].width || height != row[i].height)
            fprintf(stderr, "row: %s gave %dx%d\n", row[i].why, width, height);
        CHECK(width == row[i].width && height == row[i].height);
    }
}

static void rounds_to_eight(void)
{
    static const int row[][2] = {{516, 520}, {515, 512}, {3, 0},   {4, 8},   {0, 0},
                                 {-3, 0},    {-4, 0},    {-5, -8}, {12, 16}, {11, 8}};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        CHECK(resize_target_round(row[i][0]) == row[i][1]);
}

static void refuses_what_is_no_size(void)
{
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e30, -1e30, RESIZE_TARGET_MAX_SIDE + 1};
    struct error err;
    int width, height;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct resize_target_wish to = {.to = pair(512, bad[i])};
        const struct resize_target_wish by = {.resized_by = resize_target_factor(bad[i])};
        CHECK(!resize_target_find(&width, &height, &to, 512, 512, &err));
        CHECK(err.code == ERROR_INVALID && strncmp(err.text, "resize_to: height", 17) == 0);
        CHECK(!resize_target_find(&width, &height, &by, 512, 512, &err));
        CHECK(err.code == ERROR_INVALID && strncmp(err.text, "resized_by: width", 17) == 0);
    }
}

int main(void)
{
    finds_the_size_that_is_asked_for();
    rounds_to_eight();
    refuses_what_is_no_size();
    return TEST_END();
}
