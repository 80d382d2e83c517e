#include "base/test.h"
#include "image/resize_taps.h"
#include "image/resize_vectors.h"

#include <stdlib.h>
#include <string.h>

/* The numbers of the table below come from Pillow 9.4.0: this picture through Image.resize. */
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

static void agrees_with_pillow(void)
{
    static const struct {
        enum resize_filter filter;
        int width, height;
        uint8_t want[4 * 9 * 3];
    } row[] = {
        {RESIZE_NEAREST,
         3,
         2,
         {29, 4, 172, 43, 70, 120, 223, 95, 174, 40, 202, 9, 2, 94, 150, 109, 172, 212}},
        {RESIZE_NEAREST, 4, 9, {220, 4,   101, 29,  90,  218, 30,  95,  19,  253, 16,  255,
                                220, 4,   101, 29,  90,  218, 30,  95,  19,  253, 16,  255,
                                25,  175, 96,  180, 29,  2,   115, 58,  242, 183, 8,   89,
                                25,  175, 96,  180, 29,  2,   115, 58,  242, 183, 8,   89,
                                209, 238, 57,  149, 181, 204, 255, 6,   182, 60,  249, 53,
                                253, 75,  148, 124, 68,  179, 95,  179, 234, 45,  129, 110,
                                253, 75,  148, 124, 68,  179, 95,  179, 234, 45,  129, 110,
                                105, 175, 224, 156, 4,   231, 44,  96,  201, 246, 134, 160,
                                105, 175, 224, 156, 4,   231, 44,  96,  201, 246, 134, 160}},
        {RESIZE_BILINEAR,
         3,
         2,
         {107, 93, 120, 120, 84, 112, 153, 80, 152, 137, 142, 117, 117, 90, 151, 132, 147, 164}},
        {RESIZE_BILINEAR, 4, 9, {189, 20,  137, 113, 101, 156, 102, 122, 39,  182, 65,  181,
                                 137, 45,  133, 112, 79,  127, 107, 104, 91,  187, 59,  165,
                                 51,  87,  125, 111, 42,  79,  114, 75,  177, 195, 50,  138,
                                 74,  151, 100, 115, 84,  94,  149, 49,  172, 148, 93,  133,
                                 123, 220, 70,  119, 146, 125, 191, 24,  144, 86,  150, 132,
                                 141, 169, 81,  93,  122, 132, 125, 96,  178, 80,  150, 148,
                                 157, 131, 98,  86,  96,  140, 78,  150, 200, 92,  153, 158,
                                 159, 143, 137, 148, 63,  153, 109, 127, 172, 179, 169, 150,
                                 161, 150, 161, 186, 44,  161, 128, 114, 155, 231, 179, 145}},
        {RESIZE_BICUBIC,
         3,
         2,
         {105, 93, 118, 118, 84, 111, 154, 75, 153, 139, 149, 113, 117, 82, 159, 132, 154, 163}},
        {RESIZE_BICUBIC, 4, 9, {204, 5,   141, 112, 112, 167, 97,  134, 10,  181, 61,  195,
                                143, 31,  138, 112, 81,  130, 99,  116, 75,  193, 53,  174,
                                39,  84,  130, 112, 30,  68,  108, 80,  190, 209, 43,  135,
                                56,  164, 101, 116, 76,  82,  159, 34,  185, 153, 94,  128,
                                121, 228, 70,  115, 145, 123, 200, 9,   145, 80,  157, 136,
                                149, 179, 70,  77,  130, 131, 128, 91,  185, 61,  157, 150,
                                163, 130, 92,  72,  92,  136, 69,  157, 212, 89,  154, 159,
                                162, 147, 141, 153, 50,  152, 103, 129, 173, 192, 177, 150,
                                160, 159, 167, 200, 28,  161, 126, 109, 149, 249, 190, 145}},
        {RESIZE_LANCZOS,
         3,
         2,
         {104, 95, 115, 115, 84, 112, 152, 74, 153, 139, 152, 109, 117, 78, 163, 133, 157, 164}},
        {RESIZE_LANCZOS, 4, 9, {207, 3,   145, 118, 121, 177, 99,  139, 0,   169, 62,  202,
                                139, 20,  144, 114, 74,  131, 93,  128, 70,  195, 46,  177,
                                45,  76,  133, 108, 23,  68,  103, 93,  189, 213, 41,  139,
                                45,  180, 103, 115, 69,  69,  171, 19,  198, 160, 96,  126,
                                121, 232, 75,  108, 148, 116, 207, 0,   147, 80,  160, 143,
                                159, 187, 64,  57,  148, 126, 137, 83,  189, 43,  164, 156,
                                165, 129, 95,  66,  87,  129, 70,  158, 220, 99,  155, 159,
                                162, 144, 144, 154, 41,  147, 96,  137, 178, 195, 179, 152,
                                156, 165, 173, 215, 19,  157, 129, 105, 143, 253, 194, 146}},
    };
    struct image in = make_noise(7, 5), out;
    struct error err;

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        CHECK(resize_image(&out, &in, row[i].width, row[i].height, row[i].filter, &err));
        CHECK(memcmp(out.px, row[i].want, image_bytes(&out)) == 0);
        image_clear(&out);
    }
    image_clear(&in);
}

