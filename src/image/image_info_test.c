#include "base/test.h"
#include "image/image_info.h"

#include <string.h>

#define TEXT "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Seed: 1, Size: 8x8"

/* Files that Pillow and libavif's command wrote, texts where web UIs put them. */
static const struct {
    const char *file, *format;
    int width, height;
    bool has_alpha;
    int orientation;
    const char *infotext, *key, *value;
    size_t n_items;
} files[] = {
    {"texts.png", "png", 4, 2, false, 1, TEXT, "Title", "second", 3},
    {"texts.png", "png", 4, 2, false, 1, TEXT, "prompt", "\xe7\x8c\xab", 3},
    {"exif.png", "png", 4, 2, false, 1, TEXT, NULL, NULL, 0},
    {"empty_exif.png", "png", 4, 2, false, 1, TEXT, "comment", "not this", 1},
    {"comment.png", "png", 4, 2, false, 1, TEXT, "comment", TEXT, 1},
    {"bomb.png", "png", 4, 2, false, 1, TEXT, NULL, NULL, 0},
    {"text.jpg", "jpeg", 8, 4, false, 1, TEXT, NULL, NULL, 0},
    {"little.jpg", "jpeg", 4, 8, false, 8, TEXT, NULL, NULL, 0},
    {"comment.jpg", "jpeg", 8, 4, false, 1, TEXT, "comment", TEXT, 1},
    {"text.webp", "webp", 8, 8, false, 1, TEXT, NULL, NULL, 0},
    {"turned.webp", "webp", 4, 8, false, 6, TEXT, "xmp", "<x>xmp</x>", 1},
    {"text.avif", "avif", 16, 12, false, 1, TEXT, NULL, NULL, 0},
    {"turned.avif", "avif", 12, 16, false, 5, NULL, NULL, NULL, 0},
    {"alpha.avif", "avif", 9, 7, true, 1, NULL, NULL, NULL, 0},
    {"text.gif", "gif", 10, 6, false, 1, TEXT, "comment", TEXT, 1},
    {"part.gif", "gif", 8, 5, true, 1, NULL, NULL, NULL, 0},
};

static const char *find(const struct image_info *info, const char *key)
{
    for (size_t i = 0; i < info->n_items; i++)
        if (strcmp(info->items[i].key, key) == 0)
            return info->items[i].value;
    return "";
}

static void finds_texts_where_web_uis_put_them(void)
{
    struct image_info info;
    struct error err;
    char path[200];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "fuzz/corpus/image_info/%s", files[i].file);
        bool ok = image_info_load(&info, path, &err);
        ok = ok && strcmp(info.picture.format->name, files[i].format) == 0 &&
             info.picture.width == files[i].width && info.picture.height == files[i].height &&
             info.picture.has_alpha == files[i].has_alpha &&
             info.picture.orientation == files[i].orientation && info.n_items == files[i].n_items;
        ok = ok && (files[i].infotext ? info.infotext && !strcmp(info.infotext, files[i].infotext)
                                      : !info.infotext);
        ok = ok && (!files[i].key || strcmp(find(&info, files[i].key), files[i].value) == 0);
        if (!ok)
            fprintf(stderr, "%s: %dx%d, %zu texts, '%s' (%s)\n", path, info.picture.width,
                    info.picture.height, info.n_items, info.infotext ? info.infotext : "",
                    err.text);
        CHECK(ok);
        image_info_clear(&info);
    }
}

/* What is told of the picture is what reading it gives. */
static void agrees_with_the_reader(void)
{
    struct image_info info;
    struct image_file file;
    struct error err;
    char path[200];

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "fuzz/corpus/image_info/%s", files[i].file);
        CHECK(image_info_load(&info, path, &err));
        CHECK(image_format_load_alpha(&file, path, &err));
        CHECK(file.image.width == info.picture.width && file.image.height == info.picture.height);
        CHECK(info.picture.has_alpha || !file.alpha);
        CHECK(!file.infotext == !info.infotext);
        CHECK(!file.infotext || strcmp(file.infotext, info.infotext) == 0);
        image_format_clear(&file);
        image_info_clear(&info);
    }
}

static void answers_in_both_forms(void)
{
    struct image_info info;
    struct error err;

    CHECK(image_info_load(&info, "fuzz/corpus/image_info/texts.png", &err));
    json_t *native = image_info_json_native(&info, &err);
    CHECK(strcmp(json_string_value(json_object_get(native, "status")), "success") == 0);
    CHECK(strcmp(json_string_value(json_object_get(native, "info")), TEXT) == 0);
    json_t *parameters = json_object_get(native, "parameters");
    CHECK(json_integer_value(json_object_get(parameters, "Steps")) == 20);
    CHECK(strcmp(json_string_value(json_object_get(parameters, "negative_prompt")), "dog") == 0);
    CHECK(json_object_size(json_object_get(native, "items")) == 3);
    json_t *sdapi = image_info_json_sdapi(&info, &err);
    CHECK(json_object_get(sdapi, "status") == NULL);
    parameters = json_object_get(sdapi, "parameters");
    CHECK(strcmp(json_string_value(json_object_get(parameters, "Size-2")), "8") == 0);
    json_decref(sdapi);
    json_decref(native);
    image_info_clear(&info);

    CHECK(image_info_load(&info, "fuzz/corpus/image_info/alpha.avif", &err));
    native = image_info_json_native(&info, &err);
    CHECK(strcmp(json_string_value(json_object_get(native, "info")), "") == 0);
    CHECK(json_object_size(json_object_get(native, "parameters")) == 0);
    json_decref(native);
    image_info_clear(&info);
}

static void refuses_what_the_probe_refuses(void)
{
    const struct image_limits tiny = {.max_side = 3, .max_pixels = 9};
    static const unsigned char gif[] = "GIF89a\4\0\4\0\0\0\0,\0\0\0\0\4\0\4\0\0\2\0;";
    struct image_info info;
    struct error err;

    CHECK(!image_info_read(&info, "no picture", 10, image_default_limits(), &err));
    CHECK(err.code == ERROR_CORRUPT && info.items == NULL);
    CHECK(image_info_read(&info, gif, sizeof gif - 1, image_default_limits(), &err));
    image_info_clear(&info);
    CHECK(!image_info_read(&info, gif, sizeof gif - 1, tiny, &err) && err.code == ERROR_LIMIT);
    CHECK(!image_info_load(&info, "/nowhere/a.png", &err) && err.code == ERROR_NOT_FOUND);
}

int main(void)
{
    finds_texts_where_web_uis_put_them();
    agrees_with_the_reader();
    answers_in_both_forms();
    refuses_what_the_probe_refuses();
    return TEST_END();
}
