#include "refcheck.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool refcheck_seen(const struct refcheck *r, const char *name)
{
    for (int i = 0; i < r->n_seen; i++)
        if (strcmp(r->seen[i], name) == 0)
            return true;
    return false;
}

void refcheck_expect_path(struct refcheck *r, char path[REFCHECK_MAX_PATH], const char *name)
{
    snprintf(path, REFCHECK_MAX_PATH, "%s/expect/%s", r->dir, name);
    if (!refcheck_seen(r, name) && r->n_seen < REFCHECK_MAX_FILES)
        snprintf(r->seen[r->n_seen++], sizeof r->seen[0], "%s", name);
}

static bool exists(struct refcheck *r, const char *path, const char *name)
{
    if (access(path, F_OK) == 0)
        return true;
    refcheck_skip(r, name, "not in this folder");
    return false;
}

json_t *refcheck_json(struct refcheck *r, const char *path, const char *name)
{
    json_error_t error;

    if (!exists(r, path, name))
        return NULL;
    json_t *root = json_load_file(path, 0, &error);
    if (!root)
        refcheck_fail(r, name, error.text);
    return root;
}

struct safetensors *refcheck_tensors(struct refcheck *r, const char *name)
{
    char path[REFCHECK_MAX_PATH];
    struct safetensors *file = NULL;
    struct error err = {0};

    refcheck_expect_path(r, path, name);
    if (!exists(r, path, name))
        return NULL;
    if (!safetensors_open(&file, path, &err))
        refcheck_fail(r, name, err.text);
    return file;
}

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n >= n_end && strcmp(text + n - n_end, end) == 0;
}

/* "tiny-sd15" is a model called "sd15", and so is "sd15". */
static bool is_called(const char *entry, const char *name)
{
    const size_t n = strlen(entry), n_name = strlen(name);
    return ends_with(entry, name) && (n == n_name || entry[n - n_name - 1] == '-');
}

static bool find_model(char path[REFCHECK_MAX_PATH], const char *dir, const char *name,
                       bool single_file)
{
    char wanted[80];
    bool found = false;
    DIR *d = opendir(dir);

    snprintf(wanted, sizeof wanted, "%s%s", name, single_file ? ".safetensors" : "");
    for (const struct dirent *e; d && !found && (e = readdir(d));) {
        struct stat st;
        if (!is_called(e->d_name, wanted))
            continue;
        const int n = snprintf(path, REFCHECK_MAX_PATH, "%s/%s", dir, e->d_name);
        found = n < REFCHECK_MAX_PATH && stat(path, &st) == 0 &&
                (single_file ? S_ISREG(st.st_mode) : S_ISDIR(st.st_mode));
    }
    if (d)
        closedir(d);
    return found;
}

struct model *refcheck_model(struct refcheck *r, const char *name, bool single_file)
{
    char path[REFCHECK_MAX_PATH], row[160];
    struct model *m = NULL;
    struct error err = {0};

    snprintf(row, sizeof row, "%s %s", name, single_file ? "single file" : "folder");
    if (!find_model(path, r->dir, name, single_file))
        refcheck_skip(r, row, "not in this folder");
    else if (!model_open(&m, path, &err))
        refcheck_fail(r, row, err.text);
    return m;
}

struct refcheck_tensor refcheck_tensor(const struct safetensors *file, int row, const char *name)
{
    char full[128];

    snprintf(full, sizeof full, "%d.%s", row, name);
    return refcheck_tensor_named(file, full);
}

struct refcheck_tensor refcheck_tensor_named(const struct safetensors *file, const char *name)
{
    struct refcheck_tensor out = {.count = 1};

    const struct tensor_info *t = safetensors_find(file, name);
    if (!t || !t->dtype_known || (t->dtype != DTYPE_F32 && t->dtype != DTYPE_I32))
        return (struct refcheck_tensor){0};
    out.n_dims = t->n_dims;
    for (int d = 0; d < t->n_dims; d++)
        out.dims[d] = t->dims[d];
    out.count = (size_t)(t->n_bytes / 4);
    out.x = malloc(out.count ? out.count * sizeof *out.x : 1);
    if (!out.x)
        return (struct refcheck_tensor){0};
    for (size_t i = 0; i < out.count; i++) {
        int32_t whole;
        memcpy(&whole, t->bytes + 4 * i, 4);
        if (t->dtype == DTYPE_I32)
            out.x[i] = (float)whole;
        else
            memcpy(&out.x[i], t->bytes + 4 * i, 4);
    }
    return out;
}

/* safetensors.h has checked the header already; this only reads its texts. */
json_t *refcheck_metadata(const struct safetensors *file)
{
    unsigned char length[8];
    uint64_t n = 0;
    json_t *out = NULL;
    FILE *f = fopen(safetensors_path(file), "rb");

    if (f && fread(length, 1, sizeof length, f) == sizeof length)
        for (int i = 7; i >= 0; i--)
            n = n << 8 | length[i];
    char *text = n && n <= SAFETENSORS_MAX_HEADER_BYTES ? malloc((size_t)n) : NULL;
    if (text && fread(text, 1, (size_t)n, f) == n) {
        json_t *header = json_loadb(text, (size_t)n, 0, NULL);
        out = json_incref(json_object_get(header, "__metadata__"));
        json_decref(header);
    }
    free(text);
    if (f)
        fclose(f);
    return out;
}

bool refcheck_leading(const struct model *m)
{
    char path[REFCHECK_MAX_PATH];

    snprintf(path, sizeof path, "%.4000s/scheduler/scheduler_config.json", model_view(m)->path);
    json_t *config = json_load_file(path, 0, NULL);
    const char *spacing = json_string_value(json_object_get(config, "timestep_spacing"));
    const bool leading = spacing && strcmp(spacing, "leading") == 0;
    json_decref(config);
    return leading;
}
