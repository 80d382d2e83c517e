#include "base/test.h"
#include "image/resize_mode_vectors.h"

#include <math.h>
#include <string.h>

static struct image make_noise(int width, int height)
{
    struct image image = {0};
    struct error err;
    uint32_t s = 12345;

    CHECK(image_init(&image, width, height, &err));
    for (size_t i = 0; i < image_bytes(&image); i++) {
        s = (s * 1103515245u + 12345u) & 0x7fffffffu;
        image.px[i] = (uint8_t)(s >> 16);
    }
    return image;
}

static void covers_fits_and_stretches_as_the_reference(void)
{
    struct image out;
    struct error err;

    for (size_t i = 0; i < sizeof resize_mode_vectors / sizeof resize_mode_vectors[0]; i++) {
        struct image in =
            make_noise(resize_mode_vectors[i].in_width, resize_mode_vectors[i].in_height);
        CHECK(resize_mode_image(&out, &in, resize_mode_vectors[i].width,
                                resize_mode_vectors[i].height, resize_mode_vectors[i].mode, &err));
        if (hash_bytes(out.px, image_bytes(&out)) != resize_mode_vectors[i].hash)
            fprintf(stderr, "row %zu\n", i);
        CHECK(hash_bytes(out.px, image_bytes(&out)) == resize_mode_vectors[i].hash);
        image_clear(&out);
        image_clear(&in);
    }
}

static void keeps_the_part_inside_both_pictures(void)
{
    for (int mode = 0; mode < RESIZE_MODE_COUNT; mode++)
        for (int in_width = 1; in_width < 40; in_width += 3)
            for (int in_height = 1; in_height < 40; in_height++)
                for (int width = 1; width < 20; width++)
                    for (int height = 1; height < 20; height += 2) {
                        struct resize_mode_fit f = resize_mode_fit(in_width, in_height, width,
                                                                   height, (enum resize_mode)mode);
                        CHECK(f.x >= 0 && f.x + f.part.width <= width);
                        CHECK(f.y >= 0 && f.y + f.part.height <= height);
                        CHECK(f.part.x >= 0 && f.part.x + f.part.width <= f.part.full_width);
                        CHECK(f.part.y >= 0 && f.part.y + f.part.height <= f.part.full_height);
                        CHECK(mode != RESIZE_MODE_CROP ||
                              (f.part.width == width && f.part.height == height));
                    }
}

static void makes_only_what_is_used_of_extreme_shapes(void)
{
    struct image in = make_noise(IMAGE_MAX_SIDE, 1), out;
    struct error err;
    struct resize_mode_fit fit =
        resize_mode_fit(IMAGE_MAX_SIDE, 1, 64, IMAGE_MAX_SIDE, RESIZE_MODE_CROP);

    CHECK(fit.part.full_width == 1 << 28 && fit.part.width == 64);
    CHECK(resize_scratch_bytes(in.width, in.height, 3, fit.part, RESIZE_LANCZOS) < 1 << 20);
    CHECK(resize_mode_image(&out, &in, 64, IMAGE_MAX_SIDE, RESIZE_MODE_CROP, &err));
    image_clear(&out);
    CHECK(resize_mode_image(&out, &in, 64, 64, RESIZE_MODE_FILL, &err));
    CHECK(memcmp(out.px, out.px + image_bytes(&out) - 64 * 3, 64 * 3) == 0);
    image_clear(&out);
    image_clear(&in);
}

static void knows_names_and_numbers(void)
{
    enum resize_mode mode;
    struct error err;

    CHECK(resize_mode_parse(&mode, "Just Resize", &err) && mode == RESIZE_MODE_STRETCH);
    CHECK(resize_mode_parse(&mode, "crop and resize", &err) && mode == RESIZE_MODE_CROP);
    CHECK(resize_mode_parse(&mode, "RESIZE AND FILL", &err) && mode == RESIZE_MODE_FILL);
    CHECK(resize_mode_parse(&mode, "2", &err) && mode == RESIZE_MODE_FILL);
    CHECK(resize_mode_parse(&mode, "3", &err) && mode == RESIZE_MODE_LATENT);
    for (int i = 0; i < RESIZE_MODE_COUNT; i++) {
        CHECK(resize_mode_parse(&mode, resize_mode_name((enum resize_mode)i), &err));
        CHECK((int)mode == i);
        CHECK(resize_mode_from_number(&mode, i, &err) && (int)mode == i);
    }
    static const char *const bad[] = {"", "4", "-1", "01", "1 ", "crop"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!resize_mode_parse(&mode, bad[i], &err) && strstr(err.text, "resize and fill"));
    static const double not [] = {-1, 4, 0.5, NAN, INFINITY};
    for (size_t i = 0; i < sizeof not / sizeof not [0]; i++)
        CHECK(!resize_mode_from_number(&mode, not [i], &err) && err.code == ERROR_INVALID);
}

int main(void)
{
    covers_fits_and_stretches_as_the_reference();
    keeps_the_part_inside_both_pictures();
    makes_only_what_is_used_of_extreme_shapes();
    knows_names_and_numbers();
    return TEST_END();
}
