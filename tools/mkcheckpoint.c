/* Writes checkpoints of real sizes with random weights, to measure with and to test readers.
 *
 * Each tensor's values depend on the seed and its diffusers name alone, so a folder and a single
 * file of the same seed hold the same model.  Weights are scaled so that activations stay near one:
 * standard deviation 1/sqrt(inputs), less where a branch is added to its input.
 *
 * With --lora, a LoRA for such a model instead: of a rank, for attention and feed-forward layers,
 * or with --locon for convolutions and everything else that is a matrix too.  "esrgan" makes an
 * upscaler of full size: RRDBNet of 64 features, 23 blocks and 32 more features a convolution. */
#include "mkcheckpoint.h"

#include "base/buf.h"
#include "base/json.h"
#include "model/model_files.h"
#include "model/model_names.h"
#include "model/model_presets.h"
#include "model/tensor_names.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TABLE_BITS = 12, TABLE_SIZE = 1 << TABLE_BITS, PER_DRAW = 64 / TABLE_BITS };
enum { BUFFER_BYTES = 1 << 20, MAX_TENSORS = 4096, FUSED = 3 };

struct planned {
    char file_name[TENSOR_NAMES_BYTES];
    char names[FUSED][TENSOR_NAMES_BYTES]; /* diffusers names whose values follow each other */
    int n_names;
    int64_t dims[MODEL_MAX_DIMS]; /* as the file has them */
    int n_dims;
    int64_t count;
    bool transposed;
    enum dtype dtype;
};

struct job {
    struct model_info info;
    const char *out, *tokenizer;
    bool single_file;
    int upscale;   /* 1, 2, 4 or 8: an upscaler; 0: something else */
    int lora_rank; /* 0: a checkpoint */
    bool locon, peft;
    bool inpainting;   /* the UNet sees a mask and a masked latent too */
    bool v_prediction; /* with zero terminal SNR */
    bool holes;        /* weights are zeros that take no room on the disk: for planning */
    enum dtype dtype, vae_dtype;
    uint64_t seed;
    float normal[TABLE_SIZE]; /* quantiles of the normal distribution */

    enum model_part part;
    struct planned *tensors;
    int n_tensors;
    unsigned char *buffer;
};

