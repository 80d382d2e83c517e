/* The pages mapped weights lie in: who uses them, and how to bring and drop exactly them.
 *
 * Internal to weights*.c.  Weights are cut into chunks of whole pages such that every weight, and
 * every piece of one, is a span of whole chunks; a page that two share is a chunk of its own. Knows
 * neither ops nor threads; only weights_pages_populate may run beside the other functions. */
#ifndef ENGINE_WEIGHTS_PAGES_H
#define ENGINE_WEIGHTS_PAGES_H

#include "engine/weights.h"

#include <stdatomic.h>

struct weights_pages;

/* How a weight is used. */
struct weights_pages_use {
    bool by_row; /* a table of which only some rows are ever read */
    /* Pieces that come and go by themselves, counted anew from the middle of a weight of two
     * halves; 0 bytes: none. */
    size_t half_bytes, piece_bytes;
};

/* Chunks [first, end). */
struct weights_span {
    int first, end;
};

/* n views into private, read-only file mappings, which must outlive *out. */
bool weights_pages_new(struct weights_pages **out, const struct weight_view *views,
                       const struct weights_pages_use *uses, int n, struct error *err) MUST_CHECK;
void weights_pages_free(struct weights_pages *p);

/* Of all weights together, and of those that have users. */
size_t weights_pages_bytes(const struct weights_pages *p);
size_t weights_pages_used_bytes(const struct weights_pages *p);

/* Of one weight as stored. */
size_t weights_pages_weight_bytes(const struct weights_pages *p, int weight);

/* What the weight lies in, or bytes [from, to) of it, which begin and end a piece. */
struct weights_span weights_pages_find(const struct weights_pages *p, int weight);
struct weights_span weights_pages_find_piece(const struct weights_pages *p, int weight, size_t from,
                                             size_t to);

/* Most bytes that `rows` rows of a by_row weight bring into memory while the pages stand apart. */
size_t weights_pages_row_bytes(const struct weights_pages *p, int weight, int64_t rows);

/* Counts a user of the chunks, and one less.  Nothing is brought or dropped. */
void weights_pages_add_user(struct weights_pages *p, struct weights_span s);
void weights_pages_remove_user(struct weights_pages *p, struct weights_span s);
void weights_pages_forget_users(struct weights_pages *p);

/* Gives back those that nobody uses. */
void weights_pages_drop(struct weights_pages *p, struct weights_span s);
void weights_pages_drop_all(struct weights_pages *p);

/* Brings chunks that follow each other into memory; gives up early once *stop is set. */
void weights_pages_populate(const struct weights_pages *p, struct weights_span s,
                            const atomic_bool *stop);

/* Makes touching a page bring no other chunk's pages, and ends that.  Both may be repeated. */
void weights_pages_part(struct weights_pages *p);
void weights_pages_rejoin(struct weights_pages *p);

#endif
