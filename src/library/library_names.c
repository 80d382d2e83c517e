#include "library/library_names.h"

#include "library/library_folder.h"
#include "model/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NEAR_BYTES = 64,      /* of names that are compared letter by letter */
    NEAR_ENTRIES = 2000,  /* compared at most */
    HASH_DIGITS_LEAST = 8 /* of a hash that somebody wrote */
};

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool same_lower(const char *a, const char *b)
{
    while (*a && lower(*a) == lower(*b))
        a++, b++;
    return *a == 0 && *b == 0;
}

/* The name behind the last slash. */
static const char *base_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

/* Names. */

struct stem {
    const char *file_name;
    size_t len;   /* of the name within file_name */
    int rank;     /* who keeps the name: the smallest */
    size_t index; /* in found */
};

static int by_stem(const void *a, const void *b)
{
    const struct stem *x = a, *y = b;
    const size_t n = x->len < y->len ? x->len : y->len;
    int order = memcmp(x->file_name, y->file_name, n);

    if (order == 0)
        order = x->len < y->len ? -1 : x->len > y->len;
    return order ? order : x->rank - y->rank;
}

static bool is_same_stem(const struct stem *a, const struct stem *b)
{
    return a->len == b->len && memcmp(a->file_name, b->file_name, a->len) == 0;
}

/* Folders first, then the endings in the order that files are looked for. */
static int rank_of(const struct library_walk_found *f)
{
    static const char *const endings[] = {".safetensors", ".ckpt", ".pth", ".pt", ".bin"};
    const char *ending = f->file_name + tensor_file_stem(f->file_name);
    int i = 0;

    if (f->is_folder)
        return 0;
    while (i < 5 && strcmp(ending, endings[i]) != 0)
        i++;
    return i + 1;
}

static size_t stem_length(const struct library_walk_found *f, enum library_kind kind)
{
    static const char half[] = "_decoder";
    const size_t cut = sizeof half - 1;
    size_t len = f->is_folder ? strlen(f->file_name) : tensor_file_stem(f->file_name);

    /* TAESD comes in two files, of which the decoder stands for both. */
    if (kind == LIBRARY_VAE && !f->is_folder && len > cut &&
        strncmp(f->file_name + len - cut, half, cut) == 0)
        len -= cut;
    return len;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_file_name(const char *const *sorted, size_t n, const char *name)
{
    return bsearch(&name, sorted, n, sizeof *sorted, by_text) != NULL;
}

/* With file names sorted, and stems sorted. */
static bool write_names(char **names, const struct stem *stems, const char *const *sorted, size_t n,
                        struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct stem *s = &stems[i];
        char *name = strndup(s->file_name, s->len);
        const bool whole = !s->file_name[s->len]; /* then it is its own file name */
        if (!name)
            return error_set(err, ERROR_MEMORY, "no memory for names");
        names[s->index] = name;
        if (whole ||
            ((i == 0 || !is_same_stem(s, &stems[i - 1])) && !is_file_name(sorted, n, name)))
            continue;
        free(name);
        names[s->index] = strdup(s->file_name);
        if (!names[s->index])
            return error_set(err, ERROR_MEMORY, "no memory for names");
    }
    return true;
}

bool library_names_make(char **names, const struct library_walk_found *found, size_t n,
                        enum library_kind kind, struct error *err)
{
    struct stem *stems = calloc(n + 1, sizeof *stems);
    const char **sorted = calloc(n + 1, sizeof *sorted);
    bool ok = (stems && sorted) || error_set(err, ERROR_MEMORY, "no memory for names");

    for (size_t i = 0; i < n; i++)
        names[i] = NULL;
    for (size_t i = 0; ok && i < n; i++) {
        stems[i] =
            (struct stem){found[i].file_name, stem_length(&found[i], kind), rank_of(&found[i]), i};
        sorted[i] = found[i].file_name;
    }
    if (ok && n > 1) {
        qsort(stems, n, sizeof *stems, by_stem);
        qsort(sorted, n, sizeof *sorted, by_text);
    }
    ok = ok && write_names(names, stems, sorted, n, err);
    free(stems);
    free(sorted);
    return ok;
}

/* Matching. */

static bool is_space(char c)
{
    return c == ' ' || c == '-' || c == '_' || c == '\t';
}

