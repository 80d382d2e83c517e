#include "model/model_inspect.h"

#include "model/model_internal.h"

#include <inttypes.h>
#include <string.h>

struct model_inspect_part model_inspect_count(const struct model *m, enum model_part part)
{
    const struct model_index *index = model_internal_index(m, part);
    struct model_inspect_part sum = {0};

    for (size_t i = 0; i < index->n; i++) {
        const struct model_index_entry *e = &index->entries[i];
        if (e->part != part)
            continue;
        sum.tensors++;
        sum.bytes += e->tensor.n_bytes;
        sum.parameters += e->tensor.n_bytes / dtype_bytes(e->tensor.dtype);
        sum.dtype_tensors[e->tensor.dtype]++;
    }
    return sum;
}

/* Where a name belongs among n sorted ones. */
static size_t place_of(const char *const *names, size_t n, const char *name)
{
    size_t i = 0;
    while (i < n && strcmp(names[i], name) < 0)
        i++;
    return i;
}

size_t model_inspect_files(const struct model *m, enum model_part part, const char **out,
                           size_t most)
{
    const struct model_index *index = model_internal_index(m, part);
    const char *last = NULL;
    size_t n = 0;

    for (size_t i = 0; i < index->n; i++) {
        const struct model_index_entry *e = &index->entries[i];
        if (e->part != part || e->tensor.file == last)
            continue;
        last = e->tensor.file; /* neighbours are of one file most of the time */
        const size_t at = place_of(out, n, last);
        if (n == most || (at < n && strcmp(out[at], last) == 0))
            continue;
        memmove(out + at + 1, out + at, (n - at) * sizeof *out);
        out[at] = last;
        n++;
    }
    return n;
}

static void write_part(const struct model *m, enum model_part part, FILE *to)
{
    static const char *const dtypes[DTYPE_COUNT] = {"f32", "f16", "bf16", "f64", "i32", "i64"};
    struct model_inspect_part sum = model_inspect_count(m, part);

    fprintf(to, "%-15s %.1f M parameters, %.1f MiB, %" PRIu64 " tensors:", model_part_name(part),
            (double)sum.parameters / 1e6, (double)sum.bytes / (1 << 20), sum.tensors);
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (sum.dtype_tensors[i])
            fprintf(to, " %s (%" PRIu64 ")", dtypes[i], sum.dtype_tensors[i]);
    fprintf(to, "\n");
}

static void write_list(FILE *to, const char *what, const int *values, int n)
{
    fprintf(to, "  %-14s", what);
    for (int i = 0; i < n; i++)
        fprintf(to, "%s%d", i ? ", " : "", values[i]);
    fprintf(to, "\n");
}

static void write_clip(FILE *to, const struct clip_config *c)
{
    fprintf(to, "  %-14s%d, inner %d, %d heads, %d layers\n", "width", c->width, c->intermediate,
            c->heads, c->layers);
    fprintf(to, "  %-14s%d, %d positions\n", "vocabulary", c->vocab_size, c->max_positions);
    fprintf(to, "  %-14s%s\n", "activation", c->act == MODEL_ACT_GELU ? "gelu" : "quick_gelu");
    if (c->projection_dim)
        fprintf(to, "  %-14s%d\n", "projection", c->projection_dim);
}

static void write_unet(FILE *to, const struct unet_config *c)
{
    write_list(to, "widths", c->channels, c->n_levels);
    write_list(to, "transformers", c->transformer_layers, c->n_levels);
    write_list(to, "heads", c->heads, c->n_levels);
    fprintf(to, "  %-14s%d transformers, %d heads\n", "middle", c->mid_transformer_layers,
            c->mid_heads);
    fprintf(to, "  %-14s%d per level, %d norm groups\n", "layers", c->layers_per_block, c->groups);
    fprintf(to, "  %-14s%d in, %d out, text %d\n", "channels", c->in_channels, c->out_channels,
            c->cross_attention_dim);
}

static void write_vae(FILE *to, const struct vae_config *c)
{
    write_list(to, "widths", c->channels, c->n_levels);
    if (c->tiny)
        write_list(to, "tiny decoder", c->decoder_blocks, c->n_levels);
    else
        fprintf(to, "  %-14s%d per level, %d norm groups\n", "layers", c->layers_per_block,
                c->groups);
    fprintf(to, "  %-14s%d, scaling factor %g\n", "latent", c->latent_channels,
            (double)c->scaling_factor);
}

static void write_tokenizers(const struct model_info *info, FILE *to)
{
    static const char *const names[2] = {"tokenizer", "tokenizer_2"};

    for (int i = 0; i < 2; i++) {
        if (!info->has_part[i])
            continue;
        const char *dir = info->tokenizer_dir[i];
        if (dir)
            fprintf(to, "%-15s %s\n", names[i], dir);
        else if (info->single_file)
            fprintf(to, "%-15s not found: single files carry none\n", names[i]);
        else
            fprintf(to, "%-15s not found: no vocab.json and merges.txt in %s/%s\n", names[i],
                    info->path, names[i]);
    }
}

bool model_inspect_write(const struct model *m, FILE *to)
{
    const struct model_info *info = &m->info;
    const struct schedule_config *s = &info->schedule;

    fprintf(to, "%-15s %s\n%-15s %s\n%-15s %s, %s\n", "model", info->name, "path", info->path,
            "family", model_family_name(info->family),
            info->single_file ? "single file" : "diffusers folder");
    fprintf(to, "%-15s %s, %d steps, betas %g to %g %s%s\n", "prediction",
            s->prediction == MODEL_V_PREDICTION ? "v_prediction" : "epsilon", s->train_timesteps,
            (double)s->beta_start, (double)s->beta_end,
            s->scaled_linear ? "scaled linear" : "linear",
            s->zero_snr ? ", zero terminal SNR" : "");
    for (enum model_part part = 0; part < MODEL_PARTS; part++) {
        if (!info->has_part[part])
            continue;
        write_part(m, part, to);
        if (part == MODEL_UNET)
            write_unet(to, &info->unet);
        else if (part == MODEL_VAE)
            write_vae(to, &info->vae);
        else
            write_clip(to, &info->clip[part]);
    }
    write_tokenizers(info, to);
    return fflush(to) == 0 && !ferror(to);
}
