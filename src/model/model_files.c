#include "model/model_files.h"

#include "base/json.h"
#include "model/tensor_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INDEX_MAX_BYTES = 16 << 20 };

void model_files_clear(struct model_files *list)
{
    for (size_t i = 0; i < list->n; i++)
        tensor_file_close(list->files[i]);
    free(list->files);
    *list = (struct model_files){0};
}

bool model_files_join(char out[MODEL_FILES_PATH_BYTES], const char *dir, const char *name,
                      struct error *err)
{
    int n = snprintf(out, MODEL_FILES_PATH_BYTES, "%s/%s", dir, name);
    return (n >= 0 && n < MODEL_FILES_PATH_BYTES) ||
           error_set(err, ERROR_INVALID, "%.200s...: the path is too long", dir);
}

bool model_files_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool model_files_open(struct model_files *list, const char *path, struct tensor_file **out,
                      struct error *err)
{
    if (!list->files)
        list->files = calloc(MODEL_FILES_MAX, sizeof(struct tensor_file *));
    if (!list->files)
        return error_set(err, ERROR_MEMORY, "%s: no memory for a list of files", path);
    if (list->n == MODEL_FILES_MAX)
        return error_set(err, ERROR_LIMIT, "%s: more than %d weight files", path, MODEL_FILES_MAX);
    if (!tensor_file_open(out, path, err))
        return false;
    list->files[list->n++] = *out;
    return true;
}

bool model_files_tensor(struct model_tensor *out, const struct tensor_file *file,
                        const struct tensor_info *t, struct error *err)
{
    if (!t->dtype_known)
        return error_set(err, ERROR_INVALID,
                         "%s: tensor '%.200s' has type %.80s, which is not supported",
                         tensor_file_path(file), t->name, t->dtype_name);
    if (t->n_dims > MODEL_MAX_DIMS)
        return error_set(err, ERROR_INVALID,
                         "%s: tensor '%.200s' has %d dimensions, at most %d "
                         "are supported",
                         tensor_file_path(file), t->name, t->n_dims, MODEL_MAX_DIMS);
    *out = (struct model_tensor){.name = t->name,
                                 .file = tensor_file_path(file),
                                 .bytes = t->bytes,
                                 .n_bytes = t->n_bytes,
                                 .dtype = t->dtype,
                                 .n_dims = t->n_dims};
    for (int i = 0; i < t->n_dims; i++)
        out->dims[i] = t->dims[i];
    return true;
}

static bool add_tensors(struct model_index *x, enum model_part part, const struct tensor_file *file,
                        struct error *err)
{
    for (size_t i = 0; i < tensor_file_count(file); i++) {
        const struct tensor_info *t = tensor_file_at(file, i);
        struct model_tensor tensor;
        char name[TENSOR_NAMES_BYTES];

        if (!tensor_names_modernize(part, t->name, name))
            return error_set(err, ERROR_CORRUPT, "%s: tensor '%.200s...' has too long a name",
                             tensor_file_path(file), t->name);
        if (!model_files_tensor(&tensor, file, t, err) ||
            !model_index_add(x, part, name, &tensor, err))
            return false;
    }
    return true;
}

/* A shard is a plain file name: nothing that leaves the folder. */
static bool is_plain_name(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && !strchr(name, '\\');
}

static struct tensor_file *find_open(const struct model_files *list, size_t from, const char *path)
{
    for (size_t i = from; i < list->n; i++)
        if (strcmp(tensor_file_path(list->files[i]), path) == 0)
            return list->files[i];
    return NULL;
}

static bool open_shards(struct model_files *list, const char *dir, const char *index_path,
                        json_t *weight_map, size_t first, struct error *err)
{
    char path[MODEL_FILES_PATH_BYTES];
    const char *tensor;
    json_t *value;

    json_object_foreach(weight_map, tensor, value)
    {
        const char *shard = json_string_value(value);
        if (!shard || !is_plain_name(shard))
            return error_set(err, ERROR_CORRUPT, "%s: tensor '%.200s' is in no file of this folder",
                             index_path, tensor);
        if (!model_files_join(path, dir, shard, err))
            return false;
        struct tensor_file *file = find_open(list, first, path);
        if (!file && !model_files_open(list, path, &file, err))
            return error_prefix(err, "%s", index_path);
        if (!tensor_file_find(file, tensor))
            return error_set(err, ERROR_CORRUPT, "%s: tensor '%.200s' is missing, %s promises it",
                             path, tensor, index_path);
    }
    return true;
}

static bool open_index(struct model_files *list, struct model_index *x, const char *dir,
                       const char *index_path, enum model_part part, struct error *err)
{
    struct json j;
    size_t first = list->n;

    if (!json_read_file(&j, index_path, INDEX_MAX_BYTES, err))
        return false;
    json_t *weight_map = json_object_get(j.root, "weight_map");
    bool ok = json_is_object(weight_map)
                  ? open_shards(list, dir, index_path, weight_map, first, err)
                  : json_reject(&j, "weight_map", "it must name the file of each tensor", err);
    json_clear(&j);
    for (size_t i = first; ok && i < list->n; i++)
        ok = add_tensors(x, part, list->files[i], err);
    return ok;
}

bool model_files_open_part(struct model_files *list, struct model_index *x, const char *dir,
                           enum model_part part, struct error *err)
{
    static const struct {
        const char *name;
        bool is_index;
    } candidates[] = {
        {"diffusion_pytorch_model.safetensors", false},
        {"model.safetensors", false},
        {"diffusion_pytorch_model.safetensors.index.json", true},
        {"model.safetensors.index.json", true},
        {"diffusion_pytorch_model.fp16.safetensors", false},
        {"model.fp16.safetensors", false},
        {"diffusion_pytorch_model.safetensors.index.fp16.json", true},
        {"model.safetensors.index.fp16.json", true},
        {"diffusion_pytorch_model.fp16.safetensors.index.json", true},
        {"model.fp16.safetensors.index.json", true},
        {"diffusion_pytorch_model.bin", false},
        {"pytorch_model.bin", false},
        {"diffusion_pytorch_model.bin.index.json", true},
        {"pytorch_model.bin.index.json", true},
        {"diffusion_pytorch_model.fp16.bin", false},
        {"pytorch_model.fp16.bin", false},
    };
    char path[MODEL_FILES_PATH_BYTES];
    struct tensor_file *file;

    for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++) {
        if (!model_files_join(path, dir, candidates[i].name, err))
            return false;
        if (!model_files_is_file(path))
            continue;
        if (candidates[i].is_index)
            return open_index(list, x, dir, path, part, err);
        return model_files_open(list, path, &file, err) && add_tensors(x, part, file, err);
    }
    return error_set(err, ERROR_NOT_FOUND,
                     "%s: no weights in it: neither diffusion_pytorch_model.safetensors nor "
                     "model.safetensors, their fp16 variants, an index of shards, or the same as "
                     ".bin",
                     dir);
}
