/* Pictures through an upscaler of random weights: sizes, memory, and the same pixels however many
 * rows at a time. */
#include "pipeline/pipeline_testing.h"
#include "pipeline/upscale.h"

#include <unistd.h>

enum { WIDTH = 8, GROWTH = 4 };

/* A file being made: names and shapes first, numbers behind them. */
struct making {
    char header[16384];
    size_t len, at;
    int n;
};

static void add_tensor(struct making *m, const char *name, const char *shape, size_t count)
{
    m->len += (size_t)snprintf(m->header + m->len, sizeof m->header - m->len,
                               "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,"
                               "%zu]}",
                               m->n++ ? "," : "{", name, shape, m->at, m->at + 4 * count);
    m->at += 4 * count;
}

static void add_conv(struct making *m, const char *layer, int in_c, int out_c)
{
    char name[96], shape[64];
    snprintf(name, sizeof name, "%s.weight", layer);
    snprintf(shape, sizeof shape, "%d,%d,3,3", out_c, in_c);
    add_tensor(m, name, shape, (size_t)(in_c * out_c * 9));
    snprintf(name, sizeof name, "%s.bias", layer);
    snprintf(shape, sizeof shape, "%d", out_c);
    add_tensor(m, name, shape, (size_t)out_c);
}

/* One block, two doublings; the order of layers, and so their numbers, is the same in both
 * spellings. */
static void write_file(const char *path, bool old, const char *prefix, int fold, const char *extra)
{
    static const char *const layers[][2] = {
        {"conv_first", "model.0"}, {"conv_body", "model.1.sub.1"}, {"conv_up1", "model.3"},
        {"conv_up2", "model.6"},   {"conv_hr", "model.8"},         {"conv_last", "model.10"}};
    static struct making m;
    char layer[96];
    uint32_t seed = 1;

    memset(&m, 0, sizeof m);
    for (int i = 0; i < 6; i++) {
        snprintf(layer, sizeof layer, "%s%s", prefix, layers[i][old]);
        add_conv(&m, layer, i ? WIDTH : 3 * fold * fold, i == 5 ? 3 : WIDTH);
    }
    for (int i = 0; i < 15; i++) {
        const int k = i % 5;
        snprintf(layer, sizeof layer,
                 old ? "%smodel.1.sub.0.RDB%d.conv%d.0" : "%sbody.0.rdb%d.conv%d", prefix,
                 i / 5 + 1, k + 1);
        add_conv(&m, layer, WIDTH + k * GROWTH, k == 4 ? WIDTH : GROWTH);
    }
    if (extra)
        add_conv(&m, extra, 1, 1);
    m.header[m.len++] = '}';
    while (m.len % 8)
        m.header[m.len++] = ' ';
    FILE *f = fopen(path, "wb");
    if (!f)
        exit(2);
    for (int i = 0; i < 8; i++)
        fputc((int)(m.len >> 8 * i & 255), f);
    fwrite(m.header, 1, m.len, f);
    for (size_t i = 0; i < m.at / 4; i++) {
        seed = seed * 1664525u + 1013904223u;
        const float x = (float)(int32_t)seed * 0x1p-31f * 0.3f;
        fwrite(&x, 4, 1, f);
    }
    if (fclose(f) != 0)
        exit(2);
}

struct scene {
    char dir[64], path[128];
    struct backend *b;
};

static struct image new_image(int width, int height)
{
    struct image image;
    struct error err = {0};
    if (!image_init(&image, width, height, &err))
        exit(2);
    for (size_t i = 0; i < image_bytes(&image); i++)
        image.px[i] = (uint8_t)(i * 37 + i / 11);
    return image;
}

static struct image enlarge(const struct scene *s, const struct image *in,
                            const struct upscale_bounds *bounds, int scale)
{
    struct error err = {0};
    struct upscaler *u = NULL;
    struct upscale_plan plan = {0};
    struct image out = {0};
    const bool ok = upscale_open(&u, s->path, s->b, &err) &&
                    upscale_plan(&plan, u, in->width, in->height, bounds, &err) &&
                    upscale_run(&out, u, &plan, in, NULL, NULL, &err);

    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok && out.width == scale * in->width && out.height == scale * in->height);
    upscale_plan_clear(&plan);
    upscale_close(u);
    return out;
}

static void gives_the_same_pixels_for_any_number_of_rows(const struct scene *s)
{
    static const int folds[] = {1, 2, 4};

    for (int i = 0; i < 3; i++) {
        const int scale = 4 / folds[i];
        write_file(s->path, false, "", folds[i], NULL);
        struct image in = new_image(21, 17); /* no multiple of the fold */
        struct image whole =
            enlarge(s, &in, &(struct upscale_bounds){.rows = 100, .up_rows = 100}, scale);
        for (int rows = 1; rows < 9; rows += 3) {
            struct image tiled =
                enlarge(s, &in, &(struct upscale_bounds){.rows = rows, .up_rows = rows}, scale);
            CHECK(pipeline_testing_same(&whole, &tiled));
            image_clear(&tiled);
        }
        image_clear(&whole);
        image_clear(&in);
    }
}

