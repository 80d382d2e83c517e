#include "model/tensor_file.h"

#include "base/file_map.h"
#include "model/safetensors.h"
#include "model/torch_file.h"

#include <stdlib.h>
#include <string.h>

struct tensor_file {
    struct file_map map;             /* zero when the bytes are borrowed */
    struct safetensors *safetensors; /* either this */
    struct torch_file *torch;        /* or that */
};

bool tensor_file_from_bytes(struct tensor_file **out, const char *name, const unsigned char *bytes,
                            size_t n_bytes, struct error *err)
{
    struct tensor_file *file = calloc(1, sizeof *file);
    if (!file)
        return error_set(err, ERROR_MEMORY, "%s: no memory for a file handle", name);
    if (torch_file_is_torch(bytes, n_bytes)
            ? !torch_file_from_bytes(&file->torch, name, bytes, n_bytes, err)
            : !safetensors_from_bytes(&file->safetensors, name, bytes, n_bytes, err)) {
        tensor_file_close(file);
        return false;
    }
    *out = file;
    return true;
}

bool tensor_file_open(struct tensor_file **out, const char *path, struct error *err)
{
    struct file_map map;

    if (!file_map_open(&map, path, err))
        return false;
    if (!tensor_file_from_bytes(out, path, map.bytes, map.n_bytes, err)) {
        file_map_close(&map);
        return false;
    }
    (*out)->map = map;
    return true;
}

void tensor_file_close(struct tensor_file *file)
{
    if (!file)
        return;
    safetensors_close(file->safetensors);
    torch_file_close(file->torch);
    file_map_close(&file->map);
    free(file);
}

const char *tensor_file_path(const struct tensor_file *file)
{
    return file->torch ? torch_file_path(file->torch) : safetensors_path(file->safetensors);
}

size_t tensor_file_count(const struct tensor_file *file)
{
    return file->torch ? torch_file_count(file->torch) : safetensors_count(file->safetensors);
}

const struct tensor_info *tensor_file_at(const struct tensor_file *file, size_t i)
{
    return file->torch ? torch_file_at(file->torch, i) : safetensors_at(file->safetensors, i);
}

const struct tensor_info *tensor_file_find(const struct tensor_file *file, const char *name)
{
    return file->torch ? torch_file_find(file->torch, name)
                       : safetensors_find(file->safetensors, name);
}

size_t tensor_file_stem(const char *path)
{
    static const char *const endings[] = {".safetensors", ".ckpt", ".pth", ".pt", ".bin"};
    size_t len = strlen(path);

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t n = strlen(endings[i]);
        if (len > n && strcmp(path + len - n, endings[i]) == 0)
            return len - n;
    }
    return len;
}
