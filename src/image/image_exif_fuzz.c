#include "image/image_exif.h"
#include "image/image_text.h"

#include <stdlib.h>
#include <string.h>

/* What is read is UTF-8, and comes back when it is written. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int orientation = image_exif_orientation(data, size);
    struct buf text, tiff, again;
    struct error err;

    if (orientation < 1 || orientation > 8)
        abort();
    buf_init(&text, 1 << 20);
    image_exif_read(&text, data, size);
    char *read = image_text_take(&text);
    if (!read || !image_text_is_utf8(read))
        abort();
    if (!image_exif_prepare(&tiff, read, 4 << 20, &err))
        abort();
    buf_init(&again, 1 << 20);
    image_exif_read(&again, (const uint8_t *)tiff.bytes, tiff.len);
    if (again.len != strlen(read) || (again.len > 0 && memcmp(again.bytes, read, again.len) != 0))
        abort();
    buf_clear(&again);
    buf_clear(&tiff);
    free(read);
    return 0;
}