static void agrees_with_pillow_at_many_sizes(void)
{
    struct image out;
    struct error err;

    for (size_t i = 0; i < sizeof resize_vectors / sizeof resize_vectors[0]; i++) {
        struct image in = make_noise(resize_vectors[i].in_width, resize_vectors[i].in_height);
        CHECK(resize_image(&out, &in, resize_vectors[i].width, resize_vectors[i].height,
                           resize_vectors[i].filter, &err));
        if (hash_bytes(out.px, image_bytes(&out)) != resize_vectors[i].hash)
            fprintf(stderr, "row %zu\n", i);
        CHECK(hash_bytes(out.px, image_bytes(&out)) == resize_vectors[i].hash);
        image_clear(&out);
        image_clear(&in);
    }
}

static void makes_a_part_like_the_whole(void)
{
    static const int size[][2] = {{40, 30}, {9, 7}, {13, 120}, {200, 5}};
    struct image in = make_noise(33, 21), whole;
    struct error err;
    uint8_t px[50 * 40 * 3];

    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++)
        for (int filter = RESIZE_NEAREST; filter <= RESIZE_LANCZOS; filter++) {
            const int w = size[i][0], h = size[i][1];
            struct resize_part part = {w, h, w / 3, h / 2, w / 4, h / 3};
            struct resize_view out = {px, part.width, part.height, 3, 50 * 3};
            CHECK(resize_image(&whole, &in, w, h, (enum resize_filter)filter, &err));
            CHECK(resize_into(out, resize_view_image(&in), part, (enum resize_filter)filter, &err));
            for (int y = 0; y < part.height; y++)
                CHECK(memcmp(px + y * 50 * 3, whole.px + ((y + part.y) * w + part.x) * 3,
                             (size_t)part.width * 3) == 0);
            image_clear(&whole);
        }
    struct resize_part beyond = {10, 10, 6, 0, 5, 10};
    CHECK(!resize_into((struct resize_view){px, 5, 10, 3, 15}, resize_view_image(&in), beyond,
                       RESIZE_LANCZOS, &err));
    image_clear(&in);
}

