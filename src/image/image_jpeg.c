/* libjpeg reports errors by a function that must not return, so by longjmp.  Everything that must
 * survive a jump lives in a struct that the frame above setjmp owns. */
#include "image/image_jpeg.h"

#include "image/image_exif.h"
#include "image/image_text.h"

/* jpeglib.h needs stdio.h before it. */
/* clang-format off */
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>
/* clang-format on */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum {
    CMYK = 4,                 /* bytes of a pixel for print */
    MAX_MARKER_BYTES = 65533, /* a marker's 16-bit length counts itself */
    MAX_SCANS = 100,          /* of a progressive file; honest ones have about ten */
    OUT_BYTES = 1 << 16,
};

/* What EXIF data starts with, its final 0 included: six bytes. */
static const char exif_mark[] = "Exif\0";

struct errors {
    struct jpeg_error_mgr base; /* first, so that libjpeg's pointer is ours too */
    jmp_buf jump;
    struct error *err;
};

static void fail(j_common_ptr jpeg)
{
    struct errors *errors = (struct errors *)jpeg->err;
    char text[JMSG_LENGTH_MAX];

    jpeg->err->format_message(jpeg, text);
    error_set(errors->err, ERROR_CORRUPT, "JPEG: %.200s", text);
    longjmp(errors->jump, 1);
}

/* libjpeg goes on after damage and paints grey; a picture that is half missing is an error here.
 * The warnings listed here (stray bytes between markers, odd versions) do no harm. */
static void judge_warning(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return;
    switch (jpeg->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
    case JWRN_TOO_MUCH_DATA:
        break;
    default:
        fail(jpeg);
    }
}

static void ignore_message(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void errors_init(struct errors *errors, struct error *err)
{
    jpeg_std_error(&errors->base);
    errors->base.error_exit = fail;
    errors->base.emit_message = judge_warning;
    errors->base.output_message = ignore_message;
    errors->err = err;
}

struct reader {
    struct jpeg_decompress_struct jpeg;
    struct errors errors;
    struct jpeg_progress_mgr progress;
    const unsigned char *bytes;
    size_t len;
    struct image_limits limits;
    struct image image;
};

/* A small file may hold thousands of scans, each as much work as the whole picture. */
static void stop_endless_scans(j_common_ptr jpeg)
{
    if (((j_decompress_ptr)jpeg)->input_scan_number > MAX_SCANS) {
        struct errors *errors = (struct errors *)jpeg->err;
        error_set(errors->err, ERROR_LIMIT, "JPEG: more than %d scans", MAX_SCANS);
        longjmp(errors->jump, 1);
    }
}

/* Ink to light, as Pillow does it: the file holds 255 minus the ink, which is how Adobe's programs,
 * and so nearly all others, write it. */
static void row_from_cmyk(uint8_t *out, const uint8_t *in, size_t width)
{
    for (size_t x = 0; x < width; x++, in += CMYK)
        for (int c = 0; c < IMAGE_CHANNELS; c++) {
            int ink = (255 - in[c]) * in[3] + 128;
            *out++ = (uint8_t)(in[3] - (((ink >> 8) + ink) >> 8));
        }
}

/* The row buffer lives in libjpeg's pool, which a jump does not leak. */
static void read_rows(struct reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    const size_t width = (size_t)r->image.width;
    JSAMPARRAY cmyk = NULL;

    if (jpeg->out_color_space == JCS_CMYK)
        cmyk =
            jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, (JDIMENSION)width * CMYK, 1);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = r->image.px + (size_t)jpeg->output_scanline * width * IMAGE_CHANNELS;
        jpeg_read_scanlines(jpeg, cmyk ? cmyk : &row, 1);
        if (cmyk)
            row_from_cmyk(row, cmyk[0], width);
    }
}

static bool decode(struct reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;

    if (setjmp(r->errors.jump))
        return false;
    jpeg_create_decompress(jpeg);
    r->progress.progress_monitor = stop_endless_scans;
    jpeg->progress = &r->progress;
    jpeg_mem_src(jpeg, r->bytes, r->len);
    jpeg_read_header(jpeg, TRUE);
    if (!image_check_size(jpeg->image_width, jpeg->image_height, r->limits, r->errors.err))
        return false;
    if (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != CMYK)
        return error_set(r->errors.err, ERROR_INVALID,
                         "a JPEG with %d colour channels; save it as RGB", jpeg->num_components);
    jpeg->out_color_space = jpeg->num_components == CMYK ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(jpeg);
    if (!image_init(&r->image, (int)jpeg->output_width, (int)jpeg->output_height, r->errors.err))
        return false;
    read_rows(r);
    jpeg_finish_decompress(jpeg);
    return true;
}

bool image_jpeg_read(struct image_file *out, const void *bytes, size_t len,
                     struct image_limits limits, struct error *err)
{
    struct reader r = {.bytes = bytes, .len = len, .limits = limits};

    *out = (struct image_file){0};
    errors_init(&r.errors, err);
    r.jpeg.err = &r.errors.base;
    bool ok = decode(&r);
    if (ok) {
        out->image = r.image;
        r.image = (struct image){0};
    }
    jpeg_destroy_decompress(&r.jpeg); /* accepts what a failed start leaves behind */
    image_clear(&r.image);
    return ok;
}

