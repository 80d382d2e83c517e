#include "model/model_vae.h"

#include "base/json.h"
#include "model/model_config_check.h"
#include "model/model_config_json.h"
#include "model/model_config_shapes.h"
#include "model/model_config_tiny.h"
#include "model/model_internal.h"
#include "model/model_names.h"
#include "model/tensor_names.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char checkpoint_prefix[] = "first_stage_model.";
static const char tiny_decoder[] = "taesd_decoder.", tiny_encoder[] = "taesd_encoder.";

/* How a single file spells its tensors. */
enum spelling {
    SPELLED_LDM,
    SPELLED_DIFFUSERS, /* AutoencoderKL or AutoencoderTiny */
    SPELLED_TINY,      /* both halves, "taesd_decoder.1.weight" */
    SPELLED_TINY_HALF, /* one of them, "1.weight" */
};

static const char *without(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 ? name + n : NULL;
}

/* The name without the prefix of a whole checkpoint. */
static const char *bare(const char *name)
{
    const char *rest = without(name, checkpoint_prefix);
    return rest ? rest : name;
}

static enum spelling spelling_of(const struct tensor_file *file)
{
    for (size_t i = 0; i < tensor_file_count(file); i++) {
        const char *name = bare(tensor_file_at(file, i)->name);
        bool half = without(name, "encoder.") || without(name, "decoder.");
        if (half && (strstr(name, "_blocks.") || strstr(name, ".mid_block.") ||
                     strncmp(name + strlen("encoder"), ".layers.", 8) == 0))
            return SPELLED_DIFFUSERS;
        if (without(name, tiny_decoder) || without(name, tiny_encoder))
            return SPELLED_TINY;
        if (isdigit((unsigned char)name[0]))
            return SPELLED_TINY_HALF;
    }
    return SPELLED_LDM;
}

static bool add(struct model *m, const struct tensor_file *file, const struct tensor_info *t,
                const char *name, struct error *err)
{
    struct model_tensor tensor;
    return model_files_tensor(&tensor, file, t, err) &&
           model_index_add(&m->index, MODEL_VAE, name, &tensor, err);
}

static bool add_diffusers(struct model *m, const struct tensor_file *file,
                          const struct tensor_info *t, struct error *err)
{
    static const char *const starts[] = {"encoder.", "decoder.", "quant_conv.", "post_quant_conv."};
    char name[TENSOR_NAMES_BYTES];
    bool ours = false;

    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        ours = ours || without(bare(t->name), starts[i]);
    if (!ours)
        return true;
    if (!tensor_names_modernize(MODEL_VAE, bare(t->name), name))
        return error_set(err, ERROR_CORRUPT, "%s: tensor '%.200s...' has too long a name", m->path,
                         t->name);
    return add(m, file, t, name, err);
}

static bool add_ldm(struct model *m, const struct tensor_file *file,
                    const struct tensor_names_layout *layout, const struct tensor_info *t,
                    struct error *err)
{
    struct tensor_names_target targets[TENSOR_NAMES_MAX_TARGETS];
    char full[TENSOR_NAMES_BYTES + sizeof checkpoint_prefix];

    snprintf(full, sizeof full, "%s%s", checkpoint_prefix, bare(t->name));
    int n = tensor_names_map(layout, full, targets);
    return n != 1 || targets[0].part != MODEL_VAE || add(m, file, t, targets[0].name, err);
}

/* "1.weight" of one half.  The decoder's authors count a clamp in front that diffusers does not. */
static bool add_tiny(struct model *m, const struct tensor_file *file, const struct tensor_info *t,
                     const char *rest, bool decoder, struct error *err)
{
    char name[TENSOR_NAMES_BYTES], *end;
    unsigned long at = isdigit((unsigned char)*rest) ? strtoul(rest, &end, 10) : ULONG_MAX;

    if (at > 9999 || *end != '.' || (decoder && at == 0))
        return true;
    int n = snprintf(name, sizeof name, "%s.layers.%lu%s", decoder ? "decoder" : "encoder",
                     at - decoder, end);
    if (n < 0 || n >= TENSOR_NAMES_BYTES)
        return error_set(err, ERROR_CORRUPT, "%s: tensor '%.200s...' has too long a name", m->path,
                         t->name);
    return add(m, file, t, name, err);
}

static bool add_tensor(struct model *m, const struct tensor_file *file, enum spelling spelling,
                       const struct tensor_names_layout *layout, const struct tensor_info *t,
                       struct error *err)
{
    const char *rest = without(bare(t->name), tiny_decoder);

