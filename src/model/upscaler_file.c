#include "model/upscaler_file.h"

#include "model/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_BYTES = 96, PREFIX_BYTES = 32 };

struct upscaler_file {
    struct tensor_file *file;
    struct upscaler_config config;
    char prefix[PREFIX_BYTES]; /* before every name: "params_ema." or "" */
    bool old;                  /* the first ESRGAN's names */
    size_t n_found;            /* tensors that belong to the network */
    char name[256];
};

/* Tensors of a network one by one: the newer name, and what the shape must be. */
struct visit {
    struct upscaler_file *f;
    bool (*tensor)(const struct visit *v, const char *name, const int64_t *dims, int n_dims,
                   struct error *err);
    const char *wanted; /* of belongs() */
};

/* The first ESRGAN's name of a layer ("body.0.rdb1.conv1" and the like). */
static void old_name(char out[NAME_BYTES], const struct upscaler_config *c, const char *layer)
{
    int block, dense, conv;
    char *end = NULL;

    if (strcmp(layer, "conv_first") == 0) {
        snprintf(out, NAME_BYTES, "model.0");
    } else if (strcmp(layer, "conv_body") == 0) {
        snprintf(out, NAME_BYTES, "model.1.sub.%d", c->blocks);
    } else if (strncmp(layer, "conv_up", 7) == 0) {
        snprintf(out, NAME_BYTES, "model.%ld", 3 * strtol(layer + 7, NULL, 10));
    } else if (strcmp(layer, "conv_hr") == 0) {
        snprintf(out, NAME_BYTES, "model.%d", 3 * c->ups + 2);
    } else if (strcmp(layer, "conv_last") == 0) {
        snprintf(out, NAME_BYTES, "model.%d", 3 * c->ups + 4);
    } else { /* body.B.rdbD.convC */
        block = (int)strtol(layer + strlen("body."), &end, 10);
        dense = (int)strtol(end + strlen(".rdb"), &end, 10);
        conv = (int)strtol(end + strlen(".conv"), NULL, 10);
        snprintf(out, NAME_BYTES, "model.1.sub.%d.RDB%d.conv%d.0", block, dense, conv);
    }
}

/* The name in the file. */
static void file_name(char out[2 * NAME_BYTES], const struct upscaler_file *f, const char *name)
{
    const char *dot = strrchr(name, '.');
    char layer[NAME_BYTES], old[NAME_BYTES];

    if (!f->old || !dot) {
        snprintf(out, 2 * NAME_BYTES, "%s%s", f->prefix, name);
        return;
    }
    snprintf(layer, sizeof layer, "%.*s", (int)(dot - name), name);
    old_name(old, &f->config, layer);
    snprintf(out, 2 * NAME_BYTES, "%s%s%s", f->prefix, old, dot);
}

static const struct tensor_info *find(const struct upscaler_file *f, const char *name)
{
    char stored[2 * NAME_BYTES];
    file_name(stored, f, name);
    return tensor_file_find(f->file, stored);
}

static bool conv(const struct visit *v, const char *layer, int in_c, int out_c, struct error *err)
{
    const int64_t dims[4] = {out_c, in_c, 3, 3};
    char name[NAME_BYTES];

    snprintf(name, sizeof name, "%s.weight", layer);
    if (!v->tensor(v, name, dims, 4, err))
        return false;
    snprintf(name, sizeof name, "%s.bias", layer);
    return v->tensor(v, name, dims, 1, err);
}

static bool every_tensor(const struct visit *v, struct error *err)
{
    const struct upscaler_config *c = &v->f->config;
    char layer[NAME_BYTES];
    bool ok = conv(v, "conv_first", 3 * c->fold * c->fold, c->width, err) &&
              conv(v, "conv_body", c->width, c->width, err) &&
              conv(v, "conv_hr", c->width, c->width, err) && conv(v, "conv_last", c->width, 3, err);

    for (int i = 1; ok && i <= c->ups; i++) {
        snprintf(layer, sizeof layer, "conv_up%d", i);
        ok = conv(v, layer, c->width, c->width, err);
    }
    for (int i = 0; ok && i < c->blocks * 15; i++) {
        const int k = i % 5;
        snprintf(layer, sizeof layer, "body.%d.rdb%d.conv%d", i / 15, i / 5 % 3 + 1, k + 1);
        ok = conv(v, layer, c->width + k * c->growth, k == 4 ? c->width : c->growth, err);
    }
    return ok;
}

