/* The table of labels: what people call models, from a JSON file or as shipped.
 *
 * The file is one object of name to label: {"models--Meina--MeinaMix_V11": "MeinaMix V11"}. */
#ifndef LIBRARY_LIBRARY_LABELS_H
#define LIBRARY_LIBRARY_LABELS_H

#include "library/library.h"

enum {
    LIBRARY_LABELS_MAX_BYTES = 1 << 20, /* of the file */
    LIBRARY_LABELS_MAX_ROWS = 10000,
    LIBRARY_LABELS_LABEL_BYTES = 200, /* longest label, with its final 0 */
};

struct library_labels_table; /* constant, counted */

/* The seven labels that the program comes with. */
bool library_labels_shipped(struct library_labels_table **out, struct error *err) MUST_CHECK;

/* From the bytes of a file called name. */
bool library_labels_parse(struct library_labels_table **out, const char *name, const void *bytes,
                          size_t n_bytes, struct error *err) MUST_CHECK;

bool library_labels_read(struct library_labels_table **out, const char *path,
                         struct error *err) MUST_CHECK;

struct library_labels_table *library_labels_keep(struct library_labels_table *t);
void library_labels_free(struct library_labels_table *t); /* accepts NULL */

/* NULL when the table has no such name. */
const char *library_labels_find(const struct library_labels_table *t, const char *name);

/* Sorted by label.  Borrowed from t. */
const struct library_label *library_labels_rows(const struct library_labels_table *t, size_t *n);

#endif
