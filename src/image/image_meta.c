#include "image/image_meta.h"

#include "image/image_exif.h"
#include "image/image_text.h"

#include <stdlib.h>
#include <string.h>

/* Names that web UIs drop from a picture's items, because Pillow gives technical fields these. */
static const char *const not_text[] = {"jfif",        "jfif_version", "jfif_unit",   "jfif_density",
                                       "dpi",         "exif",         "loop",        "background",
                                       "timestamp",   "duration",     "progressive", "progression",
                                       "icc_profile", "chromaticity", "photoshop"};

static bool is_text_key(const char *key)
{
    for (size_t i = 0; i < sizeof not_text / sizeof not_text[0]; i++)
        if (strcmp(key, not_text[i]) == 0)
            return false;
    return key[0] != 0 && strlen(key) <= IMAGE_META_MAX_KEY_BYTES;
}

static struct image_item *find(struct image_meta *meta, const char *key)
{
    for (size_t i = 0; i < meta->n_items; i++)
        if (strcmp(meta->items[i].key, key) == 0)
            return &meta->items[i];
    return NULL;
}

static char *copy(const char *text)
{
    size_t room = strlen(text) + 1;
    char *bytes = malloc(room);
    if (bytes)
        memcpy(bytes, text, room);
    return bytes;
}

/* Takes value over. */
static void add_item(struct image_meta *meta, const char *key, char *value)
{
    struct image_item *old = find(meta, key);

    if (old) {
        free(old->value);
        old->value = value;
        return;
    }
    if (meta->n_items == IMAGE_META_MAX_ITEMS) {
        free(value);
        return;
    }
    struct image_item *items = realloc(meta->items, (meta->n_items + 1) * sizeof *items);
    meta->items = items ? items : meta->items;
    char *name = items ? copy(key) : NULL;
    if (!name) {
        meta->failed = true;
        free(value);
        return;
    }
    items[meta->n_items++] = (struct image_item){.key = name, .value = value};
}

void image_meta_add(struct image_meta *meta, const char *key, struct buf *text)
{
    const size_t n = text->len;

    if (!meta->wants_text || text->failed || n > IMAGE_META_MAX_TEXT_BYTES || !is_text_key(key) ||
        n > IMAGE_META_MAX_TOTAL_BYTES - meta->text_bytes) {
        buf_clear(text);
        return;
    }
    char *value = image_text_take(text);
    meta->text_bytes += n;
    if (!value) {
        meta->failed = true;
    } else if (strcmp(key, "parameters") == 0) {
        free(meta->infotext);
        meta->infotext = value;
    } else {
        add_item(meta, key, value);
    }
}

void image_meta_add_exif(struct image_meta *meta, const void *bytes, size_t len, bool orientation)
{
    static const char mark[] = "Exif\0"; /* its final 0 included: six bytes */
    const uint8_t *tiff = bytes;
    struct buf text;

    if (len >= sizeof mark && memcmp(tiff, mark, sizeof mark) == 0) {
        tiff += sizeof mark;
        len -= sizeof mark;
    }
    if (orientation && meta->orientation <= 1)
        meta->orientation = image_exif_orientation(tiff, len);
    if (!meta->has_exif && meta->wants_text) {
        buf_init(&text, IMAGE_META_MAX_TEXT_BYTES);
        image_exif_read(&text, tiff, len);
        if (text.len > 0)
            image_meta_add(meta, "parameters", &text);
        buf_clear(&text);
    }
    meta->has_exif = true;
}

bool image_meta_finish(struct image_meta *meta, struct error *err)
{
    const struct image_item *comment = find(meta, "comment");

    if (meta->orientation < 1 || meta->orientation > 8)
        meta->orientation = 1;
    if (comment && comment->value[0] && !meta->has_exif) {
        free(meta->infotext);
        meta->infotext = copy(comment->value);
        meta->failed = meta->failed || !meta->infotext;
    }
    if (!meta->failed)
        return true;
    image_meta_clear(meta);
    return error_set(err, ERROR_MEMORY, "no memory for a picture's texts");
}

void image_meta_clear(struct image_meta *meta)
{
    for (size_t i = 0; i < meta->n_items; i++) {
        free(meta->items[i].key);
        free(meta->items[i].value);
    }
    free(meta->items);
    free(meta->infotext);
    *meta = (struct image_meta){0};
}
