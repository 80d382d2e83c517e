#include "base/test.h"
#include "image/mask_blend.h"
#include "image/mask_vectors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct image make_noise(int width, int height, uint32_t s)
{
    struct image image = {0};
    struct error err;

    CHECK(image_init(&image, width, height, &err));
    for (size_t i = 0; i < image_bytes(&image); i++) {
        s = (s * 1103515245u + 12345u) & 0x7fffffffu;
        image.px[i] = (uint8_t)(s >> 16);
    }
    return image;
}

/* The soft blob and the hard bar of tests/image_vectors.py. */
static struct mask make_mask(int width, int height)
{
    struct mask mask = {0};
    struct error err;

    CHECK(mask_init(&mask, width, height, &err));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int dx = 4 * x - width, dy = 4 * y - height, d = dx * dx + dy * dy;
            int v = d < width * width ? 255 - d * 255 / (width * width) : 0;
            v = x > width * 3 / 4 && y > height / 2 ? 255 : v;
            mask.px[y * width + x] = (uint8_t)v;
        }
    return mask;
}

static struct mask make_empty(int width, int height)
{
    struct mask mask = {0};
    struct error err;

    CHECK(mask_init(&mask, width, height, &err));
    memset(mask.px, 0, mask_bytes(&mask));
    return mask;
}

static void agrees_with_pillow(void)
{
    struct error err;

    for (size_t i = 0; i < sizeof mask_vectors / sizeof mask_vectors[0]; i++) {
        const int width = mask_vectors[i].width, height = mask_vectors[i].height;
        const int w = width < 8 ? 1 : width / 8, h = height < 8 ? 1 : height / 8;
        const size_t n = (size_t)w * (size_t)h;
        struct image image = make_noise(width, height, 12345);
        struct image result = make_noise(width, height, 99);
        struct mask mask = make_mask(width, height), grey;

        mask_blend_restore(&result, &image, &mask);
        CHECK(hash_bytes(result.px, image_bytes(&result)) == mask_vectors[i].restore);
        CHECK(mask_from_picture(&grey, &(struct image_file){.image = image}, true, &err));
        CHECK(hash_bytes(grey.px, mask_bytes(&grey)) == mask_vectors[i].brightness);
        CHECK(mask_blend_fill_image(&image, &mask, &err));
        CHECK(hash_bytes(image.px, image_bytes(&image)) == mask_vectors[i].fill);

        float *latent = malloc(n * sizeof *latent);
        uint8_t *bytes = malloc(n);
        CHECK(latent && bytes);
        CHECK(mask_to_latent(latent, w, h, &mask, false, &err));
        for (size_t k = 0; k < n; k++)
            bytes[k] = (uint8_t)lrintf(latent[k] * 255);
        CHECK(hash_bytes(bytes, n) == mask_vectors[i].latent);
        CHECK(mask_to_latent(latent, w, h, &mask, true, &err));
        for (size_t k = 0; k < n; k++)
            CHECK(latent[k] == (bytes[k] > 127 ? 1.0f : 0.0f));
        free(bytes);
        free(latent);
        mask_clear(&grey);
        mask_clear(&mask);
        image_clear(&result);
        image_clear(&image);
    }
}

static void takes_opacity_when_there_is_some(void)
{
    uint8_t px[12] = {0}, alpha[4] = {0, 128, 129, 255};
    struct image_file file = {.image = {.px = px, .width = 4, .height = 1}, .alpha = alpha};
    struct mask mask;
    struct error err;

    CHECK(mask_from_picture(&mask, &file, true, &err));
    CHECK(memcmp(mask.px, "\0\0\xff\xff", 4) == 0);
    mask_invert(&mask);
    CHECK(memcmp(mask.px, "\xff\xff\0\0", 4) == 0);
    mask_clear(&mask);
    CHECK(mask_from_picture(&mask, &file, false, &err));
    CHECK(memcmp(mask.px, alpha, 4) == 0);
    mask_strengthen(&mask);
    CHECK(memcmp(mask.px, "\0\xff\xff\xff", 4) == 0);
    mask.px[1] = 127;
    mask_strengthen(&mask);
    CHECK(mask.px[1] == 254);
    mask_clear(&mask);
}

/* The kernel has 8 bits behind the point, and ends at 2.5 deviations, hence the room. */
static void blurs_like_a_gaussian(void)
{
    static const double sigmas[] = {1, 4, 9, 20, 64};
    struct error err;

    for (size_t s = 0; s < sizeof sigmas / sizeof sigmas[0]; s++)
        for (int down = 0; down < 2; down++) {
            const int n = 400;
            struct mask mask = make_empty(down ? 2 : n, down ? n : 2);
            for (int i = 0; i < n; i++)
                for (int k = 0; k < 2; k++)
                    mask.px[down ? i * 2 + k : k * n + i] = i < 200 ? 255 : 0;
            CHECK(mask_blur(&mask, down ? 0 : sigmas[s], down ? sigmas[s] : 0, &err));
            for (int i = 40; i < n - 40; i++) {
                double want = 255 * 0.5 * erfc((i + 0.5 - 200) / (sigmas[s] * sqrt(2)));
                CHECK(fabs(mask.px[down ? i * 2 : i] - want) < 4);
                CHECK(mask.px[down ? i * 2 : i] == mask.px[down ? i * 2 + 1 : i + n]);
            }
            mask_clear(&mask);
        }
}

