/* Products on the Intel AMX tile unit; everything else comes from the AVX-512 table.
 *
 * A float32 x is carried as two bfloat16 numbers, hi = bf16(x) and lo = bf16(x - hi), and a product
 * is hi*hi + lo*hi + hi*lo in float32: three tile products, with an error of about 2^-17 (Henry,
 * Tang and Heinecke 2019, "Leveraging the bfloat16 Artificial Intelligence Datatype For
 * Higher-Precision Computations").  Weights stored in half precision are carried exactly.
 *
 * A row: for every 32 numbers of k 32 hi, then 32 lo.  B panel: tap by tap, for every 32 numbers of
 * k four tiles: hi of columns 0-15, of 16-31, then lo.  A B tile has a row for each pair of k. */
#include "engine/cpu/cpu_isa.h"

#if defined(__x86_64__)
/* The second is how Clang 14 spells it. */
#if defined(__linux__) && (defined(__AMX_BF16__) || defined(__AMXBF16__))

#define VEC_LANES 16
#include "engine/cpu/cpu_isa_vector.h"

#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define VEC_FMA(a, b, c) ((vf)_mm512_fmadd_ps(a, b, c))
#define VEC_MAX(a, b) ((vf)_mm512_max_ps(a, b))
#include "engine/cpu/cpu_isa_math.h"

enum {
    K_BLOCK = 32,                    /* numbers of k in one tile */
    A_BLOCK_BYTES = 2 * K_BLOCK * 2, /* hi and lo of one row */
    TILE_BYTES = 1024,               /* 16 rows of 64 bytes */
    B_BLOCK_BYTES = 4 * TILE_BYTES,  /* hi and lo of 32 columns */
    TILE_ROWS = 16,
    TILE_COLUMNS = 16,
    PANEL_COLUMNS = 2 * TILE_COLUMNS,
    PANEL_ROWS = 2 * TILE_ROWS,
    PAIRS = K_BLOCK / 2
};

/* Tiles 0-3 add up a block of 32 rows and 32 columns; 4 and 5 hold A, 6 and 7 hold B.  The order,
 * with each load just before its first use, is the fastest of those tried; the small terms first.
 */
#define ADD_BLOCK(a, a_below, stride, b)                                                           \
    do {                                                                                           \
        _tile_loadd(4, (a) + A_BLOCK_BYTES / 2, stride);                                           \
        _tile_loadd(6, b, 64);                                                                     \
        _tile_dpbf16ps(0, 4, 6);                                                                   \
        _tile_loadd(7, (b) + TILE_BYTES, 64);                                                      \
        _tile_dpbf16ps(1, 4, 7);                                                                   \
        _tile_loadd(5, (a_below) + A_BLOCK_BYTES / 2, stride);                                     \
        _tile_dpbf16ps(2, 5, 6);                                                                   \
        _tile_dpbf16ps(3, 5, 7);                                                                   \
        _tile_loadd(4, a, stride);                                                                 \
        _tile_dpbf16ps(0, 4, 6);                                                                   \
        _tile_dpbf16ps(1, 4, 7);                                                                   \
        _tile_loadd(5, a_below, stride);                                                           \
        _tile_dpbf16ps(2, 5, 6);                                                                   \
        _tile_dpbf16ps(3, 5, 7);                                                                   \
        _tile_loadd(6, (b) + 2 * TILE_BYTES, 64);                                                  \
        _tile_dpbf16ps(0, 4, 6);                                                                   \
        _tile_dpbf16ps(2, 5, 6);                                                                   \
        _tile_loadd(7, (b) + 3 * TILE_BYTES, 64);                                                  \
        _tile_dpbf16ps(1, 4, 7);                                                                   \
        _tile_dpbf16ps(3, 5, 7);                                                                   \
    } while (0)

/* The last block brings its left sums to an end first, so that storing them overlaps with the
 * products of the right ones: all four stores in a row cost a third of a short product.  Every sum
 * adds in the same order as above. */
