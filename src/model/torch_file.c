/* Format: torch/serialization.py, _save and _legacy_save. */
#include "model/torch_file.h"

#include "base/le.h"
#include "base/size.h"
#include "model/torch_pickle.h"
#include "model/zip_index.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PICKLE_MARK = 0x80, SAFETENSORS_PREFIX_BYTES = 9, PROTOCOL = 1001, COUNT_BYTES = 8 };

/* 0x1950a86a20f9469cfc6c, the number a file of the older kind begins with. */
static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};

struct torch_file {
    char *path;
    struct torch_pickle_tensors tensors;
};

static bool is_zip(const unsigned char *bytes, size_t n)
{
    return n >= 4 && (memcmp(bytes, "PK\3\4", 4) == 0 || memcmp(bytes, "PK\5\6", 4) == 0);
}

/* A zip's mark would be a safetensors header larger than any.  A pickle's could be one of 640 bytes
 * or so, which the brace that such headers begin with tells apart. */
bool torch_file_is_torch(const unsigned char *bytes, size_t n)
{
    static const unsigned char zeros[4] = {0};

    if (is_zip(bytes, n))
        return true;
    if (n < 2 || bytes[0] != PICKLE_MARK || bytes[1] < 2 || bytes[1] > 5)
        return false;
    return n < SAFETENSORS_PREFIX_BYTES || memcmp(bytes + 4, zeros, 4) != 0 || bytes[8] != '{';
}

/* The zip container. */

struct zip_storages {
    const unsigned char *bytes;
    const struct zip_index *index;
    const char *folder; /* the archive's name and a slash, which every entry begins with */
    size_t folder_bytes;
};

static const struct zip_index_entry *find_entry(const struct zip_storages *z, const char *name,
                                                struct pickle_text more)
{
    char path[ZIP_INDEX_MAX_NAME_BYTES];
    size_t len = strlen(name);

    if (more.len > sizeof path || z->folder_bytes + len + more.len > sizeof path)
        return NULL;
    memcpy(path, z->folder, z->folder_bytes);
    memcpy(path + z->folder_bytes, name, len);
    if (more.len)
        memcpy(path + z->folder_bytes + len, more.ptr, more.len);
    return zip_index_find(z->index, path, z->folder_bytes + len + more.len);
}

static bool find_in_zip(void *ctx, const struct torch_pickle_storage *s,
                        const unsigned char **bytes, struct error *err)
{
    const struct zip_storages *z = ctx;
    const struct zip_index_entry *e = find_entry(z, "data/", s->key);
    int len = (int)(s->key.len < 100 ? s->key.len : 100);

    if (!e)
        return error_set(err, ERROR_CORRUPT, "its storage 'data/%.*s' is not in the zip", len,
                         s->key.ptr);
    if (e->n_bytes < s->elements * s->element_bytes)
        return error_set(err, ERROR_CORRUPT,
                         "its storage 'data/%.*s' has %" PRIu64 " bytes, the pickle says %" PRIu64,
                         len, s->key.ptr, e->n_bytes, s->elements * s->element_bytes);
    *bytes = z->bytes + e->at;
    return true;
}

/* Entries are sorted by name, so the shortest that ends in /data.pkl need not come first; there may
 * be only one. */
static bool find_pickle(struct zip_storages *z, const struct zip_index_entry **out,
                        struct error *err)
{
    static const char ending[] = "data.pkl";
    const size_t n = sizeof ending - 1;

    *out = NULL;
    for (size_t i = 0; i < z->index->n; i++) {
        const struct zip_index_entry *e = &z->index->entries[i];
        if (e->name_bytes < n || memcmp(e->name + e->name_bytes - n, ending, n) != 0)
            continue;
        size_t before = e->name_bytes - n;
        if (before > 0 && (e->name[before - 1] != '/' || memchr(e->name, '/', before - 1)))
            continue; /* deeper down: not where PyTorch puts it */
        if (*out)
            return error_set(err, ERROR_CORRUPT, "the zip has more than one data.pkl");
        *out = e;
        z->folder = e->name;
        z->folder_bytes = before;
    }
    return *out != NULL ||
           error_set(err, ERROR_CORRUPT, "is a zip, but not one of PyTorch: it has no data.pkl");
}

static bool check_byte_order(const struct zip_storages *z, struct error *err)
{
    const struct zip_index_entry *e = find_entry(z, "byteorder", (struct pickle_text){0});
    return !e || (e->n_bytes == 6 && memcmp(z->bytes + e->at, "little", 6) == 0) ||
           error_set(err, ERROR_INVALID,
                     "was written on a big-endian machine: its numbers are not read");
}

static bool read_zip(struct torch_file *file, const unsigned char *bytes, size_t n_bytes,
                     struct error *err)
{
    struct zip_index index;
    struct pickle p = {0};
    const struct zip_index_entry *e;

