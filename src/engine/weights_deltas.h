/* Low-rank deltas of weights, and the pages they lie in.  Internal to weights*.c. */
#ifndef ENGINE_WEIGHTS_DELTAS_H
#define ENGINE_WEIGHTS_DELTAS_H

#include "engine/weights.h"

struct weights_deltas;

/* For weights 1 to n_weights. */
bool weights_deltas_new(struct weights_deltas **out, int n_weights, struct error *err) MUST_CHECK;
void weights_deltas_free(struct weights_deltas *d);

bool weights_deltas_add(struct weights_deltas *d, int weight, const struct weight_delta *delta,
                        struct error *err) MUST_CHECK;

/* Those of one weight, in the order they were added; returns how many. */
int weights_deltas_find(const struct weights_deltas *d, int weight,
                        const struct weight_delta **out);

/* Of all pages that the factors lie in, each counted once. */
size_t weights_deltas_bytes(const struct weights_deltas *d);

/* Marks the deltas of `weight` in d as used for the first time; `used` is another list for as many
 * weights, whose bytes are then at least those of the pages that are there: with those that the
 * system maps around a fault.  False when there is no memory. */
bool weights_deltas_use(struct weights_deltas *used, const struct weights_deltas *d,
                        int weight) MUST_CHECK;

/* Gives these pages back; for factors in private, read-only mappings of files. */
void weights_deltas_drop(const struct weights_deltas *d);

#endif