#define ADD_LAST_BLOCK(a, a_below, stride, b, acc, acc_below, acc_stride)                          \
    do {                                                                                           \
        _tile_loadd(4, (a) + A_BLOCK_BYTES / 2, stride);                                           \
        _tile_loadd(6, b, 64);                                                                     \
        _tile_dpbf16ps(0, 4, 6);                                                                   \
        _tile_loadd(5, (a_below) + A_BLOCK_BYTES / 2, stride);                                     \
        _tile_dpbf16ps(2, 5, 6);                                                                   \
        _tile_loadd(4, a, stride);                                                                 \
        _tile_dpbf16ps(0, 4, 6);                                                                   \
        _tile_loadd(5, a_below, stride);                                                           \
        _tile_dpbf16ps(2, 5, 6);                                                                   \
        _tile_loadd(6, (b) + 2 * TILE_BYTES, 64);                                                  \
        _tile_dpbf16ps(0, 4, 6);                                                                   \
        _tile_dpbf16ps(2, 5, 6);                                                                   \
        _tile_stored(0, acc, acc_stride);                                                          \
        _tile_loadd(4, (a) + A_BLOCK_BYTES / 2, stride);                                           \
        _tile_loadd(7, (b) + TILE_BYTES, 64);                                                      \
        _tile_dpbf16ps(1, 4, 7);                                                                   \
        _tile_stored(2, acc_below, acc_stride);                                                    \
        _tile_loadd(5, (a_below) + A_BLOCK_BYTES / 2, stride);                                     \
        _tile_dpbf16ps(3, 5, 7);                                                                   \
        _tile_loadd(4, a, stride);                                                                 \
        _tile_dpbf16ps(1, 4, 7);                                                                   \
        _tile_loadd(5, a_below, stride);                                                           \
        _tile_dpbf16ps(3, 5, 7);                                                                   \
        _tile_loadd(7, (b) + 3 * TILE_BYTES, 64);                                                  \
        _tile_dpbf16ps(1, 4, 7);                                                                   \
        _tile_dpbf16ps(3, 5, 7);                                                                   \
        _tile_stored(1, (acc) + TILE_COLUMNS, acc_stride);                                         \
        _tile_stored(3, (acc_below) + TILE_COLUMNS, acc_stride);                                   \
    } while (0)

static void multiply_block(const struct cpu_gemm *g, const unsigned char *a, const unsigned char *b,
                           float *acc)
{
    const long stride = (long)g->a_stride;
    const long acc_stride = (long)(g->acc_stride * sizeof(float));
    float *below = acc + TILE_ROWS * g->acc_stride;
    const unsigned char *upper = a, *lower = a;

    if (g->add) {
        _tile_loadd(0, acc, acc_stride);
        _tile_loadd(1, acc + TILE_COLUMNS, acc_stride);
        _tile_loadd(2, below, acc_stride);
        _tile_loadd(3, below + TILE_COLUMNS, acc_stride);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int t = 0; t < g->n_taps; t++) {
        const int end = t + 1 < g->n_taps ? g->kc_pad : g->kc_pad - K_BLOCK;
        upper = a + g->tap[t];
        lower = upper + TILE_ROWS * g->a_stride;
        for (int k = 0; k < end; k += K_BLOCK) {
            ADD_BLOCK(upper, lower, stride, b);
            upper += A_BLOCK_BYTES;
            lower += A_BLOCK_BYTES;
            b += B_BLOCK_BYTES;
        }
    }
    ADD_LAST_BLOCK(upper, lower, stride, b, acc, below, acc_stride);
}

static void gemm(const struct cpu_gemm *g)
{
    const size_t panel = (size_t)g->n_taps * (size_t)g->kc_pad * PANEL_COLUMNS * sizeof(float);
    const unsigned char *b = g->b;

    for (int j = 0; j < g->n; j += PANEL_COLUMNS, b += panel)
        for (int i = 0; i < g->m; i += PANEL_ROWS)
            multiply_block(g, (const unsigned char *)g->a + (size_t)i * g->a_stride, b,
                           g->acc + (size_t)i * g->acc_stride + j);
}

/* The two halves of 32 numbers, first's 16 in front. */
struct halves {
    __m512i hi, lo;
};

ALWAYS_INLINE __m512 widen(__m256i bf16)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}

