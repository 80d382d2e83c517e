#include "base/test.h"
#include "image/image_format.h"
#include "image/input_vectors.h"

#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Smooth, so that a lossy format stays close to it. */
static struct image make_picture(int width, int height)
{
    struct image image = {0};
    struct error err;

    CHECK(image_init(&image, width, height, &err));
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            uint8_t *px = image.px + ((size_t)y * (size_t)width + (size_t)x) * IMAGE_CHANNELS;
            px[0] = (uint8_t)(x * 255 / width);
            px[1] = (uint8_t)(y * 255 / height);
            px[2] = 90;
        }
    return image;
}

static bool is_close(const struct image *a, const struct image *b)
{
    if (a->width != b->width || a->height != b->height)
        return false;
    for (size_t i = 0; i < image_bytes(a); i++)
        if (abs(a->px[i] - b->px[i]) > 24)
            return false;
    return true;
}

static void brings_pictures_and_text_back_in_every_format(void)
{
    static const char *const text[] = {
        NULL, "a cat\nSteps: 20, Seed: 1, Size: 8x8", "caf\xc3\xa9 \xc2\xbd",
        "\xe7\x8c\xab and \xf0\x9f\x90\x88\nNegative prompt: \xd0\xb4\xd0\xb0"};
    static const int size[][2] = {{1, 1}, {37, 21}, {64, 64}};
    struct image_file file;
    struct error err = {0};
    struct buf bytes;

    for (size_t f = 0; image_format_at(f) && image_format_at(f)->write; f++)
        for (size_t t = 0; t < sizeof text / sizeof text[0]; t++)
            for (size_t s = 0; s < 3; s++) {
                const struct image_format *format = image_format_at(f);
                struct image_write_options options = {.infotext = text[t], .quality = 95};
                struct image image = make_picture(size[s][0], size[s][1]);
                buf_init(&bytes, 1 << 20);
                CHECK(format->write(&bytes, &image, &options, &err));
                CHECK(image_format_find_magic(bytes.bytes, bytes.len) == format);
                CHECK(
                    image_format_read(&file, bytes.bytes, bytes.len, image_default_limits(), &err));
                CHECK(is_close(&image, &file.image));
                CHECK(text[t] ? file.infotext && strcmp(file.infotext, text[t]) == 0
                              : file.infotext == NULL);
                image_format_clear(&file);
                buf_clear(&bytes);
                image_clear(&image);
            }
}

static void shows_every_kind_of_input_as_pillow_does(void)
{
    struct image_file file;
    struct error err;

    for (size_t i = 0; i < sizeof input_vectors / sizeof input_vectors[0]; i++) {
        int wrong = 0;
        CHECK(image_format_read(&file, input_vectors[i].file, input_vectors[i].len,
                                image_default_limits(), &err));
        CHECK(file.image.width == input_vectors[i].width);
        CHECK(file.image.height == input_vectors[i].height);
        CHECK(file.alpha == NULL && file.orientation == 1);
        for (size_t k = 0; k < image_bytes(&file.image); k++)
            wrong += abs(file.image.px[k] - input_vectors[i].want[k]) > input_vectors[i].tolerance;
        if (wrong)
            fprintf(stderr, "row %zu: %s, %d bytes differ\n", i, input_vectors[i].why, wrong);
        CHECK(wrong == 0);
        image_format_clear(&file);
    }
}

static void keeps_opacity_where_it_is_asked_for(void)
{
    struct image_file file;
    struct error err;

    for (size_t i = 0; i < sizeof input_vectors / sizeof input_vectors[0]; i++) {
        CHECK(image_format_read_alpha(&file, input_vectors[i].file, input_vectors[i].len,
                                      image_default_limits(), &err));
        if (strcmp(input_vectors[i].why, "colours with opacity") == 0) {
            CHECK(file.alpha && memcmp(file.alpha, "\x00\x80\xff", 3) == 0);
            CHECK(memcmp(file.image.px, "\x09\x08\x07\xff\x00\x00\x01\x02\x03", 9) == 0);
        }
        if (strcmp(input_vectors[i].why, "opaque all the same") == 0)
            CHECK(file.alpha == NULL);
        image_format_clear(&file);
    }
}

