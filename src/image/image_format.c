#include "image/image_format.h"

#include "base/fs.h"
#include "image/image_avif.h"
#include "image/image_gif.h"
#include "image/image_jpeg.h"
#include "image/image_orient.h"
#include "image/image_png.h"
#include "image/image_png_meta.h"
#include "image/image_webp.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* clang-format off */
static const struct image_format formats[] = {
    {"png", {"png"}, "image/png", "\x89PNG\r\n\x1a\n", 8, true, 8,
     image_png_meta_look, image_png_read, image_png_write},
    {"jpeg", {"jpg", "jpeg"}, "image/jpeg", "\xff\xd8\xff", 3, false, 12,
     image_jpeg_look, image_jpeg_read, image_jpeg_write},
    {"webp", {"webp"}, "image/webp", "RIFF????WEBP", 12, false, 12,
     image_webp_look, image_webp_read, image_webp_write},
    {"avif", {"avif"}, "image/avif", "????ftyp", 8, false, 24,
     image_avif_look, image_avif_read, image_avif_write},
    {"gif", {"gif"}, "image/gif", "GIF8?a", 6, false, 8,
     image_gif_look, image_gif_read, NULL},
};
/* clang-format on */

enum {
    N_FORMATS = sizeof formats / sizeof formats[0],
    READ_BYTES_BESIDE = 8 << 20, /* tables, rows and texts, whatever the size */
};

const struct image_format *image_format_at(size_t i)
{
    return i < N_FORMATS ? &formats[i] : NULL;
}

static bool begins_with(const struct image_format *format, const char *bytes)
{
    for (size_t i = 0; i < format->magic_len; i++)
        if (format->magic[i] != '?' && bytes[i] != format->magic[i])
            return false;
    return true;
}

const struct image_format *image_format_find_magic(const void *bytes, size_t len)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (len >= formats[i].magic_len && begins_with(&formats[i], bytes))
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

/* Lists names for a message: "png, jpeg". */
static void list_names(char *out, size_t room, bool writable)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < N_FORMATS; i++) {
        size_t len = strlen(formats[i].name);
        if (n + len + 3 > room || (writable && !formats[i].write))
            continue;
        if (n > 0) {
            memcpy(out + n, ", ", 2);
            n += 2;
        }
        memcpy(out + n, formats[i].name, len + 1);
        n += len;
    }
}

bool image_format_find_writable(const struct image_format **out, const char *name,
                                struct error *err)
{
    const struct image_format *format = image_format_find_name(name);
    char names[100];

    if (format && format->write) {
        *out = format;
        return true;
    }
    list_names(names, sizeof names, true);
    return error_set(err, ERROR_INVALID, "'%.40s' is no format that can be written; known are: %s",
                     name, names);
}

bool image_format_find_path(const struct image_format **out, const char *path, struct error *err)
{
    char names[100];
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash : path, '.');
    const struct image_format *format = dot ? image_format_find_name(dot + 1) : NULL;

    if (!format || !format->write) {
        list_names(names, sizeof names, true);
        return error_set(err, ERROR_INVALID,
                         "%.200s: its ending names no format that can be written; known are: %s",
                         path, names);
    }
    *out = format;
    return true;
}

bool image_format_look(const struct image_format **format, struct image_meta *out,
                       const void *bytes, size_t len, bool wants_text, struct error *err)
{
    char names[100];

    *out = (struct image_meta){.wants_text = wants_text};
    *format = image_format_find_magic(bytes, len);
    if (*format)
        return (*format)->look(out, bytes, len, err);
    list_names(names, sizeof names, false);
    return error_set(err, ERROR_CORRUPT, "not a picture in a known format; known are: %s", names);
}

bool image_format_judge(struct image_probe *out, const struct image_format *format,
                        const struct image_meta *meta, struct image_limits limits,
                        struct error *err)
{
    const bool swap = image_orient_swaps_sides(meta->orientation);

    *out = (struct image_probe){0};
    if (!image_check_size(meta->width, meta->height, limits, err))
        return false;
    *out = (struct image_probe){.format = format,
                                .width = (int)(swap ? meta->height : meta->width),
                                .height = (int)(swap ? meta->width : meta->height),
                                .has_alpha = meta->has_alpha,
                                .orientation = meta->orientation,
                                .read_bytes = (size_t)(meta->width * meta->height) *
                                                  (size_t)format->read_bytes_per_pixel +
                                              READ_BYTES_BESIDE};
    return true;
}

bool image_format_probe(struct image_probe *out, const void *bytes, size_t len,
                        struct image_limits limits, struct error *err)
{
    const struct image_format *format;
    struct image_meta meta;

    *out = (struct image_probe){0};
    if (!image_format_look(&format, &meta, bytes, len, false, err))
        return false;
    bool ok = image_format_judge(out, format, &meta, limits, err);
    image_meta_clear(&meta);
    return ok;
}

bool image_format_read_alpha(struct image_file *out, const void *bytes, size_t len,
                             struct image_limits limits, struct error *err)
{
    const struct image_format *format;
    struct image_meta meta;

    *out = (struct image_file){0};
    bool ok = image_format_look(&format, &meta, bytes, len, true, err) &&
              image_check_size(meta.width, meta.height, limits, err) &&
              format->read(out, bytes, len, limits, err);
    if (ok) {
        out->orientation = meta.orientation;
        out->infotext = meta.infotext;
        meta.infotext = NULL;
        ok = image_orient_file(out, err);
    }
    if (!ok)
        image_format_clear(out);
    image_meta_clear(&meta);
    return ok;
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