    switch (spelling) {
    case SPELLED_DIFFUSERS:
        return add_diffusers(m, file, t, err);
    case SPELLED_TINY:
        if (rest)
            return add_tiny(m, file, t, rest, true, err);
        rest = without(bare(t->name), tiny_encoder);
        return !rest || add_tiny(m, file, t, rest, false, err);
    case SPELLED_TINY_HALF: /* a sequence that does not begin with 0 begins with the clamp */
        return add_tiny(m, file, t, t->name, !tensor_file_find(file, "0.weight"), err);
    case SPELLED_LDM:
        break;
    }
    return add_ldm(m, file, layout, t, err);
}

static bool add_file(struct model *m, const char *path, enum spelling *spelling, struct error *err)
{
    struct tensor_names_layout layout = {0};
    struct tensor_file *file;

    if (!model_files_open(&m->files, path, &file, err))
        return false;
    *spelling = spelling_of(file);
    for (size_t i = 0; i < tensor_file_count(file); i++) {
        char full[TENSOR_NAMES_BYTES + sizeof checkpoint_prefix];
        snprintf(full, sizeof full, "%s%s", checkpoint_prefix, bare(tensor_file_at(file, i)->name));
        tensor_names_measure(&layout, full);
    }
    for (size_t i = 0; i < tensor_file_count(file); i++)
        if (!add_tensor(m, file, *spelling, &layout, tensor_file_at(file, i), err))
            return false;
    return true;
}

/* The file with the other half: "decoder" for "encoder" in its name, or the other way round. */
static bool other_half(char out[MODEL_FILES_PATH_BYTES], const char *path)
{
    static const char *const halves[] = {"decoder", "encoder"};
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

    for (int i = 0; i < 2; i++) {
        const char *at = strstr(name, halves[i]);
        int n = at ? snprintf(out, MODEL_FILES_PATH_BYTES, "%.*s%s%s", (int)(at - path), path,
                              halves[1 - i], at + strlen(halves[i]))
                   : -1;
        if (n >= 0 && n < MODEL_FILES_PATH_BYTES && model_files_is_file(out))
            return true;
    }
    return false;
}

static bool open_file(struct model *m, const char *path, struct error *err)
{
    char other[MODEL_FILES_PATH_BYTES];
    enum spelling spelling;

    return add_file(m, path, &spelling, err) &&
           (spelling != SPELLED_TINY_HALF || !other_half(other, path) ||
            add_file(m, other, &spelling, err)) &&
           model_index_finish(&m->index, err);
}

/* Sizes from shapes; what shapes cannot tell from the model that the VAE joins. */
static bool config_from_shapes(struct model *m, const struct model_info *joins, struct error *err)
{
    struct model_info as = {.path = m->path, .family = joins ? joins->family : MODEL_SD1};

    if (model_config_tiny_is(&m->index))
        return model_config_tiny(&m->info.vae, &m->index, m->path, err);
    if (!model_config_shapes_vae(&m->info.vae, &m->index, &as, err))
        return error_prefix(err, "not a VAE that can be used");
    if (!joins || joins->vae.tiny)
        return true;
    m->info.vae.scaling_factor = joins->vae.scaling_factor;
    m->info.vae.shift_factor = joins->vae.shift_factor;
    m->info.vae.groups = joins->vae.groups;
    return model_config_check_vae(&m->info.vae, m->path, err);
}

/* A folder's own config.json; for a tiny autoencoder, what shapes do not tell. */
static bool config_from_json(struct model *m, const char *path, struct error *err)
{
    struct vae_config *c = &m->info.vae;
    struct json j;

    if (!json_read_file(&j, path, JSON_CONFIG_MAX_BYTES, err))
        return false;
    bool ok;
    if (model_config_tiny_is(&m->index)) {
        const char *act = json_string_value(json_object_get(j.root, "act_fn"));
        ok = model_config_tiny(c, &m->index, m->path, err) &&
             (!act || strcmp(act, "relu") == 0 ||
              json_reject(&j, "act_fn", "only \"relu\" is supported", err)) &&
             json_maybe_float(&j, "scaling_factor", 1e-6f, 1e6f, 1, &c->scaling_factor, err) &&
             json_maybe_float(&j, "shift_factor", -1e6f, 1e6f, 0, &c->shift_factor, err);
    } else {
        ok = model_config_json_vae(c, &j, err);
    }
    json_clear(&j);
    return ok;
}

