/* Weights that have their deltas added where they lie, in private copies of their pages: which, and
 * how they may be written.  Internal to weights*.c.
 *
 * A page of a private mapping that is written to becomes the process's own, in the place of the
 * file's: resident memory stays the same, and so does the file.  Dropping such a page brings the
 * file's back, which is how deltas leave again. */
#ifndef ENGINE_WEIGHTS_MERGE_H
#define ENGINE_WEIGHTS_MERGE_H

#include "engine/weights.h"

struct weights_merge;

/* For weights 1 to n, as their files have them.  NULL: there is no memory. */
struct weights_merge *weights_merge_new(const struct weight_view *views, int n);
void weights_merge_free(struct weights_merge *m);

/* Makes the pages that a weight lies in writable, in a private mapping.  False where the system
 * refuses, or would not bring the file's pages back, or where any two weights share bytes, as a
 * pickle may say: writing one would change the other. */
bool weights_merge_open(const struct weights_merge *m, const struct weight_view *v) MUST_CHECK;

/* Makes the pages that lie in a weight alone the process's own, piece by piece, from any thread;
 * the others, and where the system cannot, they become so when they are written to. */
int weights_merge_pieces(const struct weight_view *v);
void weights_merge_bring(const struct weight_view *v, int piece);

/* Read-only again; the weight is merged, as *v will then say. */
void weights_merge_close(struct weights_merge *m, int weight, struct weight_view *v);

bool weights_merge_has(const struct weights_merge *m, int weight);
bool weights_merge_has_any(const struct weights_merge *m);

/* The pages were dropped: no weight is merged, and views[weight - 1] say again what the file has.
 */
void weights_merge_forget(struct weights_merge *m, struct weight_view *views);

#endif
