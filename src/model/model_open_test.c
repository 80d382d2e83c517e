/* Models written by the test itself: sound ones, and ones that must be refused. */
#include "base/buf.h"
#include "base/test.h"
#include "model/model.h"
#include "model/model_inspect.h"
#include "model/model_names.h"
#include "model/model_presets.h"
#include "model/tensor_names.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct writer {
    struct model_info info;
    enum model_part part;
    bool v_prediction, zero_snr;
    const char *leave_out; /* part of a name */
    struct buf header;
    uint64_t at;
};

static bool add_tensor(void *ctx, const char *name, const int64_t *dims, int n_dims)
{
    struct writer *w = ctx;
    char spelled[TENSOR_NAMES_BYTES], text[512];
    uint64_t bytes = 2;

    if (!tensor_names_spell(&w->info, w->part, name, spelled) ||
        (w->leave_out && strstr(spelled, w->leave_out)))
        return true;
    int n = snprintf(text, sizeof text, ",\"%s\":{\"dtype\":\"F16\",\"shape\":[", spelled);
    for (int i = 0; i < n_dims; i++) {
        bytes *= (uint64_t)dims[i];
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%" PRId64, i ? "," : "", dims[i]);
    }
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", w->at, w->at + bytes);
    buf_add(&w->header, text, (size_t)n);
    w->at += bytes;
    return true;
}

/* A single file whose data are a hole in the file: zeros that take no room. */
static void write_single(struct writer *w, const char *path, uint64_t missing_bytes)
{
    static const char start[] = "{\"__metadata__\":{}";
    static const char mark[] =
        ",\"v_pred\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}";
    static const char snr_mark[] =
        ",\"ztsnr\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}";
    FILE *f = fopen(path, "wb");

    CHECK(f && model_presets_find(&w->info, "tiny"));
    if (!f)
        return;
    buf_init(&w->header, 1 << 20);
    buf_add(&w->header, start, sizeof start - 1);
    for (w->part = 0; w->part < MODEL_PARTS; w->part++)
        if (w->info.has_part[w->part])
            CHECK(model_names_part(&w->info, w->part, add_tensor, w));
    if (w->v_prediction)
        buf_add(&w->header, mark, sizeof mark - 1);
    if (w->zero_snr)
        buf_add(&w->header, snr_mark, sizeof snr_mark - 1);
    buf_add(&w->header, "}", 1);
    for (int i = 0; i < 8; i++)
        fputc((int)((uint64_t)w->header.len >> 8 * i & 255), f);
    fwrite(w->header.bytes, 1, w->header.len, f);
    fflush(f);
    CHECK(ftruncate(fileno(f), (off_t)(8 + w->header.len + w->at - missing_bytes)) == 0);
    fclose(f);
    buf_clear(&w->header);
}

static void tells_a_single_files_sizes(const char *path, bool zero_snr)
{
    struct writer w = {.v_prediction = true, .zero_snr = zero_snr};
    struct model *m = NULL;
    struct error err = {0};
    struct model_tensor t;

    write_single(&w, path, 0);
    CHECK(model_open(&m, path, &err));
    if (!m) {
        fprintf(stderr, "%s\n", err.text);
        return;
    }
    const struct model_info *info = model_view(m);
    CHECK(info->family == MODEL_SD1 && info->single_file && !info->tokenizer_dir[0]);
    CHECK(memcmp(&info->unet, &w.info.unet, sizeof info->unet) == 0);
    CHECK(memcmp(&info->vae, &w.info.vae, sizeof info->vae) == 0);
    CHECK(memcmp(&info->clip[0], &w.info.clip[0], sizeof info->clip[0]) == 0);
    CHECK(info->schedule.prediction == MODEL_V_PREDICTION && info->schedule.zero_snr == zero_snr);
    CHECK(model_find(m, MODEL_VAE, "decoder.up_blocks.0.resnets.2.conv1.weight", &t) &&
          strcmp(t.name, "first_stage_model.decoder.up.3.block.2.conv1.weight") == 0);
    CHECK(!model_find(m, MODEL_UNET, "decoder.conv_in.weight", &t));
    struct model_inspect_part sum = model_inspect_count(m, MODEL_UNET);
    CHECK(sum.bytes == 2 * sum.parameters && sum.dtype_tensors[DTYPE_F16] == sum.tensors);
    model_close(m);
}

