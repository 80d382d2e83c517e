/* VAEs in files of their own, in every spelling there is. */
#include "base/buf.h"
#include "base/test.h"
#include "model/model_names.h"
#include "model/model_presets.h"
#include "model/model_vae.h"
#include "model/model_vae_find.h"
#include "model/tensor_file.h"
#include "model/tensor_names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_ROOM = 300 };

static const char demo_path[] = "assets/demo-model";
static const char tiny_path[] = "tests/data/taesd-random.safetensors";

/* A safetensors file being written: names and shapes, then bytes or a hole. */
struct writer {
    struct model_info info;
    const char *prefix; /* instead of "first_stage_model."; NULL: diffusers' spelling */
    const char *dtype;  /* of the holes */
    const char *leave_out;
    struct buf header, body;
    uint64_t at;
};

static void add_entry(struct writer *w, const char *name, const char *dtype, const int64_t *dims,
                      int n_dims, uint64_t bytes)
{
    char text[512];
    int n = snprintf(text, sizeof text, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[",
                     w->header.len > 1 ? "," : "", name, dtype);
    for (int i = 0; i < n_dims; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%" PRId64, i ? "," : "", dims[i]);
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", w->at, w->at + bytes);
    buf_add(&w->header, text, (size_t)n);
    w->at += bytes;
}

static void begin(struct writer *w)
{
    buf_init(&w->header, 1 << 20);
    buf_init(&w->body, 1 << 20);
    buf_add(&w->header, "{", 1);
}

static void end(struct writer *w, const char *path)
{
    FILE *f = fopen(path, "wb");

    CHECK(f && !w->header.failed && !w->body.failed);
    if (!f)
        return;
    buf_add(&w->header, "}", 1);
    for (int i = 0; i < 8; i++)
        fputc((int)((uint64_t)w->header.len >> 8 * i & 255), f);
    fwrite(w->header.bytes, 1, w->header.len, f);
    if (w->body.len)
        fwrite(w->body.bytes, 1, w->body.len, f);
    fflush(f);
    CHECK(ftruncate(fileno(f), (off_t)(8 + w->header.len + w->at)) == 0);
    fclose(f);
    buf_clear(&w->header);
    buf_clear(&w->body);
}

static bool add_hole(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    static const char checkpoint[] = "first_stage_model.";
    struct writer *w = ctx;
    char spelled[TENSOR_NAMES_BYTES], full[TENSOR_NAMES_BYTES + 32];
    uint64_t bytes = strcmp(w->dtype, "F32") == 0 ? 4 : 2;

    if (w->leave_out && strstr(name, w->leave_out))
        return true;
    snprintf(full, sizeof full, "%s", name);
    if (w->prefix) {
        CHECK(tensor_names_spell(&w->info, MODEL_VAE, name, spelled));
        snprintf(full, sizeof full, "%s%s", w->prefix, spelled + sizeof checkpoint - 1);
    }
    for (int i = 0; i < n_dims; i++)
        bytes *= (uint64_t)dims[i];
    add_entry(w, full, w->dtype, dims, n_dims, bytes);
    return true;
}

/* The tiny preset's VAE as a single file of zeros. */
static void write_holes(struct writer *w, const char *path, int latent_channels)
{
    CHECK(model_presets_find(&w->info, "tiny"));
    w->info.vae.latent_channels = latent_channels;
    begin(w);
    CHECK(model_names_vae(&w->info.vae, add_hole, w));
    end(w, path);
}

static struct model *open_demo(void)
{
    struct model *m = NULL;
    struct error err = {0};
    CHECK(model_open(&m, demo_path, &err));
    return m;
}

/* err_part NULL: opens. */
static struct model *open_vae(const char *path, const struct model_info *joins,
                              const char *err_part)
{
    struct model *m = NULL;
    struct error err = {0};
    bool ok = model_vae_open(&m, path, joins, &err);

    if (ok != !err_part || (err_part && !strstr(err.text, err_part)))
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok == !err_part);
    CHECK(!err_part || (strstr(err.text, err_part) && strstr(err.text, path)));
    return m;
}

static void reads_every_spelling_and_type(const char *dir)
{
    static const struct {
        const char *prefix, *dtype, *first_name;
        enum dtype type;
    } rows[] = {
        {"", "F16", "decoder.up.3.block.0.conv1.weight", DTYPE_F16},
        {"first_stage_model.", "BF16", "first_stage_model.decoder.up.3.block.0.conv1.weight",
         DTYPE_BF16},
        {NULL, "F32", "decoder.up_blocks.0.resnets.0.conv1.weight", DTYPE_F32},
    };
    struct model_info joins = {.family = MODEL_SDXL,
                               .vae = {.scaling_factor = 0.5f, .groups = 16, .n_levels = 4}};
    char path[PATH_ROOM];

    snprintf(path, sizeof path, "%s/my.vae.safetensors", dir);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct writer w = {.prefix = rows[i].prefix, .dtype = rows[i].dtype};
        struct model_tensor t;
        write_holes(&w, path, 4);
        struct model *m = open_vae(path, &joins, NULL);
        if (!m)
            continue;
        struct vae_config want = w.info.vae;
        want.scaling_factor = 0.5f; /* a single file has none: the model's that it joins */
        want.groups = 16;
        CHECK(memcmp(&model_view(m)->vae, &want, sizeof want) == 0);
        CHECK(strcmp(model_view(m)->name, "my.vae") == 0 && model_view(m)->has_part[MODEL_VAE]);
        CHECK(model_find(m, MODEL_VAE, "decoder.up_blocks.0.resnets.0.conv1.weight", &t) &&
              strcmp(t.name, rows[i].first_name) == 0 && t.dtype == rows[i].type);
        model_close(m);
    }
}

