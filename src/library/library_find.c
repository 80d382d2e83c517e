#include "base/utf8.h"
#include "library/library.h"
#include "library/library_names.h"
#include "library/library_shelf.h"

#include <stdio.h>
#include <string.h>

enum { MAX_TEXT_BYTES = 1024, LIST_BYTES = 700, NEAR = 5 };

/* How people call a kind. */
static const char *const words[LIBRARY_KINDS] = {"model", "LoRA", "upscaler", "embedding", "VAE"};

/* A list of names that may be cut off. */
struct names {
    char text[LIST_BYTES];
    size_t len, n, left_out;
};

static void add_name(struct names *list, const char *name)
{
    const int n = snprintf(list->text + list->len, sizeof list->text - list->len, "%s'%.100s'",
                           list->n ? ", " : "", name);

    if (n < 0 || (size_t)n >= sizeof list->text - list->len || list->left_out) {
        list->text[list->len] = 0;
        list->left_out++;
        return;
    }
    list->len += (size_t)n;
    list->n++;
}

static void end_list(struct names *list)
{
    if (list->left_out)
        snprintf(list->text + list->len, sizeof list->text - list->len, "%s%zu more",
                 list->n ? " and " : "", list->left_out);
}

static bool not_found(const struct library_list *list, enum library_kind kind, const char *text,
                      struct error *err)
{
    const struct library_entry *near[NEAR];
    const size_t n = library_names_near(near, NEAR, list, text);
    struct names names = {.len = 0};

    if (list->n == 0)
        return error_set(err, ERROR_NOT_FOUND, "there is no %s '%.200s'; there are none at all",
                         words[kind], text);
    for (size_t i = 0; i < n; i++)
        add_name(&names, near[i]->name);
    for (size_t i = 0; n == 0 && i < list->n; i++)
        add_name(&names, list->entries[i]->name);
    end_list(&names);
    return error_set(err, ERROR_NOT_FOUND, "there is no %s '%.200s'; %s %s", words[kind], text,
                     n ? "near it:" : "there are", names.text);
}

static bool ambiguous(const struct library_list *list, enum library_kind kind, const char *text,
                      int match, struct error *err)
{
    struct names names = {.len = 0};

    for (size_t i = 0; i < list->n; i++)
        if (library_names_match(list->entries[i], text) == match)
            add_name(&names, list->entries[i]->name);
    end_list(&names);
    return error_set(err, ERROR_INVALID, "the %s '%.200s' may be any of %s", words[kind], text,
                     names.text);
}

/* The best match, and how many are as good. */
static const struct library_entry *best(const struct library_list *list, const char *text,
                                        int *match, int *n)
{
    const struct library_entry *found = NULL;

    *match = LIBRARY_NAMES_WORST + 1;
    *n = 0;
    for (size_t i = 0; i < list->n; i++) {
        const int m = library_names_match(list->entries[i], text);
        if (m == LIBRARY_NAMES_NO || m > *match)
            continue;
        if (m < *match) {
            found = list->entries[i];
            *match = m;
            *n = 0;
        }
        ++*n;
    }
    return found;
}

bool library_find(struct library *lib, enum library_kind kind, const char *text,
                  const struct library_entry **out, struct error *err)
{
    const size_t len = strlen(text);
    struct library_list list;
    int match, n;

    if (len == 0 || len >= MAX_TEXT_BYTES || !utf8_is_text(text, len))
        return error_set(err, ERROR_INVALID, "the name of the %s must be a text of 1 to %d bytes",
                         words[kind], MAX_TEXT_BYTES - 1);
    if (!library_list(lib, kind, &list, err))
        return false;
    const struct library_entry *found = best(&list, text, &match, &n);
    if (!found && kind == LIBRARY_MODEL && strcmp(text, "demo") == 0 && list.owned->demo) {
        found = list.owned->demo;
        n = 1;
    }
    bool ok = found ? n == 1 || ambiguous(&list, kind, text, match, err)
                    : not_found(&list, kind, text, err);
    if (ok)
        *out = library_entry_keep(found);
    library_list_clear(&list);
    return ok;
}

bool library_find_sound(struct library *lib, enum library_kind kind, const char *text,
                        const struct library_entry **out, struct error *err)
{
    if (!library_find(lib, kind, text, out, err))
        return false;
    if (!(*out)->problem)
        return true;
    error_set(err, ERROR_CORRUPT, "the %s '%.200s' cannot be used: %.400s", words[kind],
              (*out)->name, (*out)->problem);
    library_entry_free(*out);
    return false;
}
