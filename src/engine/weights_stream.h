/* Weights that are in memory only around their use: those of the op that runs and of those that
 * come next, up to the next large one, brought by a thread of their own.  A weight that its op
 * reads in pieces is in memory piece by piece.
 *
 * Internal to weights*.c.  All functions are called by one thread at a time. */
#ifndef ENGINE_WEIGHTS_STREAM_H
#define ENGINE_WEIGHTS_STREAM_H

#include "engine/weights_pages.h"

struct weights_stream;

/* How an op reads its weight: `rounds` times in n pieces, each of which lies in every half. */
struct weights_pieces {
    int n; /* 1: as a whole */
    int rounds;
    int halves;
    size_t half_bytes, piece_bytes;
};

/* Borrows pages, which must outlive *out; not g.  pieces, by op, are those that the pages are cut
 * into; NULL: none. */
bool weights_stream_new(struct weights_stream **out, const struct graph *g,
                        const struct weights_pieces *pieces, struct weights_pages *pages,
                        struct error *err) MUST_CHECK;
void weights_stream_free(struct weights_stream *s);

/* Most bytes of weights in memory at a time. */
size_t weights_stream_peak_bytes(const struct weights_stream *s);

/* While an op runs. */
size_t weights_stream_op_bytes(const struct weights_stream *s, int op);

/* The first piece, the one after it, and the end. */
void weights_stream_acquire(struct weights_stream *s, int op);
void weights_stream_advance(struct weights_stream *s, int op);
void weights_stream_release(struct weights_stream *s, int op);

/* Ends the thread and drops what it brought. */
void weights_stream_finish(struct weights_stream *s);

#endif