ALWAYS_INLINE struct halves split(__m512 first, __m512 second)
{
    struct halves h;
    h.hi = (__m512i)_mm512_cvtne2ps_pbh(second, first);
    const __m512 first_hi = widen(_mm512_castsi512_si256(h.hi));
    const __m512 second_hi = widen(_mm512_extracti64x4_epi64(h.hi, 1));
    h.lo = (__m512i)_mm512_cvtne2ps_pbh(_mm512_sub_ps(second, second_hi),
                                        _mm512_sub_ps(first, first_hi));
    return h;
}

/* The lowest n bits. */
ALWAYS_INLINE uint32_t low_bits(int n)
{
    return n >= 32 ? UINT32_MAX : n <= 0 ? 0 : (UINT32_C(1) << n) - 1;
}

ALWAYS_INLINE __m512 prepare_16(const struct cpu_prepare *p, const float *from, int k)
{
    const __mmask16 mask = (__mmask16)low_bits(p->kc - k < 16 ? p->kc - k : 16);
    __m512 x = _mm512_maskz_loadu_ps(mask, from + k);
    if (p->scale)
        x = _mm512_fmadd_ps(x, _mm512_maskz_loadu_ps(mask, p->scale + k),
                            _mm512_maskz_loadu_ps(mask, p->shift + k));
    return p->silu ? (__m512)silu((vf)x) : x;
}

static void prepare_rows(const struct cpu_prepare *p)
{
    for (int i = 0; i < p->rows; i++) {
        const float *from = p->from + (size_t)i * p->from_stride;
        unsigned char *to = (unsigned char *)p->to + (size_t)i * p->to_stride;
        for (int k = 0; k < p->kc_pad; k += K_BLOCK, to += A_BLOCK_BYTES) {
            const struct halves h = split(prepare_16(p, from, k), prepare_16(p, from, k + 16));
            _mm512_store_si512(to, h.hi);
            _mm512_store_si512(to + A_BLOCK_BYTES / 2, h.lo);
        }
    }
}

/* 16 rows of 16 units of 32 bits become columns. */
ALWAYS_INLINE void transpose(__m512i *to, __m512i r[16])
{
    __m512i s[16];
    UNROLL for (int i = 0; i < 16; i += 4)
    {
        const __m512i a = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        const __m512i b = _mm512_unpackhi_epi32(r[i], r[i + 1]);
        const __m512i c = _mm512_unpacklo_epi32(r[i + 2], r[i + 3]);
        const __m512i d = _mm512_unpackhi_epi32(r[i + 2], r[i + 3]);
        s[i] = _mm512_unpacklo_epi64(a, c);
        s[i + 1] = _mm512_unpackhi_epi64(a, c);
        s[i + 2] = _mm512_unpacklo_epi64(b, d);
        s[i + 3] = _mm512_unpackhi_epi64(b, d);
    }
    UNROLL for (int i = 0; i < 4; i++)
    {
        const __m512i a = _mm512_shuffle_i32x4(s[i], s[4 + i], 0x88);
        const __m512i b = _mm512_shuffle_i32x4(s[i], s[4 + i], 0xdd);
        const __m512i c = _mm512_shuffle_i32x4(s[8 + i], s[12 + i], 0x88);
        const __m512i d = _mm512_shuffle_i32x4(s[8 + i], s[12 + i], 0xdd);
        _mm512_store_si512(&to[i], _mm512_shuffle_i32x4(a, c, 0x88));
        _mm512_store_si512(&to[4 + i], _mm512_shuffle_i32x4(b, d, 0x88));
        _mm512_store_si512(&to[8 + i], _mm512_shuffle_i32x4(a, c, 0xdd));
        _mm512_store_si512(&to[12 + i], _mm512_shuffle_i32x4(b, d, 0xdd));
    }
}

/* 16 columns over 32 numbers of k and all taps, as stored, in units of two neighbours: unit u holds
 * numbers 2u and 2u+1 of each column.  float32 is split first and fills both planes. */
struct units {
    __m512i hi[CPU_KERNELS_MAX_TAPS * 16], lo[CPU_KERNELS_MAX_TAPS * 16];
};

