/* Weights as stored to float32: conversion, and panels by transposing blocks in registers.
 * Included by cpu_isa_template.h. */
#ifndef ENGINE_CPU_CPU_ISA_PACK_H
#define ENGINE_CPU_CPU_ISA_PACK_H

#include "engine/cpu/cpu_isa_gemm.h"

/* Half precision moved into float32's fields is too small by 2^112, subnormals included; an
 * exponent of all ones must stay one. */
#ifndef VEC_FROM_F16
ALWAYS_INLINE vf from_f16(vh h)
{
    const vu bits = __builtin_convertvector(h, vu);
    const vu magnitude = (bits & 0x7fffu) << 13;
    const vu infinite = (vu)(magnitude >= (vu){0} + 0x0f800000u) & 0x7f800000u;
    const vu sign = (bits & 0x8000u) << 16;
    return (vf)((vu)((vf)magnitude * splat(0x1p112f)) | infinite | sign);
}
#define VEC_FROM_F16(h) from_f16(h)
#endif

#ifndef VEC_TO_F16
ALWAYS_INLINE vh to_f16(vf v)
{
    vh h;
    for (int i = 0; i < VEC_LANES; i++)
        h[i] = dtype_f16_from_f32(v[i]);
    return h;
}
#define VEC_TO_F16(v) to_f16(v)
#endif

/* VEC_LANES stored numbers as float32; p needs no alignment. */
ALWAYS_INLINE vf load_stored(const unsigned char *p, const enum dtype dtype)
{
    if (dtype == DTYPE_F32)
        return load(p);
    vh h;
    memcpy(&h, p, sizeof h);
    if (dtype == DTYPE_F16)
        return VEC_FROM_F16(h);
    return (vf)(__builtin_convertvector(h, vu) << 16);
}

ALWAYS_INLINE vf load_stored_part(const unsigned char *p, const enum dtype dtype, int n)
{
    unsigned char whole[VEC_LANES * 4] = {0};
    memcpy(whole, p, (size_t)n * (dtype == DTYPE_F32 ? 4 : 2));
    return load_stored(whole, dtype);
}

#define SHUFFLE __builtin_shufflevector

#if VEC_LANES == 4
ALWAYS_INLINE void transpose(vf r[4])
{
    const vf a = SHUFFLE(r[0], r[1], 0, 4, 1, 5), b = SHUFFLE(r[0], r[1], 2, 6, 3, 7);
    const vf c = SHUFFLE(r[2], r[3], 0, 4, 1, 5), d = SHUFFLE(r[2], r[3], 2, 6, 3, 7);
    r[0] = SHUFFLE(a, c, 0, 1, 4, 5);
    r[1] = SHUFFLE(a, c, 2, 3, 6, 7);
    r[2] = SHUFFLE(b, d, 0, 1, 4, 5);
    r[3] = SHUFFLE(b, d, 2, 3, 6, 7);
}
#elif VEC_LANES == 8
#define LOW1(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 4, 12, 5, 13)
#define HIGH1(a, b) SHUFFLE(a, b, 2, 10, 3, 11, 6, 14, 7, 15)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define HIGH2(a, b) SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#elif VEC_LANES == 16
#define LOW1(a, b) SHUFFLE(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH1(a, b) SHUFFLE(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW2(a, b) SHUFFLE(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define HIGH2(a, b) SHUFFLE(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
/* Quarters 0 and 2, or 1 and 3, of a and then of b. */
#define EVEN4(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27)
#define ODD4(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31)
#endif

#if VEC_LANES > 4
/* 4x4 blocks inside the 128-bit quarters first, then whole quarters. */
ALWAYS_INLINE void transpose(vf r[VEC_LANES])
{
    UNROLL for (int i = 0; i < VEC_LANES; i += 4)
    {
        const vf a = LOW1(r[i], r[i + 1]), b = HIGH1(r[i], r[i + 1]);
        const vf c = LOW1(r[i + 2], r[i + 3]), d = HIGH1(r[i + 2], r[i + 3]);
        r[i] = LOW2(a, c);
        r[i + 1] = HIGH2(a, c);
        r[i + 2] = LOW2(b, d);
        r[i + 3] = HIGH2(b, d);
    }
#if VEC_LANES == 8
    UNROLL for (int i = 0; i < 4; i++)
    {
        const vf a = r[i], b = r[4 + i];
        r[i] = SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
        r[4 + i] = SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
    }
#else
    UNROLL for (int i = 0; i < 4; i++)
    {
        const vf a = EVEN4(r[i], r[4 + i]), b = EVEN4(r[8 + i], r[12 + i]);
        const vf c = ODD4(r[i], r[4 + i]), d = ODD4(r[8 + i], r[12 + i]);
        r[i] = EVEN4(a, b);
        r[4 + i] = EVEN4(c, d);
        r[8 + i] = ODD4(a, b);
        r[12 + i] = ODD4(c, d);
    }
#endif
}
#endif

/* VEC_LANES columns from `column` on.  The numbers of a column lie one after another, so k and tap
 * are one long axis; only the place of a row in the panel tells them apart. */
