#include "model/safetensors.h"

#include "base/file_map.h"
#include "base/json.h"
#include "base/size.h"
#include "model/safetensors_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_LENGTH_BYTES = 8 };

struct safetensors {
    struct file_map map; /* zero when the bytes are borrowed */
    char *path;
    struct tensor_info *tensors; /* sorted by name */
    size_t n_tensors;
    char *names; /* storage of every name and dtype name */
    uint64_t unused_bytes;
};

/* Where parsing stands: the data part, and what is free of the names' storage. */
struct parse {
    struct safetensors *file;
    const unsigned char *data;
    uint64_t data_bytes;
    char *next_name;
};

struct dtype_row {
    const char *name;
    uint64_t bytes;
    bool known;
    enum dtype dtype;
};

/* The format's types; those the engine has no use for are known by size alone. */
static const struct dtype_row dtype_rows[] = {
    {"F32", 4, true, DTYPE_F32},      {"F16", 2, true, DTYPE_F16},
    {"BF16", 2, true, DTYPE_BF16},    {"F64", 8, true, DTYPE_F64},
    {"I32", 4, true, DTYPE_I32},      {"I64", 8, true, DTYPE_I64},
    {"BOOL", 1, false, DTYPE_F32},    {"U8", 1, false, DTYPE_F32},
    {"I8", 1, false, DTYPE_F32},      {"I16", 2, false, DTYPE_F32},
    {"U16", 2, false, DTYPE_F32},     {"U32", 4, false, DTYPE_F32},
    {"U64", 8, false, DTYPE_F32},     {"F8_E4M3", 1, false, DTYPE_F32},
    {"F8_E5M2", 1, false, DTYPE_F32},
};

static const struct dtype_row *find_dtype(const char *name)
{
    for (size_t i = 0; i < sizeof dtype_rows / sizeof dtype_rows[0]; i++)
        if (strcmp(dtype_rows[i].name, name) == 0)
            return &dtype_rows[i];
    return NULL;
}

/* A range is good when it lies inside the data part and holds exactly what type and shape ask. */
bool safetensors_range_check(struct byte_range r, uint64_t data_bytes, uint64_t want_bytes,
                             const char *name, struct error *err)
{
    if (r.begin > r.end || r.end > data_bytes)
        return error_set(err, ERROR_CORRUPT,
                         "tensor '%.200s' claims bytes %" PRIu64 "..%" PRIu64 " of %" PRIu64, name,
                         r.begin, r.end, data_bytes);
    if (r.end - r.begin != want_bytes)
        return error_set(err, ERROR_CORRUPT,
                         "tensor '%.200s' has %" PRIu64 " bytes, its shape needs %" PRIu64, name,
                         r.end - r.begin, want_bytes);
    return true;
}

static const char *keep_name(struct parse *p, const char *name)
{
    size_t len = strlen(name) + 1;
    char *kept = p->next_name;
    memcpy(kept, name, len);
    p->next_name += len;
    return kept;
}

static bool read_shape(struct tensor_info *t, const json_t *shape, uint64_t element_bytes,
                       uint64_t *want_bytes, struct error *err)
{
    size_t total = (size_t)element_bytes;

    if (!json_is_array(shape) || json_array_size(shape) > TENSOR_INFO_MAX_DIMS)
        return error_set(err, ERROR_CORRUPT,
                         "tensor '%.200s' has no shape of at most %d dimensions", t->name,
                         TENSOR_INFO_MAX_DIMS);
    t->n_dims = (int)json_array_size(shape);
    for (int i = 0; i < t->n_dims; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return error_set(err, ERROR_CORRUPT,
                             "tensor '%.200s': dimension %d is not a whole number", t->name, i);
        t->dims[i] = json_integer_value(dim);
        if (!size_mul(&total, total, (size_t)t->dims[i]))
            return error_set(err, ERROR_CORRUPT, "tensor '%.200s' claims more bytes than exist",
                             t->name);
    }
    *want_bytes = total;
    return true;
}

static bool read_range(struct byte_range *r, const json_t *offsets, const char *name,
                       struct error *err)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        json_integer_value(begin) < 0 || json_integer_value(end) < 0)
        return error_set(err, ERROR_CORRUPT, "tensor '%.200s' has no pair of data_offsets", name);
    r->begin = (uint64_t)json_integer_value(begin);
    r->end = (uint64_t)json_integer_value(end);
    return true;
}

static bool read_tensor(struct parse *p, const char *name, const json_t *value, struct error *err)
{
    struct tensor_info *t = &p->file->tensors[p->file->n_tensors];
    const json_t *dtype = json_object_get(value, "dtype");
    struct byte_range r;
    uint64_t want_bytes = 0;

    t->name = keep_name(p, name);
    if (!json_is_object(value) || !json_is_string(dtype))
        return error_set(err, ERROR_CORRUPT, "tensor '%.200s' has no dtype", name);
    t->dtype_name = keep_name(p, json_string_value(dtype));

    const struct dtype_row *row = find_dtype(t->dtype_name);
    if (!read_shape(t, json_object_get(value, "shape"), row ? row->bytes : 1, &want_bytes, err) ||
        !read_range(&r, json_object_get(value, "data_offsets"), name, err))
        return false;
    if (!row && r.end >= r.begin)
        want_bytes = r.end - r.begin; /* the size of a type we never heard of is its own affair */
    if (!safetensors_range_check(r, p->data_bytes, want_bytes, name, err))
        return false;

    t->dtype_known = row && row->known;
    t->dtype = row ? row->dtype : DTYPE_F32;
    t->bytes = p->data + r.begin;
    t->n_bytes = r.end - r.begin;
    p->file->n_tensors++;
    return true;
}

