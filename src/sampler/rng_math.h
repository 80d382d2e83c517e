/* The float32 logarithm, sine and cosine inside torch's normal generator, for rng.c and its test.
 */
#ifndef SAMPLER_RNG_MATH_H
#define SAMPLER_RNG_MATH_H

/* x in (0, 1]. */
float rng_math_log(float x);

/* x in [0, 2 pi]. */
void rng_math_sincos(float x, float *sine, float *cosine);

/* numpy's, which the Philox generator of web UIs is written with.  x in (0, 1] and [0, 2 pi]. */
float rng_math_numpy_log(float x);
float rng_math_numpy_sin(float x);

#endif
