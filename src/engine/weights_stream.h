/* Weights that are in memory only around their use: those of the op that runs and of those that
 * come next, up to the next large one, brought by a thread of their own.
 *
 * Internal to weights*.c.  All functions are called by one thread at a time. */
#ifndef ENGINE_WEIGHTS_STREAM_H
#define ENGINE_WEIGHTS_STREAM_H

#include "engine/weights_pages.h"

struct weights_stream;

/* Borrows pages, which must outlive *out; not g. */
bool weights_stream_new(struct weights_stream **out, const struct graph *g,
                        struct weights_pages *pages, struct error *err) MUST_CHECK;
void weights_stream_free(struct weights_stream *s);

/* Most bytes of weights in memory at a time. */
size_t weights_stream_peak_bytes(const struct weights_stream *s);

/* While an op runs. */
size_t weights_stream_op_bytes(const struct weights_stream *s, int op);

void weights_stream_acquire(struct weights_stream *s, int op);
void weights_stream_release(struct weights_stream *s, int op);

/* Ends the thread and drops what it brought. */
void weights_stream_finish(struct weights_stream *s);

#endif