/* SplitMix64 as a function of a counter: Steele, Lea and Flood 2014. */
static uint64_t draw(uint64_t key, uint64_t counter)
{
    uint64_t z = key + (counter + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t key_of(uint64_t seed, const char *name)
{
    uint64_t key = draw(seed, 0);
    for (; *name; name++)
        key = draw(key, (unsigned char)*name);
    return key;
}

/* Quantiles by bisection; erf is exact enough and this runs once. */
static void fill_normal(float *table)
{
    for (int i = 0; i < TABLE_SIZE; i++) {
        double want = (i + 0.5) / TABLE_SIZE, low = -6, high = 6;
        for (int k = 0; k < 50; k++) {
            double middle = (low + high) / 2;
            if (0.5 * (1 + erf(middle / sqrt(2.0))) < want)
                low = middle;
            else
                high = middle;
        }
        table[i] = (float)low;
    }
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Mean and standard deviation of a tensor by what it is for. */
static void choose_scale(const struct planned *t, const char *name, float *mean, float *deviation)
{
    static const char *const added[] = {"conv2.weight",    "to_out.0.weight", "ff.net.2.weight",
                                        "proj_out.weight", "out_proj.weight", "fc2.weight"};
    int64_t inputs = 1;

    *mean = t->n_dims == 1 && ends_with(name, ".weight") ? 1 : 0;
    *deviation = *mean != 0 ? 0 : 0.02f;
    if (t->n_dims == 1 || strstr(name, "_embedding.weight"))
        return;
    for (int i = 1; i < t->n_dims; i++)
        inputs *= t->dims[t->transposed ? 0 : i];
    *deviation = (float)(1 / sqrt((double)inputs));
    if (ends_with(name, ".lora_up.weight"))
        *deviation *= 0.1f; /* a tenth of the weights that it is added to */
    for (size_t i = 0; i < sizeof added / sizeof added[0]; i++)
        if (ends_with(name, added[i]))
            *deviation *= 0.3f;
}

static bool plan_tensor(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct job *job = ctx;
    struct planned *t = &job->tensors[job->n_tensors];
    const char *fused =
        job->part == MODEL_TEXT_ENCODER_2 ? strstr(name, "self_attn.k_proj.") : NULL;

    if (job->n_tensors == MAX_TENSORS)
        return false;
    memset(t, 0, sizeof *t);
    t->n_names = 1;
    t->dtype = job->part == MODEL_VAE ? job->vae_dtype : job->dtype;
    t->n_dims = n_dims;
    memcpy(t->dims, dims, (size_t)n_dims * sizeof *dims);
    snprintf(t->names[0], sizeof t->names[0], "%s", name);
    if (!job->single_file) {
        snprintf(t->file_name, sizeof t->file_name, "%s", name);
    } else if (tensor_names_spell(&job->info, job->part, name, t->file_name)) {
        t->transposed = job->part == MODEL_TEXT_ENCODER_2 && ends_with(name, "projection.weight");
        if (t->transposed) {
            t->dims[0] = dims[1];
            t->dims[1] = dims[0];
        }
        if (job->part == MODEL_VAE && strstr(name, ".to_") && n_dims == 2) {
            t->dims[2] = t->dims[3] = 1; /* LDM's attention is made of 1x1 convolutions */
            t->n_dims = 4;
        }
    } else if (fused) {
        char spelled[TENSOR_NAMES_BYTES], out_proj[TENSOR_NAMES_BYTES];
        int head = (int)(fused - name);
        snprintf(out_proj, sizeof out_proj, "%.*sself_attn.out_proj.", head, name);
        if (!tensor_names_spell(&job->info, job->part, out_proj, spelled))
            return false;
        spelled[strlen(spelled) - strlen("out_proj.")] = 0;
        bool bias = ends_with(name, ".bias");
        snprintf(t->file_name, sizeof t->file_name, "%.120s%s", spelled,
                 bias ? "in_proj_bias" : "in_proj_weight");
        for (int i = 0; i < FUSED; i++)
            snprintf(t->names[i], sizeof t->names[i], "%.*sself_attn.%c_proj.%s", head, name,
                     "qkv"[i], bias ? "bias" : "weight");
        t->n_names = FUSED;
        t->dims[0] *= FUSED;
    } else {
        return true; /* query and value come with the key */
    }
    t->count = 1;
    for (int i = 0; i < t->n_dims; i++)
        t->count *= t->dims[i];
    job->n_tensors++;
    return true;
}

/* One factor of a LoRA. */
static bool plan_factor(struct job *job, const char *module, bool up, const int64_t *dims,
                        int n_dims)
{
    static const char *const prefixes[] = {"lora_te_", "lora_te2_", "lora_unet_"};
    struct planned *t = &job->tensors[job->n_tensors];

    if (job->n_tensors++ == MAX_TENSORS)
        return false;
    memset(t, 0, sizeof *t);
    t->n_names = 1;
    t->dtype = job->dtype;
    t->n_dims = n_dims;
    t->count = 1;
    for (int i = 0; i < n_dims; i++)
        t->count *= t->dims[i] = dims[i];
    snprintf(t->names[0], sizeof t->names[0], "%s.lora_%s.weight", module, up ? "up" : "down");
    if (job->peft) {
        snprintf(t->file_name, sizeof t->file_name, "%s.%s.lora_%c.weight",
                 model_part_name(job->part), module, up ? 'B' : 'A');
        return true;
    }
    const bool one_of_two = job->part == MODEL_TEXT_ENCODER && job->info.family != MODEL_SD1;
    int n = snprintf(t->file_name, sizeof t->file_name, "%s",
                     one_of_two ? "lora_te1_" : prefixes[job->part]);
    for (; *module && (size_t)n < sizeof t->file_name - 1; module++)
        t->file_name[n++] = *module == '.' ? '_' : *module;
    snprintf(t->file_name + n, sizeof t->file_name - (size_t)n, ".lora_%s.weight",
             up ? "up" : "down");
    return true;
}

static bool plan_lora(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct job *job = ctx;
    char module[TENSOR_NAMES_BYTES];
    const bool attends = strstr(name, "attn") || strstr(name, ".ff.") || strstr(name, ".mlp.");
    const bool is_matrix = n_dims >= 2 && ends_with(name, ".weight") &&
                           !strstr(name, "embeddings.") && !strstr(name, "text_projection");

    if (!is_matrix || (!job->locon && !attends))
        return true;
    snprintf(module, sizeof module, "%.*s", (int)(strlen(name) - strlen(".weight")), name);
    int64_t down[MODEL_MAX_DIMS] = {job->lora_rank, dims[1]};
    const int64_t up[MODEL_MAX_DIMS] = {dims[0], job->lora_rank, 1, 1};
    for (int i = 2; i < n_dims; i++)
        down[i] = dims[i];
    return plan_factor(job, module, false, down, n_dims) &&
           plan_factor(job, module, true, up, n_dims);
}

static void plan_conv(struct job *job, const char *layer, int64_t in_c, int64_t out_c)
{
    for (int bias = 0; bias < 2 && job->n_tensors < MAX_TENSORS; bias++) {
        struct planned *t = &job->tensors[job->n_tensors++];
        memset(t, 0, sizeof *t);
        t->n_names = 1;
        t->dtype = job->dtype;
        t->n_dims = bias ? 1 : 4;
        t->dims[0] = out_c;
        t->dims[1] = in_c;
        t->dims[2] = t->dims[3] = 3;
        t->count = bias ? out_c : out_c * in_c * 9;
        snprintf(t->names[0], sizeof t->names[0], "%s.%s", layer, bias ? "bias" : "weight");
        memcpy(t->file_name, t->names[0], sizeof t->file_name);
    }
}

/* Real-ESRGAN's names; below 4 times it folds pixels into channels and enlarges 4 times. */
static void plan_upscaler(struct job *job)
{
    enum { WIDTH = 64, GROWTH = 32, BLOCKS = 23, CONVS = 5, DENSE = 3 };
    const int fold = job->upscale < 4 ? 4 / job->upscale : 1, ups = job->upscale == 8 ? 3 : 2;
    char layer[64];

    plan_conv(job, "conv_first", 3 * fold * fold, WIDTH);
    for (int i = 0; i < BLOCKS * DENSE * CONVS; i++) {
        const int k = i % CONVS;
        snprintf(layer, sizeof layer, "body.%d.rdb%d.conv%d", i / CONVS / DENSE,
                 i / CONVS % DENSE + 1, k + 1);
        plan_conv(job, layer, WIDTH + k * GROWTH, k == CONVS - 1 ? WIDTH : GROWTH);
    }
    plan_conv(job, "conv_body", WIDTH, WIDTH);
    for (int i = 1; i <= ups; i++) {
        snprintf(layer, sizeof layer, "conv_up%d", i);
        plan_conv(job, layer, WIDTH, WIDTH);
    }
    plan_conv(job, "conv_hr", WIDTH, WIDTH);
    plan_conv(job, "conv_last", WIDTH, 3);
}

static void store(unsigned char *to, enum dtype type, float f)
{
    uint16_t half = type == DTYPE_F16 ? dtype_f16_from_f32(f) : dtype_bf16_from_f32(f);
    if (type == DTYPE_F32)
        memcpy(to, &f, sizeof f);
    else
        memcpy(to, &half, sizeof half);
}

static uint64_t pick(uint64_t key, uint64_t i)
{
    return draw(key, i / PER_DRAW) >> i % PER_DRAW * TABLE_BITS & (TABLE_SIZE - 1);
}

/* Values of one diffusers tensor; rows and columns are those of the file. */
static bool write_values(struct job *job, FILE *f, const struct planned *t, int which)
{
    unsigned char table[TABLE_SIZE * sizeof(float)];
    size_t size = dtype_bytes(t->dtype), used = 0;
    uint64_t key = key_of(job->seed, t->names[which]), n = (uint64_t)(t->count / t->n_names);
    uint64_t rows = (uint64_t)t->dims[0], columns = n / rows;
    float mean, deviation;

    choose_scale(t, t->names[which], &mean, &deviation);
    for (int i = 0; i < TABLE_SIZE; i++)
        store(table + (size_t)i * size, t->dtype, mean + deviation * job->normal[i]);
    for (uint64_t i = 0; i < n;) {
        if (t->transposed || i % PER_DRAW != 0 || n - i < PER_DRAW) {
            uint64_t at = t->transposed ? i % columns * rows + i / columns : i;
            memcpy(job->buffer + used, table + pick(key, at) * size, size);
            used += size;
            i++;
        } else {
            uint64_t bits = draw(key, i / PER_DRAW);
            for (int k = 0; k < PER_DRAW; k++, bits >>= TABLE_BITS, used += size)
                memcpy(job->buffer + used, table + (bits & (TABLE_SIZE - 1)) * size, size);
            i += PER_DRAW;
        }
        if (used > BUFFER_BYTES - PER_DRAW * sizeof(float) || i == n) {
            if (fwrite(job->buffer, 1, used, f) != used)
                return false;
            used = 0;
        }
    }
    return true;
}

static void put_entry(struct buf *header, const struct planned *t, const char *dtype,
                      uint64_t begin, uint64_t end)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                     header->len > 1 ? "," : "", t->file_name, dtype);
    for (int i = 0; i < t->n_dims; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%" PRId64, i ? "," : "", t->dims[i]);
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, end);
    buf_add(header, text, (size_t)n);
}

/* A tensor without numbers, which says something by being there. */
static void add_mark(struct buf *header, const char *name, uint64_t at)
{
    char text[128];
    const int n = snprintf(text, sizeof text,
                           ",\"%s\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[%" PRIu64
                           ",%" PRIu64 "]}",
                           name, at, at);
    buf_add(header, text, (size_t)n);
}

static bool write_header(struct job *job, FILE *f)
{
    static const char *const dtypes[] = {"F32", "F16", "BF16"};
    struct buf header;
    unsigned char length[8];
    uint64_t at = 0;

    buf_init(&header, 16 << 20);
    buf_add(&header, "{", 1);
    for (int i = 0; i < job->n_tensors; i++) {
        uint64_t bytes = (uint64_t)job->tensors[i].count * dtype_bytes(job->tensors[i].dtype);
        put_entry(&header, &job->tensors[i], dtypes[job->tensors[i].dtype], at, at + bytes);
        at += bytes;
    }
    if (job->single_file && job->v_prediction) /* the marks of such files */
        for (int i = 0; i < 2; i++)
            add_mark(&header, i ? "ztsnr" : "v_pred", at);
    buf_add(&header, "}", 1);
    while (header.len % 8 != 0 && !header.failed)
        buf_add(&header, " ", 1); /* the format's writers align the data so */
    for (int i = 0; i < 8; i++)
        length[i] = (unsigned char)((uint64_t)header.len >> 8 * i);
    bool ok = !header.failed && fwrite(length, 1, 8, f) == 8 &&
              fwrite(header.bytes, 1, header.len, f) == header.len;
    buf_clear(&header);
    return ok;
}

static bool write_holes(struct job *job, FILE *f)
{
    uint64_t bytes = 0;
    off_t header = fflush(f) == 0 ? ftello(f) : -1;

    for (int i = 0; i < job->n_tensors; i++)
        bytes += (uint64_t)job->tensors[i].count * dtype_bytes(job->tensors[i].dtype);
    return header >= 0 && ftruncate(fileno(f), header + (off_t)bytes) == 0;
}

static bool write_file(struct job *job, const char *path, struct error *err)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return error_set_errno(err, errno, "cannot write") || error_prefix(err, "%s", path);
    bool ok = write_header(job, f);
    if (ok && job->holes)
        ok = write_holes(job, f);
    for (int i = 0; ok && !job->holes && i < job->n_tensors; i++)
        for (int k = 0; ok && k < job->tensors[i].n_names; k++)
            ok = write_values(job, f, &job->tensors[i], k);
    int saved = errno;
    if (fclose(f) != 0) {
        saved = ok ? errno : saved;
        ok = false;
    }
    if (!ok)
        remove(path);
    return ok || error_set_errno(err, saved, "cannot write") || error_prefix(err, "%s", path);
}

