/* Lifetimes to offsets: one arena for all tensors and workspaces of a graph, exact to the byte.
 *
 * A tensor lives from the op that writes it to the last op that reads it; a workspace lives for its
 * op.  Blocks whose lives overlap never overlap in the arena.  A convolution's result may take the
 * place of its residual when nobody reads the residual later. */
#ifndef ENGINE_LAYOUT_H
#define ENGINE_LAYOUT_H

#include "engine/backend.h"

struct layout {
    size_t *tensor_offset;    /* by tensor number; owned */
    size_t *workspace_offset; /* by op; owned */
    size_t *touched_bytes;    /* by op; owned: of the arena, by the end of the op in a first run */
    size_t arena_bytes;
    bool is_placed; /* false: too large for the limit, and of no use but for its bytes */
    double flops;
    double seconds;       /* modelled time of one run */
    double merge_seconds; /* of these, what is saved once deltas are merged */
};

/* Where more than most_bytes (0: no limit) are needed, it gives up early: is_placed is false, and
 * arena_bytes is some larger number. */
bool layout_make(struct layout *out, const struct graph *g, struct backend *b, size_t most_bytes,
                 struct error *err) MUST_CHECK;
void layout_clear(struct layout *l);

#endif
