#include "library/library_shelf.h"

#include "base/size.h"

#include <stdlib.h>
#include <string.h>

struct library_shelf *library_shelf_new(size_t n)
{
    size_t bytes;
    if (!size_mul(&bytes, n, sizeof(struct library_entry *)) ||
        !size_add(&bytes, bytes, sizeof(struct library_shelf)))
        return NULL;
    struct library_shelf *s = malloc(bytes);
    if (s) {
        memset(s, 0, sizeof *s);
        atomic_init(&s->holders, 1);
    }
    return s;
}

struct library_shelf *library_shelf_keep(struct library_shelf *s)
{
    atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);
    return s;
}

void library_shelf_free(struct library_shelf *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->n; i++)
        library_entry_free(s->entries[i]);
    library_entry_free(s->demo);
    library_entry_free(s->standard);
    free(s);
}

static int by_name(const void *a, const void *b)
{
    const struct library_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

void library_shelf_sort(struct library_shelf *s)
{
    if (s->n > 1)
        qsort(s->entries, s->n, sizeof s->entries[0], by_name);
}

const struct library_entry *library_shelf_find(const struct library_shelf *s, const char *name)
{
    const struct library_entry wanted = {.name = name}, *key = &wanted;
    if (!s || !s->n)
        return NULL;
    const struct library_entry *const *found =
        bsearch(&key, s->entries, s->n, sizeof s->entries[0], by_name);
    return found ? *found : NULL;
}
