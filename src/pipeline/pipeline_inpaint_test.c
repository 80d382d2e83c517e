/* Masks, resize modes and inpainting models with the demo model. */
#include "pipeline/pipeline_testing.h"

/* A picture of smooth colours and a mask whose right half is white. */
struct scene {
    struct pipeline *pipeline;
    struct image picture;
    struct mask mask;
};

static struct gen_request request_of(int width, int height, const struct scene *s)
{
    struct gen_request r = pipeline_testing_request();

    r.mode = GEN_IMG2IMG;
    r.width = width;
    r.height = height;
    r.steps = 4;
    r.cfg_scale = 5;
    r.denoising_strength = 1;
    r.input = (struct gen_input){s->picture.width, s->picture.height, s->mask.px != NULL};
    return r;
}

static bool open_scene(struct scene *s, struct pipeline *p, int width, int height, bool masked)
{
    struct error err = {0};

    *s = (struct scene){.pipeline = p};
    if (!image_init(&s->picture, width, height, &err) ||
        (masked && !mask_init(&s->mask, width, height, &err)))
        return false;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *px = s->picture.px + (y * width + x) * IMAGE_CHANNELS;
            px[0] = (uint8_t)(255 * x / width);
            px[1] = (uint8_t)(255 * y / height);
            px[2] = (uint8_t)(x * y % 251);
            if (masked)
                s->mask.px[y * width + x] = x >= width / 2 ? 255 : 0;
        }
    return true;
}

static void close_scene(struct scene *s)
{
    image_clear(&s->picture);
    mask_clear(&s->mask);
}

static bool run(struct gen_result *out, const struct scene *s, const struct gen_request *r,
                struct error *err)
{
    return pipeline_testing_generate(
        out, s->pipeline, r,
        &(struct pipeline_testing_run){.image = &s->picture, .mask = s->mask.px ? &s->mask : NULL},
        err);
}

static struct gen_result draw(const struct scene *s, const struct gen_request *r)
{
    struct gen_result out;
    struct error err = {0};
    int width, height;