static int compare_names(const void *a, const void *b)
{
    const struct tensor_info *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static int compare_places(const void *a, const void *b)
{
    const struct tensor_info *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

/* Leaves the tensors in the order of their places. */
static bool check_overlaps(struct parse *p, struct error *err)
{
    const struct tensor_info *t = p->file->tensors;
    uint64_t used = 0, end = 0;

    qsort(p->file->tensors, p->file->n_tensors, sizeof *t, compare_places);
    for (size_t i = 0; i < p->file->n_tensors; i++) {
        if (t[i].n_bytes == 0)
            continue;
        uint64_t begin = (uint64_t)(t[i].bytes - p->data);
        if (begin < end)
            return error_set(err, ERROR_CORRUPT,
                             "tensor '%.200s' overlaps another one at byte %" PRIu64, t[i].name,
                             begin);
        end = begin + t[i].n_bytes;
        used += t[i].n_bytes;
    }
    p->file->unused_bytes = p->data_bytes - used;
    return true;
}

/* Counts what the tensors will need, so that each array is allocated once. */
static bool make_room(struct parse *p, json_t *root, struct error *err)
{
    size_t name_bytes = 1, n = 0;
    const char *name;
    json_t *value;

    json_object_foreach(root, name, value)
    {
        const char *dtype = json_string_value(json_object_get(value, "dtype"));
        name_bytes += strlen(name) + 1 + (dtype ? strlen(dtype) + 1 : 0);
        n++;
    }
    p->file->tensors = calloc(n + 1, sizeof *p->file->tensors);
    p->file->names = p->next_name = malloc(name_bytes);
    return (p->file->tensors && p->file->names) ||
           error_set(err, ERROR_MEMORY, "no memory for %zu tensors", n);
}

static bool read_tensors(struct parse *p, json_t *root, struct error *err)
{
    const char *name;
    json_t *value;

    if (!make_room(p, root, err))
        return false;
    json_object_foreach(root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            if (!json_is_object(value))
                return error_set(err, ERROR_CORRUPT, "'__metadata__' is not an object");
        } else if (!read_tensor(p, name, value, err)) {
            return false;
        }
    }
    if (!check_overlaps(p, err))
        return false;
    qsort(p->file->tensors, p->file->n_tensors, sizeof *p->file->tensors, compare_names);
    return true;
}

static bool read_header(struct safetensors *file, const unsigned char *bytes, size_t n_bytes,
                        struct error *err)
{
    uint64_t header_bytes = 0;

    if (n_bytes < HEADER_LENGTH_BYTES)
        return error_set(err, ERROR_CORRUPT, "only %zu bytes long: not a safetensors file",
                         n_bytes);
    for (int i = HEADER_LENGTH_BYTES - 1; i >= 0; i--)
        header_bytes = header_bytes << 8 | bytes[i];
    if (header_bytes > n_bytes - HEADER_LENGTH_BYTES)
        return error_set(err, ERROR_CORRUPT,
                         "claims a header of %" PRIu64
                         " bytes, the file has %zu: cut short, or not "
                         "a safetensors file",
                         header_bytes, n_bytes);

    struct json j;
    if (!json_read_bytes(&j, "header", bytes + HEADER_LENGTH_BYTES, (size_t)header_bytes,
                         SAFETENSORS_MAX_HEADER_BYTES, err))
        return false;
    struct parse p = {.file = file,
                      .data = bytes + HEADER_LENGTH_BYTES + header_bytes,
                      .data_bytes = n_bytes - HEADER_LENGTH_BYTES - header_bytes};
    bool ok = read_tensors(&p, j.root, err);
    json_clear(&j);
    return ok;
}

static struct safetensors *new_file(const char *path, struct error *err)
{
    struct safetensors *file = calloc(1, sizeof *file);
    if (file)
        file->path = strdup(path);
    if (!file || !file->path) {
        error_set(err, ERROR_MEMORY, "%s: no memory for a file handle", path);
        safetensors_close(file);
        return NULL;
    }
    return file;
}

bool safetensors_from_bytes(struct safetensors **out, const char *name, const unsigned char *bytes,
                            size_t n_bytes, struct error *err)
{
    struct safetensors *file = new_file(name, err);
    if (!file)
        return false;
    if (!read_header(file, bytes, n_bytes, err)) {
        safetensors_close(file);
        return error_prefix(err, "%s", name);
    }
    *out = file;
    return true;
}

bool safetensors_open(struct safetensors **out, const char *path, struct error *err)
{
    struct safetensors *file = new_file(path, err);
    if (!file)
        return false;
    if (!file_map_open(&file->map, path, err)) {
        safetensors_close(file);
        return false;
    }
    if (!read_header(file, file->map.bytes, file->map.n_bytes, err)) {
        safetensors_close(file);
        return error_prefix(err, "%s", path);
    }
    *out = file;
    return true;
}

void safetensors_close(struct safetensors *file)
{
    if (!file)
        return;
    file_map_close(&file->map);
    free(file->tensors);
    free(file->names);
    free(file->path);
    free(file);
}

const char *safetensors_path(const struct safetensors *file)
{
    return file->path;
}

size_t safetensors_count(const struct safetensors *file)
{
    return file->n_tensors;
}

const struct tensor_info *safetensors_at(const struct safetensors *file, size_t i)
{
    return &file->tensors[i];
}

const struct tensor_info *safetensors_find(const struct safetensors *file, const char *name)
{
    struct tensor_info key = {.name = name};
    return bsearch(&key, file->tensors, file->n_tensors, sizeof key, compare_names);
}

uint64_t safetensors_unused_bytes(const struct safetensors *file)
{
    return file->unused_bytes;
}
