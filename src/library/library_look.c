#include "library/library_look.h"

#include "library/library_details.h"
#include "library/library_folder.h"
#include "library/library_names.h"
#include "library/library_shelf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Digits of the hashes that web UIs show. */
static const int short_digits[LIBRARY_KINDS] = {10, 12, 10, 12, 10};

/* An entry in the making. */
struct draft {
    struct library_entry e;
    struct library_entry_extra x;
    struct library_details d;
    char repository[LIBRARY_NAME_BYTES];
};

static void cut_hash(char out[LIBRARY_SHORT_HASH_BYTES], const char *hash, enum library_kind kind)
{
    snprintf(out, LIBRARY_SHORT_HASH_BYTES, "%.*s", short_digits[kind], hash);
}

/* row NULL: not known. */
static void set_hashes(struct library_entry *e, const char *sshs_hash,
                       const struct library_hashes_row *row)
{
    const bool lora = e->kind == LIBRARY_LORA;
    const char *shown = lora && sshs_hash[0]      ? sshs_hash
                        : !row                    ? ""
                        : lora && row->tensors[0] ? row->tensors
                                                  : row->sha256;

    snprintf(e->sha256, sizeof e->sha256, "%s", row ? row->sha256 : "");
    cut_hash(e->short_hash, shown, e->kind);
}

const struct library_entry *library_look_hashed(const struct library_entry *e,
                                                const struct library_hashes_row *row)
{
    const struct library_entry_extra *x = library_entry_extra_view(e);
    struct library_entry with = *e;

    set_hashes(&with, x->sshs_hash, row);
    return library_entry_make(&with, x);
}

static void use_details(struct draft *d)
{
    struct library_entry *e = &d->e;

    e->family = d->d.family;
    e->model_family = d->d.model_family;
    e->v_prediction = d->d.v_prediction;
    e->native_side = d->d.native_side;
    e->scale = d->d.scale;
    e->n_vectors = d->d.n_vectors;
    memcpy(e->vector_widths, d->d.vector_widths, sizeof e->vector_widths);
    e->step = -1;
    e->alias = d->d.alias[0] ? d->d.alias : NULL;
    if (!e->problem && d->d.problem[0])
        e->problem = d->d.problem;
    if (d->d.passing)
        d->x.stamp = 0;
    memcpy(d->x.sshs_hash, d->d.sshs_hash, sizeof d->x.sshs_hash);
}

/* The same file as before, unchanged. */
static bool is_same(const struct library_entry *old, const struct library_walk_found *f,
                    const char *label)
{
    const struct library_entry_extra *x = old ? library_entry_extra_view(old) : NULL;
    return x && x->stamp && x->stamp == f->stamp && strcmp(old->path, f->path) == 0 &&
           strcmp(old->label, label) == 0;
}

/* Old entries keep their block unless their hash has become known. */
static const struct library_entry *take_over(const struct library_entry *old,
                                             const struct library_hashes_row *row)
{
    if (strcmp(old->sha256, row ? row->sha256 : "") == 0)
        return library_entry_keep(old);
    return library_look_hashed(old, row);
}

static const char *label_of(const struct library_labels_table *labels, const char *name,
                            const struct library_walk_found *f, const char *repository)
{
    const char *label = library_labels_find(labels, name);

    if (!label)
        label = library_labels_find(labels, f->file_name);
    if (!label && repository[0])
        label = library_labels_find(labels, repository);
    return label ? label : name;
}

struct look {
    struct library *lib;
    enum library_kind kind;
    const struct library_shelf *last;
    const struct library_labels_table *labels;
    char root[LIBRARY_FOLDER_PATH_BYTES]; /* "" when there is no folder */
};

static const struct library_entry *make_entry(const struct look *l, const char *name,
                                              const struct library_walk_found *f)
{
    const struct library_entry *old = library_shelf_find(l->last, name), *made = NULL;
    struct draft *d = calloc(1, sizeof *d);
    struct library_hashes_row row;

    if (!d)
        return NULL;
    library_folder_repository(d->repository, name);
    const char *label = label_of(l->labels, name, f, d->repository);
    const bool hashed =
        library_hashes_find(l->lib->hashes, f->path, f->bytes, f->modified_ns, &row);
    if (is_same(old, f, label)) {
        made = take_over(old, hashed ? &row : NULL);
    } else {
        d->e = (struct library_entry){.kind = l->kind,
                                      .name = name,
                                      .label = label,
                                      .file_name = f->file_name,
                                      .path = f->path,
                                      .repository = d->repository[0] ? d->repository : NULL,
                                      .problem = f->problem,
                                      .is_folder = f->is_folder,
                                      .bytes = f->bytes,
                                      .modified_unix_ms = f->modified_ns / 1000000};
        d->x = (struct library_entry_extra){.stamp = f->stamp, .modified_ns = f->modified_ns};
        d->d.family = "";
        if (!f->problem)
            library_details_read(&d->d, l->kind, f->path, l->root);
        use_details(d);
        set_hashes(&d->e, d->x.sshs_hash, hashed ? &row : NULL);
        made = library_entry_make(&d->e, &d->x);
    }
    free(d);
    return made;
}

