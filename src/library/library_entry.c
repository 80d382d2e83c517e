#include "library/library_entry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
    atomic_int holders;
    struct library_entry_extra extra;
    struct library_entry entry;
    char text[]; /* what the entry's pointers point to */
};

static struct block *block_of(const struct library_entry *e)
{
    return (struct block *)((uintptr_t)e - offsetof(struct block, entry));
}

/* Room for a title and its final 0. */
static size_t title_bytes(const struct library_entry *e)
{
    return strlen(e->file_name) + sizeof e->short_hash + sizeof " []";
}

static void write_title(char *out, size_t room, const struct library_entry *e)
{
    const char *hash = e->short_hash;
    snprintf(out, room, "%s%s%s%s", e->file_name, *hash ? " [" : "", hash, *hash ? "]" : "");
}

const struct library_entry *library_entry_make(const struct library_entry *e,
                                               const struct library_entry_extra *x)
{
    const char *const from[] = {e->name,       e->label, e->file_name, e->path,
                                e->repository, e->alias, e->problem,   e->family};
    size_t bytes = title_bytes(e);

    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        bytes += from[i] ? strlen(from[i]) + 1 : 0;
    struct block *b = malloc(sizeof *b + bytes);
    if (!b)
        return NULL;
    atomic_init(&b->holders, 1);
    b->extra = *x;
    b->entry = *e;

    const char **const to[] = {&b->entry.name,    &b->entry.label,      &b->entry.file_name,
                               &b->entry.path,    &b->entry.repository, &b->entry.alias,
                               &b->entry.problem, &b->entry.family};
    char *next = b->text;
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        if (!from[i])
            continue;
        size_t len = strlen(from[i]) + 1;
        memcpy(next, from[i], len);
        *to[i] = next;
        next += len;
    }
    write_title(next, title_bytes(e), e);
    b->entry.title = next;
    return &b->entry;
}

const struct library_entry_extra *library_entry_extra_view(const struct library_entry *e)
{
    return &block_of(e)->extra;
}

const struct library_entry *library_entry_keep(const struct library_entry *e)
{
    atomic_fetch_add_explicit(&block_of(e)->holders, 1, memory_order_relaxed);
    return e;
}

void library_entry_free(const struct library_entry *e)
{
    if (e && atomic_fetch_sub_explicit(&block_of(e)->holders, 1, memory_order_acq_rel) == 1)
        free(block_of(e));
}
