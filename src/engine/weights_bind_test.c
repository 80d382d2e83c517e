/* Weights of the demo model, and of copies of it with one tensor changed. */
#include "base/test.h"
#include "engine/weights_bind.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char demo[] = "assets/demo-model";
static const char norm[] = "text_model.encoder.layers.0.layer_norm1.weight";

/* Binds one weight of this shape.  On false *err says why. */
static bool bind(const char *path, const char *name, int n_dims, const int64_t *dims,
                 struct error *err)
{
    struct graph *g = graph_new();
    struct model *m = NULL;
    struct weights *w = NULL;

    *err = (struct error){0};
    graph_weight(g, n_dims, dims, "%s", name);
    bool ok = model_open(&m, path, err) && weights_bind(&w, g, m, MODEL_TEXT_ENCODER, err);
    if (ok) {
        int64_t count = 1;
        for (int i = 0; i < n_dims; i++)
            count *= dims[i];
        CHECK(weights_find(w, 1)->count == count && weights_find(w, 1)->dtype == DTYPE_F16);
        CHECK(weights_bytes(w) == 2 * (size_t)count);
        CHECK(weights_set_orders(w, g, NULL, err));
        CHECK(weights_resident_bytes(w) >= weights_bytes(w));
    }
    weights_free(w);
    graph_free(g);
    model_close(m);
    return ok;
}

static int64_t width(void)
{
    struct model *m = NULL;
    struct error err = {0};
    CHECK(model_open(&m, demo, &err));
    const int64_t n = m ? model_view(m)->clip[0].width : 0;
    model_close(m);
    return n;
}

static void binds_what_is_there(void)
{
    const int64_t n = width(), dims[] = {n, 1}, square[] = {n, n, 1, 1};
    struct error err;

    CHECK(bind(demo, norm, 1, dims, &err));
    CHECK(bind(demo, norm, 2, dims, &err)); /* trailing 1s do not count */
    CHECK(bind(demo, "text_model.encoder.layers.0.self_attn.q_proj.weight", 4, square, &err));
}

static void names_what_is_missing_or_of_another_shape(void)
{
    const int64_t n = width(), dims[] = {n}, more[] = {n + 1}, square[] = {n, n};
    struct error err;

    CHECK(!bind(demo, "text_model.no_such.weight", 1, dims, &err) && err.code == ERROR_CORRUPT);
    CHECK(strstr(err.text, demo) && strstr(err.text, "'text_model.no_such.weight'"));
    const int64_t *bad[] = {more, square};
    for (int i = 0; i < 2; i++) {
        CHECK(!bind(demo, norm, i + 1, bad[i], &err) && err.code == ERROR_CORRUPT);
        CHECK(strstr(err.text, "text_encoder/model.safetensors"));
        CHECK(strstr(err.text, "layers.0.layer_norm1.weight'"));
        CHECK(strstr(err.text, i ? "64x64" : "65"));
    }
}

static void refuses_a_graph_that_failed(void)
{
    struct graph *g = graph_new();
    struct model *m = NULL;
    struct weights *w = NULL;
    struct error err = {0};

    CHECK(model_open(&m, demo, &err));
    graph_fail(g, "broken");
    CHECK(!weights_bind(&w, g, m, MODEL_TEXT_ENCODER, &err) && !w);
    graph_free(g);
    model_close(m);
}

/* Copies a file, with the text `from` in its first bytes replaced by `to`, which is as long. */
static bool copy(const char *dir, const char *file, const char *from, const char *to)
{
    char path[512];
    bool replaced = false;

    snprintf(path, sizeof path, "%s/%s", demo, file);
    FILE *in = fopen(path, "rb");
    snprintf(path, sizeof path, "%s/%s", dir, file);
    FILE *out = fopen(path, "wb");
    const size_t room = 1 << 22;
    char *bytes = malloc(room);
    const size_t n = in && bytes ? fread(bytes, 1, room, in) : 0;
    for (size_t i = 0; from && !replaced && i + strlen(from) < n; i++)
        if (memcmp(bytes + i, from, strlen(from)) == 0) {
            memcpy(bytes + i, to, strlen(to));
            replaced = true;
        }
    const bool ok = out && n > 0 && fwrite(bytes, 1, n, out) == n && (replaced || !from);
    free(bytes);
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    return ok;
}

/* The demo model in dir, with one tensor's bytes called whole numbers of twice the size. */
static void write_changed_model(const char *dir, bool remove)
{
    static const char *const linked[] = {"unet", "vae", "scheduler", "tokenizer"};
    static const char *const files[] = {"model_index.json", "text_encoder/config.json",
                                        "text_encoder/model.safetensors"};
    static const char was[] = "layers.0.layer_norm1.weight\":{\"dtype\":\"F16\",\"shape\":[64]";
    static const char is[] = "layers.0.layer_norm1.weight\":{\"dtype\":\"I32\",\"shape\":[32]";
    char path[512], target[1024], here[512];

    CHECK(getcwd(here, sizeof here));
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, linked[i]);
        snprintf(target, sizeof target, "%s/%s/%s", here, demo, linked[i]);
        CHECK(remove ? unlink(path) == 0 : symlink(target, path) == 0);
    }
    snprintf(path, sizeof path, "%s/text_encoder", dir);
    CHECK(remove || mkdir(path, 0700) == 0);
    for (int i = 0; i < 3; i++) {
        snprintf(target, sizeof target, "%s/%s", dir, files[i]);
        CHECK(remove ? unlink(target) == 0
                     : copy(dir, files[i], i == 2 ? was : NULL, i == 2 ? is : NULL));
    }
    if (remove)
        CHECK(rmdir(path) == 0 && rmdir(dir) == 0);
}

static void names_a_type_it_cannot_read(void)
{
    char dir[] = "/tmp/weights_bind_test.XXXXXX";
    const int64_t half[] = {width() / 2};
    struct error err = {0};

    CHECK(mkdtemp(dir));
    write_changed_model(dir, false);
    CHECK(!bind(dir, norm, 1, half, &err) && err.code == ERROR_CORRUPT);
    CHECK(strstr(err.text, "text_encoder/model.safetensors"));
    CHECK(strstr(err.text, "layers.0.layer_norm1.weight'") && strstr(err.text, "float16"));
    write_changed_model(dir, true);
}

int main(void)
{
    binds_what_is_there();
    names_what_is_missing_or_of_another_shape();
    refuses_a_graph_that_failed();
    names_a_type_it_cannot_read();
    return TEST_END();
}
