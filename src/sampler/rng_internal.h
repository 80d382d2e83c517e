/* The float32 logarithm, sine and cosine inside torch's normal generator, for rng.c and its test.
 */
#ifndef SAMPLER_RNG_INTERNAL_H
#define SAMPLER_RNG_INTERNAL_H

/* x in (0, 1]. */
float rng_log(float x);

/* x in [0, 2 pi]. */
void rng_sincos(float x, float *sine, float *cosine);

#endif