static bool make_folder(char path[MODEL_FILES_PATH_BYTES], const char *dir, const char *name,
                        struct error *err)
{
    if (!model_files_join(path, dir, name, err))
        return false;
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return error_set_errno(err, errno, "cannot make the folder") ||
               error_prefix(err, "%s", path);
    return true;
}

static bool copy_file(const char *from, const char *to, struct error *err)
{
    char block[1 << 14];
    size_t n;
    bool ok = true;
    FILE *in = fopen(from, "rb"), *out = in ? fopen(to, "wb") : NULL;

    while (ok && out && (n = fread(block, 1, sizeof block, in)) > 0)
        ok = fwrite(block, 1, n, out) == n;
    ok = ok && in && out && !ferror(in);
    int saved = errno;
    if (in)
        fclose(in);
    if (out && fclose(out) != 0)
        ok = false;
    return ok || error_set_errno(err, saved, "cannot copy") || error_prefix(err, "%s", from);
}

/* vocab.json and merges.txt are needed; the others are taken along where they are. */
static bool copy_tokenizer(const struct job *job, const char *folder, struct error *err)
{
    static const char *const names[] = {"vocab.json", "merges.txt", "tokenizer_config.json",
                                        "special_tokens_map.json"};
    char dir[MODEL_FILES_PATH_BYTES], from[MODEL_FILES_PATH_BYTES], to[MODEL_FILES_PATH_BYTES];

    if (!make_folder(dir, job->out, folder, err))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!model_files_join(from, job->tokenizer, names[i], err) ||
            !model_files_join(to, dir, names[i], err))
            return false;
        if ((i < 2 || model_files_is_file(from)) && !copy_file(from, to, err))
            return false;
    }
    return true;
}