static void add_marker(struct image_meta *out, jpeg_saved_marker_ptr m)
{
    struct buf text;

    if (m->marker == JPEG_APP0 + 1 && m->data_length >= sizeof exif_mark &&
        memcmp(m->data, exif_mark, sizeof exif_mark) == 0)
        image_meta_add_exif(out, m->data, m->data_length, true);
    if (m->marker != JPEG_COM)
        return;
    buf_init(&text, IMAGE_META_MAX_TEXT_BYTES);
    image_text_from_utf8(&text, (const char *)m->data, m->data_length);
    image_meta_add(out, "comment", &text);
}

static bool look(struct image_meta *out, struct reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;

    if (setjmp(r->errors.jump))
        return false;
    jpeg_create_decompress(jpeg);
    jpeg_mem_src(jpeg, r->bytes, r->len);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_save_markers(jpeg, JPEG_COM, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    out->width = jpeg->image_width;
    out->height = jpeg->image_height;
    for (jpeg_saved_marker_ptr m = jpeg->marker_list; m; m = m->next)
        add_marker(out, m);
    return true;
}

bool image_jpeg_look(struct image_meta *out, const void *bytes, size_t len, struct error *err)
{
    struct reader r = {.bytes = bytes, .len = len};

    errors_init(&r.errors, err);
    r.jpeg.err = &r.errors.base;
    bool ok = look(out, &r) && image_meta_finish(out, err);
    jpeg_destroy_decompress(&r.jpeg);
    if (!ok)
        image_meta_clear(out);
    return ok;
}

struct writer {
    struct jpeg_compress_struct jpeg;
    struct errors errors;
    struct jpeg_destination_mgr to;
    const struct image *image;
    int quality;
    struct buf *out;
    struct buf exif;
    JOCTET bytes[OUT_BYTES]; /* on their way to out */
};

static void start_bytes(j_compress_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    w->to.next_output_byte = w->bytes;
    w->to.free_in_buffer = OUT_BYTES;
}

static boolean flush_full(j_compress_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    buf_add(w->out, w->bytes, OUT_BYTES);
    start_bytes(jpeg);
    return TRUE;
}

static void flush_rest(j_compress_ptr jpeg)
{
    struct writer *w = jpeg->client_data;
    buf_add(w->out, w->bytes, OUT_BYTES - w->to.free_in_buffer);
}

static bool encode(struct writer *w)
{
    struct jpeg_compress_struct *jpeg = &w->jpeg;

    if (setjmp(w->errors.jump))
        return false;
    jpeg_create_compress(jpeg);
    jpeg->client_data = w;
    w->to = (struct jpeg_destination_mgr){.init_destination = start_bytes,
                                          .empty_output_buffer = flush_full,
                                          .term_destination = flush_rest};
    jpeg->dest = &w->to;
    jpeg->image_width = (JDIMENSION)w->image->width;
    jpeg->image_height = (JDIMENSION)w->image->height;
    jpeg->input_components = IMAGE_CHANNELS;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, w->quality, TRUE);
    jpeg->optimize_coding = TRUE;
    jpeg_start_compress(jpeg, TRUE);
    if (w->exif.len > 0)
        jpeg_write_marker(jpeg, JPEG_APP0 + 1, (const JOCTET *)w->exif.bytes,
                          (unsigned)w->exif.len);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row =
            w->image->px + (size_t)jpeg->next_scanline * (size_t)w->image->width * IMAGE_CHANNELS;
        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
    return true;
}

static bool prepare_exif(struct buf *exif, const char *text, struct error *err)
{
    buf_init(exif, MAX_MARKER_BYTES);
    if (!text || !*text)
        return true;
    if (!image_text_is_utf8(text))
        return error_set(err, ERROR_INVALID, "the picture's text is not UTF-8");
    buf_add(exif, exif_mark, sizeof exif_mark);
    image_exif_write(exif, text);
    if (exif->failed)
        return error_set(err, ERROR_LIMIT,
                         "the picture's text is too long for a JPEG; PNG has room for it");
    return true;
}

bool image_jpeg_write(struct buf *out, const struct image *image,
                      const struct image_write_options *options, struct error *err)
{
    bool ok = false;

    if (options->quality < 1 || options->quality > 100)
        return error_set(err, ERROR_INVALID, "a JPEG quality of %d is not from 1 to 100",
                         options->quality);
    struct writer *w = calloc(1, sizeof *w); /* its buffer is too large for some stacks */
    if (!w)
        return error_set(err, ERROR_MEMORY, "no memory to write a picture");
    errors_init(&w->errors, err);
    w->jpeg.err = &w->errors.base;
    w->image = image;
    w->quality = options->quality;
    w->out = out;
    if (!prepare_exif(&w->exif, options->infotext, err) || !encode(w))
        goto done;
    ok = !out->failed || error_set(err, ERROR_LIMIT, "no room for the picture's file");

done:
    jpeg_destroy_compress(&w->jpeg);
    buf_clear(&w->exif);
    free(w);
    return ok;
}