    if (!zip_index_read(&index, bytes, n_bytes, err))
        return false;
    struct zip_storages z = {.bytes = bytes, .index = &index};
    bool ok = find_pickle(&z, &e, err) && check_byte_order(&z, err);
    if (ok && e->n_bytes > PICKLE_MAX_BYTES)
        ok = error_set(err, ERROR_LIMIT, "data.pkl: larger than %d MB", PICKLE_MAX_BYTES >> 20);
    if (ok)
        ok = (pickle_read(&p, bytes + e->at, (size_t)e->n_bytes, torch_pickle_allows, err) &&
              torch_pickle_collect(&file->tensors, &p, find_in_zip, &z, err)) ||
             error_prefix(err, "data.pkl");
    pickle_clear(&p);
    zip_index_clear(&index);
    return ok;
}

/* The older container. */

struct legacy_storage {
    struct torch_pickle_storage s;
    const unsigned char *bytes; /* NULL until found */
};

struct legacy {
    const unsigned char *bytes;
    size_t n_bytes, at;
    struct legacy_storage *storages; /* sorted by key */
    size_t n;
};

static int compare_keys(const void *a, const void *b)
{
    const struct legacy_storage *x = a, *y = b;
    size_t n = x->s.key.len < y->s.key.len ? x->s.key.len : y->s.key.len;
    int order = memcmp(x->s.key.ptr, y->s.key.ptr, n);
    return order ? order : (x->s.key.len > y->s.key.len) - (x->s.key.len < y->s.key.len);
}

static struct legacy_storage *find_storage(const struct legacy *l, struct pickle_text key)
{
    struct legacy_storage wanted = {.s = {.key = key}};
    return l->n ? bsearch(&wanted, l->storages, l->n, sizeof wanted, compare_keys) : NULL;
}

static bool find_in_legacy(void *ctx, const struct torch_pickle_storage *s,
                           const unsigned char **bytes, struct error *err)
{
    const struct legacy *l = ctx;
    const struct legacy_storage *found = find_storage(l, s->key);
    if (!found || !found->bytes)
        return error_set(err, ERROR_CORRUPT, "its storage is not in the file");
    *bytes = found->bytes;
    return true;
}

static bool read_next(struct legacy *l, struct pickle *p, struct error *err)
{
    if (!pickle_read(p, l->bytes + l->at, l->n_bytes - l->at, torch_pickle_allows, err))
        return false;
    l->at += p->n_bytes;
    return true;
}

/* Every storage that the pickle mentions, once. */
static bool list_storages(struct legacy *l, const struct pickle *p, struct error *err)
{
    size_t n = 0, kept = 0;

    for (size_t i = 0; i < p->n_values; i++)
        n += p->values[i].kind == PICKLE_REFERENCE;
    l->storages = calloc(n + 1, sizeof *l->storages);
    if (!l->storages)
        return error_set(err, ERROR_MEMORY, "no memory for the list of storages");
    for (size_t i = 0; i < p->n_values; i++)
        if (p->values[i].kind == PICKLE_REFERENCE &&
            !torch_pickle_storage(p, &p->values[i], &l->storages[l->n++].s, err))
            return false;
    qsort(l->storages, l->n, sizeof *l->storages, compare_keys);
    for (size_t i = 0; i < l->n; i++) {
        const struct torch_pickle_storage *s = &l->storages[i].s;
        const struct torch_pickle_storage *last = kept ? &l->storages[kept - 1].s : NULL;
        if (!last || compare_keys(&l->storages[i], &l->storages[kept - 1]) != 0)
            l->storages[kept++] = l->storages[i];
        else if (last->elements != s->elements || last->dtype_name != s->dtype_name)
            return error_set(err, ERROR_CORRUPT, "tells two stories of storage '%.*s'",
                             (int)(s->key.len < 100 ? s->key.len : 100), s->key.ptr);
    }
    l->n = kept;
    return true;
}

static bool bad_storage(struct pickle_text key, const char *what, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "storage '%.*s' %s", (int)(key.len < 100 ? key.len : 100),
                     key.ptr, what);
}

