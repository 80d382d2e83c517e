/* The noise of stochastic samplers: a Brownian motion over sigma that a seed stands for.
 *
 * A stochastic sampler asks for the motion's increments over intervals that overlap, so independent
 * draws would be wrong.  Here W is a function of seed, element and sigma alone: the same values
 * come however often and in whatever order they are asked for, increments over neighbouring
 * intervals add up, and number of steps, schedule and strength change only where the motion is
 * looked at.
 *
 * It is a virtual Brownian tree (Li et al. 2020, "Scalable gradients for stochastic differential
 * equations", section 4.3): W is fixed at both ends and refined by Levy's bridge at one halving
 * after the other, each with a random number that is computed from the place of the halving.
 * Nothing is stored: the memory is some numbers on the stack.  Web UIs use the same construction
 * from the library torchsde with other random numbers, so their pictures differ from these. */
#ifndef SAMPLER_BROWNIAN_H
#define SAMPLER_BROWNIAN_H

#include <stddef.h>
#include <stdint.h>

/* Writes n numbers of mean 0 and deviation 1: the increment of W between sigma `from` and sigma
 * `to`, divided by the root of brownian_length.  Both are above 0, in any order; swapping them
 * turns the signs.  Sigmas are resolved to 0.03 % between 2^-9 and 2^15. */
void brownian_noise(uint64_t seed, float *out, size_t n, double from, double to);

/* The distance of the two sigmas as the tree resolves them; above 0. */
double brownian_length(double from, double to);

#endif