static void refuses_damaged_single_files(const char *path)
{
    static const struct {
        const char *leave_out;
        uint64_t missing_bytes;
        const char *error;
    } rows[] = {
        {NULL, 1, "claims bytes"},
        {"model.diffusion_model.", 0, "no UNet"},
        {"cond_stage_model.", 0, "no text encoder"},
        {"first_stage_model.decoder.conv_in", 0, "'decoder.conv_in.weight' is missing"},
        {"first_stage_model.encoder.down.0", 0, "number of levels is 0"},
        {"middle_block", 0, "attn2.to_k.weight' is missing"},
        {"model.diffusion_model.input_blocks.1.0.in_layers.2.weight", 0,
         "'down_blocks.0.resnets.0.conv1.weight' is missing"},
        {"model.diffusion_model.input_blocks.4.0.in_layers.2.weight", 0,
         "'down_blocks.1.resnets.0.conv1.weight' is missing"},
        {"first_stage_model.encoder.down.2.block.0.conv1.weight", 0,
         "'encoder.down_blocks.2.resnets.0.conv1.weight' is missing"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct writer w = {.leave_out = rows[i].leave_out};
        struct model *m = NULL;
        struct error err = {0};
        write_single(&w, path, rows[i].missing_bytes);
        CHECK(!model_open(&m, path, &err) && m == NULL);
        if (!strstr(err.text, rows[i].error))
            fprintf(stderr, "%s instead of %s: ", err.text, rows[i].error);
        CHECK(strstr(err.text, rows[i].error) && strstr(err.text, path));
    }
}

static void opens_the_demo_model(void)
{
    struct model *m = NULL;
    struct error err = {0};
    CHECK(model_open(&m, "assets/demo-model/", &err));
    if (!m)
        return;
    const struct model_info *info = model_view(m);
    CHECK(strcmp(info->name, "demo-model") == 0 && strcmp(info->path, "assets/demo-model") == 0);
    CHECK(info->schedule.prediction == MODEL_V_PREDICTION && info->unet.groups == 8);
    CHECK(info->unet.channels[0] == 48 && info->clip[0].vocab_size == 667);
    CHECK(info->tokenizer_dir[0] &&
          strcmp(info->tokenizer_dir[0], "assets/demo-model/tokenizer") == 0);
    char text[8192] = {0};
    FILE *f = fmemopen(text, sizeof text - 1, "w");
    CHECK(f && model_inspect_write(m, f));
    if (f)
        fclose(f);
    CHECK(strstr(text, "v_prediction") && strstr(text, "assets/demo-model/tokenizer"));
    model_close(m);
}

static void put_file(const char *dir, const char *name, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    CHECK(f && fputs(text, f) >= 0);
    if (f)
        fclose(f);
}

/* Copies the demo model's configs as links, with the unet's weights told by an index. */
static void checks_every_shard(const char *dir)
{
    static const struct {
        const char *index, *error;
    } rows[] = {
        {"{\"weight_map\":{\"conv_in.weight\":\"../x.safetensors\"}}", "no file of this folder"},
        {"{\"weight_map\":{\"conv_in.weight\":\"none.safetensors\"}}", "none.safetensors"},
        {"{\"weight_map\":{\"no.such\":\"all.safetensors\"}}", "'no.such' is missing"},
        {"{\"weight_map\":5}", "weight_map"},
        {"{\"weight_map\":{\"conv_in.weight\":\"all.safetensors\"}}", NULL},
    };
    static const char *const parts[] = {"text_encoder", "vae", "scheduler", "tokenizer"};
    char root[256], from[512], to[512], unet[512];

    CHECK(getcwd(root, sizeof root) != NULL);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        snprintf(from, sizeof from, "%s/assets/demo-model/%s", root, parts[i]);
        snprintf(to, sizeof to, "%s/%s", dir, parts[i]);
        CHECK(symlink(from, to) == 0);
    }
    struct model *m = NULL;
    struct error err = {0};
    CHECK(!model_open(&m, dir, &err) && err.code == ERROR_NOT_FOUND);
    CHECK(strstr(err.text, "unet/config.json"));
    snprintf(unet, sizeof unet, "%s/unet", dir);
    CHECK(mkdir(unet, 0777) == 0);
    snprintf(from, sizeof from, "%s/assets/demo-model/unet/config.json", root);
    snprintf(to, sizeof to, "%s/unet/config.json", dir);
    CHECK(symlink(from, to) == 0);
    CHECK(!model_open(&m, dir, &err) && strstr(err.text, "no weights in it"));
    snprintf(from, sizeof from, "%s/assets/demo-model/unet/diffusion_pytorch_model.safetensors",
             root);
    snprintf(to, sizeof to, "%s/unet/all.safetensors", dir);
    CHECK(symlink(from, to) == 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_file(unet, "diffusion_pytorch_model.safetensors.index.json", rows[i].index);
        bool ok = model_open(&m, dir, &err);
        CHECK(ok == (rows[i].error == NULL));
        CHECK(ok || strstr(err.text, rows[i].error));
        if (ok)
            model_close(m);
    }
}

int main(void)
{
    char dir[] = "/tmp/model_open_test.XXXXXX", path[128], command[128];

    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/m.safetensors", dir);
    tells_a_single_files_sizes(path, false);
    tells_a_single_files_sizes(path, true);
    refuses_damaged_single_files(path);
    opens_the_demo_model();
    unlink(path);
    checks_every_shard(dir);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    CHECK(system(command) == 0);
    return TEST_END();
}
