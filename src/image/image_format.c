#include "image/image_format.h"

#include "base/fs.h"
#include "image/image_jpeg.h"
#include "image/image_orient.h"
#include "image/image_png.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct image_format formats[] = {
    {"png", {"png"}, "image/png", "\x89PNG\r\n\x1a\n", 8, image_png_read, image_png_write},
    {"jpeg", {"jpg", "jpeg"}, "image/jpeg", "\xff\xd8\xff", 3, image_jpeg_read, image_jpeg_write},
};

enum { N_FORMATS = sizeof formats / sizeof formats[0] };

const struct image_format *image_format_at(size_t i)
{
    return i < N_FORMATS ? &formats[i] : NULL;
}

const struct image_format *image_format_find_magic(const void *bytes, size_t len)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (len >= formats[i].magic_len &&
            memcmp(bytes, formats[i].magic, formats[i].magic_len) == 0)
            return &formats[i];
    return NULL;
}

const struct image_format *image_format_find_name(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++) {
        if (strcasecmp(name, formats[i].name) == 0)
            return &formats[i];
        for (size_t k = 0; formats[i].extensions[k]; k++)
            if (strcasecmp(name, formats[i].extensions[k]) == 0)
                return &formats[i];
    }
    return NULL;
}

/* Lists all names for a message: "png, jpeg". */
static void list_names(char *out, size_t room)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < N_FORMATS; i++) {
        size_t len = strlen(formats[i].name);
        if (n + len + 3 > room)
            return;
        if (i > 0) {
            memcpy(out + n, ", ", 2);
            n += 2;
        }
        memcpy(out + n, formats[i].name, len + 1);
        n += len;
    }
}

bool image_format_find_path(const struct image_format **out, const char *path, struct error *err)
{
    char names[100];
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    const struct image_format *format = dot ? image_format_find_name(dot + 1) : NULL;

    if (!format) {
        list_names(names, sizeof names);
        return error_set(err, ERROR_INVALID, "%.200s: its ending names no format; known are: %s",
                         path, names);
    }
    *out = format;
    return true;
}

bool image_format_read_alpha(struct image_file *out, const void *bytes, size_t len,
                             struct image_limits limits, struct error *err)
{
    char names[100];
    const struct image_format *format = image_format_find_magic(bytes, len);

    *out = (struct image_file){0};
    if (!format) {
        list_names(names, sizeof names);
        return error_set(err, ERROR_CORRUPT, "not a picture in a known format; known are: %s",
                         names);
    }
    if (!format->read(out, bytes, len, limits, err))
        return false;
    if (image_orient_file(out, err))
        return true;
    image_format_clear(out);
    return false;
}

/* Pillow's paste with a mask, as in A1111's images.flatten. */
static void lay_over_white(struct image_file *file)
{
    const size_t n = (size_t)file->image.width * (size_t)file->image.height;

    if (!file->alpha)
        return;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < IMAGE_CHANNELS; c++) {
            uint8_t *px = &file->image.px[i * IMAGE_CHANNELS + c];
            uint32_t sum = 255u * (255u - file->alpha[i]) + (uint32_t)*px * file->alpha[i] + 128;
            *px = (uint8_t)(((sum >> 8) + sum) >> 8);
        }
    free(file->alpha);
    file->alpha = NULL;
}

bool image_format_read(struct image_file *out, const void *bytes, size_t len,
                       struct image_limits limits, struct error *err)
{
    if (!image_format_read_alpha(out, bytes, len, limits, err))
        return false;
    lay_over_white(out);
    return true;
}

bool image_format_load(struct image_file *out, const char *path, struct error *err)
{
    if (!image_format_load_alpha(out, path, err))
        return false;
    lay_over_white(out);
    return true;
}

bool image_format_load_alpha(struct image_file *out, const char *path, struct error *err)
{
    char *bytes = NULL;
    size_t len;

    *out = (struct image_file){0};
    if (!fs_read(&bytes, &len, path, IMAGE_FORMAT_MAX_FILE_BYTES, err))
        return false;
    bool ok = image_format_read_alpha(out, bytes, len, image_default_limits(), err);
    free(bytes);
    return ok || error_prefix(err, "%.300s", path);
}

bool image_format_save(const char *path, const struct image *image,
                       const struct image_write_options *options, struct error *err)
{
    const struct image_format *format;
    struct buf file;

    if (!image_format_find_path(&format, path, err))
        return false;
    buf_init(&file, IMAGE_FORMAT_MAX_FILE_BYTES);
    bool ok =
        format->write(&file, image, options, err) && fs_write(path, file.bytes, file.len, err);
    buf_clear(&file);
    return ok;
}

void image_format_clear(struct image_file *file)
{
    image_clear(&file->image);
    free(file->alpha);
    free(file->infotext);
    *file = (struct image_file){0};
}