static void refuses_what_does_not_fit(const char *dir)
{
    static const struct {
        const char *leave_out;
        int latent_channels;
        const char *error;
    } rows[] = {
        {NULL, 16, "latents have 16 channels, those of demo-model have 4"},
        {"decoder.conv_in", 4, "'decoder.conv_in.weight' is missing"},
        {"encoder.mid_block.resnets.1.conv2", 4, "'encoder.mid_block.resnets.1.conv2"},
        {".", 4, "not a VAE"},
    };
    struct model *m = open_demo();
    struct error err = {0};
    char path[PATH_ROOM];
    const struct vae_config own = model_view(m)->vae;

    snprintf(path, sizeof path, "%s/wrong.safetensors", dir);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct writer w = {.prefix = "", .dtype = "F16", .leave_out = rows[i].leave_out};
        write_holes(&w, path, rows[i].latent_channels);
        CHECK(!model_vae_replace(m, path, &err));
        if (!strstr(err.text, rows[i].error))
            fprintf(stderr, "%s\n", err.text);
        CHECK(strstr(err.text, rows[i].error) && strstr(err.text, path));
    }
    CHECK(!model_view(m)->vae_name && memcmp(&own, &model_view(m)->vae, sizeof own) == 0);
    open_vae("no/such/vae", NULL, "cannot open");
    open_vae("assets", NULL, "not a VAE");
    model_close(m);
}

static void stands_in_for_the_models_own(void)
{
    struct model *m = open_demo();
    struct model_tensor own, other, again;
    struct error err = {0};
    const char *name = "decoder.conv_in.weight";

    if (!m)
        return;
    CHECK(model_find(m, MODEL_VAE, name, &own));
    CHECK(model_vae_replace(m, "assets/demo-model/vae", &err)); /* its own folder, mapped again */
    CHECK(model_find(m, MODEL_VAE, name, &other) && other.bytes != own.bytes &&
          other.n_bytes == own.n_bytes && memcmp(own.bytes, other.bytes, own.n_bytes) == 0);
    CHECK(strcmp(model_view(m)->vae_name, "vae") == 0 && model_view(m)->vae.groups == 8);
    CHECK(model_vae_replace(m, demo_path, &err)); /* a model's folder: the VAE in it */
    CHECK(strcmp(model_view(m)->vae_name, "demo-model") == 0);
    CHECK(model_vae_replace(m, tiny_path, &err) && model_view(m)->vae.tiny);
    CHECK(model_find(m, MODEL_UNET, "conv_in.weight", &other));
    CHECK(!model_find(m, MODEL_VAE, name, &other));
    CHECK(model_vae_replace(m, NULL, &err) && !model_view(m)->vae_name && !model_view(m)->vae.tiny);
    CHECK(model_find(m, MODEL_VAE, name, &again) && again.bytes == own.bytes);
    model_close(m);
}

/* The authors' spelling of one half, from the file in diffusers' spelling. */
static void write_half(const char *path, const char *half, int number_shift, const char *prefix)
{
    static const char *const dtypes[] = {"F32", "F16", "BF16"};
    struct writer w = {0};
    struct tensor_file *file = NULL;
    struct error err = {0};
    char start[40];

    CHECK(tensor_file_open(&file, tiny_path, &err));
    snprintf(start, sizeof start, "%s.layers.", half);
    begin(&w);
    for (size_t i = 0; file && i < tensor_file_count(file); i++) {
        const struct tensor_info *t = tensor_file_at(file, i);
        char name[100], *rest;
        if (strncmp(t->name, start, strlen(start)) != 0)
            continue;
        long at = strtol(t->name + strlen(start), &rest, 10);
        snprintf(name, sizeof name, "%s%ld%s", prefix, at + number_shift, rest);
        add_entry(&w, name, dtypes[t->dtype], t->dims, t->n_dims, t->n_bytes);
        buf_add(&w.body, t->bytes, t->n_bytes);
    }
    end(&w, path);
    tensor_file_close(file);
}

