#include "model/model_index.h"

#include "base/size.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 1024, NAME_BYTES = 256 };

static bool make_room(struct model_index *x)
{
    size_t cap = FIRST_CAP, bytes;

    if (x->n < x->cap)
        return true;
    if ((x->cap && !size_mul(&cap, x->cap, 2)) || !size_mul(&bytes, cap, sizeof *x->entries))
        return false;
    struct model_index_entry *entries = realloc(x->entries, bytes);
    if (!entries)
        return false;
    x->entries = entries;
    x->cap = cap;
    return true;
}

bool model_index_add(struct model_index *x, enum model_part part, const char *name,
                     const struct model_tensor *tensor, struct error *err)
{
    char *copy = strdup(name);
    if (!copy || !make_room(x)) {
        free(copy);
        return error_set(err, ERROR_MEMORY, "no memory for the index of tensors");
    }
    x->entries[x->n++] = (struct model_index_entry){copy, part, *tensor};
    return true;
}

static int compare_entries(const void *a, const void *b)
{
    const struct model_index_entry *x = a, *y = b;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    return strcmp(x->name, y->name);
}

bool model_index_finish(struct model_index *x, struct error *err)
{
    if (x->n > 0)
        qsort(x->entries, x->n, sizeof *x->entries, compare_entries);
    for (size_t i = 1; i < x->n; i++) {
        const struct model_tensor *a = &x->entries[i - 1].tensor, *b = &x->entries[i].tensor;
        if (compare_entries(&x->entries[i - 1], &x->entries[i]) == 0)
            return error_set(err, ERROR_CORRUPT,
                             "%s: tensor '%.120s' is there twice: also as '%.120s' in %.100s",
                             b->file, b->name, a->name, a->file);
    }
    return true;
}

void model_index_clear(struct model_index *x)
{
    for (size_t i = 0; i < x->n; i++)
        free(x->entries[i].name);
    free(x->entries);
    *x = (struct model_index){0};
}

static int compare_key(const void *key, const void *entry)
{
    const struct model_index_entry *e = entry;
    const struct model_index_entry *k = key;
    return compare_entries(k, e);
}

static const struct model_tensor *find(const struct model_index *x, struct model_index_entry *key)
{
    if (x->n == 0)
        return NULL;
    const struct model_index_entry *e =
        bsearch(key, x->entries, x->n, sizeof *x->entries, compare_key);
    return e ? &e->tensor : NULL;
}

const struct model_tensor *model_index_findf(const struct model_index *x, enum model_part part,
                                             const char *fmt, ...)
{
    char name[NAME_BYTES];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    if (n < 0 || n >= NAME_BYTES)
        return NULL;
    return find(x, &(struct model_index_entry){.name = name, .part = part});
}

const struct model_tensor *model_index_find(const struct model_index *x, enum model_part part,
                                            const char *name)
{
    char own[NAME_BYTES];
    const size_t bytes = strlen(name) + 1;

    if (bytes > sizeof own)
        return NULL;
    memcpy(own, name, bytes);
    return find(x, &(struct model_index_entry){.name = own, .part = part});
}