static bool open_dir(struct model *m, const struct model_info *joins, struct error *err)
{
    static const char *const places[][2] = {{"", "/config.json"}, {"/vae", "/vae/config.json"}};
    char dir[MODEL_FILES_PATH_BYTES], config[MODEL_FILES_PATH_BYTES];

    for (int i = 0; i < 2; i++) {
        int n = snprintf(config, sizeof config, "%s%s", m->path, places[i][1]);
        if (n < 0 || n >= MODEL_FILES_PATH_BYTES || !model_files_is_file(config))
            continue;
        snprintf(dir, sizeof dir, "%.4000s%s", m->path, places[i][0]);
        return model_files_open_part(&m->files, &m->index, dir, MODEL_VAE, err) &&
               model_index_finish(&m->index, err) && config_from_json(m, config, err);
    }
    if (!model_files_join(dir, m->path, "taesd_decoder.safetensors", err))
        return false;
    if (!model_files_is_file(dir))
        return error_set(err, ERROR_NOT_FOUND,
                         "%s: not a VAE: no config.json and no taesd_decoder.safetensors in it",
                         m->path);
    return open_file(m, dir, err) && config_from_shapes(m, joins, err);
}

struct check {
    const struct model *m;
    struct error *err;
};

static bool is_there(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    const struct check *c = ctx;
    const struct model_tensor *t = model_index_find(&c->m->index, MODEL_VAE, name);

    if (!t)
        return error_set(c->err, ERROR_CORRUPT, "%s: tensor '%s' is missing", c->m->path, name);
    for (int i = 0; i < MODEL_MAX_DIMS; i++)
        if ((i < n_dims ? dims[i] : 1) != (i < t->n_dims ? t->dims[i] : 1))
            return error_set(c->err, ERROR_CORRUPT, "%s: tensor '%.200s' has the wrong shape",
                             t->file, t->name);
    return true;
}

bool model_vae_open(struct model **out, const char *path, const struct model_info *joins,
                    struct error *err)
{
    struct model *m;
    struct stat st;

    if (stat(path, &st) != 0)
        return error_set_errno(err, errno, "cannot open the VAE") || error_prefix(err, "%s", path);
    if (!model_internal_new(&m, path, err))
        return false;
    m->info.single_file = !S_ISDIR(st.st_mode);
    m->info.family = joins ? joins->family : MODEL_SD1;
    if (!(m->info.single_file ? open_file(m, m->path, err) && config_from_shapes(m, joins, err)
                              : open_dir(m, joins, err)) ||
        !model_names_vae(&m->info.vae, is_there, &(struct check){m, err})) {
        model_close(m);
        return false;
    }
    m->info.has_part[MODEL_VAE] = true;
    *out = m;
    return true;
}

/* Latents must have the same channels and stand for as many pixels. */
static bool fits(const struct model_info *vae, const struct model_info *m, struct error *err)
{
    if (vae->vae.latent_channels != m->unet.out_channels)
        return error_set(err, ERROR_INVALID,
                         "%s: this VAE's latents have %d channels, those of %s have %d", vae->path,
                         vae->vae.latent_channels, m->name, m->unet.out_channels);
    if (vae->vae.n_levels != m->vae.n_levels)
        return error_set(err, ERROR_INVALID,
                         "%s: this VAE makes pictures %d times the latent's size, that of %s %d",
                         vae->path, 1 << (vae->vae.n_levels - 1), m->name,
                         1 << (m->vae.n_levels - 1));
    if (vae->vae.in_channels != m->vae.in_channels || vae->vae.out_channels != m->vae.out_channels)
        return error_set(err, ERROR_INVALID, "%s: this VAE's pictures have %d channels, not %d",
                         vae->path, vae->vae.out_channels, m->vae.out_channels);
    return true;
}

bool model_vae_replace(struct model *m, const char *path, struct error *err)
{
    struct model_info joins = m->info;
    struct model *vae = NULL;

    joins.vae = m->vae ? m->own_vae : m->info.vae;
    if (path && (!model_vae_open(&vae, path, &joins, err) || !fits(&vae->info, &joins, err))) {
        model_close(vae);
        return false;
    }
    model_close(m->vae);
    m->own_vae = joins.vae;
    m->vae = vae;
    m->info.vae = vae ? vae->info.vae : joins.vae;
    m->info.vae_name = vae ? vae->info.name : NULL;
    return true;
}
