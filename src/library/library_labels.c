#include "library/library_labels.h"

#include "base/fs.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct library_labels_table {
    atomic_int holders;
    size_t n;
    struct library_label *by_name, *by_label; /* owned; the same rows */
    char *text;                               /* owned; what the rows point to */
};

/* From the original server, which had them in its code. */
static const struct library_label shipped[] = {
    {"John6666__amanatsu-illustrious-v11-sdxl", "Amanatsu"},
    {"models--John6666--ilustmix-v6-sdxl", "Ilustmix"},
    {"models--misri--plantMilkModelSuite_hempII", "PlantMilk (HempII)"},
    {"models--misri--plantMilkModelSuite_walnut", "PlantMilk (Walnut)"},
    {"models--Meina--MeinaMix_V11", "MeinaMix V11"},
    {"models--digiplay--ChikMix_V3", "ChikMix V3"},
    {"models--mirroring--pastel-mix", "Pastel Mix"},
};

static int compare_names(const void *a, const void *b)
{
    const struct library_label *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int compare_labels(const void *a, const void *b)
{
    const struct library_label *x = a, *y = b;
    int order = strcmp(x->label, y->label);
    return order ? order : strcmp(x->name, y->name);
}

static struct library_labels_table *new_table(size_t rows, size_t text_bytes)
{
    struct library_labels_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    atomic_init(&t->holders, 1);
    t->by_name = calloc(rows + 1, sizeof *t->by_name);
    t->by_label = calloc(rows + 1, sizeof *t->by_label);
    t->text = malloc(text_bytes + 1);
    if (!t->by_name || !t->by_label || !t->text) {
        library_labels_free(t);
        return NULL;
    }
    return t;
}

static char *copy_text(char **next, const char *text)
{
    size_t len = strlen(text) + 1;
    char *to = *next;
    memcpy(to, text, len);
    *next += len;
    return to;
}

/* rows are the caller's; the table has copies. */
static bool make_table(struct library_labels_table **out, const struct library_label *rows,
                       size_t n, struct error *err)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += strlen(rows[i].name) + strlen(rows[i].label) + 2;

    struct library_labels_table *t = new_table(n, bytes);
    if (!t)
        return error_set(err, ERROR_MEMORY, "no memory for a table of labels");
    char *next = t->text;
    for (size_t i = 0; i < n; i++) {
        t->by_name[i].name = copy_text(&next, rows[i].name);
        t->by_name[i].label = copy_text(&next, rows[i].label);
    }
    t->n = n;
    memcpy(t->by_label, t->by_name, n * sizeof *t->by_name);
    qsort(t->by_name, n, sizeof *t->by_name, compare_names);
    qsort(t->by_label, n, sizeof *t->by_label, compare_labels);
    *out = t;
    return true;
}

bool library_labels_shipped(struct library_labels_table **out, struct error *err)
{
    return make_table(out, shipped, sizeof shipped / sizeof *shipped, err);
}

static bool is_good(const char *text, size_t room)
{
    size_t len = strlen(text);
    return len > 0 && len < room && utf8_is_text(text, len);
}

static bool read_rows(struct library_label *rows, const struct json *j, struct error *err)
{
    const char *name;
    json_t *value;
    size_t n = 0;

    json_object_foreach(j->root, name, value)
    {
        const char *label = json_string_value(value);
        if (!is_good(name, LIBRARY_NAME_BYTES))
            return error_set(err, ERROR_CORRUPT,
                             "%s: row %zu: a model's name has 1 to %d bytes of text", j->file,
                             n + 1, LIBRARY_NAME_BYTES - 1);
        if (!label || !is_good(label, LIBRARY_LABELS_LABEL_BYTES))
            return error_set(err, ERROR_CORRUPT,
                             "%s: the label of '%.120s' must be a text of 1 to %d bytes", j->file,
                             name, LIBRARY_LABELS_LABEL_BYTES - 1);
        rows[n++] = (struct library_label){name, label};
    }
    return true;
}

bool library_labels_parse(struct library_labels_table **out, const char *name, const void *bytes,
                          size_t n_bytes, struct error *err)
{
    struct json j;

    if (!json_read_bytes(&j, name, bytes, n_bytes, LIBRARY_LABELS_MAX_BYTES, err))
        return false;
    size_t n = json_object_size(j.root);
    struct library_label *rows = NULL;
    bool ok = n <= LIBRARY_LABELS_MAX_ROWS ||
              error_set(err, ERROR_LIMIT, "%s: %zu labels, the limit is %d", name, n,
                        LIBRARY_LABELS_MAX_ROWS);
    if (ok) {
        rows = calloc(n + 1, sizeof *rows);
        ok = rows || error_set(err, ERROR_MEMORY, "no memory for a table of labels");
    }
    ok = ok && read_rows(rows, &j, err) && make_table(out, rows, n, err);
    free(rows);
    json_clear(&j);
    return ok;
}

bool library_labels_read(struct library_labels_table **out, const char *path, struct error *err)
{
    char *bytes = NULL;
    size_t n = 0;

    if (!fs_read(&bytes, &n, path, LIBRARY_LABELS_MAX_BYTES, err))
        return false;
    bool ok = library_labels_parse(out, path, bytes, n, err);
    free(bytes);
    return ok;
}

struct library_labels_table *library_labels_keep(struct library_labels_table *t)
{
    atomic_fetch_add_explicit(&t->holders, 1, memory_order_relaxed);
    return t;
}

void library_labels_free(struct library_labels_table *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->holders, 1, memory_order_acq_rel) != 1)
        return;
    free(t->by_name);
    free(t->by_label);
    free(t->text);
    free(t);
}

const char *library_labels_find(const struct library_labels_table *t, const char *name)
{
    const struct library_label key = {.name = name};
    const struct library_label *found =
        bsearch(&key, t->by_name, t->n, sizeof *t->by_name, compare_names);
    return found ? found->label : NULL;
}

const struct library_label *library_labels_rows(const struct library_labels_table *t, size_t *n)
{
    *n = t->n;
    return t->by_label;
}
