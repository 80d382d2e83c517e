/* Every table against loops in double precision: products, panels and conversions. */
#include "base/test.h"
#include "engine/cpu/cpu_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t random_state = 1;

static uint32_t random_bits(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* -1..1 */
static float random_float(void)
{
    return (float)random_bits() * 0x1p-23f - 1.0f;
}

static int round_up(int n, int to)
{
    return (n + to - 1) / to * to;
}

/* Exactly so many bytes, so that the sanitizer sees the first one beyond them. */
static void *allocate(size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, bytes ? bytes : 1) != 0)
        abort();
    memset(p, 0, bytes);
    return p;
}

/* One product: m rows `step` apart in a field of rows, n columns, taps with the row offsets of tap.
 */
struct shape {
    const char *why;
    int m, n, kc, taps, step;
    enum dtype dtype;
    int tap[CPU_KERNELS_MAX_TAPS];
};

static const struct shape shapes[] = {
    {"one number", 1, 1, 1, 1, 1, DTYPE_F32, {0}},
    {"one row", 1, 40, 77, 1, 1, DTYPE_F16, {0}},
    {"a linear layer", 37, 70, 96, 1, 1, DTYPE_F16, {0}},
    {"whole tiles", 84, 128, 64, 1, 1, DTYPE_BF16, {0}},
    {"a little more than whole tiles", 85, 129, 65, 1, 1, DTYPE_BF16, {0}},
    {"every second row", 19, 33, 31, 1, 2, DTYPE_F32, {0}},
    {"a 3x3 convolution", 29, 35, 33, 9, 1, DTYPE_F16, {-12, -11, -10, -1, 0, 1, 10, 11, 12}},
    {"a 3x3 convolution of 4 channels", 23, 7, 4, 9, 1, DTYPE_F32, {-9, -8, -7, -1, 0, 1, 7, 8, 9}},
    {"irregular taps", 31, 64, 50, 5, 2, DTYPE_BF16, {13, -7, 0, -7, 2}},
    {"taps and a stride", 16, 3, 128, 9, 2, DTYPE_F16, {-9, -8, -7, -1, 0, 1, 7, 8, 9}},
    {"deep", 5, 17, 1281, 1, 1, DTYPE_F16, {0}},
};

struct product {
    const struct shape *s;
    const struct cpu_kernels *k;
    int kc_pad, rows, first; /* rows of the field; the one that i = 0, offset 0 means */
    float *field;            /* rows x kc */
    unsigned char *a;        /* the same, prepared */
    size_t a_row;
    ptrdiff_t tap[CPU_KERNELS_MAX_TAPS];
    unsigned char *stored; /* weights [n][kc][taps] from stored + 1 on */
    float *weights;        /* the same as float32 */
    unsigned char *panels;
    size_t panel_bytes, acc_stride;
    float *acc;
};

static void store_weight(unsigned char *to, float *value, float x, enum dtype dtype)
{
    /* One in eight is a subnormal of half precision. */
    if (random_bits() % 8 == 0)
        x *= 0x1p-15f;
    const uint16_t half = dtype == DTYPE_F16 ? dtype_f16_from_f32(x) : dtype_bf16_from_f32(x);
    if (dtype == DTYPE_F32) {
        memcpy(to, &x, sizeof x);
        *value = x;
    } else {
        memcpy(to, &half, sizeof half);
        *value = dtype == DTYPE_F16 ? dtype_f32_from_f16(half) : dtype_f32_from_bf16(half);
    }
}

