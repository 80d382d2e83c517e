#include "library/library_walk.h"

#include "base/utf8.h"
#include "library/library_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct walk {
    struct library_walk_list *out;
    enum library_kind kind;
    struct library_folder_fence fence;
    int names; /* looked at so far */
};

/* Endings by kind, the one that wins a name first. */
static const char *const endings[LIBRARY_KINDS][6] = {
    [LIBRARY_MODEL] = {".safetensors", ".ckpt", ".pt"},
    [LIBRARY_LORA] = {".safetensors", ".pt", ".pth", ".bin", ".ckpt"},
    [LIBRARY_UPSCALER] = {".safetensors", ".pth", ".pt", ".ckpt", ".bin"},
    [LIBRARY_EMBEDDING] = {".safetensors", ".pt", ".bin", ".pth"},
    [LIBRARY_VAE] = {".safetensors", ".pt", ".ckpt", ".pth", ".bin"},
};

bool library_walk_has_ending(enum library_kind kind, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < 6 && endings[kind][i]; i++) {
        size_t n = strlen(endings[kind][i]);
        if (len > n && strcmp(name + len - n, endings[kind][i]) == 0)
            return true;
    }
    return false;
}

void library_walk_clear(struct library_walk_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->found[i].file_name);
        free(list->found[i].path);
    }
    free(list->found);
    *list = (struct library_walk_list){0};
}

static bool add(struct library_walk_list *out, struct library_walk_found f, const char *file_name,
                const char *path, struct error *err)
{
    if (out->n == LIBRARY_MAX_ENTRIES) {
        out->cut = true;
        return true;
    }
    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 32;
        struct library_walk_found *grown = realloc(out->found, cap * sizeof *grown);
        if (!grown)
            return error_set(err, ERROR_MEMORY, "no memory for a list of files");
        out->found = grown;
        out->cap = cap;
    }
    f.file_name = strdup(file_name);
    f.path = strdup(path);
    if (!f.file_name || !f.path) {
        free(f.file_name);
        free(f.path);
        return error_set(err, ERROR_MEMORY, "no memory for a list of files");
    }
    out->found[out->n++] = f;
    return true;
}

static bool add_file(struct walk *w, const char *rel, const char *path, const struct stat *st,
                     const char *problem, struct error *err)
{
    struct library_folder_size size = {0};

    if (st)
        library_folder_count(&size, rel, st);
    return add(w->out,
               (struct library_walk_found){.problem = problem,
                                           .bytes = size.bytes,
                                           .modified_ns = size.modified_ns,
                                           .stamp = size.stamp},
               rel, path, err);
}

static bool add_folder(struct walk *w, const char *rel, const char *path, const char *problem,
                       struct error *err)
{
    struct library_folder_size size = {.problem = problem};

    if (!problem)
        library_folder_measure(&size, w->kind, path, &w->fence);
    return add(w->out,
               (struct library_walk_found){.problem = size.problem,
                                           .is_folder = true,
                                           .bytes = size.bytes,
                                           .modified_ns = size.modified_ns,
                                           .stamp = size.stamp},
               rel, path, err);
}

/* The names in one folder, sorted, so that limits cut the same everywhere. */
struct names {
    char **name; /* owned, each */
    size_t n, cap;
};

static void clear_names(struct names *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->name[i]);
    free(list->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add_name(struct names *list, const char *name, struct error *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;
        char **grown = realloc(list->name, cap * sizeof *grown);
        if (!grown)
            return error_set(err, ERROR_MEMORY, "no memory for a list of names");
        list->name = grown;
        list->cap = cap;
    }
    list->name[list->n] = strdup(name);
    if (!list->name[list->n])
        return error_set(err, ERROR_MEMORY, "no memory for a list of names");
    list->n++;
    return true;
}

/* Hidden files, and names that could not stand in a list or a prompt, are none of ours. */
static bool is_name(const char *name)
{
    return name[0] != '.' && !strchr(name, '\\') && utf8_is_text(name, strlen(name));
}

static bool read_names(struct names *out, struct walk *w, DIR *d, struct error *err)
{
    const struct dirent *e;

    while ((e = readdir(d)) != NULL) {
        if (w->names == LIBRARY_WALK_MAX_NAMES) {
            w->out->cut = true;
            break;
        }
        w->names++;
        if (is_name(e->d_name) && !add_name(out, e->d_name, err))
            return false;
    }
    if (out->n > 1)
        qsort(out->name, out->n, sizeof *out->name, by_name);
    return true;
}

static bool walk_folder(struct walk *w, const char *path, const char *rel, int depth,
                        struct error *err);

