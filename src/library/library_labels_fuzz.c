#include "library/library_labels.h"

#include <stdlib.h>
#include <string.h>

/* Whatever the file says: rows are sorted, found by their name, and within their limits. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct library_labels_table *t = NULL;
    struct error err;
    size_t n;

    if (!library_labels_parse(&t, "fuzz", data, size, &err))
        return 0;
    const struct library_label *row = library_labels_rows(t, &n);
    for (size_t i = 0; i < n; i++) {
        const char *label = library_labels_find(t, row[i].name);
        if (!label || strcmp(label, row[i].label) != 0 ||
            strlen(label) >= LIBRARY_LABELS_LABEL_BYTES || !row[i].name[0] ||
            (i > 0 && strcmp(row[i - 1].label, row[i].label) > 0))
            abort();
    }
    library_labels_free(t);
    return 0;
}