static void reads_both_spellings_and_every_place_of_the_names(const struct scene *s)
{
    static const char *const prefixes[] = {"", "params_ema.", "params.", "state_dict."};
    struct image in = new_image(9, 8), want = {0};

    for (int i = 0; i < 8; i++) {
        write_file(s->path, i % 2, prefixes[i / 2], 1, NULL);
        struct image have = enlarge(s, &in, &(struct upscale_bounds){0}, 4);
        if (i == 0)
            want = have;
        else {
            CHECK(pipeline_testing_same(&want, &have));
            image_clear(&have);
        }
    }
    image_clear(&want);
    image_clear(&in);
}

static void names_the_tensor_that_does_not_belong(const struct scene *s)
{
    struct error err = {0};
    struct upscaler *u = NULL;

    write_file(s->path, false, "", 1, "body.0.rdb1.conv1x1");
    CHECK(!upscale_open(&u, s->path, s->b, &err) && strstr(err.text, "'body.0.rdb1.conv1x1.bias'"));
    write_file(s->path, false, "net.", 1, NULL);
    err = (struct error){0};
    CHECK(!upscale_open(&u, s->path, s->b, &err) && strstr(err.text, "first tensor is 'net."));
    upscale_close(u);
}

static void says_what_it_needs_when_it_does_not_fit(const struct scene *s)
{
    struct error err = {0};
    struct upscaler *u = NULL;
    struct upscale_plan roomy = {0}, plan = {0};

    write_file(s->path, false, "", 1, NULL);
    CHECK(upscale_open(&u, s->path, s->b, &err));
    CHECK(upscale_plan(&roomy, u, 300, 400, &(struct upscale_bounds){.base_bytes = 1 << 20}, &err));
    CHECK(upscale_plan(&plan, u, 300, 400,
                       &(struct upscale_bounds){.base_bytes = 1 << 20,
                                                .limit_bytes = roomy.peak_bytes - (3 << 20)},
                       &err));
    CHECK(plan.rows < roomy.rows && plan.peak_bytes <= roomy.peak_bytes - (3 << 20));
    upscale_plan_clear(&plan);
    CHECK(
        !upscale_plan(&plan, u, 300, 400, &(struct upscale_bounds){.limit_bytes = 1 << 20}, &err));
    CHECK(err.code == ERROR_LIMIT && strstr(err.text, "at least"));
    upscale_plan_clear(&roomy);
    upscale_close(u);
}

static bool stop(void *ctx)
{
    return ++*(int *)ctx > 5;
}

static void stops_when_asked(const struct scene *s)
{
    struct error err = {0};
    struct upscaler *u = NULL;
    struct upscale_plan plan = {0};
    struct image in = new_image(9, 8), out = {0};
    int asked = 0;

    CHECK(upscale_open(&u, s->path, s->b, &err) &&
          upscale_plan(&plan, u, 9, 8, &(struct upscale_bounds){0}, &err));
    CHECK(!upscale_run(&out, u, &plan, &in,
                       &(struct upscale_watch){.ctx = &asked, .cancelled = stop}, NULL, &err));
    CHECK(err.code == ERROR_CANCELLED && !out.px);
    upscale_plan_clear(&plan);
    upscale_close(u);
    image_clear(&in);
}

static void finds_names_in_their_folder_alone(const struct scene *s)
{
    char path[UPSCALER_FILE_PATH_BYTES];
    struct error err = {0};

    CHECK(upscaler_file_path(path, s->dir, "u", &err) && strcmp(path, s->path) == 0);
    CHECK(upscaler_file_path(path, s->dir, "u.safetensors", &err));
    CHECK(!upscaler_file_path(path, s->dir, "v", &err) && err.code == ERROR_NOT_FOUND);
    static const char *const bad[] = {"", "..", ".u", "../u", "a/u", "a\\u", "u\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK(!upscaler_file_path(path, s->dir, bad[i], &err) && err.code == ERROR_INVALID);
}

int main(void)
{
    struct scene s = {.dir = "/tmp/upscale_test_XXXXXX"};
    struct error err = {0};

    if (!mkdtemp(s.dir) || !cpu_backend_open(&s.b, 2, NULL, &err))
        return 2;
    snprintf(s.path, sizeof s.path, "%s/u.safetensors", s.dir);
    gives_the_same_pixels_for_any_number_of_rows(&s);
    reads_both_spellings_and_every_place_of_the_names(&s);
    names_the_tensor_that_does_not_belong(&s);
    says_what_it_needs_when_it_does_not_fit(&s);
    stops_when_asked(&s);
    finds_names_in_their_folder_alone(&s);
    s.b->fn->close(s.b);
    unlink(s.path);
    rmdir(s.dir);
    return TEST_END();
}
