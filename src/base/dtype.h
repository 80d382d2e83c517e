/* Element types as checkpoints store them. */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_F64, DTYPE_I32, DTYPE_I64, DTYPE_COUNT };

static inline size_t dtype_bytes(enum dtype type)
{
    static const size_t bytes[DTYPE_COUNT] = {4, 2, 2, 8, 4, 8};
    return bytes[type];
}

static inline float dtype_f32_from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t dtype_bits_from_f32(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

static inline float dtype_f32_from_bf16(uint16_t h)
{
    return dtype_f32_from_bits((uint32_t)h << 16);
}

/* IEEE 754 binary16, subnormals, infinities and NaN included. */
static inline float dtype_f32_from_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16;
    uint32_t exponent = (h >> 10) & 0x1fu;
    uint32_t fraction = h & 0x3ffu;

    if (exponent == 0) { /* fraction * 2^-24, exact in float32 */
        float f = (float)fraction * 0x1p-24f;
        return sign ? -f : f;
    }
    if (exponent == 31)
        return dtype_f32_from_bits(sign | 0x7f800000u | fraction << 13);
    return dtype_f32_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

/* Round to nearest, ties to even; overflow becomes infinity. */
static inline uint16_t dtype_f16_from_f32(float f)
{
    uint32_t bits = dtype_bits_from_f32(f);
    uint32_t sign = bits >> 16 & 0x8000u;
    uint32_t magnitude = bits & 0x7fffffffu;

    if (magnitude >= 0x7f800000u)
        return (uint16_t)(sign | 0x7c00u | (magnitude > 0x7f800000u ? 0x200u : 0));
    if (magnitude >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* below the smallest normal number, 2^-14 */
        float scaled = dtype_f32_from_bits(magnitude) * 0x1p24f;
        uint32_t whole = (uint32_t)scaled;
        float rest = scaled - (float)whole;
        whole += rest > 0.5f || (rest == 0.5f && (whole & 1u));
        return (uint16_t)(sign | whole);
    }
    uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

static inline uint16_t dtype_bf16_from_f32(float f)
{
    uint32_t bits = dtype_bits_from_f32(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#endif
