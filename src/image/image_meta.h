/* What a file of a picture says beside its pixels: size, how it is held, and texts.  The formats'
 * look functions fill it; the rest of the program reads it through image_format_probe and
 * image_info_read.
 *
 * Which text is the infotext is decided here, as A1111 decides it: a text named "parameters"; a
 * UserComment in EXIF data replaces it; where there is no EXIF data, a comment replaces it. */
#ifndef IMAGE_IMAGE_META_H
#define IMAGE_IMAGE_META_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

struct image_item {
    char *key, *value; /* owned UTF-8 */
};

enum {
    IMAGE_META_MAX_ITEMS = 64,
    IMAGE_META_MAX_KEY_BYTES = 256,
    IMAGE_META_MAX_TEXT_BYTES = 1 << 20, /* of one text; a longer one is left out */
    IMAGE_META_MAX_TOTAL_BYTES = 4 << 20,
};

/* Zero is a valid empty one.  Clear it with image_meta_clear. */
struct image_meta {
    int64_t width, height; /* px as stored; as the file claims, so check them */
    bool has_alpha;        /* there may be pixels that are not opaque */
    int orientation;       /* how EXIF or the container says to show it, 1..8 */
    bool wants_text;       /* set by the caller: without it no text is kept */

    char *infotext; /* owned UTF-8; NULL when there is none */
    struct image_item *items;
    size_t n_items;

    size_t text_bytes;
    bool has_exif;
    bool failed; /* no memory: image_meta_finish says so */
};

/* Takes the text over, whatever becomes of it, and clears the buffer.  Keys that are no text (those
 * Pillow makes of a file's technical fields, such as "dpi") and what goes beyond the bounds are
 * left out; the last of two texts with one key counts. */
void image_meta_add(struct image_meta *meta, const char *key, struct buf *text);

/* EXIF data: a TIFF structure, with or without "Exif\0\0" before it.  orientation says whether the
 * one in there counts. */
void image_meta_add_exif(struct image_meta *meta, const void *bytes, size_t len, bool orientation);

/* Decides about the comment.  ERROR_MEMORY, with nothing kept, when something found no room. */
bool image_meta_finish(struct image_meta *meta, struct error *err) MUST_CHECK;

void image_meta_clear(struct image_meta *meta);

#endif