ALWAYS_INLINE void pack_group(const struct cpu_pack *p, int column, const enum dtype dtype,
                              const int taps)
{
    const size_t bytes = dtype == DTYPE_F32 ? 4 : 2;
    const int columns = p->n - column < VEC_LANES ? p->n - column : VEC_LANES;
    const unsigned char *from = (const unsigned char *)p->from + (size_t)column * p->stride * bytes;
    const size_t next = p->stride * bytes;
    const size_t tap_floats = (size_t)p->kc_pad * TILE_COLUMNS;
    const int64_t run = (int64_t)p->kc * taps;
    float *row = (float *)p->to + column; /* where tap 0 of the present k goes */
    int tap = 0;

    for (int64_t at = 0; at < run; at += VEC_LANES, from += VEC_LANES * bytes) {
        vf v[VEC_LANES];
        const int count = run - at < VEC_LANES ? (int)(run - at) : VEC_LANES;
        if (columns == VEC_LANES && count == VEC_LANES) {
            UNROLL for (int c = 0; c < VEC_LANES; c++) v[c] =
                load_stored(from + (size_t)c * next, dtype);
        } else {
            for (int c = 0; c < VEC_LANES; c++)
                v[c] = c < columns ? load_stored_part(from + (size_t)c * next, dtype, count)
                                   : splat(0.0f);
        }
        transpose(v);
        if (taps == 1 && count == VEC_LANES) {
            UNROLL for (int i = 0; i < VEC_LANES; i++) store(row + (size_t)i * TILE_COLUMNS, v[i]);
            row += VEC_LANES * TILE_COLUMNS;
            continue;
        }
        for (int i = 0; i < count; i++) {
            store(row + (size_t)tap * tap_floats, v[i]);
            if (++tap == taps) {
                tap = 0;
                row += TILE_COLUMNS;
            }
        }
    }
}

ALWAYS_INLINE void pack_all(const struct cpu_pack *p, const enum dtype dtype, const int taps)
{
    for (int column = 0; column < p->n && column < TILE_COLUMNS; column += VEC_LANES)
        pack_group(p, column, dtype, taps);
}

static void pack_typed(const struct cpu_pack *p, const enum dtype dtype)
{
    if (p->taps == 1)
        pack_all(p, dtype, 1);
    else
        pack_all(p, dtype, p->taps);
}

/* Zeros for the k and the whole vectors of columns that there are not. */
static void clear_rest(const struct cpu_pack *p)
{
    const int full = p->n > TILE_COLUMNS ? TILE_COLUMNS : p->n;
    const int wide = (full + VEC_LANES - 1) / VEC_LANES * VEC_LANES;
    float *row = p->to;

    for (int t = 0; t < p->taps; t++) {
        for (int k = 0; k < p->kc && wide < TILE_COLUMNS; k++)
            memset(row + (size_t)k * TILE_COLUMNS + wide, 0,
                   (size_t)(TILE_COLUMNS - wide) * sizeof(float));
        memset(row + (size_t)p->kc * TILE_COLUMNS, 0,
               (size_t)(p->kc_pad - p->kc) * TILE_COLUMNS * sizeof(float));
        row += (size_t)p->kc_pad * TILE_COLUMNS;
    }
}

static void pack_weights(const struct cpu_pack *p)
{
    if (p->dtype == DTYPE_F32)
        pack_typed(p, DTYPE_F32);
    else if (p->dtype == DTYPE_F16)
        pack_typed(p, DTYPE_F16);
    else
        pack_typed(p, DTYPE_BF16);
    clear_rest(p);
}

static void pack_columns(const struct cpu_pack *p)
{
    const int n = p->n < TILE_COLUMNS ? p->n : TILE_COLUMNS;
    const unsigned char *from = p->from;
    float *to = p->to;

    for (int k = 0; k < p->kc; k++) {
        int j = 0;
        for (; j + VEC_LANES <= n; j += VEC_LANES)
            store(to + j, load(from + (size_t)j * sizeof(float)));
        if (j < n)
            store(to + j, load_part(from + (size_t)j * sizeof(float), n - j));
        from += p->stride * sizeof(float);
        to += TILE_COLUMNS;
    }
    clear_rest(p);
}

static void convert_run(float *to, const unsigned char *from, const enum dtype dtype, size_t n)
{
    const size_t bytes = dtype_bytes(dtype);
    size_t i = 0;

    for (; i + VEC_LANES <= n; i += VEC_LANES)
        store(to + i, load_stored(from + i * bytes, dtype));
    if (i < n)
        store_part(to + i, load_stored_part(from + i * bytes, dtype, (int)(n - i)), (int)(n - i));
}

/* Types that no weight of a matrix has; they are few numbers. */
static float convert_rare(const unsigned char *from, enum dtype dtype)
{
    double f64;
    int32_t i32;
    int64_t i64;

    if (dtype == DTYPE_F64)
        return memcpy(&f64, from, sizeof f64), (float)f64;
    if (dtype == DTYPE_I32)
        return memcpy(&i32, from, sizeof i32), (float)i32;
    return memcpy(&i64, from, sizeof i64), (float)i64;
}

static void to_f32(float *to, const void *from, enum dtype dtype, size_t n)
{
    if (dtype == DTYPE_F32)
        memcpy(to, from, n * sizeof(float));
    else if (dtype == DTYPE_F16)
        convert_run(to, from, DTYPE_F16, n);
    else if (dtype == DTYPE_BF16)
        convert_run(to, from, DTYPE_BF16, n);
    else
        for (size_t i = 0; i < n; i++)
            to[i] = convert_rare((const unsigned char *)from + i * dtype_bytes(dtype), dtype);
}

static void from_f32(void *to, const float *from, enum dtype dtype, size_t n)
{
    unsigned char *at = to;
    size_t i = 0;

    if (dtype == DTYPE_F32) {
        memcpy(to, from, n * sizeof(float));
        return;
    }
    for (; i + VEC_LANES <= n; i += VEC_LANES) {
        const vh h = VEC_TO_F16(load(from + i));
        memcpy(at + 2 * i, &h, sizeof h);
    }
    for (; i < n; i++) {
        const uint16_t h = dtype_f16_from_f32(from[i]);
        memcpy(at + 2 * i, &h, sizeof h);
    }
}

#endif