static void make_a(struct product *p)
{
    const struct shape *s = p->s;
    int low = 0, high = 0;
    for (int t = 0; t < s->taps; t++) {
        low = s->tap[t] < low ? s->tap[t] : low;
        high = s->tap[t] > high ? s->tap[t] : high;
    }
    const int reads = p->k->a_is_f32 ? s->m : round_up(s->m, p->k->mr);
    p->first = -low;
    p->rows = -low + (reads - 1) * s->step + high + 1;
    p->a_row = (size_t)p->kc_pad * 4;
    for (int t = 0; t < s->taps; t++)
        p->tap[t] = s->tap[t] * (ptrdiff_t)p->a_row;

    const size_t count = (size_t)p->rows * (size_t)s->kc;
    p->field = allocate(count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        p->field[i] = random_float();
    p->a = allocate((size_t)p->rows * p->a_row);
    const struct cpu_prepare prepare = {.to = p->a,
                                        .to_stride = p->a_row,
                                        .from = p->field,
                                        .from_stride = (size_t)s->kc,
                                        .rows = p->rows,
                                        .kc = s->kc,
                                        .kc_pad = p->kc_pad};
    p->k->prepare_rows(&prepare);
}

static void make_b(struct product *p)
{
    const struct shape *s = p->s;
    const size_t bytes = dtype_bytes(s->dtype), column = (size_t)s->kc * (size_t)s->taps;
    const size_t count = column * (size_t)s->n;
    const int panels = round_up(s->n, p->k->nr) / p->k->nr;

    p->stored = allocate(1 + count * bytes);
    p->weights = allocate(count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        store_weight(p->stored + 1 + i * bytes, &p->weights[i], random_float(), s->dtype);

    p->panel_bytes = (size_t)s->taps * (size_t)p->kc_pad * (size_t)p->k->nr * 4;
    p->panels = allocate((size_t)panels * p->panel_bytes);
    memset(p->panels, 0xff, (size_t)panels * p->panel_bytes); /* NaN where nobody writes */
    for (int j = 0; j < panels; j++) {
        const int left = s->n - j * p->k->nr;
        const struct cpu_pack pack = {.to = p->panels + (size_t)j * p->panel_bytes,
                                      .from =
                                          p->stored + 1 + (size_t)(j * p->k->nr) * column * bytes,
                                      .dtype = s->dtype,
                                      .stride = column,
                                      .n = left < p->k->nr ? left : p->k->nr,
                                      .kc = s->kc,
                                      .kc_pad = p->kc_pad,
                                      .taps = s->taps};
        p->k->pack_weights(&pack);
    }
}

static void product_new(struct product *p, const struct cpu_kernels *k, const struct shape *s)
{
    *p = (struct product){.s = s, .k = k, .kc_pad = round_up(s->kc, k->k_multiple)};
    make_a(p);
    make_b(p);
    p->acc_stride = (size_t)round_up(round_up(s->n, k->nr), 16);
    p->acc = allocate((size_t)round_up(s->m, k->mr) * p->acc_stride * sizeof(float));
}

static void product_free(struct product *p)
{
    free(p->field);
    free(p->a);
    free(p->stored);
    free(p->weights);
    free(p->panels);
    free(p->acc);
}

/* Rows from..from+m-1 of the product into acc. */
static void multiply(const struct product *p, float *acc, int from, int m, bool add)
{
    const size_t a_stride = p->a_row * (size_t)p->s->step;
    const struct cpu_gemm g = {.acc = acc,
                               .acc_stride = p->acc_stride,
                               .a = p->a + (size_t)p->first * p->a_row + (size_t)from * a_stride,
                               .a_stride = a_stride,
                               .tap = p->tap,
                               .n_taps = p->s->taps,
                               .b = p->panels,
                               .m = m,
                               .n = p->s->n,
                               .kc_pad = p->kc_pad,
                               .add = add};
    p->k->gemm(&g);
}

/* The largest error of acc relative to the sum of |a||b|, where the product stands `times` times.
 */
static double worst_error(const struct product *p, int times)
{
    const struct shape *s = p->s;
    double worst = 0;
    for (int i = 0; i < s->m; i++)
        for (int j = 0; j < s->n; j++) {
            double sum = 0, size = 1e-30;
            for (int t = 0; t < s->taps; t++) {
                const float *a =
                    p->field + (size_t)(p->first + i * s->step + s->tap[t]) * (size_t)s->kc;
                const float *b = p->weights + (size_t)j * (size_t)(s->kc * s->taps) + t;
                for (int k = 0; k < s->kc; k++) {
                    const double x = (double)a[k] * (double)b[k * s->taps];
                    sum += x;
                    size += fabs(x);
                }
            }
            const double got = (double)p->acc[(size_t)i * p->acc_stride + (size_t)j];
            const double error = fabs(got - times * sum) / (size * times);
            worst = error <= worst ? worst : error; /* a NaN wins */
        }
    return worst;
}

static void multiplies_like_double_precision(const struct cpu_kernels *k)
{
    const double tolerance = k->a_is_f32 ? 2e-6 : 3e-5;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct product p;
        product_new(&p, k, &shapes[i]);
        multiply(&p, p.acc, 0, p.s->m, false);
        const double once = worst_error(&p, 1);
        multiply(&p, p.acc, 0, p.s->m, true);
        const double twice = worst_error(&p, 2);
        if (!(once <= tolerance && twice <= tolerance))
            fprintf(stderr, "%s, %s: %g, %g\n", k->name, p.s->why, once, twice);
        CHECK(once <= tolerance);
        CHECK(twice <= tolerance);
        product_free(&p);
    }
}

static bool rows_equal(const struct product *p, const float *x, const float *y, int rows)
{
    for (int i = 0; i < rows; i++) {
        const size_t at = (size_t)i * p->acc_stride;
        if (memcmp(x + at, y + at, (size_t)p->s->n * sizeof(float)) != 0)
            return false;
    }
    return true;
}

static void gives_the_same_bits_however_rows_are_split(const struct cpu_kernels *k)
{
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct product p;
        product_new(&p, k, &shapes[i]);
        const int m = p.s->m;
        multiply(&p, p.acc, 0, m, false);
        /* Reading ahead to a whole tile is the table's right, so parts end at m or at tiles. */
        const int unit = k->a_is_f32 ? 1 : k->mr;
        float *part = allocate((size_t)(round_up(m, k->mr)) * p.acc_stride * sizeof(float));
        for (int cut = unit; cut < m; cut += unit) {
            multiply(&p, part, 0, cut, false);
            CHECK(rows_equal(&p, part, p.acc, cut));
            multiply(&p, part, cut, m - cut, false);
            CHECK(rows_equal(&p, part, p.acc + (size_t)cut * p.acc_stride, m - cut));
        }
        free(part);
        product_free(&p);
    }
}