/* Reads `count` numbers of each column from `from` on. */
ALWAYS_INLINE void load_units(struct units *u, const unsigned char *from, size_t column_bytes,
                              int n, int count, int taps, const bool is_f32)
{
    for (int s = 0; s < taps; s++) {
        const uint32_t mask = low_bits(count - s * 32);
        __m512i hi[16], lo[16];
        UNROLL for (int j = 0; j < 16; j++)
        {
            const unsigned char *p = from + (size_t)j * column_bytes;
            const __mmask32 read = j < n ? mask : 0;
            if (is_f32) {
                p += (size_t)s * 128;
                const struct halves h =
                    split(_mm512_maskz_loadu_ps((__mmask16)read, p),
                          _mm512_maskz_loadu_ps((__mmask16)(read >> 16), p + 64));
                hi[j] = h.hi;
                lo[j] = h.lo;
            } else {
                hi[j] = _mm512_maskz_loadu_epi16(read, p + (size_t)s * 64);
            }
        }
        transpose(u->hi + s * 16, hi);
        if (is_f32)
            transpose(u->lo + s * 16, lo);
    }
}

/* Numbers e (low halves of the result) and e + taps of each column. */
ALWAYS_INLINE __m512i pair(const __m512i *units, int e, int taps)
{
    const __m512i first = units[e / 2], second = units[(e + taps) / 2];
    const __mmask32 upper = 0xaaaaaaaau;
    if (e % 2 == 0)
        return _mm512_mask_blend_epi16(upper, first,
                                       taps % 2 ? second : _mm512_slli_epi32(second, 16));
    if (taps % 2) /* first is above, second below: exchange them */
        return _mm512_rol_epi32(_mm512_mask_blend_epi16(upper, second, first), 16);
    return _mm512_mask_blend_epi16(upper, _mm512_srli_epi32(first, 16), second);
}

ALWAYS_INLINE void store_pairs(unsigned char *to, const struct units *u, int tap, int taps,
                               const enum dtype dtype)
{
    for (int i = 0; i < PAIRS; i++) {
        const int e = 2 * i * taps + tap;
        struct halves h = {.hi = pair(u->hi, e, taps), .lo = _mm512_setzero_si512()};
        if (dtype == DTYPE_F32)
            h.lo = pair(u->lo, e, taps);
        else if (dtype == DTYPE_F16)
            h = split(_mm512_cvtph_ps(_mm512_castsi512_si256(h.hi)),
                      _mm512_cvtph_ps(_mm512_extracti64x4_epi64(h.hi, 1)));
        _mm512_store_si512(to + i * 64, h.hi);
        _mm512_store_si512(to + 2 * TILE_BYTES + i * 64, h.lo);
    }
}

ALWAYS_INLINE void pack_typed(const struct cpu_pack *p, const enum dtype dtype, const int taps)
{
    const size_t bytes = dtype == DTYPE_F32 ? 4 : 2;
    const size_t tap_bytes = (size_t)p->kc_pad * PANEL_COLUMNS * sizeof(float);
    struct units u;

    for (int half = 0; half < 2; half++) {
        const unsigned char *column =
            (const unsigned char *)p->from + (size_t)half * TILE_COLUMNS * p->stride * bytes;
        unsigned char *to = (unsigned char *)p->to + half * TILE_BYTES;
        for (int k = 0; k < p->kc_pad; k += K_BLOCK, to += B_BLOCK_BYTES) {
            const int left = p->kc - k < K_BLOCK ? p->kc - k : K_BLOCK;
            load_units(&u, column + (size_t)k * (size_t)taps * bytes, p->stride * bytes,
                       p->n - half * TILE_COLUMNS, left * taps, taps, dtype == DTYPE_F32);
            for (int t = 0; t < taps; t++)
                store_pairs(to + (size_t)t * tap_bytes, &u, t, taps, dtype);
        }
    }
}

/* Kernels are 1x1 and 3x3; the compiler makes a loop of its own for each of the two. */
ALWAYS_INLINE void pack_taps(const struct cpu_pack *p, const enum dtype dtype)
{
    if (p->taps == 1)
        pack_typed(p, dtype, 1);
    else if (p->taps == 9)
        pack_typed(p, dtype, 9);
    else
        pack_typed(p, dtype, p->taps);
}

