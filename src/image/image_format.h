/* The table of picture formats: reading picks its row by the first bytes, writing by a name.
 *
 * A format is one file with its functions, and one row in image_format.c.  Looking at a file tells
 * what it holds without unpacking a pixel; every reading looks first, so sizes are checked before
 * anything of that size is allocated.  Of an animated file only the first frame exists. */
#ifndef IMAGE_IMAGE_FORMAT_H
#define IMAGE_IMAGE_FORMAT_H

#include "base/buf.h"
#include "image/image.h"
#include "image/image_meta.h"

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
    int avif_speed;       /* 1..10, the larger the quicker and the larger the file; 0: 6 */
};

struct image_format {
    const char *name;
    const char *extensions[3]; /* without dot, lower case; ends with NULL */
    const char *mime;
    const char *magic; /* how files begin; ? stands for any byte */
    size_t magic_len;
    bool keeps_all; /* writing loses nothing, so quality does not matter */
    /* At most so many bytes of memory for each pixel while a file is read, the file not counted and
     * what is kept (IMAGE_CHANNELS, one more with opacity) included; measured, rounded up. */
    int read_bytes_per_pixel;
    /* Fills width, height, has_alpha, orientation and, if wanted, texts of an empty *out, which is
     * empty again after a failure.  Bytes of foreign origin; nothing is allocated by what they
     * claim. */
    bool (*look)(struct image_meta *out, const void *bytes, size_t len, struct error *err);
    /* Bytes of foreign origin.  Sizes are checked against limits before anything is decoded.  Gives
     * pixels and opacity as stored and leaves the rest of *out empty. */
    bool (*read)(struct image_file *out, const void *bytes, size_t len, struct image_limits limits,
                 struct error *err);
    /* Appends a whole file to out.  NULL where files are only read. */
    bool (*write)(struct buf *out, const struct image *image,
                  const struct image_write_options *options, struct error *err);
};

/* The rows, in the order that messages list them. */
const struct image_format *image_format_at(size_t i); /* NULL behind the last */
const struct image_format *image_format_find_magic(const void *bytes, size_t len);
/* By name or extension, in any case; NULL when unknown. */
const struct image_format *image_format_find_name(const char *name);
/* The same among the formats that can be written, for names that people give: ERROR_INVALID says
 * which there are. */
bool image_format_find_writable(const struct image_format **out, const char *name,
                                struct error *err) MUST_CHECK;
/* By the extension of a path that is to be written. */
bool image_format_find_path(const struct image_format **out, const char *path,
                            struct error *err) MUST_CHECK;

/* What an upload is, told by its header without unpacking it. */
struct image_probe {
    const struct image_format *format;
    int width, height; /* px as shown, so turned where orientation says so */
    bool has_alpha;
    int orientation;   /* 1..8; reading turns the picture accordingly */
    size_t read_bytes; /* memory that reading it takes at most, the file not counted */
};

/* ERROR_CORRUPT for what is no picture in a known format, ERROR_LIMIT for one beyond the limits;
 * image_default_limits() are the program's own, a server may give less.  Pixels may still turn out
 * to be damaged when they are read. */
bool image_format_probe(struct image_probe *out, const void *bytes, size_t len,
                        struct image_limits limits, struct error *err) MUST_CHECK;

/* Its two halves, for who wants the texts too (image_info).  Looking finds the row and fills *out,
 * which the caller clears after a success; judging checks sizes against limits. */
bool image_format_look(const struct image_format **format, struct image_meta *out,
                       const void *bytes, size_t len, bool wants_text,
                       struct error *err) MUST_CHECK;
bool image_format_judge(struct image_probe *out, const struct image_format *format,
                        const struct image_meta *meta, struct image_limits limits,
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
