/* Previews: colours, sizes, the tiny decoder against PyTorch's answer, and their place in a run. */
#include "model/tensor_file.h"
#include "pipeline/pipeline_testing.h"
#include "pipeline/preview.h"

static const char tiny_path[] = "tests/data/taesd-random.safetensors";

static struct preview *open(const struct model *m, const char *taesd, struct backend *b)
{
    struct preview *p = NULL;
    struct error err = {0};
    bool ok = preview_open(&p, m, taesd, b, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    return p;
}

static struct image draw(struct preview *p, const float *latent, int w, int h)
{
    struct image image = {0};
    struct error err = {0};
    bool ok = preview_draw(p, &image, latent, w, h, &err);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    return image;
}

static void estimates_colours_without_a_decoder(const struct model *m, struct backend *b)
{
    /* Channel by channel, two places; colours by hand: 255 (sum / 2 + 0.5). */
    const float latent[] = {1, 0, 0, -2, 0, 1.5f, 0.5f, 0};
    const unsigned char want[] = {154, 137, 124, 50, 91, 134};
    struct preview *p = open(m, NULL, b);
    struct image image = draw(p, latent, 2, 1);

    CHECK(image.width == 2 && image.height == 1);
    CHECK(image.px && memcmp(image.px, want, sizeof want) == 0);
    CHECK(preview_bytes(p) < 4 << 20);
    image_clear(&image);
    preview_close(p);
}

/* A backend's function table that looks at arenas. */
struct counting {
    struct backend_functions fn; /* first: the two are the same pointer */
    const struct backend_functions *real;
    size_t largest;
};

static bool count_arena(struct backend *b, void **arena, size_t bytes, struct error *err)
{
    union {
        const struct backend_functions *in;
        struct counting *out;
    } edge = {.in = b->fn};
    edge.out->largest = bytes > edge.out->largest ? bytes : edge.out->largest;
    return edge.out->real->arena_new(b, arena, bytes, err);
}

static void keeps_pictures_small(const struct model *m, struct backend *b)
{
    static const struct {
        const char *taesd;
        int w, h, want_w, want_h;
    } row[] = {
        {NULL, 256, 3, 256, 3},        {NULL, 257, 3, 129, 2},      {NULL, 100, 1024, 25, 256},
        {tiny_path, 64, 5, 512, 40},   {tiny_path, 5, 64, 40, 512}, {tiny_path, 65, 7, 264, 32},
        {tiny_path, 64, 64, 512, 512},
    };
    struct counting counting = {.fn = *b->fn, .real = b->fn};

    counting.fn.arena_new = count_arena;
    b->fn = &counting.fn;
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const size_t places = (size_t)row[i].w * (size_t)row[i].h;
        float *latent = calloc(4 * places, sizeof *latent);
        for (size_t k = 0; latent && k < 4 * places; k++)
            latent[k] = (float)(k / places) - 1;
        struct preview *p = open(m, row[i].taesd, b);
        struct image image = draw(p, latent, row[i].w, row[i].h);
        CHECK(image.width == row[i].want_w && image.height == row[i].want_h);
        /* The mean of equal places is the same everywhere, edges included. */
        CHECK(row[i].taesd || memcmp(image.px, image.px + image_bytes(&image) - 3, 3) == 0);
        CHECK(counting.largest + 3 * sizeof(float) * (size_t)row[i].want_w * (size_t)row[i].want_h <
              preview_bytes(p));
        image_clear(&image);
        preview_close(p);
        free(latent);
    }
    b->fn = counting.real;
}

static const struct tensor_info *expected(const struct tensor_file *file, const char *name)
{
    const struct tensor_info *t = tensor_file_find(file, name);
    CHECK(t && t->dtype == DTYPE_F32 && t->n_dims == 4);
    return t;
}