static bool write_folder(struct job *job, struct error *err)
{
    char dir[MODEL_FILES_PATH_BYTES], path[MODEL_FILES_PATH_BYTES];

    if (mkdir(job->out, 0777) != 0 && errno != EEXIST)
        return error_set_errno(err, errno, "cannot make the folder") ||
               error_prefix(err, "%s", job->out);
    if (!make_folder(dir, job->out, "scheduler", err))
        return false;
    for (job->part = 0; job->part < MODEL_PARTS; job->part++) {
        if (!job->info.has_part[job->part])
            continue;
        job->n_tensors = 0;
        bool text = job->part == MODEL_TEXT_ENCODER || job->part == MODEL_TEXT_ENCODER_2;
        if (!make_folder(dir, job->out, model_part_name(job->part), err) ||
            !model_files_join(
                path, dir, text ? "model.safetensors" : "diffusion_pytorch_model.safetensors", err))
            return false;
        if (!model_names_part(&job->info, job->part, plan_tensor, job))
            return error_set(err, ERROR_LIMIT, "%s: too many tensors", path);
        if (!write_file(job, path, err))
            return false;
        if (text && job->tokenizer &&
            !copy_tokenizer(job, job->part == MODEL_TEXT_ENCODER ? "tokenizer" : "tokenizer_2",
                            err))
            return false;
    }
    return mkcheckpoint_config_write(&job->info, job->out, err);
}

