#include "bench_machine.h"

#include "base/clock.h"
#include "engine/cpu/cpu_pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

enum { SUMS = 12, ROUNDS = 1 << 16, TRIES = 30 };

/* Twelve independent sums hide the latency of a multiply-add on every processor we know.  a and b
 * come from outside and the sums start apart, so that the compiler cannot fold them. */
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define SUM_NAME(i) , s##i

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static float spin_avx512(float x, float y)
{
    const __m512 a = _mm512_set1_ps(x), b = _mm512_set1_ps(y);
#define START(i) s##i = _mm512_set1_ps(x + i);
    __m512 all = b EACH(SUM_NAME);
    EACH(START)
#undef START
#define STEP(i) s##i = _mm512_fmadd_ps(s##i, a, b);
    for (int n = 0; n < ROUNDS; n++) {
        EACH(STEP)
    }
#undef STEP
#define STEP(i) all = _mm512_add_ps(all, s##i);
    EACH(STEP)
#undef STEP
    return _mm512_cvtss_f32(all);
}

__attribute__((target("avx2,fma"))) static float spin_avx2(float x, float y)
{
    const __m256 a = _mm256_set1_ps(x), b = _mm256_set1_ps(y);
#define START(i) s##i = _mm256_set1_ps(x + i);
    __m256 all = b EACH(SUM_NAME);
    EACH(START)
#undef START
#define STEP(i) s##i = _mm256_fmadd_ps(s##i, a, b);
    for (int n = 0; n < ROUNDS; n++) {
        EACH(STEP)
    }
#undef STEP
#define STEP(i) all = _mm256_add_ps(all, s##i);
    EACH(STEP)
#undef STEP
    return _mm256_cvtss_f32(all);
}
#endif

/* Four lanes are what every processor we run on has without asking. */
typedef float four __attribute__((vector_size(16)));

static float spin_portable(float x, float y)
{
    const four a = {x, x, x, x}, b = {y, y, y, y};
#define START(i) s##i = a + (four){i, i, i, i};
    four all = b EACH(SUM_NAME);
    EACH(START)
#undef START
#if defined(__aarch64__)
#define STEP(i) s##i = (four)vfmaq_f32((float32x4_t)b, (float32x4_t)s##i, (float32x4_t)a);
#else
#define STEP(i) s##i = s##i * a + b;
#endif
    for (int n = 0; n < ROUNDS; n++) {
        EACH(STEP)
    }
#undef STEP
#define STEP(i) all += s##i;
    EACH(STEP)
#undef STEP
    return all[0];
}

double bench_machine_fma_gflops(const char *isa)
{
    float (*spin)(float, float) = spin_portable;
    int lanes = 4;
    volatile float factor = 0.5f, result;
    double fastest = 1e9;

#if defined(__x86_64__)
    if (strcmp(isa, "avx2") == 0) {
        spin = spin_avx2;
        lanes = 8;
    } else if (strcmp(isa, "avx512") == 0 || strcmp(isa, "amx") == 0) {
        spin = spin_avx512;
        lanes = 16;
    }
#else
    (void)isa;
#endif
    for (int i = 0; i < TRIES; i++) {
        const double start = clock_seconds();
        result = spin(factor, factor);
        const double took = clock_seconds() - start;
        fastest = took < fastest ? took : fastest;
    }
    (void)result;
    return 2.0 * ROUNDS * SUMS * lanes / fastest * 1e-9;
}

/* Every task reads or copies one chunk; together they are more than the largest caches. */
struct memory {
    unsigned char *from, *to;
    uint64_t sums[CPU_POOL_MAX_THREADS];
};

enum { CHUNK_BYTES = 4 << 20, CHUNKS = 160, PASSES = 3 };

static void read_chunk(void *ctx, int task, int thread)
{
    struct memory *m = ctx;
    const unsigned char *p = m->from + (size_t)task * CHUNK_BYTES;
    uint64_t sum[8] = {0};

    for (size_t i = 0; i < CHUNK_BYTES; i += sizeof sum) {
        uint64_t x[8];
        memcpy(x, p + i, sizeof x);
        for (int j = 0; j < 8; j++)
            sum[j] += x[j];
    }
    for (int j = 0; j < 8; j++)
        m->sums[thread] += sum[j];
}

static void copy_chunk(void *ctx, int task, int thread)
{
    struct memory *m = ctx;
    (void)thread;
    memcpy(m->to + (size_t)task * CHUNK_BYTES, m->from + (size_t)task * CHUNK_BYTES, CHUNK_BYTES);
}

static double fastest_pass(struct cpu_pool *pool, cpu_pool_fn fn, struct memory *m)
{
    double fastest = 1e9;
    for (int i = 0; i < PASSES; i++) {
        const double start = clock_seconds();
        cpu_pool_run(pool, fn, m, CHUNKS);
        const double took = clock_seconds() - start;
        fastest = took < fastest ? took : fastest;
    }
    return fastest;
}

bool bench_machine_memory(double *read_gbs, double *copy_gbs, int n_threads, struct error *err)
{
    const size_t bytes = (size_t)CHUNK_BYTES * CHUNKS;
    struct cpu_pool *pool = NULL;
    struct memory m = {.from = malloc(bytes), .to = malloc(bytes)};
    bool ok = false;

    if (!m.from || !m.to) {
        error_set(err, ERROR_MEMORY, "no memory to measure the memory with");
        goto done;
    }
    memset(m.from, 1, bytes); /* pages that exist */
    memset(m.to, 2, bytes);
    if (!cpu_pool_new(&pool, n_threads, NULL, NULL, NULL, err))
        goto done;
    *read_gbs = (double)bytes / fastest_pass(pool, read_chunk, &m) * 1e-9;
    *copy_gbs = 2.0 * (double)bytes / fastest_pass(pool, copy_chunk, &m) * 1e-9;
    ok = true;

done:
    cpu_pool_free(pool);
    free(m.from);
    free(m.to);
    return ok;
}
