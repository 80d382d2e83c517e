#include "base/test.h"
#include "image/resize.h"

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
    keeps_one_colour_at_any_size();
    copies_when_the_size_stays();
    refuses_impossible_sizes();
    return TEST_END();
}
