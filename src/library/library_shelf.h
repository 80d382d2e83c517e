/* The entries of one kind as one look found them: constant, counted, sorted by name. */
#ifndef LIBRARY_LIBRARY_SHELF_H
#define LIBRARY_LIBRARY_SHELF_H

#include "library/library.h"

#include <stdatomic.h>

struct library_shelf {
    atomic_int holders;
    bool cut;
    const struct library_entry *demo;     /* held, in the list or not; NULL: none */
    const struct library_entry *standard; /* held: the model of requests without one; NULL: none */
    size_t n;
    const struct library_entry *entries[]; /* held */
};

/* With room for n entries, and none in it.  NULL when there is no memory. */
struct library_shelf *library_shelf_new(size_t n);

struct library_shelf *library_shelf_keep(struct library_shelf *s);
void library_shelf_free(struct library_shelf *s); /* accepts NULL */

/* Sorts by name. */
void library_shelf_sort(struct library_shelf *s);

/* The entry of this name; NULL when there is none, or s is NULL. */
const struct library_entry *library_shelf_find(const struct library_shelf *s, const char *name);

#endif
