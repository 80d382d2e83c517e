#include "library/library.h"

#include "base/clock.h"
#include "base/fs.h"
#include "library/library_internal.h"
#include "library/library_look.h"
#include "library/library_shelf.h"
#include "library/library_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A look younger than this is good enough for whoever asks. */
#define LOOK_SECONDS 1.0

#define NEVER (-1e9)

const char *library_kind_name(enum library_kind kind)
{
    static const char *const names[LIBRARY_KINDS] = {"model", "lora", "upscaler", "embedding",
                                                     "vae"};
    return names[kind];
}

/* Opening. */

static bool copy_text(char **out, const char *text, struct error *err)
{
    *out = strdup(text ? text : "");
    return *out || error_set(err, ERROR_MEMORY, "no memory for the library's settings");
}

static bool copy_settings(struct library *lib, const struct library_settings *s, struct error *err)
{
    char labels[LIBRARY_WALK_PATH_BYTES];

    for (int i = 0; i < LIBRARY_KINDS; i++)
        if (!copy_text(&lib->folders[i], s->folders[i], err))
            return false;
    lib->labels_named = s->labels_file && s->labels_file[0];
    if (lib->labels_named)
        snprintf(labels, sizeof labels, "%s", s->labels_file);
    else if (!fs_join(labels, sizeof labels, lib->folders[LIBRARY_MODEL], "labels.json", err))
        return false;
    return copy_text(&lib->default_model, s->default_model, err) &&
           copy_text(&lib->demo_model, s->demo_model, err) &&
           copy_text(&lib->labels_file, labels, err) &&
           copy_text(&lib->hf_cache, s->hf_cache, err) &&
           library_hashes_open(&lib->hashes, s->hash_file ? s->hash_file : "", err);
}

/* Where the labels come from now: a file, or (zero) the program's own table. */
static struct stat look_at_labels(const struct library *lib)
{
    struct stat st, none = {0};

    if (lib->labels_named ? stat(lib->labels_file, &st) != 0
                          : !lib->folders[LIBRARY_MODEL][0] || lstat(lib->labels_file, &st) != 0 ||
                                !S_ISREG(st.st_mode))
        return none;
    return st;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtime == b->st_mtime &&
           a->st_dev == b->st_dev;
}

/* Reads the labels where their file has changed.  On false the old ones stay. */
static bool read_labels(struct library *lib, struct error *err)
{
    const struct stat now = look_at_labels(lib);
    struct library_labels_table *table = NULL;

    pthread_mutex_lock(&lib->lock);
    const bool known = lib->labels && is_same_file(&now, &lib->labels_seen);
    lib->labels_seen = now;
    pthread_mutex_unlock(&lib->lock);
    if (known)
        return true;
    if (!(now.st_ino || lib->labels_named ? library_labels_read(&table, lib->labels_file, err)
                                          : library_labels_shipped(&table, err)))
        return error_prefix(err, "labels");
    pthread_mutex_lock(&lib->lock);
    struct library_labels_table *old = lib->labels;
    lib->labels = table;
    pthread_mutex_unlock(&lib->lock);
    library_labels_free(old);
    return true;
}

bool library_open(struct library **out, const struct library_settings *s, struct error *err)
{
    struct library *lib = calloc(1, sizeof *lib);

    if (!lib)
        return error_set(err, ERROR_MEMORY, "no memory for the library");
    pthread_mutex_init(&lib->lock, NULL);
    pthread_cond_init(&lib->looked, NULL);
    for (int i = 0; i < LIBRARY_KINDS; i++)
        lib->looked_at[i] = NEVER;
    if (!copy_settings(lib, s, err) || !read_labels(lib, err)) {
        library_close(lib);
        return false;
    }
    *out = lib;
    return true;
}

void library_close(struct library *lib)
{
    if (!lib)
        return;
    for (int i = 0; i < LIBRARY_KINDS; i++) {
        library_shelf_free(lib->shelves[i]);
        free(lib->folders[i]);
    }
    library_labels_free(lib->labels);
    library_hashes_close(lib->hashes);
    free(lib->default_model);
    free(lib->demo_model);
    free(lib->labels_file);
    free(lib->hf_cache);
    pthread_cond_destroy(&lib->looked);
    pthread_mutex_destroy(&lib->lock);
    free(lib);
}

/* Looking. */

