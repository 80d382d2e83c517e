/* What the normal generators are made of: the float32 logarithm, sine and cosine inside torch's,
 * and Philox4x32-10.  For this folder only. */
#ifndef SAMPLER_RNG_MATH_H
#define SAMPLER_RNG_MATH_H

#include <stdint.h>

/* x in (0, 1]. */
float rng_math_log(float x);

/* x in [0, 2 pi]. */
void rng_math_sincos(float x, float *sine, float *cosine);

/* numpy's, which the Philox generator of web UIs is written with.  x in (0, 1] and [0, 2 pi]. */
float rng_math_numpy_log(float x);
float rng_math_numpy_sin(float x);

/* Replaces the counter c by the 128 random bits that belong to it under this seed. */
void rng_math_philox(uint32_t c[4], uint64_t seed);

#endif