/* Kernel and rounding worked out by hand from OpenCV's rules: sigma 1 has radius 3 and the weights
 * 1, 14, 62, 102, 62, 14, 1. */
static void blurs_with_the_weights_of_opencv(void)
{
    static const uint8_t want[] = {0, 1, 14, 62, 102, 62, 14, 1, 0};
    struct mask mask = make_empty(9, 1);
    struct error err;

    mask.px[4] = 255;
    CHECK(mask_blur(&mask, 1, 0, &err));
    for (int i = 0; i < 9; i++)
        CHECK(mask.px[i] == want[i]);
    mask_clear(&mask);

    mask = make_empty(3, 1);
    memset(mask.px, 255, 3);
    CHECK(mask_blur(&mask, 200, 200, &err)); /* far wider than the mask */
    CHECK(memcmp(mask.px, "\xff\xff\xff", 3) == 0);
    CHECK(!mask_blur(&mask, -1, 0, &err) && !mask_blur(&mask, 0, 257, &err));
    CHECK(!mask_blur(&mask, NAN, 0, &err) && err.code == ERROR_INVALID);
    mask_clear(&mask);
}

static bool is_same(struct mask_region a, struct mask_region b)
{
    return a.x0 == b.x0 && a.y0 == b.y0 && a.x1 == b.x1 && a.y1 == b.y1;
}

static void finds_and_widens_regions_as_the_reference(void)
{
    for (size_t i = 0; i < sizeof mask_region_vectors / sizeof mask_region_vectors[0]; i++) {
        const struct mask_region box = mask_region_vectors[i].box;
        struct mask_region found;
        struct mask mask =
            make_empty(mask_region_vectors[i].picture_width, mask_region_vectors[i].picture_height);
        CHECK(!mask_region_find(&found, &mask, 3) && found.x1 == 0);
        mask.px[box.y0 * mask.width + box.x0] = 1;
        mask.px[(box.y1 - 1) * mask.width + box.x1 - 1] = 255;
        CHECK(mask_region_find(&found, &mask, mask_region_vectors[i].padding));
        found = mask_region_expand(found, mask_region_vectors[i].width,
                                   mask_region_vectors[i].height, mask.width, mask.height);
        CHECK(is_same(found, mask_region_vectors[i].want));
        mask_clear(&mask);
    }
}

static void cuts_regions_and_puts_them_back(void)
{
    const struct mask_region region = {8, 4, 40, 28}, outside = {8, 4, 65, 28};
    struct image picture = make_noise(64, 48, 1), part, black;
    struct image before = make_noise(64, 48, 1);
    struct mask mask = make_empty(64, 48), cut;
    struct error err;

    for (int y = 10; y < 20; y++)
        memset(mask.px + y * 64 + 12, 255, 20);
    CHECK(mask_region_cut_image(&part, &picture, region, 32, 24, &err));
    CHECK(memcmp(part.px, picture.px + (4 * 64 + 8) * 3, 32 * 3) == 0);
    image_clear(&part);
    CHECK(mask_region_cut_mask(&cut, &mask, region, 64, 64, &err));
    CHECK(cut.width == 64 && cut.px[32 * 64 + 32] == 255 && cut.px[0] == 0);
    mask_clear(&cut);
    CHECK(!mask_region_cut_mask(&cut, &mask, outside, 8, 8, &err));
    CHECK(!mask_region_cut_image(&part, &picture, outside, 8, 8, &err) && part.px == NULL);

    CHECK(image_init(&black, 64, 48, &err));
    memset(black.px, 0, image_bytes(&black));
    CHECK(mask_blend_paste(&picture, &black, &mask, region, &err));
    for (size_t i = 0; i < mask_bytes(&mask); i++)
        for (size_t c = 0; c < 3; c++)
            CHECK(picture.px[i * 3 + c] == (mask.px[i] ? 0 : before.px[i * 3 + c]));
    image_clear(&black);
    mask_clear(&mask);
    image_clear(&before);
    image_clear(&picture);
}

static void resizes_with_the_picture(void)
{
    struct mask mask = make_mask(64, 48), out;
    struct error err;

    for (int mode = 0; mode < RESIZE_MODE_COUNT; mode++) {
        /* One channel of a grey picture goes the same way. */
        struct image grey, resized;
        CHECK(image_init(&grey, 64, 48, &err));
        for (size_t i = 0; i < mask_bytes(&mask); i++)
            memset(grey.px + i * 3, mask.px[i], 3);
        CHECK(mask_resize(&out, &mask, 40, 56, (enum resize_mode)mode, &err));
        CHECK(resize_mode_image(&resized, &grey, 40, 56, (enum resize_mode)mode, &err));
        for (size_t i = 0; i < mask_bytes(&out); i++)
            CHECK(out.px[i] == resized.px[i * 3]);
        image_clear(&resized);
        image_clear(&grey);
        mask_clear(&out);
    }
    CHECK(!mask_resize(&out, &mask, 0, 5, RESIZE_MODE_CROP, &err) && out.px == NULL);
    mask_clear(&mask);
}

int main(void)
{
    agrees_with_pillow();
    takes_opacity_when_there_is_some();
    blurs_like_a_gaussian();
    blurs_with_the_weights_of_opencv();
    finds_and_widens_regions_as_the_reference();
    cuts_regions_and_puts_them_back();
    resizes_with_the_picture();
    return TEST_END();
}
