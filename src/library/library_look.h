/* One look at the folder of a kind: from files to a shelf of entries. */
#ifndef LIBRARY_LIBRARY_LOOK_H
#define LIBRARY_LIBRARY_LOOK_H

#include "library/library_internal.h"

/* Walks the folder, takes over from the last look (may be NULL) what has not changed, and opens the
 * rest.  Holds no lock.  On true the caller owns *out. */
bool library_look(struct library_shelf **out, struct library *lib, enum library_kind kind,
                  const struct library_shelf *last, const struct library_labels_table *labels,
                  struct error *err) MUST_CHECK;

/* The entry with its hashes, which it has learned meanwhile; NULL when there is no memory. */
const struct library_entry *library_look_hashed(const struct library_entry *e,
                                                const struct library_hashes_row *row);

#endif
