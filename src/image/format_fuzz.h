/* What holds for whatever any format's reader accepts; shared by the fuzz targets of all. */
#ifndef IMAGE_FORMAT_FUZZ_H
#define IMAGE_FORMAT_FUZZ_H

#include "image/image_format.h"

#include <string.h>

/* Whether a picture, written and read again, has its size and its text. */
static inline bool format_fuzz_round_trip(const struct image_format *format,
                                          const struct image_file *file, struct image_limits limits)
{
    struct image_write_options options = {
        .infotext = file->infotext, .quality = 90, .avif_speed = 10};
    struct image_file again;
    struct error err;
    struct buf out;
    bool ok = true;

    buf_init(&out, 1 << 22);
    if (format->write(&out, &file->image, &options, &err)) {
        ok = image_format_read(&again, out.bytes, out.len, limits, &err) &&
             again.image.width == file->image.width && again.image.height == file->image.height;
        if (ok && file->infotext && *file->infotext)
            ok = again.infotext && strcmp(again.infotext, file->infotext) == 0;
        image_format_clear(&again);
    }
    buf_clear(&out);
    return ok;
}

/* Whether what was read lies within the limits and is what the probe has said.  name: the format,
 * whatever the bytes begin with. */
static inline bool format_fuzz(const char *name, const uint8_t *data, size_t size)
{
    const struct image_format *format = image_format_find_name(name);
    struct image_limits limits = {.max_side = 256, .max_pixels = 128 * 128};
    struct image_file file;
    struct image_probe probe;
    struct error err = {0};

    if (image_format_find_magic(data, size) != format)
        return true;
    bool known = image_format_probe(&probe, data, size, limits, &err);
    if (!image_format_read(&file, data, size, limits, &err))
        return err.code != ERROR_NONE && !file.image.px && !file.alpha && !file.infotext;
    bool ok = known && file.image.width == probe.width && file.image.height == probe.height &&
              probe.width <= 256 && probe.height <= 256 && probe.width * probe.height <= 128 * 128;
    ok = ok && (!format->write || format_fuzz_round_trip(format, &file, limits));
    image_format_clear(&file);
    return ok;
}

#endif
