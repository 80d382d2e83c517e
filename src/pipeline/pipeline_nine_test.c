/* Inpainting models, whose UNet takes nine channels: the demo model with a wider first convolution.
 *
 * With zeros for the new channels it draws what the demo model draws; with other weights it must
 * heed what it is shown. */
#include "model/safetensors.h"
#include "pipeline/pipeline_testing.h"

#include <sys/stat.h>
#include <unistd.h>

enum { OLD = 4, NEW = 9, TAPS = 9, HEADER_BYTES = 1 << 18, NAME_BYTES = 200 };

static const char first_name[] = "conv_in.weight";

/* The first convolution's numbers [out][channels][3][3], two bytes each; the new channels are 0 or
 * copies of the latent's. */
static void write_first(FILE *to, const struct tensor_info *t, bool heeds)
{
    const unsigned char zero[TAPS * 2] = {0};

    for (int64_t o = 0; o < t->dims[0]; o++)
        for (int c = 0; c < NEW; c++)
            fwrite(c < OLD || heeds ? t->bytes + (o * OLD + c % OLD) * TAPS * 2 : zero, sizeof zero,
                   1, to);
}

static uint64_t bytes_of(const struct tensor_info *t)
{
    return strcmp(t->name, first_name) == 0 ? t->n_bytes / OLD * NEW : t->n_bytes;
}

static void add_tensor(char *header, const struct tensor_info *t, uint64_t at)
{
    size_t n = strlen(header);

    n += (size_t)snprintf(header + n, HEADER_BYTES - n, "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[",
                          n > 1 ? "," : "", t->name);
    for (int d = 0; d < t->n_dims; d++) {
        const int64_t side = strcmp(t->name, first_name) == 0 && d == 1 ? NEW : t->dims[d];
        n +=
            (size_t)snprintf(header + n, HEADER_BYTES - n, "%s%lld", d ? "," : "", (long long)side);
    }
    snprintf(header + n, HEADER_BYTES - n, "],\"data_offsets\":[%llu,%llu]}",
             (unsigned long long)at, (unsigned long long)(at + bytes_of(t)));
}

static bool write_unet(const char *path, bool heeds)
{
    struct safetensors *in = NULL;
    struct error err = {0};
    char *header = calloc(1, HEADER_BYTES);
    uint64_t at = 0;
    FILE *to = fopen(path, "wb");
    bool ok =
        header && to &&
        safetensors_open(&in, "assets/demo-model/unet/diffusion_pytorch_model.safetensors", &err);

    if (ok) {
        header[0] = '{';
        for (size_t i = 0; i < safetensors_count(in); at += bytes_of(safetensors_at(in, i++)))
            add_tensor(header, safetensors_at(in, i), at);
        strncat(header, "}", 2);
        const uint64_t n = strlen(header);
        fwrite(&n, sizeof n, 1, to);
        fwrite(header, 1, n, to);
        for (size_t i = 0; i < safetensors_count(in); i++) {
            const struct tensor_info *t = safetensors_at(in, i);
            ok = ok && t->dtype == DTYPE_F16;
            if (strcmp(t->name, first_name) == 0)
                write_first(to, t, heeds);
            else
                fwrite(t->bytes, 1, t->n_bytes, to);
        }
    }
    safetensors_close(in);
    free(header);
    return to && fclose(to) == 0 && ok;
}

static bool write_config(const char *path)
{
    FILE *from = fopen("assets/demo-model/unet/config.json", "r"), *to = fopen(path, "w");
    char line[500];

    while (from && to && fgets(line, sizeof line, from))
        fputs(strstr(line, "\"in_channels\"") ? "  \"in_channels\": 9,\n" : line, to);
    const bool ok = from && to;
    if (from)
        fclose(from);
    return (!to || fclose(to) == 0) && ok;
}

static const char *const linked[] = {"model_index.json", "scheduler", "text_encoder", "tokenizer",
                                     "vae"};
enum { N_LINKED = sizeof linked / sizeof linked[0] };

static bool make_model(const char *dir, bool heeds)
{
    char here[NAME_BYTES * 2], from[NAME_BYTES * 3], to[NAME_BYTES];

    if (!getcwd(here, sizeof here) || mkdir(dir, 0700) != 0)
        return false;
    for (int i = 0; i < N_LINKED; i++) {
        snprintf(from, sizeof from, "%s/assets/demo-model/%s", here, linked[i]);
        snprintf(to, sizeof to, "%s/%s", dir, linked[i]);
        if (symlink(from, to) != 0)
            return false;
    }
    snprintf(to, sizeof to, "%s/unet", dir);
    if (mkdir(to, 0700) != 0)
        return false;
    snprintf(to, sizeof to, "%s/unet/config.json", dir);
    if (!write_config(to))
        return false;
    snprintf(to, sizeof to, "%s/unet/diffusion_pytorch_model.safetensors", dir);
    return write_unet(to, heeds);
}