/* A folder of this name is an entry, or may hold entries. */
static bool enter(struct walk *w, const char *path, const char *rel, const char *name, bool is_link,
                  int depth, struct error *err)
{
    char root[LIBRARY_FOLDER_PATH_BYTES];

    if (library_folder_is_hf(name)) {
        if (!library_folder_hf_root(root, path))
            return true;
        /* A snapshot may be a link itself. */
        const char *problem = library_folder_leads_out(&w->fence, root);
        if (problem)
            return add_folder(w, rel, root, problem, err);
        path = root;
    }
    if (library_folder_is(w->kind, path))
        return add_folder(w, rel, path, NULL, err);
    /* What a link leads to is listed where it is; and links may go round in circles. */
    if (is_link)
        return true;
    if (depth + 1 >= LIBRARY_MAX_DEPTH) {
        w->out->cut = true;
        return true;
    }
    return walk_folder(w, path, rel, depth + 1, err);
}

/* TAESD comes in two files, of which the decoder stands for both. */
static bool is_second_half(enum library_kind kind, const char *path)
{
    static const char half[] = "_encoder.safetensors";
    const size_t n = strlen(path), cut = sizeof half - 1;
    char other[LIBRARY_FOLDER_PATH_BYTES];
    struct stat st;

    if (kind != LIBRARY_VAE || n <= cut || strcmp(path + n - cut, half) != 0)
        return false;
    snprintf(other, sizeof other, "%.*s_decoder.safetensors", (int)(n - cut), path);
    return stat(other, &st) == 0;
}

static bool has_folders(enum library_kind kind)
{
    return kind == LIBRARY_MODEL || kind == LIBRARY_VAE;
}

static bool take(struct walk *w, const char *dir, const char *rel_dir, const char *name, int depth,
                 struct error *err)
{
    char path[LIBRARY_FOLDER_PATH_BYTES], rel[LIBRARY_NAME_BYTES];
    const bool is_ours = library_walk_has_ending(w->kind, name);
    struct stat st;

    int a = snprintf(path, sizeof path, "%s/%s", dir, name);
    int b = snprintf(rel, sizeof rel, "%s%s%s", rel_dir, *rel_dir ? "/" : "", name);
    if (a < 0 || (size_t)a >= sizeof path || b < 0 || (size_t)b >= sizeof rel) {
        w->out->cut = true;
        return true;
    }
    if (lstat(path, &st) != 0)
        return true; /* gone meanwhile */
    const bool is_link = S_ISLNK(st.st_mode);
    if (is_link) {
        const char *problem = library_folder_leads_out(&w->fence, path);
        const bool is_there = stat(path, &st) == 0;
        if (problem && is_there && S_ISDIR(st.st_mode))
            return !has_folders(w->kind) || add_folder(w, rel, path, problem, err);
        if (problem)
            return !is_ours || add_file(w, rel, path, NULL, problem, err);
        if (!is_there)
            return true;
    }
    if (S_ISDIR(st.st_mode))
        return enter(w, path, rel, name, is_link, depth, err);
    return !S_ISREG(st.st_mode) || !is_ours || is_second_half(w->kind, path) ||
           add_file(w, rel, path, &st, NULL, err);
}

static bool walk_folder(struct walk *w, const char *path, const char *rel, int depth,
                        struct error *err)
{
    struct names names = {0};
    DIR *d = opendir(path);

    if (!d) /* of a folder below, nothing can be said; the first one must be readable */
        return depth > 0 || error_set_errno(err, errno, "cannot be read");
    bool ok = read_names(&names, w, d, err);
    closedir(d);
    for (size_t i = 0; ok && i < names.n; i++)
        ok = take(w, path, rel, names.name[i], depth, err);
    clear_names(&names);
    return ok;
}

bool library_walk(struct library_walk_list *out, enum library_kind kind, const char *folder,
                  const char *hf_cache, struct error *err)
{
    struct walk *w = calloc(1, sizeof *w);

    *out = (struct library_walk_list){0};
    if (!w)
        return error_set(err, ERROR_MEMORY, "no memory to look at a folder");
    w->out = out;
    w->kind = kind;
    bool ok = !library_folder_fence(&w->fence, folder, hf_cache) ||
              walk_folder(w, w->fence.root, "", 0, err) ||
              error_prefix(err, "the folder of %ss", library_kind_name(kind));
    free(w);
    return ok;
}

bool library_walk_one(struct library_walk_list *out, enum library_kind kind, const char *path,
                      struct error *err)
{
    /* Whoever wrote the setting may link as he likes. */
    struct walk w = {.out = out, .kind = kind, .fence = {.root = "/"}};
    const char *slash = strrchr(path, '/');
    struct stat st;

    if (stat(path, &st) != 0)
        return error_set_errno(err, errno, "cannot be opened");
    return S_ISDIR(st.st_mode) ? add_folder(&w, slash ? slash + 1 : path, path, NULL, err)
                               : add_file(&w, slash ? slash + 1 : path, path, &st, NULL, err);
}