static void pack_weights(const struct cpu_pack *p)
{
    if (p->dtype == DTYPE_F16)
        pack_taps(p, DTYPE_F16);
    else if (p->dtype == DTYPE_BF16)
        pack_taps(p, DTYPE_BF16);
    else
        pack_taps(p, DTYPE_F32);
}

static void pack_columns(const struct cpu_pack *p)
{
    /* 0, 16, 1, 17, ...: two rows of 16 become 16 pairs. */
    const __m512i zip = _mm512_or_si512(
        _mm512_set1_epi32(16 << 16),
        _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                           _mm512_set1_epi32(0x10001)));
    unsigned char *to = p->to;
    for (int k = 0; k < p->kc_pad; k += K_BLOCK, to += B_BLOCK_BYTES) {
        for (int at = 0; at < 2 * PAIRS; at++) {
            const int i = at / 2, half = at % 2, row = k + 2 * i;
            const float *from = (const float *)p->from + (size_t)row * p->stride + half * 16;
            const uint32_t mask = low_bits(p->n - half * 16);
            const struct halves h = split(
                _mm512_maskz_loadu_ps((__mmask16)(row < p->kc ? mask : 0), from),
                _mm512_maskz_loadu_ps((__mmask16)(row + 1 < p->kc ? mask : 0), from + p->stride));
            unsigned char *place = to + half * TILE_BYTES + i * 64;
            _mm512_store_si512(place, _mm512_permutexvar_epi16(zip, h.hi));
            _mm512_store_si512(place + 2 * TILE_BYTES, _mm512_permutexvar_epi16(zip, h.lo));
        }
    }
}

/* What LDTILECFG reads: palette 1, eight tiles of 16 rows and 64 bytes. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

void cpu_isa_amx_begin(void)
{
    static const struct tile_config config = {
        .palette = 1,
        .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
        .rows = {16, 16, 16, 16, 16, 16, 16, 16},
    };
    _tile_loadconfig(&config);
}

void cpu_isa_amx_end(void)
{
    _tile_release();
}

__attribute__((target("xsave"))) static uint64_t saved_by_system(void)
{
    return (uint64_t)_xgetbv(0);
}

/* The processor's bits are those of Intel's manual, volume 2, CPUID. */
static bool can_run(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* arch_prctl: ARCH_REQ_XCOMP_PERM */
    const uint64_t states = UINT64_C(0x600e6);            /* SSE to AVX-512, tiles */
    const unsigned avx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    const unsigned amx = 1u << 22 | 1u << 24; /* leaf 7, EDX: AMX-BF16, AMX-TILE */
    unsigned a, b, c, d, more_a, more_b, more_c, more_d;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA) || !(c & bit_F16C))
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & avx512) != avx512 || (d & amx) != amx)
        return false;
    if (!__get_cpuid_count(7, 1, &more_a, &more_b, &more_c, &more_d) || !(more_a & 1u << 5))
        return false; /* AVX512-BF16 */
    return (saved_by_system() & states) == states &&
           syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

/* Filled once, constant from then on. */
static struct cpu_kernels table;
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void fill_table(void)
{
    if (!can_run())
        return;
    table = *cpu_isa_avx512_table();
    table.name = "amx";
    table.mr = PANEL_ROWS;
    table.nr = PANEL_COLUMNS;
    table.k_multiple = K_BLOCK;
    table.a_is_f32 = false;
    table.gemm = gemm;
    table.prepare_rows = prepare_rows;
    table.pack_weights = pack_weights;
    table.pack_columns = pack_columns;
}

const struct cpu_kernels *cpu_isa_amx_table(void)
{
    pthread_once(&table_once, fill_table);
    return table.name ? &table : NULL;
}

#else

void cpu_isa_amx_begin(void)
{
}

void cpu_isa_amx_end(void)
{
}

const struct cpu_kernels *cpu_isa_amx_table(void)
{
    return NULL;
}

#endif
#endif