static void remove_model(const char *dir)
{
    static const char *const made[] = {"unet/config.json",
                                       "unet/diffusion_pytorch_model.safetensors"};
    char path[NAME_BYTES];

    for (int i = 0; i < N_LINKED; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, linked[i]);
        unlink(path);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, made[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/unet", dir);
    rmdir(path);
    rmdir(dir);
}

static struct gen_result draw(struct pipeline *p, const struct gen_request *r,
                              const struct pipeline_input *input)
{
    return pipeline_testing_draw(
        p, r, &(struct pipeline_testing_run){.image = input->image, .mask = input->mask});
}

static int furthest(const struct gen_result *a, const struct gen_result *b)
{
    return pipeline_testing_furthest(a->images, b->images);
}

static struct gen_request request_of(enum gen_mode mode)
{
    struct gen_request r = pipeline_testing_request();

    r.mode = mode;
    r.steps = 3;
    r.cfg_scale = 5;
    r.denoising_strength = 0.8;
    return r;
}

struct models {
    struct pipeline *demo, *blind, *heedful;
};

/* Every kind of request: txt2img, a batch, two passes of either kind, img2img, a mask. */
static void draws_what_the_plain_model_does_where_nothing_is_heeded(const struct models *m,
                                                                    const struct image *picture,
                                                                    const struct mask *mask)
{
    for (int i = 0; i < 6; i++) {
        struct gen_request r = request_of(i < 4 ? GEN_TXT2IMG : GEN_IMG2IMG);
        const struct pipeline_input input = {picture, i == 5 ? mask : NULL};
        r.batch_size = i == 1 ? 2 : 1;
        r.hires.enabled = i == 2 || i == 3;
        r.hires.upscaler = i == 2 ? "Latent" : "Lanczos";
        r.hires.steps = 2;
        r.input.has_mask = i == 5;
        struct gen_result want = draw(m->demo, &r, &input), out = draw(m->blind, &r, &input);
        struct gen_result other = draw(m->heedful, &r, &input);
        if (furthest(&want, &out) > 1)
            fprintf(stderr, "kind %d: %d apart\n", i, furthest(&want, &out));
        CHECK(furthest(&want, &out) <= 1); /* longer sums round differently */
        CHECK(furthest(&want, &other) > 1);
        CHECK(TEST_SANITIZED || out.planned_peak_bytes >= out.measured_peak_bytes);
        pipeline_result_clear(&want);
        pipeline_result_clear(&out);
        pipeline_result_clear(&other);
    }
}

/* It is shown the picture only where the mask keeps it. */
static void heeds_what_stays(const struct models *m, struct image *picture, const struct mask *mask)
{
    struct gen_request r = request_of(GEN_IMG2IMG);
    const struct pipeline_input input = {picture, mask};

    r.input.has_mask = true;
    r.inpaint.fill = MASK_BLEND_NOTHING; /* nothing of the picture is under the mask otherwise */
    r.inpaint.blur_x = r.inpaint.blur_y = 0;
    struct gen_result first = draw(m->heedful, &r, &input);
    picture->px[0] ^= 255;
    struct gen_result kept = draw(m->heedful, &r, &input);
    picture->px[0] ^= 255;
    const int right = 40;
    int n = 0;
    for (int y = 0; y < 64 && first.images && kept.images; y++)
        for (int x = right; x < 64; x++)
            n += memcmp(first.images[0].px + (y * 64 + x) * 3, kept.images[0].px + (y * 64 + x) * 3,
                        3) != 0;
    CHECK(n > 0);
    pipeline_result_clear(&first);
    pipeline_result_clear(&kept);
}

static void refuses_another_number_of_channels(const struct models *m)
{
    const struct gen_request r = request_of(GEN_TXT2IMG);
    const struct plan_bounds none = gen_plan_no_bounds(0);
    struct plan_models models = pipeline_models(m->demo);
    struct model_info *info = (struct model_info *)(uintptr_t)model_view(models.base);
    struct gen_plan plan = {0};
    struct error err = {0};

    info->unet.in_channels = 8;
    CHECK(!gen_plan_make(&plan, &r, &models, NULL, &none, NULL, &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "8 channels"));
    info->unet.in_channels = 4;
}

int main(void)
{
    char dir[] = "/tmp/nine-XXXXXX", blind[NAME_BYTES], heedful[NAME_BYTES];
    struct backend *b = NULL;
    struct models m = {0};
    struct image picture = {0};
    struct mask mask = {0};
    struct error err = {0};

    if (!mkdtemp(dir))
        return 1;
    snprintf(blind, sizeof blind, "%s/blind", dir);
    snprintf(heedful, sizeof heedful, "%s/heedful", dir);
    const bool ok = make_model(blind, false) && make_model(heedful, true) &&
                    cpu_backend_open(&b, 2, NULL, &err) &&
                    pipeline_open(&m.demo, "assets/demo-model", NULL, b, &err) &&
                    pipeline_open(&m.blind, blind, NULL, b, &err) &&
                    pipeline_open(&m.heedful, heedful, NULL, b, &err) &&
                    image_init(&picture, 64, 64, &err) && mask_init(&mask, 64, 64, &err);
    CHECK(ok);
    if (ok) {
        for (size_t i = 0; i < image_bytes(&picture); i++)
            picture.px[i] = (uint8_t)(i * 7 / 5);
        for (int i = 0; i < 64 * 64; i++)
            mask.px[i] = i % 64 >= 32 ? 255 : 0;
        draws_what_the_plain_model_does_where_nothing_is_heeded(&m, &picture, &mask);
        heeds_what_stays(&m, &picture, &mask);
        refuses_another_number_of_channels(&m);
    } else {
        fprintf(stderr, "%s\n", err.text);
    }
    image_clear(&picture);
    mask_clear(&mask);
    pipeline_close(m.demo);
    pipeline_close(m.blind);
    pipeline_close(m.heedful);
    if (b)
        b->fn->close(b);
    remove_model(blind);
    remove_model(heedful);
    rmdir(dir);
    return TEST_END();
}
