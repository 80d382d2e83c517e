#include "image/image_info.h"
#include "image/image_text.h"

#include <stdlib.h>
#include <string.h>

/* Whatever a file claims, texts are bounded UTF-8 and go into JSON, and reading the picture agrees
 * about its infotext. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_info info;
    struct image_file file;
    struct error err = {0};
    size_t total = 0;

    if (!image_info_read(&info, data, size, image_default_limits(), &err)) {
        if (err.code == ERROR_NONE || info.infotext || info.items)
            abort();
        return 0;
    }
    for (size_t i = 0; i < info.n_items; i++) {
        if (!image_text_is_utf8(info.items[i].key) || !image_text_is_utf8(info.items[i].value))
            abort();
        total += strlen(info.items[i].value);
    }
    if (total > IMAGE_META_MAX_TOTAL_BYTES || info.n_items > IMAGE_META_MAX_ITEMS)
        abort();
    if (info.infotext && !image_text_is_utf8(info.infotext))
        abort();
    json_t *native = image_info_json_native(&info, &err);
    json_t *sdapi = image_info_json_sdapi(&info, &err);
    if ((!native || !sdapi) && err.code != ERROR_LIMIT)
        abort();
    if (info.picture.read_bytes < 64 << 20 &&
        image_format_read(&file, data, size, image_default_limits(), &err)) {
        if (!file.infotext != !info.infotext ||
            (file.infotext && strcmp(file.infotext, info.infotext) != 0))
            abort();
        image_format_clear(&file);
    }
    json_decref(native);
    json_decref(sdapi);
    image_info_clear(&info);
    return 0;
}
