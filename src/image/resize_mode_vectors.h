/* Written by tests/image_vectors.py. */
#ifndef IMAGE_RESIZE_MODE_VECTORS_H
#define IMAGE_RESIZE_MODE_VECTORS_H

#include "image/resize_mode.h"

/* FNV-1a. */
static uint64_t hash_bytes(const uint8_t *px, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ px[i]) * 0x100000001b3u;
    return h;
}

static const struct {
    enum resize_mode mode;
    int in_width, in_height, width, height;
    uint64_t hash;
} resize_mode_vectors[] = {
    {RESIZE_MODE_STRETCH, 64, 48, 32, 32, 0x28f09dd1e7e631ccu},
    {RESIZE_MODE_CROP, 64, 48, 32, 32, 0x92325486876ee9fau},
    {RESIZE_MODE_FILL, 64, 48, 32, 32, 0x94a74e3a960da5fdu},
    {RESIZE_MODE_LATENT, 64, 48, 32, 32, 0x28f09dd1e7e631ccu},
    {RESIZE_MODE_STRETCH, 48, 64, 40, 40, 0x949374bc8affd259u},
    {RESIZE_MODE_CROP, 48, 64, 40, 40, 0x99c1ccc2df35b057u},
    {RESIZE_MODE_FILL, 48, 64, 40, 40, 0xa5441c6a0b65e366u},
    {RESIZE_MODE_LATENT, 48, 64, 40, 40, 0x949374bc8affd259u},
    {RESIZE_MODE_STRETCH, 20, 20, 64, 40, 0x68ec7ae55d14748cu},
    {RESIZE_MODE_CROP, 20, 20, 64, 40, 0xcd36e850493e723cu},
    {RESIZE_MODE_FILL, 20, 20, 64, 40, 0x2530b5d256d9ef0au},
    {RESIZE_MODE_LATENT, 20, 20, 64, 40, 0x68ec7ae55d14748cu},
    {RESIZE_MODE_STRETCH, 40, 20, 40, 80, 0x0db9cee92ca50b7eu},
    {RESIZE_MODE_CROP, 40, 20, 40, 80, 0x52f688a2d91548a8u},
    {RESIZE_MODE_FILL, 40, 20, 40, 80, 0x584e4fe121703f36u},
    {RESIZE_MODE_LATENT, 40, 20, 40, 80, 0x0db9cee92ca50b7eu},
    {RESIZE_MODE_STRETCH, 33, 17, 56, 24, 0x8a9b84b1df60fd82u},
    {RESIZE_MODE_CROP, 33, 17, 56, 24, 0x019461eb8959831cu},
    {RESIZE_MODE_FILL, 33, 17, 56, 24, 0xb58c8ca775005501u},
    {RESIZE_MODE_LATENT, 33, 17, 56, 24, 0x8a9b84b1df60fd82u},
    {RESIZE_MODE_STRETCH, 200, 10, 24, 24, 0x4918c5dd9dd29bd4u},
    {RESIZE_MODE_CROP, 200, 10, 24, 24, 0xb1c0fd0f7702405du},
    {RESIZE_MODE_FILL, 200, 10, 24, 24, 0x4bbfd0d8f17db7c5u},
    {RESIZE_MODE_LATENT, 200, 10, 24, 24, 0x4918c5dd9dd29bd4u},
    {RESIZE_MODE_STRETCH, 10, 90, 64, 48, 0x0673513de5493039u},
    {RESIZE_MODE_CROP, 10, 90, 64, 48, 0x1548588bf75d7bbau},
    {RESIZE_MODE_FILL, 10, 90, 64, 48, 0x26cb9510dbe49119u},
    {RESIZE_MODE_LATENT, 10, 90, 64, 48, 0x0673513de5493039u},
    {RESIZE_MODE_STRETCH, 64, 64, 64, 64, 0x7cfb63003425d81bu},
    {RESIZE_MODE_CROP, 64, 64, 64, 64, 0x7cfb63003425d81bu},
    {RESIZE_MODE_FILL, 64, 64, 64, 64, 0x7cfb63003425d81bu},
    {RESIZE_MODE_LATENT, 64, 64, 64, 64, 0x7cfb63003425d81bu},
    {RESIZE_MODE_STRETCH, 31, 33, 57, 55, 0x03d6f8e4a90565d6u},
    {RESIZE_MODE_CROP, 31, 33, 57, 55, 0xdc9570d9f7eb902du},
    {RESIZE_MODE_FILL, 31, 33, 57, 55, 0xe44def306e6feaffu},
    {RESIZE_MODE_LATENT, 31, 33, 57, 55, 0x03d6f8e4a90565d6u},
};

#endif