static void refuses_every_cut_file(void)
{
    struct image_file file;
    struct error err;
    struct buf bytes;

    for (size_t f = 0; image_format_at(f); f++) {
        if (!image_format_at(f)->write)
            continue;
        const struct image_format *format = image_format_at(f);
        struct image_write_options options = {.infotext = "some text", .quality = 80};
        struct image image = make_picture(24, 24);
        buf_init(&bytes, 1 << 20);
        CHECK(format->write(&bytes, &image, &options, &err));
        for (size_t len = 0; len + 12 < bytes.len; len++) {
            /* A copy of exactly this size, so that the sanitizer sees a byte too many read. */
            char *cut = malloc(len ? len : 1);
            if (!cut)
                break;
            memcpy(cut, bytes.bytes, len);
            err.code = ERROR_NONE;
            CHECK(!image_format_read(&file, cut, len, image_default_limits(), &err));
            CHECK(err.code == ERROR_CORRUPT && file.image.px == NULL);
            free(cut);
        }
        buf_clear(&bytes);
        image_clear(&image);
    }
}

static void checks_the_size_before_decoding(void)
{
    struct image_limits small = {.max_side = 16, .max_pixels = 100};
    struct image_write_options options = {.quality = 80};
    struct image_file file;
    struct error err;
    struct buf bytes;

    for (size_t f = 0; image_format_at(f); f++) {
        if (!image_format_at(f)->write)
            continue;
        struct image image = make_picture(17, 2);
        buf_init(&bytes, 1 << 20);
        CHECK(image_format_at(f)->write(&bytes, &image, &options, &err));
        CHECK(!image_format_read(&file, bytes.bytes, bytes.len, small, &err));
        CHECK(err.code == ERROR_LIMIT);
        buf_clear(&bytes);
        image_clear(&image);
    }
    /* A header that claims 16000 x 16000 and has nothing behind it. */
    static const unsigned char bomb[] = {
        137, 80, 78, 71, 13,  10, 26, 10, 0, 0, 0,   13, 73, 72,  68, 82,  0,  0,  62,
        128, 0,  0,  62, 128, 8,  2,  0,  0, 0, 206, 28, 72, 137, 0,  0,   0,  0,  73,
        68,  65, 84, 53, 175, 6,  30, 0,  0, 0, 0,   73, 69, 78,  68, 174, 66, 96, 130};
    CHECK(!image_format_read(&file, bomb, sizeof bomb, image_default_limits(), &err));
    CHECK(err.code == ERROR_LIMIT && file.image.px == NULL);
}

static void tells_what_a_file_is_without_reading_it(void)
{
    const struct image_limits limits = image_default_limits();
    struct image_file file;
    struct image_probe probe;
    struct error err;

    for (size_t i = 0; i < sizeof input_vectors / sizeof input_vectors[0]; i++) {
        const void *bytes = input_vectors[i].file;
        CHECK(image_format_probe(&probe, bytes, input_vectors[i].len, limits, &err));
        CHECK(image_format_read_alpha(&file, bytes, input_vectors[i].len, limits, &err));
        CHECK(probe.width == input_vectors[i].width && probe.height == input_vectors[i].height);
        CHECK(probe.format == image_format_find_magic(bytes, input_vectors[i].len));
        CHECK(probe.has_alpha || !file.alpha);
        CHECK(probe.orientation >= 1 && probe.orientation <= 8);
        CHECK(probe.read_bytes > image_bytes(&file.image));
        CHECK(!image_format_probe(&probe, bytes, input_vectors[i].len,
                                  (struct image_limits){.max_side = 16384, .max_pixels = 1}, &err));
        CHECK(err.code == ERROR_LIMIT && strstr(err.text, "too large"));
        image_format_clear(&file);
    }
    CHECK(!image_format_probe(&probe, "hello", 5, limits, &err) && err.code == ERROR_CORRUPT);
    CHECK(strstr(err.text, "png, jpeg") && probe.format == NULL);
    CHECK(!image_format_probe(&probe, "", 0, limits, &err) && err.code == ERROR_CORRUPT);
}

#if defined(__GLIBC__) && !TEST_SANITIZED
static size_t address_space(void)
{
    size_t pages = 0;
    char text[100] = "";
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fgets(text, sizeof text, f))
        pages = strtoul(text, NULL, 10);
    if (f)
        fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* In a process of its own that may grow by so much: whether the file can be read. */
