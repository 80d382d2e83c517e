/* libpng reports errors by longjmp.  Everything that must survive a jump lives in a struct that the
 * frame above setjmp owns; the frame with setjmp has no variables of its own that change. */
#include "image/image_png.h"

#include "image/image_png_meta.h"
#include "image/image_text.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_LIMIT = 1 << 20, CHUNK_LIMIT = 8 << 20, MAX_CHUNKS = 1000 };

static const char keyword[] = "parameters";

struct reader {
    png_structp png;
    png_infop info;
    const unsigned char *bytes;
    size_t len, at;
    struct image_limits limits;
    struct image image; /* RGBA until its alpha is split off */
    bool has_alpha;
    png_bytep *rows;
    struct error *err;
};

static void fail(png_structp png, png_const_charp text)
{
    struct error *err = png_get_error_ptr(png);
    error_set(err, ERROR_CORRUPT, "PNG: %.200s", text);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp text)
{
    (void)png, (void)text;
}

static void read_bytes(png_structp png, png_bytep out, size_t n)
{
    struct reader *r = png_get_io_ptr(png);
    if (n > r->len - r->at)
        png_error(png, "the file ends too early");
    memcpy(out, r->bytes + r->at, n);
    r->at += n;
}

/* Texts and EXIF data are image_png_meta's business. */
static void skip_texts(png_structp png)
{
    static const unsigned char names[] = "tEXt\0zTXt\0iTXt\0eXIf";
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, sizeof names / 5);
}

/* Asks libpng to turn whatever the file holds into 8-bit RGB or RGBA. */
static void set_conversions(png_structp png, png_infop info)
{
    png_set_expand(png);
    png_set_strip_16(png);
    int type = png_get_color_type(png, info);
    if (type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA)
        png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

static bool init_pixels(struct reader *r)
{
    const int width = (int)png_get_image_width(r->png, r->info);
    const int height = (int)png_get_image_height(r->png, r->info);

    return r->has_alpha ? image_init_rgba(&r->image, width, height, r->err)
                        : image_init(&r->image, width, height, r->err);
}

static bool decode(struct reader *r)
{
    if (setjmp(png_jmpbuf(r->png)))
        return false;
    /* A hair above our own limits, so that ours speak first. */
    png_set_user_limits(r->png, IMAGE_MAX_SIDE * 1024, IMAGE_MAX_SIDE * 1024);
    png_set_chunk_malloc_max(r->png, CHUNK_LIMIT);
    png_set_chunk_cache_max(r->png, MAX_CHUNKS);
    skip_texts(r->png);
    png_set_read_fn(r->png, r, read_bytes);
    png_read_info(r->png, r->info);
    if (!image_check_size(png_get_image_width(r->png, r->info),
                          png_get_image_height(r->png, r->info), r->limits, r->err))
        return false;
    r->has_alpha = (png_get_color_type(r->png, r->info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                   png_get_valid(r->png, r->info, PNG_INFO_tRNS) != 0;
    set_conversions(r->png, r->info);
    const size_t row =
        (size_t)png_get_image_width(r->png, r->info) * (r->has_alpha ? IMAGE_RGBA : IMAGE_CHANNELS);
    if (!init_pixels(r))
        return false;
    if (png_get_rowbytes(r->png, r->info) != row)
        png_error(r->png, "unexpected kind of pixels");
    r->rows = malloc((size_t)r->image.height * sizeof *r->rows);
    if (!r->rows)
        return error_set(r->err, ERROR_MEMORY, "no memory to read a picture");
    for (int y = 0; y < r->image.height; y++)
        r->rows[y] = r->image.px + (size_t)y * row;
    png_read_image(r->png, r->rows);
    png_read_end(r->png, r->info); /* the checksums behind the pixels */
    return true;
}

bool image_png_read(struct image_file *out, const void *bytes, size_t len,
                    struct image_limits limits, struct error *err)
{
    struct reader r = {.bytes = bytes, .len = len, .limits = limits, .err = err};
    bool ok = false;

    *out = (struct image_file){0};
    if (!image_png_meta_check(bytes, len, err))
        return false;
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, err, fail, ignore_warning);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (!r.info) {
        error_set(err, ERROR_MEMORY, "no memory to read a picture");
        goto done;
    }
    if (!decode(&r) || (r.has_alpha && !image_split_alpha(&out->alpha, &r.image, err)))
        goto done;
    out->image = r.image;
    r.image = (struct image){0};
    ok = true;

done:
    png_destroy_read_struct(&r.png, &r.info, NULL);
    free(r.rows);
    image_clear(&r.image);
    return ok;
}

struct writer {
    png_structp png;
    png_infop info;
    const struct image *image;
    png_text text; /* its text is NULL when there is none */
};

static void append_bytes(png_structp png, png_bytep bytes, size_t n)
{
    buf_add(png_get_io_ptr(png), bytes, n);
}

static void no_flush(png_structp png)
{
    (void)png;
}

static bool encode(struct writer *w, struct buf *out)
{
    const struct image *image = w->image;

    if (setjmp(png_jmpbuf(w->png)))
        return false;
    png_set_user_limits(w->png, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    png_set_write_fn(w->png, out, append_bytes, no_flush);
    png_set_IHDR(w->png, w->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (w->text.text)
        png_set_text(w->png, w->info, &w->text, 1);
    png_write_info(w->png, w->info);
    for (int y = 0; y < image->height; y++)
        png_write_row(w->png, image->px + (size_t)y * (size_t)image->width * IMAGE_CHANNELS);
    png_write_end(w->png, NULL);
    return true;
}

/* Chooses tEXt or iTXt for the text and keeps its bytes in *bytes. */
static bool prepare_text(struct writer *w, struct buf *bytes, const char *text, struct error *err)
{
    if (!text || !*text)
        return true;
    if (!image_text_is_utf8(text))
        return error_set(err, ERROR_INVALID, "the picture's text is not UTF-8");
    bool latin1 = image_text_is_latin1(text);
    if (latin1)
        image_text_to_latin1(bytes, text);
    else
        buf_add(bytes, text, strlen(text));
    buf_add(bytes, "", 1);
    if (bytes->failed)
        return error_set(err, ERROR_LIMIT, "the picture's text is longer than %d bytes",
                         TEXT_LIMIT);
    w->text.compression = latin1 ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
    w->text.key = (char *)keyword; /* libpng copies it */
    w->text.text = bytes->bytes;
    w->text.text_length = bytes->len - 1;
    return true;
}

bool image_png_write(struct buf *out, const struct image *image,
                     const struct image_write_options *options, struct error *err)
{
    struct writer w = {.image = image};
    struct buf text;
    bool ok = false;

    buf_init(&text, TEXT_LIMIT);
    if (!prepare_text(&w, &text, options->infotext, err))
        goto done;
    w.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, err, fail, ignore_warning);
    w.info = w.png ? png_create_info_struct(w.png) : NULL;
    if (!w.info) {
        error_set(err, ERROR_MEMORY, "no memory to write a picture");
        goto done;
    }
    if (!encode(&w, out))
        goto done;
    ok = !out->failed || error_set(err, ERROR_LIMIT, "no room for the picture's file");

done:
    png_destroy_write_struct(&w.png, &w.info);
    buf_clear(&text);
    return ok;
}
