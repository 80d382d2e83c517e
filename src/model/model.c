#include "model/model.h"

#include "base/json.h"
#include "model/model_config_json.h"
#include "model/model_config_shapes.h"
#include "model/model_internal.h"
#include "model/tensor_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const part_names[MODEL_PARTS] = {"text_encoder", "text_encoder_2", "unet",
                                                    "vae"};

const char *model_part_name(enum model_part part)
{
    return part_names[part];
}

const char *model_family_name(enum model_family family)
{
    static const char *const names[] = {"sd1", "sdxl", "sdxl-refiner"};
    return names[family];
}

/* Single files. */

static bool add_mapped(struct model *m, const struct tensor_file *file, const struct tensor_info *t,
                       const struct tensor_names_target *target, struct error *err)
{
    struct model_tensor tensor;
    uint64_t n = (uint64_t)target->n_slices;

    if (!model_files_tensor(&tensor, file, t, err))
        return false;
    if (n > 1) {
        if (t->n_dims < 1 || t->dims[0] % target->n_slices != 0)
            return error_set(err, ERROR_CORRUPT,
                             "%s: tensor '%.200s' cannot be cut into query, key and value", m->path,
                             t->name);
        tensor.dims[0] /= target->n_slices;
        tensor.n_bytes /= n; /* rows lie one after the other */
        tensor.bytes += (uint64_t)target->slice * tensor.n_bytes;
    }
    tensor.transposed = target->transposed;
    return model_index_add(&m->index, target->part, target->name, &tensor, err);
}

static bool index_single_file(struct model *m, const struct tensor_file *file, struct error *err)
{
    struct tensor_names_layout layout = {0};
    struct tensor_names_target targets[TENSOR_NAMES_MAX_TARGETS];

    for (size_t i = 0; i < tensor_file_count(file); i++)
        tensor_names_measure(&layout, tensor_file_at(file, i)->name);
    for (size_t i = 0; i < tensor_file_count(file); i++) {
        const struct tensor_info *t = tensor_file_at(file, i);
        int n = tensor_names_map(&layout, t->name, targets);
        for (int k = 0; k < n; k++)
            if (!add_mapped(m, file, t, &targets[k], err))
                return false;
    }
    return model_index_finish(&m->index, err);
}

static bool open_single_file(struct model *m, struct error *err)
{
    struct model_info *info = &m->info;
    struct tensor_file *file;

    info->single_file = true;
    if (!model_files_open(&m->files, m->path, &file, err) || !index_single_file(m, file, err) ||
        !model_config_shapes_family(&info->family, &m->index, m->path, err))
        return false;
    info->has_part[MODEL_TEXT_ENCODER] = info->family != MODEL_SDXL_REFINER;
    info->has_part[MODEL_TEXT_ENCODER_2] = info->family != MODEL_SD1;
    info->has_part[MODEL_UNET] = info->has_part[MODEL_VAE] = true;
    for (int i = 0; i < 2; i++)
        if (info->has_part[i] &&
            !model_config_shapes_clip(&info->clip[i], &m->index, (enum model_part)i, m->path, err))
            return false;
    if (!model_config_shapes_unet(&info->unet, &m->index, info, err) ||
        !model_config_shapes_vae(&info->vae, &m->index, info, err))
        return false;
    info->schedule = model_config_shapes_schedule();
    /* Empty tensors by which trainers mark such models. */
    if (tensor_file_find(file, "v_pred"))
        info->schedule.prediction = MODEL_V_PREDICTION;
    info->schedule.zero_snr = tensor_file_find(file, "ztsnr");
    return true;
}

/* Folders. */

static bool find_part(bool *out, const struct model *m, const char *part, struct error *err)
{
    char dir[MODEL_FILES_PATH_BYTES], path[MODEL_FILES_PATH_BYTES];
    if (!model_files_join(dir, m->path, part, err) ||
        !model_files_join(path, dir, "config.json", err))
        return false;
    *out = model_files_is_file(path);
    return true;
}

static bool read_part_config(struct model *m, enum model_part part, const struct json *j,
                             struct error *err)
{
    switch (part) {
    case MODEL_UNET:
        return model_config_json_unet(&m->info.unet, j, err);
    case MODEL_VAE:
        return model_config_json_vae(&m->info.vae, j, err);
    default:
        return model_config_json_clip(&m->info.clip[part], j, err);
    }
}

static bool open_part(struct model *m, enum model_part part, struct error *err)
{
    char dir[MODEL_FILES_PATH_BYTES], path[MODEL_FILES_PATH_BYTES];
    struct json j;

    if (!model_files_join(dir, m->path, model_part_name(part), err) ||
        !model_files_join(path, dir, "config.json", err) ||
        !json_read_file(&j, path, JSON_CONFIG_MAX_BYTES, err))
        return false;
    bool ok = read_part_config(m, part, &j, err);
    json_clear(&j);
    if (!ok || !model_files_open_part(&m->files, &m->index, dir, part, err))
        return false;
    m->info.has_part[part] = true;
    return true;
}

