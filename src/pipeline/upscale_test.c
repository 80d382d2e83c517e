/* Pictures through an upscaler of random weights: sizes, memory, and the same pixels however many
 * rows at a time. */
#include "pipeline/pipeline_testing.h"
#include "pipeline/upscale.h"
#include "pipeline/upscale_testing.h"

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
        upscale_testing_write(s->path, false, "", folds[i], NULL);
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
        upscale_testing_write(s->path, i % 2, prefixes[i / 2], 1, NULL);
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

    upscale_testing_write(s->path, false, "", 1, "body.0.rdb1.conv1x1");
    CHECK(!upscale_open(&u, s->path, s->b, &err) && strstr(err.text, "'body.0.rdb1.conv1x1.bias'"));
    upscale_testing_write(s->path, false, "net.", 1, NULL);
    err = (struct error){0};
    CHECK(!upscale_open(&u, s->path, s->b, &err) && strstr(err.text, "first tensor is 'net."));
    upscale_close(u);
}

static void says_what_it_needs_when_it_does_not_fit(const struct scene *s)
{
    struct error err = {0};
    struct upscaler *u = NULL;
    struct upscale_plan roomy = {0}, plan = {0};

    upscale_testing_write(s->path, false, "", 1, NULL);
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