static bool same_tensor(const struct model *a, const struct model *b, const char *name)
{
    struct model_tensor x, y;
    return model_find(a, MODEL_VAE, name, &x) && model_find(b, MODEL_VAE, name, &y) &&
           x.n_bytes == y.n_bytes && memcmp(x.bytes, y.bytes, x.n_bytes) == 0;
}

static void reads_the_tiny_autoencoder_in_its_authors_files(const char *dir)
{
    char decoder[PATH_ROOM], encoder[PATH_ROOM];
    struct model *want = open_vae(tiny_path, NULL, NULL);

    snprintf(decoder, sizeof decoder, "%s/taesd_decoder.safetensors", dir);
    snprintf(encoder, sizeof encoder, "%s/taesd_encoder.safetensors", dir);
    write_half(decoder, "decoder", 1, ""); /* a clamp has the number 0 */
    struct model *m = open_vae(decoder, NULL, NULL);
    CHECK(m && want && model_view(m)->vae.tiny && model_view(m)->vae.no_encoder);
    CHECK(m && same_tensor(m, want, "decoder.layers.18.bias"));
    model_close(m);

    write_half(encoder, "encoder", 0, "");
    const char *const paths[] = {decoder, encoder, dir};
    for (size_t i = 0; i < 3; i++) {
        m = open_vae(paths[i], NULL, NULL);
        CHECK(m && want &&
              memcmp(&model_view(m)->vae, &model_view(want)->vae, sizeof(struct vae_config)) == 0);
        CHECK(m && same_tensor(m, want, "decoder.layers.2.conv.4.weight") &&
              same_tensor(m, want, "encoder.layers.14.weight"));
        model_close(m);
    }
    unlink(encoder);

    write_half(decoder, "decoder", 1, "taesd_decoder.");
    m = open_vae(decoder, NULL, NULL);
    CHECK(m && same_tensor(m, want, "decoder.layers.18.bias"));
    model_close(m);
    unlink(decoder);
    write_half(encoder, "encoder", 0, "");
    open_vae(encoder, NULL, "decoder: layer 0 is missing");
    unlink(encoder);
    model_close(want);
}

static void finds_names_in_their_folder_only(const char *dir)
{
    static const struct {
        const char *name, *found; /* NULL: nothing */
        enum model_family family;
    } rows[] = {
        {"my.vae", "my.vae.safetensors", MODEL_SD1},
        {"my.vae.safetensors", "my.vae.safetensors", MODEL_SD1},
        {"taesd", "taesd_decoder.safetensors", MODEL_SD1},
        {"taesd", "taesdxl.safetensors", MODEL_SDXL},
        {"taesd", "taesdxl.safetensors", MODEL_SDXL_REFINER},
        {"../my.vae", NULL, MODEL_SD1},
        {"..", NULL, MODEL_SD1},
        {".hidden", NULL, MODEL_SD1},
        {"", NULL, MODEL_SD1},
        {"nothing", NULL, MODEL_SD1},
    };
    static const char *const files[] = {"my.vae.safetensors", "taesd_decoder.safetensors",
                                        "taesdxl.safetensors", ".hidden"};
    char path[PATH_ROOM], out[MODEL_VAE_FIND_PATH_BYTES];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        FILE *f = fopen(path, "ab");
        CHECK(f);
        if (f)
            fclose(f);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct error err = {0};
        bool ok = model_vae_find(out, rows[i].name, dir, rows[i].family, &err);
        CHECK(ok == (rows[i].found != NULL));
        snprintf(path, sizeof path, "%s/%s", dir, rows[i].found ? rows[i].found : "");
        CHECK(ok ? strcmp(out, path) == 0 : err.code == ERROR_NOT_FOUND);
        CHECK(ok || strstr(err.text, "taesdxl.safetensors"));
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        unlink(path);
    }
}

int main(void)
{
    char dir[] = "/tmp/model_vae_test.XXXXXX", path[PATH_ROOM];

    CHECK(mkdtemp(dir));
    reads_every_spelling_and_type(dir);
    refuses_what_does_not_fit(dir);
    stands_in_for_the_models_own();
    reads_the_tiny_autoencoder_in_its_authors_files(dir);
    finds_names_in_their_folder_only(dir);
    snprintf(path, sizeof path, "%s/wrong.safetensors", dir);
    unlink(path);
    CHECK(rmdir(dir) == 0);
    return TEST_END();
}
