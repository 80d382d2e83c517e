/* Normal random numbers that repeat what PyTorch draws, so that a seed gives the known picture.
 *
 * RNG_CPU is torch's CPU generator: MT19937 and the Box-Muller block of its AVX2 kernel, bit for
 * bit.  RNG_PHILOX is torch's CUDA generator: Philox4x32-10, one counter per element.  A draw
 * depends on its length: the first four of normal(16) and of normal(4) differ, as they do in torch.
 */
#ifndef SAMPLER_RNG_H
#define SAMPLER_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rng_kind { RNG_CPU, RNG_PHILOX };

enum { RNG_MT_WORDS = 624 };

/* The caller's own storage; the fields are rng.c's. */
struct rng {
    enum rng_kind kind;
    uint32_t mt[RNG_MT_WORDS];
    int mt_next;
    bool has_cached; /* second half of the last scalar Box-Muller pair */
    double cached;
    uint64_t seed;
    uint32_t philox_offset; /* counts calls, not numbers */
};

/* torch.manual_seed(seed).  The CPU generator uses the low 32 bits only, as torch does. */
void rng_init(struct rng *r, enum rng_kind kind, uint64_t seed);

/* Writes n numbers of mean 0 and deviation 1, as torch.randn(n) with this generator does. */
void rng_normal(struct rng *r, float *out, size_t n);

/* "cpu", "philox" or "gpu", whatever the case.  Returns false for any other name. */
bool rng_kind_find(enum rng_kind *out, const char *name);

/* "cpu" or "philox". */
const char *rng_kind_name(enum rng_kind kind);

#endif