static bool write_single(struct job *job, struct error *err)
{
    if (job->upscale) {
        plan_upscaler(job);
        return write_file(job, job->out, err);
    }
    const int n_parts = job->lora_rank ? MODEL_VAE : MODEL_PARTS;
    for (job->part = 0; (int)job->part < n_parts; job->part++)
        if (job->info.has_part[job->part] &&
            !model_names_part(&job->info, job->part, job->lora_rank ? plan_lora : plan_tensor, job))
            return error_set(err, ERROR_LIMIT, "%s: too many tensors", job->out);
    return write_file(job, job->out, err);
}

/* The tiny model's vocabulary is the tokenizer's, so that its ids have rows. */
static bool fit_vocabulary(struct job *job, struct error *err)
{
    char path[MODEL_FILES_PATH_BYTES];
    struct json vocab;

    if (!model_files_join(path, job->tokenizer, "vocab.json", err) ||
        !json_read_file(&vocab, path, JSON_VOCAB_MAX_BYTES, err))
        return false;
    const int size = (int)json_object_size(vocab.root);
    for (int i = 0; i < 2; i++) {
        struct clip_config *c = &job->info.clip[i];
        c->pad_id = c->pad_id == c->eos_id ? size - 1 : c->pad_id;
        c->vocab_size = size;
        c->bos_id = size - 2;
        c->eos_id = size - 1;
    }
    json_clear(&vocab);
    return size >= 2 || error_set(err, ERROR_INVALID, "%s: no vocabulary", path);
}

static bool read_dtype(enum dtype *out, const char *value)
{
    *out = strcmp(value, "f32") == 0    ? DTYPE_F32
           : strcmp(value, "bf16") == 0 ? DTYPE_BF16
                                        : DTYPE_F16;
    return *out != DTYPE_F16 || strcmp(value, "f16") == 0;
}