/* A sum over k that is made in two calls is the sum made in one. */
static void gives_the_same_bits_however_k_is_split(const struct cpu_kernels *k)
{
    const struct shape shape = {"split", 11, 1, 160, 1, 1, DTYPE_F32, {0}};
    struct product p;
    product_new(&p, k, &shape);
    multiply(&p, p.acc, 0, shape.m, false);
    float *part = allocate((size_t)round_up(shape.m, k->mr) * p.acc_stride * sizeof(float));
    for (int cut = 32; cut < shape.kc; cut += 32) {
        struct cpu_gemm g = {.acc = part,
                             .acc_stride = p.acc_stride,
                             .a = p.a,
                             .a_stride = p.a_row,
                             .tap = p.tap,
                             .n_taps = 1,
                             .b = p.panels,
                             .m = shape.m,
                             .n = shape.n,
                             .kc_pad = cut};
        k->gemm(&g);
        g.a = p.a + (size_t)cut * 4;
        g.b = p.panels + (size_t)cut * (size_t)k->nr * 4;
        g.kc_pad = p.kc_pad - cut;
        g.add = true;
        k->gemm(&g);
        CHECK(rows_equal(&p, part, p.acc, shape.m));
    }
    free(part);
    product_free(&p);
}

static void packs_columns_like_weights(const struct cpu_kernels *k)
{
    const int n = k->nr - 3, kc = 45, kc_pad = round_up(kc, k->k_multiple);
    const size_t panel = (size_t)kc_pad * (size_t)k->nr * 4;
    float *across = allocate((size_t)(n * kc) * sizeof(float));
    float *along = allocate((size_t)(n * kc) * sizeof(float));
    unsigned char *one = allocate(panel), *other = allocate(panel);

    for (int j = 0; j < n; j++)
        for (int i = 0; i < kc; i++)
            along[j * kc + i] = across[i * n + j] = random_float();
    memset(one, 0xff, panel);
    struct cpu_pack pack = {.to = one,
                            .from = across,
                            .dtype = DTYPE_F32,
                            .stride = (size_t)n,
                            .n = n,
                            .kc = kc,
                            .kc_pad = kc_pad,
                            .taps = 1};
    k->pack_columns(&pack);
    pack.to = other;
    pack.from = along;
    pack.stride = (size_t)kc;
    k->pack_weights(&pack);
    CHECK(memcmp(one, other, panel) == 0);
    free(across);
    free(along);
    free(one);
    free(other);
}

static void converts_every_half_exactly(const struct cpu_kernels *k)
{
    enum { COUNT = 65536 };
    unsigned char *from = allocate(1 + COUNT * 2);
    float *to = allocate(COUNT * sizeof(float));
    for (int i = 0; i < COUNT; i++) {
        const uint16_t half = (uint16_t)i;
        memcpy(from + 1 + 2 * i, &half, sizeof half);
    }
    for (int type = 0; type < 2; type++) {
        int wrong = 0;
        k->to_f32(to, from + 1, type ? DTYPE_BF16 : DTYPE_F16, COUNT);
        for (int i = 0; i < COUNT; i++) {
            const float want =
                type ? dtype_f32_from_bf16((uint16_t)i) : dtype_f32_from_f16((uint16_t)i);
            wrong += want != want ? to[i] == to[i] /* a NaN stays one */
                                  : dtype_bits_from_f32(want) != dtype_bits_from_f32(to[i]);
        }
        CHECK(wrong == 0);
    }
    free(from);
    free(to);
}

