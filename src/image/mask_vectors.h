/* Written by tests/image_vectors.py. */
#ifndef IMAGE_MASK_VECTORS_H
#define IMAGE_MASK_VECTORS_H

#include "image/mask_region.h"

/* FNV-1a. */
static uint64_t hash_bytes(const uint8_t *px, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ px[i]) * 0x100000001b3u;
    return h;
}

static const struct {
    int width, height;
    uint64_t fill, restore, brightness, latent;
} mask_vectors[] = {
    {1, 1, 0x05b4a11c7c39cfd8u, 0x05b4a11c7c39cfd8u, 0xaf640d4c86023fcfu, 0xaf63bd4c8601b7dfu},
    {5, 9, 0xe8b64e9b3e374ab3u, 0xcebf6aca1e6ab1dbu, 0xda6de87649ff8810u, 0xaf639e4c86018332u},
    {64, 48, 0xaec09ec9976cc60au, 0x666a6ac09e085713u, 0x87a3c0328b125d39u, 0xded84c28076fe15au},
    {100, 130, 0x98708c3386b21013u, 0x5edf88a46585c724u, 0x27ed716961b2db5du, 0xfe111e3ea16f4687u},
    {320, 200, 0x92a9a3649ae07d02u, 0x91bbf042d7092afdu, 0xb1aae149e9a6ea93u, 0x7617d88814484ec3u},
};

static const struct {
    struct mask_region box;
    int padding, width, height, picture_width, picture_height;
    struct mask_region want;
} mask_region_vectors[] = {
    {{10, 10, 138, 42}, 0, 512, 512, 640, 480, {10, 0, 138, 128}},
    {{0, 0, 20, 10}, 32, 512, 512, 300, 200, {0, 0, 52, 52}},
    {{290, 190, 300, 200}, 8, 512, 768, 300, 200, {282, 173, 300, 200}},
    {{5, 90, 295, 100}, 0, 512, 512, 300, 200, {5, 0, 295, 200}},
    {{100, 0, 101, 200}, 4, 768, 512, 300, 200, {0, 0, 300, 200}},
    {{0, 0, 300, 200}, 64, 512, 512, 300, 200, {0, 0, 300, 200}},
    {{40, 50, 73, 61}, 5, 640, 384, 1000, 1000, {35, 43, 78, 68}},
};

#endif