static bool check_tensor(const struct visit *v, const char *name, const int64_t *dims, int n_dims,
                         struct error *err)
{
    const struct tensor_info *t = find(v->f, name);
    char stored[2 * NAME_BYTES];

    file_name(stored, v->f, name);
    if (!t)
        return error_set(err, ERROR_CORRUPT, "tensor '%s' is missing", stored);
    if (!t->dtype_known ||
        (t->dtype != DTYPE_F32 && t->dtype != DTYPE_F16 && t->dtype != DTYPE_BF16))
        return error_set(err, ERROR_CORRUPT, "tensor '%s' is of type %s", stored, t->dtype_name);
    bool same = t->n_dims == n_dims;
    for (int i = 0; same && i < n_dims; i++)
        same = t->dims[i] == dims[i];
    v->f->n_found++;
    return same || error_set(err, ERROR_CORRUPT,
                             "tensor '%s' has another shape than RRDBNet's (ESRGAN)", stored);
}

/* Fails, quietly, when the wanted tensor is this one. */
static bool is_other(const struct visit *v, const char *name, const int64_t *dims, int n_dims,
                     struct error *err)
{
    char stored[2 * NAME_BYTES];

    (void)dims;
    (void)n_dims;
    file_name(stored, v->f, name);
    return strcmp(stored, v->wanted) != 0 || error_set(err, ERROR_INVALID, "found");
}

/* Names the first tensor that belongs to no such network. */
static bool nothing_else(struct upscaler_file *f, struct error *err)
{
    const size_t n = tensor_file_count(f->file), prefix = strlen(f->prefix);
    size_t mine = 0;

    for (size_t i = 0; i < n; i++)
        mine += strncmp(tensor_file_at(f->file, i)->name, f->prefix, prefix) == 0;
    if (mine == f->n_found)
        return true;
    for (size_t i = 0; i < n; i++) {
        struct visit v = {.f = f, .tensor = is_other};
        struct error found;
        v.wanted = tensor_file_at(f->file, i)->name;
        if (strncmp(v.wanted, f->prefix, prefix) == 0 && every_tensor(&v, &found))
            return error_set(err, ERROR_CORRUPT, "tensor '%.120s' is no part of RRDBNet (ESRGAN)",
                             v.wanted);
    }
    return true;
}

/* Dimension i of a convolution's weight within 1..most; 0 when it is not one. */
static int dim(const struct upscaler_file *f, const char *name, int i, int most)
{
    const struct tensor_info *t = find(f, name);
    return t && t->n_dims == 4 && t->dims[i] >= 1 && t->dims[i] <= most ? (int)t->dims[i] : 0;
}

/* Counts what is called by a number, from `first` on. */
static int count(const struct upscaler_file *f, const char *fmt_head, const char *fmt_tail,
                 int first, int step, int most)
{
    char name[2 * NAME_BYTES];
    int n = 0;

    for (; n <= most; n++) {
        snprintf(name, sizeof name, "%s%s%d%s", f->prefix, fmt_head, first + n * step, fmt_tail);
        if (!tensor_file_find(f->file, name))
            break;
    }
    return n;
}

static bool find_spelling(struct upscaler_file *f, struct error *err)
{
    static const char *const prefixes[] = {"params_ema.", "params.", "state_dict.",
                                           "module.",     "netG.",   ""};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        for (int old = 0; old < 2; old++) {
            snprintf(f->prefix, sizeof f->prefix, "%s", prefixes[i]);
            f->old = old;
            if (find(f, "conv_first.weight"))
                return true;
        }
    const struct tensor_info *first =
        tensor_file_count(f->file) ? tensor_file_at(f->file, 0) : NULL;
    return error_set(err, ERROR_CORRUPT,
                     "holds no RRDBNet (ESRGAN), the only kind of upscaler there is: its first "
                     "tensor is '%.120s'",
                     first ? first->name : "none");
}