/* Waits until this thread may look at the folder, and takes that on; or returns a shelf that is as
 * good: younger than a second (forced: younger than the call), or the last one while another thread
 * looks. */
static struct library_shelf *find_shelf_locked(struct library *lib, enum library_kind kind,
                                               bool forced)
{
    const double asked = clock_seconds();

    for (;;) {
        struct library_shelf *s = lib->shelves[kind];
        const double youngest = forced ? asked : asked - LOOK_SECONDS;
        if (s && (lib->looked_at[kind] >= youngest || (lib->looking[kind] && !forced)))
            return library_shelf_keep(s);
        if (!lib->looking[kind])
            break;
        pthread_cond_wait(&lib->looked, &lib->lock);
    }
    lib->looking[kind] = true;
    lib->looked_at[kind] = clock_seconds();
    return NULL;
}

/* The caller frees *out. */
static bool take_shelf(struct library_shelf **out, struct library *lib, enum library_kind kind,
                       bool forced, struct error *err)
{
    struct error ignored;

    pthread_mutex_lock(&lib->lock);
    struct library_shelf *s = find_shelf_locked(lib, kind, forced);
    struct library_shelf *last =
        !s && lib->shelves[kind] ? library_shelf_keep(lib->shelves[kind]) : NULL;
    pthread_mutex_unlock(&lib->lock);
    if (s) {
        *out = s;
        return true;
    }

    /* Damaged labels are told at the start and by library_refresh; the old ones will do here. */
    (void)read_labels(lib, &ignored);
    pthread_mutex_lock(&lib->lock);
    struct library_labels_table *labels = library_labels_keep(lib->labels);
    pthread_mutex_unlock(&lib->lock);
    library_hashes_reload(lib->hashes);
    const bool ok = library_look(&s, lib, kind, last, labels, err);
    library_labels_free(labels);
    library_shelf_free(last);

    pthread_mutex_lock(&lib->lock);
    lib->looking[kind] = false;
    struct library_shelf *old = NULL;
    if (ok) {
        old = lib->shelves[kind];
        lib->shelves[kind] = library_shelf_keep(s);
    }
    pthread_cond_broadcast(&lib->looked);
    pthread_mutex_unlock(&lib->lock);
    library_shelf_free(old);
    *out = s;
    return ok;
}

bool library_refresh(struct library *lib, struct error *err)
{
    bool ok = read_labels(lib, err);

    for (int i = 0; ok && i < LIBRARY_KINDS; i++) {
        struct library_shelf *s = NULL;
        ok = take_shelf(&s, lib, (enum library_kind)i, true, err);
        if (ok)
            library_shelf_free(s);
    }
    return ok;
}

bool library_list(struct library *lib, enum library_kind kind, struct library_list *out,
                  struct error *err)
{
    struct library_shelf *s;

    *out = (struct library_list){0};
    if (!take_shelf(&s, lib, kind, false, err))
        return false;
    *out = (struct library_list){.entries = s->entries, .n = s->n, .owned = s, .cut = s->cut};
    return true;
}

void library_list_clear(struct library_list *list)
{
    library_shelf_free(list->owned);
    *list = (struct library_list){0};
}

bool library_default_model(struct library *lib, const struct library_entry **out, struct error *err)
{
    struct library_shelf *s;

    if (!take_shelf(&s, lib, LIBRARY_MODEL, false, err))
        return false;
    const bool ok = s->standard != NULL;
    if (ok)
        *out = library_entry_keep(s->standard);
    else if (lib->default_model[0])
        error_set(err, ERROR_NOT_FOUND, "there is no model '%.200s', which is the default",
                  lib->default_model);
    else
        error_set(err, ERROR_NOT_FOUND, "there is no model: the folder of models is empty");
    library_shelf_free(s);
    return ok;
}

bool library_labels(struct library *lib, struct library_labels *out, struct error *err)
{
    struct error ignored;

    (void)err; /* the table is always there */
    (void)read_labels(lib, &ignored);
    pthread_mutex_lock(&lib->lock);
    out->owned = library_labels_keep(lib->labels);
    pthread_mutex_unlock(&lib->lock);
    out->rows = library_labels_rows(out->owned, &out->n);
    return true;
}

void library_labels_clear(struct library_labels *labels)
{
    library_labels_free(labels->owned);
    *labels = (struct library_labels){0};
}