/* Moves what was found onto a shelf with room for `spare` more. */
static bool fill(struct library_shelf **out, const struct look *l,
                 const struct library_walk_list *list, size_t spare, struct error *err)
{
    char **names = calloc(list->n + 1, sizeof *names);
    struct library_shelf *s = library_shelf_new(list->n + spare);
    bool ok = (names && s) || error_set(err, ERROR_MEMORY, "no memory for a list of files");

    ok = ok && library_names_make(names, list->found, list->n, l->kind, err);
    for (size_t i = 0; ok && i < list->n; i++) {
        const struct library_entry *e = make_entry(l, names[i], &list->found[i]);
        if (e)
            s->entries[s->n++] = e;
        else
            ok = error_set(err, ERROR_MEMORY, "no memory for a list of files");
    }
    for (size_t i = 0; names && i < list->n; i++)
        free(names[i]);
    free(names);
    if (!ok) {
        library_shelf_free(s);
        return false;
    }
    s->cut = list->cut;
    library_shelf_sort(s);
    *out = s;
    return true;
}

/* The default model. */

/* An entry for a path that a setting names; NULL when there is nothing, or no memory. */
static const struct library_entry *make_outside(const struct look *l, const char *path,
                                                const char *name, bool is_demo)
{
    struct library_walk_list list = {0};
    struct library_entry with;
    struct error ignored;
    char *real = path[0] ? realpath(path, NULL) : NULL;
    const struct library_entry *e = NULL, *made = NULL;

    if (real && library_walk_one(&list, l->kind, real, &ignored) && list.n) {
        char *own = name ? strdup(name) : NULL;
        if (own || library_names_make(&own, list.found, 1, l->kind, &ignored))
            e = make_entry(l, own, &list.found[0]);
        free(own);
    }
    if (e) {
        with = *e;
        with.is_demo = is_demo;
        if (is_demo)
            with.file_name = name;
        made = library_entry_make(&with, library_entry_extra_view(e));
    }
    library_entry_free(e);
    library_walk_clear(&list);
    free(real);
    return made;
}

static const struct library_entry *best_match(const struct library_shelf *s, const char *text)
{
    const struct library_entry *best = NULL;
    int least = LIBRARY_NAMES_WORST + 1;

    for (size_t i = 0; i < s->n; i++) {
        int match = library_names_match(s->entries[i], text);
        if (match != LIBRARY_NAMES_NO && match < least) {
            best = s->entries[i];
            least = match;
        }
    }
    return best;
}

static bool is_whole(const struct library_entry *e)
{
    return !e->problem && e->model_family != MODEL_SDXL_REFINER;
}

/* The first that can draw a picture alone; one for inpainting only when there is no other. */
static const struct library_entry *first_sound(const struct library_shelf *s)
{
    const struct library_entry *second = NULL;

    for (size_t i = 0; i < s->n; i++) {
        const struct library_entry *e = s->entries[i];
        if (is_whole(e) && !strstr(e->family, "inpainting"))
            return e;
        if (is_whole(e) && !second)
            second = e;
    }
    return second;
}

static const struct library_entry *entry_at(const struct library_shelf *s, const char *path)
{
    char *real = realpath(path, NULL);
    const struct library_entry *found = NULL;

    for (size_t i = 0; real && !found && i < s->n; i++)
        if (strcmp(s->entries[i]->path, real) == 0)
            found = s->entries[i];
    free(real);
    return found;
}

/* What a request without a model means; held by nobody yet but s.  Adds a model outside the folder
 * to the shelf. */
static const struct library_entry *choose(struct library_shelf *s, const struct look *l)
{
    const char *wanted = l->lib->default_model;
    const struct library_entry *found = wanted[0] ? best_match(s, wanted) : first_sound(s);

    if (found || !wanted[0])
        return found ? found : s->demo;
    if (strcmp(wanted, "demo") == 0)
        return s->demo;
    found = entry_at(s, wanted);
    if (found)
        return found;
    found = make_outside(l, wanted, NULL, false);
    if (found && s->demo && strcmp(found->path, s->demo->path) == 0) {
        library_entry_free(found);
        return s->demo;
    }
    if (found && library_shelf_find(s, found->name)) {
        library_entry_free(found);
        found = make_outside(l, wanted, "model of the settings", false);
    }
    if (found)
        s->entries[s->n++] = found;
    return found;
}

static bool any_sound(const struct library_shelf *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (!s->entries[i]->problem)
            return true;
    return false;
}

static void add_default(struct library_shelf *s, const struct look *l)
{
    s->demo = make_outside(l, l->lib->demo_model, "demo", true);
    const struct library_entry *standard = choose(s, l);
    s->standard = standard ? library_entry_keep(standard) : NULL;
    library_shelf_sort(s);
    if (s->demo && (standard == s->demo || !any_sound(s)) && !library_shelf_find(s, "demo"))
        s->entries[s->n++] = library_entry_keep(s->demo);
    library_shelf_sort(s);
}

bool library_look(struct library_shelf **out, struct library *lib, enum library_kind kind,
                  const struct library_shelf *last, const struct library_labels_table *labels,
                  struct error *err)
{
    struct look l = {.lib = lib, .kind = kind, .last = last, .labels = labels};
    struct library_walk_list list = {0};
    char *root = lib->folders[kind][0] ? realpath(lib->folders[kind], NULL) : NULL;

    snprintf(l.root, sizeof l.root, "%s", root ? root : "");
    free(root);
    bool ok = !l.root[0] || library_walk(&list, kind, l.root, lib->hf_cache, err);
    ok = ok && fill(out, &l, &list, 2, err); /* the demo model, and one outside the folder */
    library_walk_clear(&list);
    if (ok && kind == LIBRARY_MODEL)
        add_default(*out, &l);
    return ok;
}
