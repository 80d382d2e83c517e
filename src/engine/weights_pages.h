/* The pages mapped weights lie in: who uses them, and how to bring and drop exactly them.
 *
 * Internal to weights*.c.  Weights are cut into chunks of whole pages such that every weight is a
 * span of whole chunks; a page that two weights share is a chunk of its own.  Knows neither ops nor
 * threads; only weights_pages_populate may run beside the other functions. */
#ifndef ENGINE_WEIGHTS_PAGES_H
#define ENGINE_WEIGHTS_PAGES_H

#include "engine/weights.h"

#include <stdatomic.h>

struct weights_pages;

/* n views into private, read-only file mappings, which must outlive *out.  by_row[i]: weight i is a
 * table of which only some rows are ever read. */
bool weights_pages_new(struct weights_pages **out, const struct weight_view *views,
                       const bool *by_row, int n, struct error *err) MUST_CHECK;
void weights_pages_free(struct weights_pages *p);

/* Of all weights together, and of those that have users. */
size_t weights_pages_bytes(const struct weights_pages *p);
size_t weights_pages_used_bytes(const struct weights_pages *p);

/* Of one weight as stored. */
size_t weights_pages_weight_bytes(const struct weights_pages *p, int weight);

/* Most bytes that `rows` rows of a by_row weight bring into memory while the pages stand apart. */
size_t weights_pages_row_bytes(const struct weights_pages *p, int weight, int64_t rows);

/* Counts a user of the weight (from 1), and one less.  Nothing is brought or dropped. */
void weights_pages_add_user(struct weights_pages *p, int weight);
void weights_pages_remove_user(struct weights_pages *p, int weight);
void weights_pages_forget_users(struct weights_pages *p);

/* Gives back what the weight lies in and nobody uses. */
void weights_pages_drop(struct weights_pages *p, int weight);
void weights_pages_drop_all(struct weights_pages *p);

/* Brings the weight's pages into memory; gives up early once *stop is set. */
void weights_pages_populate(const struct weights_pages *p, int weight, const atomic_bool *stop);

/* Makes touching a page bring no other chunk's pages, and ends that.  Both may be repeated. */
void weights_pages_part(struct weights_pages *p);
void weights_pages_rejoin(struct weights_pages *p);

#endif