    const bool ok = run(&out, s, r, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    gen_request_result_size(r, &width, &height);
    CHECK(ok && out.images && out.images[0].width == width && out.images[0].height == height);
    CHECK(pipeline_testing_is_within_plan("img2img", &out));
    return out;
}

/* Pixels of columns from x0 up to x1 that are another picture's. */
static int count_changed(const struct image *a, const struct image *b, int x0, int x1)
{
    int n = 0;
    for (int y = 0; y < a->height; y++)
        for (int x = x0; x < x1; x++) {
            const size_t at = (size_t)(y * a->width + x) * IMAGE_CHANNELS;
            n += memcmp(a->px + at, b->px + at, IMAGE_CHANNELS) != 0;
        }
    return n;
}

/* The blur of 4 pixels reaches 10 to each side. */
static void changes_only_what_the_mask_covers(struct pipeline *p)
{
    struct scene s;
    if (!open_scene(&s, p, 64, 64, true))
        return;
    struct gen_request r = request_of(64, 64, &s);
    struct gen_result out = draw(&s, &r);
    CHECK(out.images && count_changed(&out.images[0], &s.picture, 0, 32 - 10) == 0);
    CHECK(out.images && count_changed(&out.images[0], &s.picture, 42, 64) > 64 * 20);
    r.inpaint.invert = true;
    struct gen_result other = draw(&s, &r);
    CHECK(other.images && count_changed(&other.images[0], &s.picture, 42, 64) == 0);
    CHECK(other.images && count_changed(&other.images[0], &s.picture, 0, 22) > 64 * 20);
    r.inpaint.invert = false;
    r.inpaint.blur_x = r.inpaint.blur_y = 0;
    struct gen_result sharp = draw(&s, &r);
    CHECK(sharp.images && count_changed(&sharp.images[0], &s.picture, 0, 32) == 0);
    pipeline_result_clear(&out);
    pipeline_result_clear(&other);
    pipeline_result_clear(&sharp);
    close_scene(&s);
}

static void fills_in_four_ways(struct pipeline *p)
{
    struct gen_result out[MASK_BLEND_COUNT];
    struct scene s;

    if (!open_scene(&s, p, 64, 64, true))
        return;
    for (int i = 0; i < MASK_BLEND_COUNT; i++) {
        struct gen_request r = request_of(64, 64, &s);
        r.denoising_strength = 0.5;
        r.inpaint.fill = (enum mask_blend_fill)i;
        out[i] = draw(&s, &r);
        for (int k = 0; k < i; k++)
            CHECK(!pipeline_testing_same_first(&out[k], &out[i]));
        CHECK(out[i].images && count_changed(&out[i].images[0], &s.picture, 0, 22) == 0);
    }
    for (int i = 0; i < MASK_BLEND_COUNT; i++)
        pipeline_result_clear(&out[i]);
    close_scene(&s);
}

/* No step is left: what is filled in is seen as it is. */
static void shows_what_it_filled_in(struct pipeline *p)
{
    struct scene s;
    if (!open_scene(&s, p, 64, 64, true))
        return;
    struct gen_request r = request_of(64, 64, &s);
    r.denoising_strength = 0;
    struct gen_result kept = draw(&s, &r);
    r.inpaint.fill = MASK_BLEND_NOTHING;
    struct gen_result empty = draw(&s, &r);
    CHECK(kept.steps == 0 && empty.steps == 0 && !pipeline_testing_same_first(&kept, &empty));
    pipeline_result_clear(&kept);
    pipeline_result_clear(&empty);
    close_scene(&s);
}

/* A dot's surroundings are cut out, drawn at the request's size and put back into the input. */
static void works_on_the_masks_surroundings_alone(struct pipeline *p)
{
    struct scene s;
    if (!open_scene(&s, p, 200, 120, true))
        return;
    memset(s.mask.px, 0, mask_bytes(&s.mask));
    for (int y = 50; y < 70; y++)
        memset(s.mask.px + y * 200 + 90, 255, 20);
    struct gen_request r = request_of(64, 64, &s);
    r.inpaint.full_res = true;
    r.inpaint.padding = 8;
    r.inpaint.blur_x = r.inpaint.blur_y = 2;
    struct gen_result out = draw(&s, &r);
    CHECK(out.images && count_changed(&out.images[0], &s.picture, 0, 84) == 0);
    CHECK(out.images && count_changed(&out.images[0], &s.picture, 116, 200) == 0);
    CHECK(out.images && count_changed(&out.images[0], &s.picture, 92, 108) > 200);

    struct gen_request again = r;
    again.batch_size = 2;
    struct gen_result two = draw(&s, &again);
    CHECK(two.images && count_changed(&two.images[1], &s.picture, 0, 84) == 0);
    pipeline_result_clear(&two);

    memset(s.mask.px, 0, mask_bytes(&s.mask)); /* nothing to cut out */
    pipeline_result_clear(&out);
    struct error err = {0};
    CHECK(run(&out, &s, &r, &err) && out.images[0].width == 64 && out.warnings.n == 1);
    CHECK(strstr(out.warnings.text[0], "empty"));
    pipeline_result_clear(&out);
    close_scene(&s);
}

/* A mask of another size is stretched over the picture. */
static void takes_a_mask_of_any_size(struct pipeline *p)
{
    struct error err = {0};
    struct mask small;
    struct scene s;

    if (!open_scene(&s, p, 64, 64, true) || !mask_init(&small, 16, 1, &err))
        return;
    memset(small.px, 0, 8);
    memset(small.px + 8, 255, 8);
    mask_clear(&s.mask);
    s.mask = small;
    struct gen_request r = request_of(64, 64, &s);
    struct gen_result out = draw(&s, &r);
    CHECK(out.images && count_changed(&out.images[0], &s.picture, 0, 8) == 0);
    CHECK(out.images && count_changed(&out.images[0], &s.picture, 42, 64) > 64 * 20);
    pipeline_result_clear(&out);
    close_scene(&s);
}

static void brings_a_picture_to_size_in_each_mode(struct pipeline *p)
{
    struct gen_result out[RESIZE_MODE_COUNT];
    struct scene s;

    if (!open_scene(&s, p, 80, 64, false))
        return;
    for (int i = 0; i < RESIZE_MODE_COUNT; i++) {
        struct gen_request r = request_of(64, 96, &s);
        r.denoising_strength = 0.25;
        r.resize_mode = (enum resize_mode)i;
        out[i] = draw(&s, &r);
        for (int k = 0; k < i; k++)
            CHECK(!pipeline_testing_same_first(&out[k], &out[i]));
    }
    for (int i = 0; i < RESIZE_MODE_COUNT; i++)
        pipeline_result_clear(&out[i]);
    close_scene(&s);
}

/* The noise of the web UIs' rule is that of txt2img: at full strength the picture all but is. */
static void starts_from_the_same_noise_as_txt2img(struct pipeline *p)
{
    struct scene s;

    if (!open_scene(&s, p, 64, 64, false))
        return;
    struct gen_request r = request_of(64, 64, &s);
    r.img2img_rule = GEN_IMG2IMG_WEBUI;
    struct gen_result web = draw(&s, &r);
    r.img2img_rule = GEN_IMG2IMG_DIFFUSERS;
    struct gen_result other = draw(&s, &r);
    r.mode = GEN_TXT2IMG;
    struct gen_result plain = pipeline_testing_draw(p, &r, NULL);
    CHECK(web.steps == 4 && other.steps == 4 && !pipeline_testing_same_first(&web, &other));
    if (plain.images && web.images && other.images) {
        const double near = pipeline_testing_distance(&plain.images[0], &web.images[0]),
                     far = pipeline_testing_distance(&plain.images[0], &other.images[0]);
        CHECK(near < far);
    }
    pipeline_result_clear(&plain);
    pipeline_result_clear(&web);
    pipeline_result_clear(&other);
    close_scene(&s);
}

static void refuses_pictures_that_were_not_planned_for(struct pipeline *p)
{
    struct gen_result out;
    struct error err = {0};
    struct scene s;

    if (!open_scene(&s, p, 64, 64, true))
        return;
    struct gen_request r = request_of(64, 64, &s);
    r.input.has_mask = false;
    CHECK(!run(&out, &s, &r, &err) && err.code == ERROR_INVALID);
    r.input.has_mask = true;
    r.input.width = 72;
    err = (struct error){0};
    CHECK(!run(&out, &s, &r, &err) && strstr(err.text, "72x64"));
    close_scene(&s);
}

/* The mask's own way under another number of threads, and streamed in bands. */
static void draws_the_same_bits_however_it_is_run(struct pipeline *p)
{
    struct backend *b = NULL;
    struct pipeline *other = NULL;
    struct error err = {0};
    struct scene s;

    if (!open_scene(&s, p, 100, 70, true))
        return;
    struct gen_request r = request_of(64, 64, &s);
    r.inpaint.fill = MASK_BLEND_FILL;
    r.inpaint.full_res = true;
    struct gen_result want = draw(&s, &r);
    CHECK(cpu_backend_open(&b, 3, NULL, &err) &&
          pipeline_open(&other, pipeline_testing_model, NULL, b, &err));
    if (other) {
        struct plan_bounds bounds = gen_plan_no_bounds(0);
        const struct pipeline_testing_run how = {&bounds, &s.picture, &s.mask, NULL, NULL};
        bounds.on.on[MEMORY_SEQUENTIAL_CPU_OFFLOAD] = bounds.on.on[MEMORY_VAE_TILING] = true;
        struct gen_result out = pipeline_testing_draw(other, &r, &how);
        CHECK(pipeline_testing_same_first(&want, &out));
        pipeline_result_clear(&out);
    }
    pipeline_close(other);
    if (b)
        b->fn->close(b);
    pipeline_result_clear(&want);
    close_scene(&s);
}

int main(void)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;

    if (!pipeline_testing_open(&b, &p))
        return 1;
    changes_only_what_the_mask_covers(p);
    fills_in_four_ways(p);
    shows_what_it_filled_in(p);
    works_on_the_masks_surroundings_alone(p);
    takes_a_mask_of_any_size(p);
    brings_a_picture_to_size_in_each_mode(p);
    starts_from_the_same_noise_as_txt2img(p);
    refuses_pictures_that_were_not_planned_for(p);
    draws_the_same_bits_however_it_is_run(p);
    pipeline_testing_close(b, p);
    return TEST_END();
}