static bool can_read(const struct buf *bytes, size_t room)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit limit = {address_space() + room, RLIM_INFINITY};
        struct image_file file;
        struct error err;
        bool ok =
            setrlimit(RLIMIT_AS, &limit) == 0 &&
            image_format_read_alpha(&file, bytes->bytes, bytes->len, image_default_limits(), &err);
        _exit(ok ? 0 : 1);
    }
    int status = 1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void reads_within_the_memory_it_names(void)
{
    struct image image = make_picture(1500, 1400);
    struct image_probe probe;
    struct error err;
    struct buf bytes;

    /* What writing took must be gone before reading begins. */
    mallopt(M_MMAP_THRESHOLD, 1 << 17);
    mallopt(M_ARENA_MAX, 1);
    for (size_t f = 0; image_format_at(f); f++) {
        struct image_write_options options = {.quality = 95, .avif_speed = 10};
        if (!image_format_at(f)->write)
            continue;
        buf_init(&bytes, 16 << 20);
        CHECK(image_format_at(f)->write(&bytes, &image, &options, &err));
        CHECK(image_format_probe(&probe, bytes.bytes, bytes.len, image_default_limits(), &err));
        CHECK(can_read(&bytes, probe.read_bytes));
        CHECK(!can_read(&bytes, image_bytes(&image) / 2)); /* so the limit does limit */
        buf_clear(&bytes);
    }
    image_clear(&image);
}
#else
static void reads_within_the_memory_it_names(void)
{
}
#endif

static void finds_rows_by_name_and_path(void)
{
    const struct image_format *format = NULL;
    struct error err;

    CHECK(image_format_find_name("JPG") == image_format_find_name("jpeg"));
    CHECK(image_format_find_name("bmp") == NULL);
    CHECK(image_format_find_writable(&format, "jpg", &err) && strcmp(format->name, "jpeg") == 0);
    CHECK(!image_format_find_writable(&format, "bmp", &err) && err.code == ERROR_INVALID);
    CHECK(strstr(err.text, "png, jpeg"));
    CHECK(image_format_find_path(&format, "a.b/c.PNG", &err) &&
          strcmp(format->mime, "image/png") == 0);
    CHECK(!image_format_find_path(&format, "a.png/c", &err));
    CHECK(!image_format_find_path(&format, "c.txt", &err) && strstr(err.text, "png, jpeg"));
}

static void says_what_a_writer_cannot_do(void)
{
    struct image image = make_picture(4, 4);
    const struct image_format *jpeg = image_format_find_name("jpeg");
    struct error err;
    struct buf out;
    static char much[40000];

    memset(much, 'x', sizeof much - 1);
    buf_init(&out, 1 << 20);
    CHECK(!jpeg->write(&out, &image, &(struct image_write_options){.quality = 0}, &err));
    CHECK(!jpeg->write(&out, &image, &(struct image_write_options){.quality = 101}, &err));
    CHECK(!jpeg->write(&out, &image, &(struct image_write_options){.infotext = much, .quality = 9},
                       &err));
    CHECK(err.code == ERROR_LIMIT);
    for (size_t f = 0; image_format_at(f); f++) {
        if (!image_format_at(f)->write)
            continue;
        struct image_write_options bad = {.infotext = "\xff", .quality = 9};
        CHECK(!image_format_at(f)->write(&out, &image, &bad, &err) && err.code == ERROR_INVALID);
        struct buf tight;
        struct image_write_options plain = {.quality = 9};
        buf_init(&tight, 40);
        CHECK(!image_format_at(f)->write(&tight, &image, &plain, &err) && err.code == ERROR_LIMIT);
        buf_clear(&tight);
    }
    buf_clear(&out);
    image_clear(&image);
}

static void saves_and_loads_files(void)
{
    char folder[] = "/tmp/image_format_test_XXXXXX", path[64];
    struct image image = make_picture(10, 6);
    struct image_write_options options = {.infotext = "hello"};
    struct image_file file;
    struct error err;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/a.png", folder);
    CHECK(!image_format_load(&file, path, &err) && err.code == ERROR_NOT_FOUND);
    CHECK(image_format_save(path, &image, &options, &err));
    CHECK(image_format_load(&file, path, &err));
    CHECK(memcmp(file.image.px, image.px, image_bytes(&image)) == 0);
    CHECK(file.infotext && strcmp(file.infotext, "hello") == 0);
    image_format_clear(&file);
    image_clear(&image);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    brings_pictures_and_text_back_in_every_format();
    shows_every_kind_of_input_as_pillow_does();
    keeps_opacity_where_it_is_asked_for();
    refuses_every_cut_file();
    checks_the_size_before_decoding();
    tells_what_a_file_is_without_reading_it();
    reads_within_the_memory_it_names();
    finds_rows_by_name_and_path();
    says_what_a_writer_cannot_do();
    saves_and_loads_files();
    return TEST_END();
}
