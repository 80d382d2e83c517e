#include "image/image_png.h"

#include <stdlib.h>
#include <string.h>

/* What was read lies within the limits, and survives being written and read again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_limits limits = {.max_side = 256, .max_pixels = 128 * 128};
    struct image_file file, again;
    struct error err = {0};
    struct buf out;

    if (!image_png_read(&file, data, size, limits, &err)) {
        if (err.code == ERROR_NONE || file.image.px || file.infotext)
            abort();
        return 0;
    }
    if (file.image.width > 256 || file.image.height > 256 ||
        file.image.width * file.image.height > 128 * 128)
        abort();
    struct image_write_options options = {.infotext = file.infotext, .quality = 90};
    buf_init(&out, 1 << 22);
    if (image_png_write(&out, &file.image, &options, &err)) {
        if (!image_png_read(&again, out.bytes, out.len, limits, &err))
            abort();
        if (again.image.width != file.image.width || again.image.height != file.image.height ||
            memcmp(again.image.px, file.image.px, image_bytes(&file.image)) != 0)
            abort();
        if (file.infotext && *file.infotext &&
            (!again.infotext || strcmp(again.infotext, file.infotext) != 0))
            abort();
        image_format_clear(&again);
    }
    buf_clear(&out);
    image_format_clear(&file);
    return 0;
}