/* Every half, what lies in the middle between it and the next one, and the numbers beside that. */
static void rounds_to_halves_as_the_plain_conversion_does(const struct cpu_kernels *k)
{
    enum { COUNT = 4 * 65536 };
    float *from = allocate(COUNT * sizeof(float));
    unsigned char *to = allocate(1 + COUNT * 2);
    int wrong = 0;

    for (int i = 0; i < 65536; i++) {
        const float v = dtype_f32_from_f16((uint16_t)i),
                    next = dtype_f32_from_f16((uint16_t)(i + 1));
        const float middle = (i & 0x7fff) == 0x7bff ? (i < 0x8000 ? 65520.0f : -65520.0f)
                                                    : (float)(((double)v + (double)next) / 2);
        from[4 * i] = v;
        from[4 * i + 1] = middle;
        from[4 * i + 2] = nextafterf(middle, INFINITY);
        from[4 * i + 3] = nextafterf(middle, -INFINITY);
    }
    k->from_f32(to + 1, from, DTYPE_F16, COUNT);
    for (int i = 0; i < COUNT; i++) {
        uint16_t have;
        memcpy(&have, to + 1 + 2 * i, sizeof have);
        wrong += from[i] != from[i] ? (have & 0x7fff) <= 0x7c00 /* a NaN stays one */
                                    : have != dtype_f16_from_f32(from[i]);
    }
    CHECK(wrong == 0);
    free(from);
    free(to);
}

static void writes_so_many_numbers_and_no_more(const struct cpu_kernels *k)
{
    float from[40], whole[40];

    for (int i = 0; i < 40; i++)
        from[i] = 1.0f / (float)(i + 1);
    for (int n = 0; n < 40; n++) {
        unsigned char *to = allocate((size_t)n * 2);
        k->from_f32(to, from, DTYPE_F16, (size_t)n);
        for (int i = 0; i < n; i++) {
            uint16_t h;
            memcpy(&h, to + 2 * i, sizeof h);
            CHECK(h == dtype_f16_from_f32(from[i]));
        }
        free(to);
        whole[n] = 99;
        k->from_f32(whole, from, DTYPE_F32, (size_t)n);
        CHECK(memcmp(whole, from, (size_t)n * sizeof *from) == 0 && whole[n] == 99);
    }
}

static void converts_short_runs_and_rare_types(const struct cpu_kernels *k)
{
    const double doubles[3] = {0.5, -3, 1e10};
    const int64_t longs[2] = {-7, INT64_C(1) << 40};
    const int32_t ints[1] = {-5};
    float to[40];

    k->to_f32(to, doubles, DTYPE_F64, 3);
    CHECK(to[0] == 0.5f && to[1] == -3.0f && to[2] == 1e10f);
    k->to_f32(to, longs, DTYPE_I64, 2);
    CHECK(to[0] == -7.0f && to[1] == 0x1p40f);
    k->to_f32(to, ints, DTYPE_I32, 1);
    CHECK(to[0] == -5.0f);
    for (int n = 0; n < 40; n++) {
        uint16_t *halves = allocate((size_t)n * 2);
        for (int i = 0; i < n; i++)
            halves[i] = dtype_f16_from_f32((float)i);
        to[n] = 99;
        k->to_f32(to, halves, DTYPE_F16, (size_t)n);
        for (int i = 0; i < n; i++)
            CHECK(to[i] == (float)i);
        CHECK(to[n] == 99);
        free(halves);
    }
}

static void finds_tables_by_name(const struct cpu_kernels *const *k, int n)
{
    struct error err = {0};
    CHECK(strcmp(k[0]->name, "portable") == 0);
    for (int i = 0; i < n; i++) {
        CHECK(cpu_kernels_find(k[i]->name, &err) == k[i]);
        CHECK(k[i]->mr <= CPU_KERNELS_MAX_MR && k[i]->nr <= CPU_KERNELS_MAX_NR);
    }
    CHECK(cpu_kernels_find(NULL, &err) == k[n - 1]);
    CHECK(cpu_kernels_find("auto", &err) == k[n - 1]);
    CHECK(!cpu_kernels_find("sse9", &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "sse9") && strstr(err.text, "portable"));
}

int main(void)
{
    const struct cpu_kernels *k[8];
    const int n = cpu_kernels_list(k);
    finds_tables_by_name(k, n);
    for (int i = 0; i < n; i++) {
        const int failures = test_failures;
        cpu_kernels_thread_begin(k[i]);
        multiplies_like_double_precision(k[i]);
        gives_the_same_bits_however_rows_are_split(k[i]);
        gives_the_same_bits_however_k_is_split(k[i]);
        packs_columns_like_weights(k[i]);
        converts_every_half_exactly(k[i]);
        rounds_to_halves_as_the_plain_conversion_does(k[i]);
        writes_so_many_numbers_and_no_more(k[i]);
        converts_short_runs_and_rare_types(k[i]);
        cpu_kernels_thread_end(k[i]);
        fprintf(stderr, "%s: %s\n", k[i]->name, failures == test_failures ? "good" : "wrong");
    }
    return TEST_END();
}
