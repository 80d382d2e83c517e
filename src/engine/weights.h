/* Where each weight of a graph lives, and when.
 *
 * Nothing is copied: weights stay in the mapped files, and the kernels read them as stored; only
 * where deltas are merged the process has pages of its own, in the place of the file's.  Which
 * tensor of a model is which weight is weights_bind's business. */
#ifndef ENGINE_WEIGHTS_H
#define ENGINE_WEIGHTS_H

#include "base/dtype.h"
#include "engine/graph.h"

#include <stddef.h>

struct weights; /* the weights of one graph */

struct weight_view {
    const void *bytes; /* as stored; aligned to no more than a byte */
    enum dtype dtype;  /* F32, F16 or BF16 */
    int64_t count;
};

/* For tests and tools: weight i (from 1) is views[i - 1].  The array is copied, the bytes are not.
 */
bool weights_from_views(struct weights **out, const struct graph *g,
                        const struct weight_view *views, struct error *err) MUST_CHECK;

/* The same for views into private, read-only mappings of files, whose pages can be given back, once
 * weights_set_orders was called.  The mappings are borrowed and must outlive *out. */
bool weights_from_mapping(struct weights **out, const struct graph *g,
                          const struct weight_view *views, struct error *err) MUST_CHECK;

void weights_free(struct weights *w);

const struct weight_view *weights_find(const struct weights *w, int weight);

/* factor * up * down, added to a weight: as its numbers are brought to the form that products want,
 * whenever they are read, or once and for all (WEIGHTS_MERGED).  The file stays as it is. */
struct weight_delta {
    struct weight_view up;   /* [rows of the weight][rank] */
    struct weight_view down; /* [rank][numbers in a row of the weight] */
    int rank;
    float factor;
};

/* Adds one more delta to a weight that has room for it (graph_add_rank).  The views are borrowed
 * and lie in mapped files where those of the weights do. */
bool weights_add_delta(struct weights *w, int weight, const struct weight_delta *delta,
                       struct error *err) MUST_CHECK;

/* A weight's deltas that are still to be added, borrowed; returns how many: 0 once it is merged. */
int weights_find_deltas(const struct weights *w, int weight, const struct weight_delta **out);

/* How an op reads the weight of a convolution, as its device says: `rounds` times from the first
 * row to the last, all its threads within the same few rows.  A weight of two halves is read in
 * both at the same time (GRAPH_ACT_GEGLU). */
struct weights_order {
    int rounds; /* 0: the weight is read as a whole, or not at all */
    int halves;
    int64_t row_step; /* pieces are multiples of so many rows of a half */
};

/* Whether a weight is so large that it may be streamed in pieces, if its order is known. */
bool weights_may_have_pieces(const struct weights *w, int weight);

/* Finds the pages of mapped weights and what streaming them takes; before that they are neither
 * counted nor given back.  orders: by op; NULL: no weight is read in pieces.  Does nothing for
 * others. */
bool weights_set_orders(struct weights *w, const struct graph *g,
                        const struct weights_order *orders, struct error *err) MUST_CHECK;
bool weights_has_orders(const struct weights *w); /* or needs none */

/* Pieces that an op's weight comes in, in one round; 1 unless it is streamed so. */
int weights_pieces(const struct weights *w, int op);
/* Rows of each piece but the last; of a half, where there are two.  INT64_MAX: all of them. */
int64_t weights_piece_rows(const struct weights *w, int op);

/* Bytes of all weights; with whole pages counted, as they will be resident, deltas included. */
size_t weights_bytes(const struct weights *w);
size_t weights_resident_bytes(const struct weights *w);

enum weights_policy {
    WEIGHTS_HELD,    /* pages come as they are touched and stay until weights_drop */
    WEIGHTS_MERGED,  /* the same; ops merge deltas into the weights that they read, for good */
    WEIGHTS_STREAMED /* pages are there for the op that runs and the next large one, or their pieces
                      */
};

/* Most bytes of weights in memory at a time; 0 for weights that are not mapped.  Deltas are held
 * under either policy.  Of a token table, the pages that its rows can touch count while it is
 * streamed. */
size_t weights_peak_resident_bytes(const struct weights *w, enum weights_policy policy);

/* The most of touched[op] (by op of g) and what is in memory of streamed weights and of deltas
 * while that op runs, in a first run: deltas come as their weights are used and stay. */
size_t weights_first_run_bytes(const struct weights *w, const struct graph *g,
                               const size_t *touched);

/* Between runs only.  Changes no result where deltas are rounded (graph_round_deltas); without that
 * they are never merged.  Held at first; weights that are not mapped stay so. */
void weights_set_policy(struct weights *w, enum weights_policy policy);

/* Gives the pages back to the system; the next use reads them again from the file, without what was
 * merged.  weights_free does it where something was. */
void weights_drop(struct weights *w);

/* Of all weights that have deltas, as stored. */
size_t weights_delta_target_bytes(const struct weights *w);

/* As weights_drop if something was merged, else nothing.  Other weights in the same mapping must be
 * restored before they are used: pages belong to the mapping, and they would merge once more. */
void weights_restore(struct weights *w);

/* What a weight is with its deltas added, in memory or rounded for the moment. */
static inline enum dtype weights_merged_dtype(enum dtype stored)
{
    return stored == DTYPE_F32 ? DTYPE_F32 : DTYPE_F16;
}

/* In a run, by its thread: where the op at hand may write all numbers of a weight anew, its deltas
 * added, as weights_merged_dtype; NULL: not under this policy, it has no deltas or has them
 * already, or the system refuses.  From weights_merge_end on weights_find tells of the new ones. */
void *weights_merge_begin(struct weights *w, int weight);
/* Before anything is written, by any threads: work that the system would else do page by page. */
int weights_merge_tasks(const struct weights *w, int weight);
void weights_merge_bring_pages(const struct weights *w, int weight, int task);
void weights_merge_end(struct weights *w, int weight);

/* Around the use of each op's weights, op after op, by the thread that runs the graph; finish ends
 * every run, also one that stopped early. */
void weights_acquire(struct weights *w, int op);
void weights_advance(struct weights *w, int op); /* from one piece to the next, or the next round */
void weights_release(struct weights *w, int op);
void weights_finish(struct weights *w);

#endif
