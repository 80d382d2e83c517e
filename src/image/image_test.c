#include "base/test.h"
#include "image/image.h"

#include <math.h>
#include <string.h>

static void rounds_as_the_reference(void)
{
    static const struct {
        const char *why;
        float x;
        enum image_range range;
        uint8_t want;
    } row[] = {
        {"the ends", -1, IMAGE_SIGNED, 0},
        {"the ends", 1, IMAGE_SIGNED, 255},
        {"beyond", -7, IMAGE_SIGNED, 0},
        {"beyond", 1e30f, IMAGE_SIGNED, 255},
        {"a tie goes to the even 128", 0, IMAGE_SIGNED, 128},
        {"a tie goes to the even 0", 0.5f / 255, IMAGE_UNIT, 0},
        {"above the tie", 0.51f / 255, IMAGE_UNIT, 1},
        {"a tie goes to the even 128", 0.5f, IMAGE_UNIT, 128},
        {"not a number", NAN, IMAGE_SIGNED, 0},
        {"infinity", INFINITY, IMAGE_UNIT, 255},
    };
    struct image image;
    struct error err;

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        float px[3] = {row[i].x, row[i].x, row[i].x};
        CHECK(image_from_floats(&image, px, 1, 1, IMAGE_HWC, row[i].range, &err));
        if (image.px[2] != row[i].want)
            fprintf(stderr, "row: %s, got %d\n", row[i].why, image.px[2]);
        CHECK(image.px[0] == row[i].want && image.px[2] == row[i].want);
        image_clear(&image);
    }
}

static void brings_every_byte_back(void)
{
    struct image image, again;
    struct error err;
    float floats[256 * 3];

    CHECK(image_init(&image, 64, 4, &err));
    for (size_t i = 0; i < image_bytes(&image); i++)
        image.px[i] = (uint8_t)(i * 7);
    for (int order = IMAGE_HWC; order <= IMAGE_PLANES; order++)
        for (int range = IMAGE_SIGNED; range <= IMAGE_UNIT; range++) {
            image_to_floats(floats, &image, (enum image_order)order, (enum image_range)range);
            CHECK(image_from_floats(&again, floats, 64, 4, (enum image_order)order,
                                    (enum image_range)range, &err));
            CHECK(memcmp(image.px, again.px, image_bytes(&image)) == 0);
            image_clear(&again);
        }
    image_to_floats(floats, &image, IMAGE_PLANES, IMAGE_UNIT);
    CHECK(floats[256] == (float)image.px[1] / 255); /* the second plane is green */
    image_clear(&image);
}

static void checks_sizes(void)
{
    static const struct {
        int64_t width, height;
        enum error_code code;
    } row[] = {
        {1, 1, ERROR_NONE},          {16384, 4096, ERROR_NONE},
        {16384, 4097, ERROR_LIMIT},  {16385, 1, ERROR_LIMIT},
        {0, 5, ERROR_INVALID},       {5, -1, ERROR_INVALID},
        {INT64_MAX, 2, ERROR_LIMIT}, {INT64_MAX, INT64_MAX, ERROR_LIMIT},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct error err = {0};
        bool ok = image_check_size(row[i].width, row[i].height, image_default_limits(), &err);
        CHECK(ok == (row[i].code == ERROR_NONE) && err.code == row[i].code);
    }
}

static void crops_what_lies_inside(void)
{
    struct image in, out;
    struct error err;

    CHECK(image_init(&in, 5, 4, &err));
    for (size_t i = 0; i < image_bytes(&in); i++)
        in.px[i] = (uint8_t)i;
    CHECK(image_crop(&out, &in, 2, 1, 3, 2, &err));
    CHECK(out.width == 3 && out.height == 2);
    CHECK(out.px[0] == (1 * 5 + 2) * 3 && out.px[9] == (2 * 5 + 2) * 3);
    image_clear(&out);
    CHECK(!image_crop(&out, &in, 3, 0, 3, 1, &err));
    CHECK(!image_crop(&out, &in, -1, 0, 2, 1, &err));
    CHECK(!image_crop(&out, &in, 0, 4, 1, 1, &err));
    CHECK(!image_crop(&out, &in, 0, 2147483647, 1, 1, &err));
    image_clear(&in);
}

int main(void)
{
    rounds_as_the_reference();
    brings_every_byte_back();
    checks_sizes();
    crops_what_lies_inside();
    return TEST_END();
}