static bool read_option(struct job *job, const char *name, const char *value)
{
    char *end;
    if (strcmp(name, "--tokenizer") == 0) {
        job->tokenizer = value;
        return true;
    }
    if (strcmp(name, "--lora") == 0) {
        const unsigned long rank = strtoul(value, &end, 10);
        job->lora_rank = (int)rank;
        job->single_file = true;
        return *value >= '1' && *value <= '9' && *end == 0 && rank <= 2048;
    }
    if (strcmp(name, "--scale") == 0) {
        job->upscale = value[1] ? 0 : *value - '0';
        return *value &&
               (job->upscale == 1 || job->upscale == 2 || job->upscale == 4 || job->upscale == 8);
    }
    if (strcmp(name, "--seed") == 0) {
        job->seed = strtoull(value, &end, 10);
        return *value >= '0' && *value <= '9' && *end == 0;
    }
    if (strcmp(name, "--vae-dtype") == 0)
        return read_dtype(&job->vae_dtype, value);
    return strcmp(name, "--dtype") == 0 && read_dtype(&job->dtype, value);
}

static bool read_arguments(struct job *job, int argc, char **argv)
{
    const char *words[2] = {0};
    int n = 0;

    job->dtype = DTYPE_F16;
    job->vae_dtype = DTYPE_COUNT; /* not given */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--single-file") == 0) {
            job->single_file = true;
        } else if (strcmp(argv[i], "--holes") == 0) {
            job->holes = true;
        } else if (strcmp(argv[i], "--v-prediction") == 0) {
            job->v_prediction = true;
        } else if (strcmp(argv[i], "--locon") == 0) {
            job->locon = true;
        } else if (strcmp(argv[i], "--inpainting") == 0) {
            job->inpainting = true;
        } else if (strcmp(argv[i], "--peft") == 0) {
            job->peft = true;
        } else if (argv[i][0] == '-') {
            if (i + 1 == argc || !read_option(job, argv[i], argv[i + 1]))
                return false;
            i++;
        } else if (n < 2) {
            words[n++] = argv[i];
        } else {
            return false;
        }
    }
    job->out = words[1];
    if (job->vae_dtype == DTYPE_COUNT)
        job->vae_dtype = job->dtype;
    if (n == 2 && strcmp(words[0], "esrgan") == 0) {
        job->upscale = job->upscale ? job->upscale : 4;
        return job->single_file = true;
    }
    if (n != 2 || job->upscale || !model_presets_find(&job->info, words[0]))
        return false;
    if (job->inpainting)
        job->info.unet.in_channels = 2 * job->info.vae.latent_channels + 1;
    if (job->v_prediction) {
        job->info.schedule.prediction = MODEL_V_PREDICTION;
        job->info.schedule.zero_snr = true;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct job job;
    struct error err = {0};

    if (!read_arguments(&job, argc, argv)) {
        fprintf(stderr,
                "usage: mkcheckpoint sd15|sdxl|refiner|tiny|tiny-sdxl|tiny-refiner|esrgan OUT\n"
                "       [--single-file] [--holes] [--inpainting] [--v-prediction]\n"
                "       [--lora RANK [--locon] [--peft]] [--dtype f16|f32|bf16]\n"
                "       [--vae-dtype f16|f32|bf16] [--seed N] [--tokenizer DIR]\n"
                "       [--scale 1|2|4|8 (esrgan)]\n");
        return 2;
    }
    job.tensors = calloc(MAX_TENSORS, sizeof *job.tensors);
    job.buffer = malloc(BUFFER_BYTES);
    bool tiny = job.info.vae.channels[0] < 128;
    bool ok = (job.tensors && job.buffer) || error_set(&err, ERROR_MEMORY, "no memory");
    fill_normal(job.normal);
    ok = ok && (!tiny || !job.tokenizer || fit_vocabulary(&job, &err)) &&
         (job.single_file ? write_single(&job, &err) : write_folder(&job, &err));
    if (!ok)
        fprintf(stderr, "mkcheckpoint: %s\n", err.text);
    free(job.tensors);
    free(job.buffer);
    return ok ? 0 : 1;
}