static void decodes_with_a_tiny_autoencoder(const struct model *m, struct backend *b)
{
    struct tensor_file *file = NULL;
    struct error err = {0};
    float latent[4 * 4 * 3];
    struct image want = {0};

    CHECK(tensor_file_open(&file, tiny_path, &err));
    const struct tensor_info *from = expected(file, "expect.latent");
    const struct tensor_info *to = expected(file, "expect.decoded");
    float *decoded = malloc(to->n_bytes);
    CHECK(from->n_bytes == sizeof latent && decoded);
    memcpy(latent, from->bytes, sizeof latent);
    memcpy(decoded, to->bytes, to->n_bytes);
    CHECK(image_from_floats(&want, decoded, 24, 32, IMAGE_PLANES, IMAGE_UNIT, &err));

    struct preview *p = open(m, tiny_path, b);
    for (int again = 0; again < 2; again++) {
        struct image image = draw(p, latent, 3, 4);
        CHECK(image.width == 24 && image.height == 32 && image.px && want.px);
        int worst = 0;
        for (size_t i = 0; i < image_bytes(&want); i++) {
            const int d = abs(image.px[i] - want.px[i]);
            worst = d > worst ? d : worst;
        }
        CHECK(worst <= 1);
        image_clear(&image);
    }
    preview_close(p);
    image_clear(&want);
    free(decoded);
    tensor_file_close(file);
}

static void refuses_what_is_no_tiny_autoencoder(const struct model *m, struct backend *b)
{
    struct preview *p = NULL;
    struct error err = {0};

    CHECK(!preview_open(&p, m, "assets/demo-model/vae", b, &err) && !p);
    CHECK(strstr(err.text, "take a TAESD"));
    CHECK(!preview_open(&p, m, "no/such/file", b, &err) && !p);
}

/* What a run shows. */
struct shown {
    struct preview *preview;
    int n;
    double done;
    struct image last;
};

static void take(void *ctx, const float *latent, int w, int h, double done)
{
    struct shown *s = ctx;

    CHECK(w == 16 && h == 12 && done > s->done && done <= 1);
    s->n++;
    s->done = done;
    image_clear(&s->last);
    s->last = draw(s->preview, latent, w, h);
}

static void shows_a_run_without_touching_it(struct pipeline *p, struct backend *b)
{
    struct gen_request r = gen_request_defaults();
    struct error err = {0};

    r.prompt = "a red circle";
    r.width = 128;
    r.height = 96;
    r.steps = 3;
    r.batch_size = 2;
    CHECK(pipeline_set_vae(p, tiny_path, &err));
    struct gen_result want = pipeline_testing_draw(p, &r, NULL);
    struct shown shown = {.preview = open(pipeline_model(p), tiny_path, b)};
    const struct watch watch = {.ctx = &shown, .denoised = take};
    struct gen_result have =
        pipeline_testing_draw(p, &r, &(struct pipeline_testing_run){.watch = &watch});

    CHECK(shown.n == 3 && shown.done == 1);
    CHECK(pipeline_testing_same_first(&have, &want));
    /* Euler's last step goes to the clean latent itself, which the run then decodes. */
    CHECK(pipeline_testing_same(&shown.last, want.images));
    pipeline_result_clear(&want);
    pipeline_result_clear(&have);
    image_clear(&shown.last);
    preview_close(shown.preview);
    CHECK(pipeline_set_vae(p, NULL, &err));
}

int main(void)
{
    struct backend *b = NULL;
    struct pipeline *p = NULL;
    struct error err = {0};

    if (!cpu_backend_open(&b, 2, "portable", &err) ||
        !pipeline_open(&p, pipeline_testing_model, NULL, b, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    estimates_colours_without_a_decoder(pipeline_model(p), b);
    keeps_pictures_small(pipeline_model(p), b);
    decodes_with_a_tiny_autoencoder(pipeline_model(p), b);
    refuses_what_is_no_tiny_autoencoder(pipeline_model(p), b);
    shows_a_run_without_touching_it(p, b);
    pipeline_close(p);
    b->fn->close(b);
    return TEST_END();
}
