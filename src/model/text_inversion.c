#include "model/text_inversion.h"

#include "model/tensor_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WIDTH = 1 << 16 };

static const char *const sdxl_names[2] = {"clip_l", "clip_g"};

/* Web UIs write { "string_to_param": { "*": matrix } } with other things around it. */
static const char in_dictionary[] = "string_to_param.";

static bool begins_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The matrix of a file that has one: by name, or the only tensor there is. */
static const struct tensor_info *find_only(const struct tensor_file *file, struct error *err)
{
    const struct tensor_info *found = tensor_file_find(file, "emb_params");
    int n = 0;

    if (found)
        return found;
    for (size_t i = 0; i < tensor_file_count(file); i++) {
        const struct tensor_info *t = tensor_file_at(file, i);
        if (begins_with(t->name, in_dictionary)) {
            found = t;
            n++;
        }
    }
    if (n == 0 && tensor_file_count(file) == 1)
        return tensor_file_at(file, 0);
    if (n == 1)
        return found;
    error_set(err, ERROR_INVALID, "%s is no textual inversion: it holds %zu tensors, not one",
              tensor_file_path(file), n ? (size_t)n : tensor_file_count(file));
    return NULL;
}

static bool check_shape(const struct tensor_info *t, const char *path, int width, struct error *err)
{
    const int64_t have = t->n_dims ? t->dims[t->n_dims - 1] : 0;

    if (!t->dtype_known ||
        (t->dtype != DTYPE_F32 && t->dtype != DTYPE_F16 && t->dtype != DTYPE_BF16) ||
        (t->n_dims != 1 && t->n_dims != 2))
        return error_set(err, ERROR_INVALID, "%s: %s is no matrix of floating-point numbers", path,
                         t->name);
    if (have != width)
        return error_set(err, ERROR_INVALID,
                         "%s: its vectors have %" PRId64 " numbers, the model's text encoder takes "
                         "%d",
                         path, have, width);
    if (t->n_dims == 2 && (t->dims[0] < 1 || t->dims[0] > TEXT_INVERSION_MAX_VECTORS))
        return error_set(err, ERROR_INVALID, "%s has %" PRId64 " vectors; 1 to %d are possible",
                         path, t->dims[0], TEXT_INVERSION_MAX_VECTORS);
    return true;
}

static float number_at(const struct tensor_info *t, size_t i)
{
    const unsigned char *at = t->bytes + i * dtype_bytes(t->dtype);
    uint16_t half;
    float whole;

    if (t->dtype == DTYPE_F32) {
        memcpy(&whole, at, sizeof whole);
        return whole;
    }
    memcpy(&half, at, sizeof half);
    return t->dtype == DTYPE_F16 ? dtype_f32_from_f16(half) : dtype_f32_from_bf16(half);
}

static bool read_rows(struct text_inversion *out, int which, const struct tensor_info *t,
                      const char *path, int width, struct error *err)
{
    if (!check_shape(t, path, width, err))
        return false;
    const int n_vectors = t->n_dims == 2 ? (int)t->dims[0] : 1;
    const size_t count = (size_t)n_vectors * (size_t)width;
    if (out->n_vectors && out->n_vectors != n_vectors)
        return error_set(err, ERROR_INVALID,
                         "%s has %d vectors for one text encoder and %d for the other", path,
                         out->n_vectors, n_vectors);
    float *rows = malloc(count * sizeof *rows);
    if (!rows)
        return error_set(err, ERROR_MEMORY, "no memory for %s", path);
    out->rows[which] = rows;
    out->n_vectors = n_vectors;
    for (size_t i = 0; i < count; i++) {
        rows[i] = number_at(t, i);
        if (!isfinite(rows[i]))
            return error_set(err, ERROR_CORRUPT, "%s: %s has a number that is not finite", path,
                             t->name);
    }
    return true;
}

static bool read_sdxl(struct text_inversion *out, const struct tensor_file *file,
                      const int width[2], struct error *err)
{
    const char *path = tensor_file_path(file);

    for (int i = 0; i < 2; i++) {
        const struct tensor_info *t = tensor_file_find(file, sdxl_names[i]);
        if (!width[i])
            continue;
        if (!t)
            return error_set(err, ERROR_INVALID,
                             "%s is for another kind of model: it has no %s, the vectors of %d "
                             "numbers that this model takes",
                             path, sdxl_names[i], width[i]);
        if (!read_rows(out, i, t, path, width[i], err))
            return false;
    }
    return true;
}

static bool read_one(struct text_inversion *out, const struct tensor_file *file, int width,
                     struct error *err)
{
    const char *path = tensor_file_path(file);

    if (tensor_file_find(file, sdxl_names[0]) && tensor_file_find(file, sdxl_names[1]))
        return error_set(err, ERROR_INVALID,
                         "%s is for SDXL, with vectors for two text encoders; this model has one, "
                         "which takes %d numbers",
                         path, width);
    const struct tensor_info *t = find_only(file, err);
    return t && read_rows(out, 0, t, path, width, err);
}

bool text_inversion_load(struct text_inversion *out, const char *path, const int width[2],
                         struct error *err)
{
    struct tensor_file *file = NULL;

    *out = (struct text_inversion){0};
    if (!tensor_file_open(&file, path, err))
        return false;
    const bool ok =
        width[1] ? read_sdxl(out, file, width, err) : read_one(out, file, width[0], err);
    tensor_file_close(file);
    if (!ok)
        text_inversion_clear(out);
    return ok;
}

static bool look(struct text_inversion_shape *out, const struct tensor_file *file,
                 struct error *err)
{
    const char *path = tensor_file_path(file);
    const struct tensor_info *t[2] = {tensor_file_find(file, sdxl_names[0]),
                                      tensor_file_find(file, sdxl_names[1])};

    if (!t[0] || !t[1]) {
        t[0] = find_only(file, err);
        t[1] = NULL;
        if (!t[0])
            return false;
    }
    for (int i = 0; i < 2 && t[i]; i++) {
        const int64_t width = t[i]->n_dims ? t[i]->dims[t[i]->n_dims - 1] : 0;
        if (width < 1 || width > MAX_WIDTH)
            return error_set(err, ERROR_INVALID, "%s: vectors of %" PRId64 " numbers", path, width);
        if (!check_shape(t[i], path, (int)width, err))
            return false;
        const int n = t[i]->n_dims == 2 ? (int)t[i]->dims[0] : 1; /* checked just now */
        if (i == 1 && n != out->n_vectors)
            return error_set(err, ERROR_INVALID,
                             "%s has %d vectors for one text encoder and %d for the other", path,
                             out->n_vectors, n);
        out->n_vectors = n;
        out->width[i] = (int)width;
    }
    return true;
}

bool text_inversion_look(struct text_inversion_shape *out, const char *path, struct error *err)
{
    struct tensor_file *file = NULL;

    *out = (struct text_inversion_shape){0};
    if (!tensor_file_open(&file, path, err))
        return false;
    const bool ok = look(out, file, err);
    tensor_file_close(file);
    return ok;
}

void text_inversion_clear(struct text_inversion *t)
{
    free(t->rows[0]);
    free(t->rows[1]);
    *t = (struct text_inversion){0};
}