static bool read_schedule(struct model *m, struct error *err)
{
    char path[MODEL_FILES_PATH_BYTES];
    struct json j;

    if (!model_files_join(path, m->path, "scheduler/scheduler_config.json", err) ||
        !json_read_file(&j, path, JSON_CONFIG_MAX_BYTES, err))
        return false;
    bool ok = model_config_json_schedule(&m->info.schedule, &j, err);
    json_clear(&j);
    return ok;
}

static bool find_tokenizers(struct model *m, struct error *err)
{
    static const char *const names[2] = {"tokenizer", "tokenizer_2"};

    for (int i = 0; i < 2; i++) {
        char dir[MODEL_FILES_PATH_BYTES], vocab[MODEL_FILES_PATH_BYTES];
        char merges[MODEL_FILES_PATH_BYTES];
        if (!model_files_join(dir, m->path, names[i], err) ||
            !model_files_join(vocab, dir, "vocab.json", err) ||
            !model_files_join(merges, dir, "merges.txt", err))
            return false;
        if (!model_files_is_file(vocab) || !model_files_is_file(merges))
            continue;
        m->tokenizer_dir[i] = strdup(dir);
        if (!m->tokenizer_dir[i])
            return error_set(err, ERROR_MEMORY, "%s: no memory for its name", dir);
        m->info.tokenizer_dir[i] = m->tokenizer_dir[i];
    }
    return true;
}

static bool open_folder(struct model *m, struct error *err)
{
    struct model_info *info = &m->info;
    bool first, second;

    if (!find_part(&first, m, "text_encoder", err) ||
        !find_part(&second, m, "text_encoder_2", err) || !open_part(m, MODEL_UNET, err))
        return false;
    info->family = info->unet.addition_input_dim == 0 ? MODEL_SD1
                   : first                            ? MODEL_SDXL
                                                      : MODEL_SDXL_REFINER;
    /* A missing encoder fails here, with the path that was looked for. */
    if ((info->family != MODEL_SDXL_REFINER && !open_part(m, MODEL_TEXT_ENCODER, err)) ||
        (info->family != MODEL_SD1 && !open_part(m, MODEL_TEXT_ENCODER_2, err)))
        return false;
    return open_part(m, MODEL_VAE, err) && read_schedule(m, err) && find_tokenizers(m, err) &&
           model_index_finish(&m->index, err);
}

/* The UNet listens to the text encoders, so their widths must meet. */
static bool check_together(const struct model_info *info, struct error *err)
{
    int width = 0;
    for (int i = 0; i < 2; i++)
        if (info->has_part[i])
            width += info->clip[i].width;
    if (info->unet.cross_attention_dim != width)
        return error_set(err, ERROR_CORRUPT,
                         "%s: the UNet wants text %d wide (cross_attention_dim), the text "
                         "encoders give %d",
                         info->path, info->unet.cross_attention_dim, width);
    if (info->unet.out_channels != info->vae.latent_channels)
        return error_set(err, ERROR_CORRUPT,
                         "%s: the UNet makes %d channels (out_channels), the VAE decodes %d "
                         "(latent_channels)",
                         info->path, info->unet.out_channels, info->vae.latent_channels);
    return true;
}

/* Owned copies of the path without slashes at its end, and of the name people know it by. */
static bool set_names(struct model *m, const char *path, struct error *err)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    m->path = strndup(path, len);
    const char *last = m->path ? strrchr(m->path, '/') : NULL;
    if (m->path)
        m->name = strdup(last && last[1] ? last + 1 : m->path);
    if (!m->path || !m->name)
        return error_set(err, ERROR_MEMORY, "no memory for the model's name");
    m->name[tensor_file_stem(m->name)] = 0;
    m->info.path = m->path;
    m->info.name = m->name;
    return true;
}

bool model_internal_new(struct model **out, const char *path, struct error *err)
{
    struct model *m = calloc(1, sizeof *m);
    if (!m)
        return error_set(err, ERROR_MEMORY, "%s: no memory for a model", path);
    if (!set_names(m, path, err)) {
        model_close(m);
        return false;
    }
    *out = m;
    return true;
}

bool model_open(struct model **out, const char *path, struct error *err)
{
    struct model *m;
    struct stat st;
    if (stat(path, &st) != 0)
        return error_set_errno(err, errno, "cannot open the model") ||
               error_prefix(err, "%s", path);

    if (!model_internal_new(&m, path, err))
        return false;
    if (!(S_ISDIR(st.st_mode) ? open_folder(m, err) : open_single_file(m, err)) ||
        !check_together(&m->info, err)) {
        model_close(m);
        return false;
    }
    *out = m;
    return true;
}

void model_close(struct model *m)
{
    if (!m)
        return;
    model_close(m->vae);
    model_index_clear(&m->index);
    model_files_clear(&m->files);
    free(m->path);
    free(m->name);
    free(m->tokenizer_dir[0]);
    free(m->tokenizer_dir[1]);
    free(m);
}

const struct model_info *model_view(const struct model *m)
{
    return &m->info;
}

const struct model_index *model_internal_index(const struct model *m, enum model_part part)
{
    return part == MODEL_VAE && m->vae ? &m->vae->index : &m->index;
}

bool model_find(const struct model *m, enum model_part part, const char *name,
                struct model_tensor *out)
{
    const struct model_tensor *t = model_index_find(model_internal_index(m, part), part, name);
    if (!t)
        return false;
    *out = *t;
    return true;
}