/* The storages follow the list of their keys, each behind the number of its elements. */
static bool place_storages(struct legacy *l, const struct pickle *keys, struct error *err)
{
    const struct pickle_value *list = &keys->values[keys->root];

    if (list->kind != PICKLE_LIST)
        return error_set(err, ERROR_CORRUPT, "has no list of storages");
    uint32_t item = list->object.first;
    for (uint32_t i = 0; i < list->n_items; i++) {
        const struct pickle_value *key = &keys->values[keys->items[item].value];
        item = keys->items[item].next;
        struct legacy_storage *s = key->kind == PICKLE_TEXT ? find_storage(l, key->text) : NULL;
        if (!s || s->bytes)
            return error_set(err, ERROR_CORRUPT,
                             "lists a storage that no tensor has, or lists it twice");
        if (!s->s.dtype_name)
            return bad_storage(s->s.key, "has a type that is unknown", err);
        if (l->n_bytes - l->at < COUNT_BYTES)
            return bad_storage(s->s.key, "is missing: the file is cut short", err);
        if (le_u64(l->bytes + l->at) != s->s.elements)
            return bad_storage(s->s.key, "has another size than the pickle says", err);
        l->at += COUNT_BYTES;
        if (s->s.elements * s->s.element_bytes > l->n_bytes - l->at)
            return bad_storage(s->s.key, "is longer than the file: cut short", err);
        s->bytes = l->bytes + l->at;
        l->at += (size_t)(s->s.elements * s->s.element_bytes);
    }
    return true;
}

/* What stands before the pickle that matters. */
static bool read_preamble(struct legacy *l, struct error *err)
{
    struct pickle p;
    bool ok = false;

    if (!read_next(l, &p, err))
        return false;
    const struct pickle_value *v = &p.values[p.root];
    ok = v->kind == PICKLE_LONG && v->text.len == sizeof magic &&
         memcmp(v->text.ptr, magic, sizeof magic) == 0;
    pickle_clear(&p);
    if (!ok)
        return error_set(err, ERROR_CORRUPT, "is a pickle, but not one that torch.save wrote");
    if (!read_next(l, &p, err))
        return false;
    v = &p.values[p.root];
    ok = v->kind == PICKLE_INT && v->number == PROTOCOL;
    pickle_clear(&p);
    return ok || error_set(err, ERROR_INVALID, "is of a format of PyTorch that is unknown");
}

static bool read_system(struct legacy *l, struct error *err)
{
    struct pickle p;

    if (!read_next(l, &p, err))
        return false;
    const struct pickle_value *v = &p.values[p.root];
    bool big = false;
    uint32_t at = v->kind == PICKLE_DICT && v->n_items ? v->object.first : 0;
    for (uint32_t i = 0; v->kind == PICKLE_DICT && i + 1 < v->n_items; i += 2) {
        const struct pickle_item *key = &p.items[at], *item = &p.items[key->next];
        const struct pickle_value *is = &p.values[item->value];
        at = item->next;
        if (pickle_is_text(&p.values[key->value], "little_endian"))
            big = is->kind != PICKLE_BOOL || is->number == 0;
    }
    pickle_clear(&p);
    return !big || error_set(err, ERROR_INVALID,
                             "was written on a big-endian machine: its numbers are not read");
}

static bool read_legacy(struct torch_file *file, const unsigned char *bytes, size_t n_bytes,
                        struct error *err)
{
    struct legacy l = {.bytes = bytes, .n_bytes = n_bytes};
    struct pickle p = {0}, keys = {0};

    bool ok = read_preamble(&l, err) && read_system(&l, err) && read_next(&l, &p, err) &&
              list_storages(&l, &p, err) && read_next(&l, &keys, err) &&
              place_storages(&l, &keys, err) &&
              torch_pickle_collect(&file->tensors, &p, find_in_legacy, &l, err);
    free(l.storages);
    pickle_clear(&keys);
    pickle_clear(&p);
    return ok;
}

bool torch_file_from_bytes(struct torch_file **out, const char *name, const unsigned char *bytes,
                           size_t n_bytes, struct error *err)
{
    struct torch_file *file = calloc(1, sizeof *file);
    if (file)
        file->path = strdup(name);
    if (!file || !file->path) {
        torch_file_close(file);
        return error_set(err, ERROR_MEMORY, "%s: no memory for a file handle", name);
    }
    if (!(is_zip(bytes, n_bytes) ? read_zip : read_legacy)(file, bytes, n_bytes, err)) {
        torch_file_close(file);
        return error_prefix(err, "%s", name);
    }
    *out = file;
    return true;
}

void torch_file_close(struct torch_file *file)
{
    if (!file)
        return;
    torch_pickle_clear(&file->tensors);
    free(file->path);
    free(file);
}

const char *torch_file_path(const struct torch_file *file)
{
    return file->path;
}

size_t torch_file_count(const struct torch_file *file)
{
    return file->tensors.n;
}

const struct tensor_info *torch_file_at(const struct torch_file *file, size_t i)
{
    return &file->tensors.tensors[i];
}

static int compare_names(const void *key, const void *tensor)
{
    return strcmp(key, ((const struct tensor_info *)tensor)->name);
}

const struct tensor_info *torch_file_find(const struct torch_file *file, const char *name)
{
    return bsearch(name, file->tensors.tensors, file->tensors.n, sizeof(struct tensor_info),
                   compare_names);
}
