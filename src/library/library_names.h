/* What entries are called, and what a text may mean. */
#ifndef LIBRARY_LIBRARY_NAMES_H
#define LIBRARY_LIBRARY_NAMES_H

#include "library/library_walk.h"

/* Gives each of the n found a name of its own: file_name without its ending, or with it where
 * another one is called the same.  names has room for n pointers; the caller frees each, also on
 * false. */
bool library_names_make(char **names, const struct library_walk_found *found, size_t n,
                        enum library_kind kind, struct error *err) MUST_CHECK;

/* How well a text names an entry: smaller is better, 0 not at all. */
enum { LIBRARY_NAMES_NO = 0, LIBRARY_NAMES_BEST = 1, LIBRARY_NAMES_WORST = 10 };
int library_names_match(const struct library_entry *e, const char *text);

/* Labels are the same without regard to case, with '-' and '_' as blanks, and without blanks at
 * both ends. */
bool library_names_same_label(const char *a, const char *b);

/* Writes up to n names that resemble text, the nearest first.  Returns how many. */
size_t library_names_near(const struct library_entry **out, size_t n,
                          const struct library_list *list, const char *text);

#endif