/* The ring of sums may hold only as many rows as resize_taps_active says. */
static void never_has_more_sums_than_places(void)
{
    static const int out_size[] = {1, 2, 3, 5, 7, 16, 33, 100, 255};

    for (int filter = RESIZE_BILINEAR; filter <= RESIZE_LANCZOS; filter++)
        for (int in_size = 1; in_size < 300; in_size += 7)
            for (size_t o = 0; o < sizeof out_size / sizeof out_size[0]; o++) {
                struct resize_taps t;
                struct error err;
                const int n = out_size[o];
                CHECK(resize_taps_init(&t, in_size, n, 0, n, (enum resize_filter)filter, &err));
                for (int i = 0, begin = 0; i < n; i++) {
                    int64_t sum = 0;
                    for (int x = 0; x < t.size[i]; x++)
                        sum += abs(t.k[i * t.width + x]);
                    CHECK(sum * 255 + (1 << 21) <= INT32_MAX);
                    CHECK(t.size[i] >= 1 && t.size[i] <= t.width);
                    CHECK(t.first[i] >= 0 && t.first[i] + t.size[i] <= in_size);
                    CHECK(i == 0 || t.first[i] >= t.first[i - 1]);
                    CHECK(i == 0 || t.first[i] + t.size[i] >= t.first[i - 1] + t.size[i - 1]);
                    while (t.first[begin] + t.size[begin] <= t.first[i])
                        begin++;
                    CHECK(i - begin + 1 <= t.active);
                }
                resize_taps_clear(&t);
            }
}

static void needs_little_beside_the_pictures(void)
{
    const int m = IMAGE_MAX_SIDE;
    static const int side[] = {1, 64, 512, 4096, IMAGE_MAX_SIDE};

    for (size_t w = 0; w < 5; w++)
        for (size_t h = 0; h < 5; h++) {
            struct resize_part p = {side[w], side[h], 0, 0, side[w], side[h]};
            /* Weights: at most 2 * 3 inputs and three more for each output, or each input. */
            CHECK(resize_scratch_bytes(m, m, 3, p, RESIZE_LANCZOS) < (size_t)4 << 20);
            CHECK(resize_scratch_bytes(64, 64, 3, p, RESIZE_LANCZOS) < (size_t)4 << 20);
        }
}

static void keeps_one_colour_at_any_size(void)
{
    static const int side[] = {1, 2, 3, 7, 16, 61};
    struct image in, out;
    struct error err;
    CHECK(image_init(&in, 9, 13, &err));
    memset(in.px, 201, image_bytes(&in));

    for (int filter = RESIZE_NEAREST; filter <= RESIZE_LANCZOS; filter++)
        for (size_t w = 0; w < 6; w++)
            for (size_t h = 0; h < 6; h++) {
                CHECK(resize_image(&out, &in, side[w], side[h], (enum resize_filter)filter, &err));
                size_t wrong = 0;
                for (size_t i = 0; i < image_bytes(&out); i++)
                    wrong += out.px[i] != 201;
                CHECK(wrong == 0);
                image_clear(&out);
            }
    image_clear(&in);
}

static void copies_when_the_size_stays(void)
{
    struct image in = make_noise(11, 6), out;
    struct error err;

    for (int filter = RESIZE_NEAREST; filter <= RESIZE_LANCZOS; filter++) {
        CHECK(resize_image(&out, &in, 11, 6, (enum resize_filter)filter, &err));
        CHECK(out.px != in.px && memcmp(out.px, in.px, image_bytes(&in)) == 0);
        image_clear(&out);
    }
    image_clear(&in);
}

static void refuses_impossible_sizes(void)
{
    static const int size[][2] = {{0, 4}, {4, -1}, {IMAGE_MAX_SIDE + 1, 1}, {16384, 16384}};
    struct image in = make_noise(4, 4), out;
    struct error err;

    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        CHECK(!resize_image(&out, &in, size[i][0], size[i][1], RESIZE_LANCZOS, &err));
        CHECK(out.px == NULL);
    }
    image_clear(&in);
}

int main(void)
{
    agrees_with_pillow();
    agrees_with_pillow_at_many_sizes();
    makes_a_part_like_the_whole();
    never_has_more_sums_than_places();
    needs_little_beside_the_pictures();
    keeps_one_colour_at_any_size();
    copies_when_the_size_stays();
    refuses_impossible_sizes();
    return TEST_END();
}