static bool read_config(struct upscaler_file *f, struct error *err)
{
    struct upscaler_config *c = &f->config;
    const int most = UPSCALER_FILE_MAX_WIDTH;

    if (f->old) {
        c->blocks =
            count(f, "model.1.sub.", ".RDB1.conv1.0.weight", 0, 1, UPSCALER_FILE_MAX_BLOCKS);
        /* model.3, 6 and 9 double; of what follows the last is 4 numbers behind the last of them */
        while (c->ups <= UPSCALER_FILE_MAX_UPS && !find(f, "conv_last.weight"))
            c->ups++;
    } else {
        c->blocks = count(f, "body.", ".rdb1.conv1.weight", 0, 1, UPSCALER_FILE_MAX_BLOCKS);
        c->ups = count(f, "conv_up", ".weight", 1, 1, UPSCALER_FILE_MAX_UPS);
    }
    const int in_c = dim(f, "conv_first.weight", 1, 48);
    c->width = dim(f, "conv_first.weight", 0, most);
    c->growth = dim(f, "body.0.rdb1.conv1.weight", 0, most);
    c->fold = in_c == 3 ? 1 : in_c == 12 ? 2 : in_c == 48 ? 4 : 0;
    if (!c->width || !c->fold)
        return error_set(err, ERROR_CORRUPT,
                         "tensor '%s%s' reads no picture of 3 colours as RRDBNet (ESRGAN) does",
                         f->prefix, f->old ? "model.0.weight" : "conv_first.weight");
    if (!c->growth || c->blocks > UPSCALER_FILE_MAX_BLOCKS || c->ups > UPSCALER_FILE_MAX_UPS ||
        1 << c->ups < c->fold)
        return error_set(err, ERROR_CORRUPT,
                         "is no RRDBNet (ESRGAN) of 1 to %d blocks that enlarges 1 to 8 times: its "
                         "first tensor is '%.120s'",
                         UPSCALER_FILE_MAX_BLOCKS, tensor_file_at(f->file, 0)->name);
    return true;
}

bool upscaler_file_open(struct upscaler_file **out, const char *path, struct error *err)
{
    struct upscaler_file *f = calloc(1, sizeof *f);

    if (!f)
        return error_set(err, ERROR_MEMORY, "no memory to open an upscaler");
    if (!tensor_file_open(&f->file, path, err)) {
        free(f);
        return false;
    }
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    snprintf(f->name, sizeof f->name, "%.*s", (int)tensor_file_stem(base), base);
    const struct visit check = {.f = f, .tensor = check_tensor};
    if (!find_spelling(f, err) || !read_config(f, err) || !every_tensor(&check, err) ||
        !nothing_else(f, err)) {
        upscaler_file_close(f);
        return error_prefix(err, "%s", path);
    }
    *out = f;
    return true;
}

void upscaler_file_close(struct upscaler_file *f)
{
    if (!f)
        return;
    tensor_file_close(f->file);
    free(f);
}

const struct upscaler_config *upscaler_file_config(const struct upscaler_file *f)
{
    return &f->config;
}

const char *upscaler_file_name(const struct upscaler_file *f)
{
    return f->name;
}

const struct tensor_info *upscaler_file_find(const struct upscaler_file *f, const char *name)
{
    return strlen(name) < NAME_BYTES ? find(f, name) : NULL;
}

static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c == '/' || *c == '\\' || (unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return *name && *name != '.';
}

bool upscaler_file_path(char out[UPSCALER_FILE_PATH_BYTES], const char *dir, const char *name,
                        struct error *err)
{
    static const char *const endings[] = {".safetensors", ".pth", ".pt", ".ckpt", ".bin"};
    const bool has_ending = is_name(name) && tensor_file_stem(name) < strlen(name);
    struct stat st;

    if (!is_name(name))
        return error_set(err, ERROR_INVALID, "'%.100s' is no upscaler's name", name);
    for (size_t i = 0; i < (has_ending ? 1 : sizeof endings / sizeof *endings); i++) {
        const int n = snprintf(out, UPSCALER_FILE_PATH_BYTES, "%s/%s%s", dir, name,
                               has_ending ? "" : endings[i]);
        if (n < 0 || n >= UPSCALER_FILE_PATH_BYTES)
            return error_set(err, ERROR_INVALID, "the upscaler's name is too long");
        if (stat(out, &st) == 0 && S_ISREG(st.st_mode))
            return true;
    }
    return error_set(err, ERROR_NOT_FOUND, "there is no upscaler '%.100s' in %.300s", name, dir);
}