bool library_names_same_label(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);

    while (na && is_space(*a))
        a++, na--;
    while (nb && is_space(*b))
        b++, nb--;
    while (na && is_space(a[na - 1]))
        na--;
    while (nb && is_space(b[nb - 1]))
        nb--;
    if (na != nb)
        return false;
    for (size_t i = 0; i < na; i++)
        if (is_space(a[i]) ? !is_space(b[i]) : lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

static bool is_hash(const char *text, size_t n)
{
    return n >= HASH_DIGITS_LEAST && strspn(text, "0123456789abcdefABCDEF") == n;
}

/* The short hash in any of its lengths, or the whole. */
static bool has_hash(const struct library_entry *e, const char *text)
{
    const size_t n = strlen(text);
    const char *const known[] = {e->sha256, e->short_hash};

    if (!is_hash(text, n) || (n != 8 && n != 10 && n != 12 && n != 64))
        return false;
    for (int k = 0; k < 2; k++) {
        size_t i = 0;
        while (i < n && known[k][i] && lower(text[i]) == known[k][i])
            i++;
        if (i == n)
            return true;
    }
    return false;
}

/* Web UIs call "sub/mix" also "sub_mix". */
static bool same_flat(const char *name, const char *text)
{
    if (!strchr(name, '/'))
        return false;
    while (*name && (*name == '/' ? '_' : *name) == *text)
        name++, text++;
    return *name == 0 && *text == 0;
}

/* "mix.safetensors [0123456789]" without the hash, which may come from another installation. */
static bool same_title(const struct library_entry *e, const char *text)
{
    const char *open = strrchr(text, '[');
    const size_t n = strlen(text);

    if (!open || open < text + 2 || open[-1] != ' ' || text[n - 1] != ']' ||
        !is_hash(open + 1, (size_t)(text + n - 1 - (open + 1))))
        return false;
    const size_t len = (size_t)(open - 1 - text);
    return (strlen(e->file_name) == len && strncmp(e->file_name, text, len) == 0) ||
           (strlen(e->name) == len && strncmp(e->name, text, len) == 0);
}

int library_names_match(const struct library_entry *e, const char *text)
{
    if (strcmp(e->name, text) == 0)
        return LIBRARY_NAMES_BEST;
    if (strcmp(e->file_name, text) == 0 || strcmp(e->title, text) == 0)
        return 2;
    if (library_names_same_label(e->label, text))
        return 3;
    if (e->repository && same_lower(e->repository, text))
        return 4;
    if (strcmp(base_of(e->name), text) == 0 || strcmp(base_of(e->file_name), text) == 0 ||
        same_flat(e->name, text))
        return 5;
    if (e->alias && strcmp(e->alias, text) == 0)
        return 6;
    if (has_hash(e, text))
        return 7;
    if (same_title(e, text))
        return 8;
    if (same_lower(e->name, text) || same_lower(e->file_name, text) ||
        same_lower(base_of(e->name), text))
        return 9;
    if (e->alias && library_names_same_label(e->alias, text))
        return LIBRARY_NAMES_WORST;
    return LIBRARY_NAMES_NO;
}

/* Near names. */

/* Letters to change, add or leave out to make one of the other (Levenshtein), case aside; texts are
 * cut to NEAR_BYTES. */
static int distance(const char *a, const char *b)
{
    int row[NEAR_BYTES + 1];
    const int na = (int)strnlen(a, NEAR_BYTES), nb = (int)strnlen(b, NEAR_BYTES);

    for (int k = 0; k <= nb; k++)
        row[k] = k;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int k = 1; k <= nb; k++) {
            const int change = diagonal + (lower(a[i - 1]) != lower(b[k - 1]));
            const int other = 1 + (row[k] < row[k - 1] ? row[k] : row[k - 1]);
            diagonal = row[k];
            row[k] = change < other ? change : other;
        }
    }
    return row[nb];
}

static bool contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && lower(text[i]) == lower(part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* Small is near; above the limit is not near at all. */
static int farness(const char *name, const char *text)
{
    const int far = distance(base_of(name), base_of(text));

    if (text[0] && text[1] && text[2] && contains(name, text))
        return 1;
    return far;
}

size_t library_names_near(const struct library_entry **out, size_t n,
                          const struct library_list *list, const char *text)
{
    int far[8];
    const size_t most = n < 8 ? n : 8;
    const int limit = 1 + (int)strnlen(base_of(text), NEAR_BYTES) / 4;
    size_t have = 0;

    for (size_t i = 0; i < list->n && i < NEAR_ENTRIES; i++) {
        const struct library_entry *e = list->entries[i];
        const int f = farness(e->name, text), g = farness(e->label, text), d = f < g ? f : g;
        size_t at = have;
        if (d > limit)
            continue;
        while (at > 0 && far[at - 1] > d)
            at--;
        if (at == most)
            continue;
        const size_t moved = (have < most ? have : most - 1) - at;
        memmove(&far[at + 1], &far[at], moved * sizeof far[0]);
        memmove(&out[at + 1], &out[at], moved * sizeof out[0]);
        far[at] = d;
        out[at] = e;
        have += have < most;
    }
    return have;
}
