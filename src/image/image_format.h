/* The table of picture formats: reading picks its row by the first bytes, writing by a name.
 *
 * A format is one file with a read and a write function, and one row here. */
#ifndef IMAGE_IMAGE_FORMAT_H
#define IMAGE_IMAGE_FORMAT_H

#include "base/buf.h"
#include "image/image.h"

/* What a file holds.  Clear it with image_format_clear. */
struct image_file {
    struct image image;
    uint8_t *alpha;  /* owned opacity, a byte a pixel; NULL when opaque everywhere */
    int orientation; /* what EXIF says of the pixels as stored, 1..8; 1 once they are turned */
    char *infotext;  /* owned UTF-8, or NULL when the file has none */
};

struct image_write_options {
    const char *infotext; /* borrowed UTF-8; NULL or "" for none */
    int quality;          /* 1..100; only for formats that lose something */
};

struct image_format {
    const char *name;
    const char *extensions[3]; /* without dot, lower case; ends with NULL */
    const char *mime;
    const char *magic;
    size_t magic_len;
    /* Bytes of foreign origin.  Sizes are checked against limits before anything is decoded.  Gives
     * the pixels as stored, opacity and orientation beside them. */
    bool (*read)(struct image_file *out, const void *bytes, size_t len, struct image_limits limits,
                 struct error *err);
    /* Appends a whole file to out. */
    bool (*write)(struct buf *out, const struct image *image,
                  const struct image_write_options *options, struct error *err);
};

/* The rows, in the order that messages list them. */
const struct image_format *image_format_at(size_t i); /* NULL behind the last */
const struct image_format *image_format_find_magic(const void *bytes, size_t len);
/* By name or extension, in any case; NULL when unknown. */
const struct image_format *image_format_find_name(const char *name);
/* By the extension of a path. */
bool image_format_find_path(const struct image_format **out, const char *path,
                            struct error *err) MUST_CHECK;

/* The picture as a viewer shows it: turned as EXIF says, over white where it is transparent. */
bool image_format_read(struct image_file *out, const void *bytes, size_t len,
                       struct image_limits limits, struct error *err) MUST_CHECK;

/* The same with its opacity beside it, not over white. */
bool image_format_read_alpha(struct image_file *out, const void *bytes, size_t len,
                             struct image_limits limits, struct error *err) MUST_CHECK;

/* Whole files on disk.  Saving leaves no half file behind. */
bool image_format_load(struct image_file *out, const char *path, struct error *err) MUST_CHECK;
bool image_format_load_alpha(struct image_file *out, const char *path,
                             struct error *err) MUST_CHECK;
bool image_format_save(const char *path, const struct image *image,
                       const struct image_write_options *options, struct error *err) MUST_CHECK;

void image_format_clear(struct image_file *file);

/* Room for any picture of the default limits in any format, and for its text. */
#define IMAGE_FORMAT_MAX_FILE_BYTES ((size_t)512 << 20)

#endif
