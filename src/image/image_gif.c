/* GIF89a, sections 17 to 27.  giflib unpacks pixels; the blocks around them are walked here,
 * because giflib would have to unpack all frames to come to the comments behind them. */
#include "image/image_gif.h"

#include "image/image_text.h"

#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 13, /* signature and screen */
    IMAGE_BYTES = 9,   /* what follows the mark of an image */
    MARK_IMAGE = 0x2c,
    MARK_EXTENSION = 0x21,
    LABEL_CONTROL = 0xf9,
    LABEL_COMMENT = 0xfe,
    HAS_TABLE = 0x80,
    HAS_TRANSPARENT = 1,
};

struct blocks {
    const unsigned char *p, *end;
};

static size_t left(const struct blocks *b)
{
    return (size_t)(b->end - b->p);
}

static bool skip(struct blocks *b, size_t n)
{
    if (left(b) < n)
        return false;
    b->p += n;
    return true;
}

static size_t table_bytes(unsigned flags)
{
    return flags & HAS_TABLE ? (size_t)3 << ((flags & 7) + 1) : 0;
}

static int le16(const unsigned char *p)
{
    return p[0] | p[1] << 8;
}

/* Moves behind a chain of sub-blocks, whose content text gets, where there is one. */
static bool skip_chain(struct blocks *b, struct buf *text)
{
    while (left(b) > 0) {
        size_t n = *b->p++;
        if (n == 0)
            return true;
        if (left(b) < n)
            return false;
        if (text)
            buf_add(text, b->p, n);
        b->p += n;
    }
    return false;
}

/* The place and size of an image on the screen. */
struct frame {
    int x, y, width, height;
};

static struct frame frame_at(const unsigned char *p)
{
    return (struct frame){le16(p), le16(p + 2), le16(p + 4), le16(p + 6)};
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static void place(struct image_meta *out, struct frame f, int width, int height)
{
    out->width = larger(width, f.x + f.width);
    out->height = larger(height, f.y + f.height);
    out->has_alpha = out->has_alpha || f.width < out->width || f.height < out->height;
}

/* An extension behind its mark. */
static bool look_at_extension(struct image_meta *out, struct blocks *b, bool before_image,
                              struct buf *comment)
{
    if (left(b) < 1)
        return false;
    int label = *b->p++;
    if (label == LABEL_CONTROL && before_image && left(b) >= 2 && b->p[0] > 0)
        out->has_alpha = (b->p[1] & HAS_TRANSPARENT) != 0;
    if (label == LABEL_COMMENT && comment->len > 0)
        buf_add(comment, "\n", 1);
    return skip_chain(b, label == LABEL_COMMENT ? comment : NULL);
}

/* An image behind its mark. */
static bool skip_image(struct blocks *b)
{
    return left(b) > IMAGE_BYTES && skip(b, IMAGE_BYTES + table_bytes(b->p[IMAGE_BYTES - 1]) + 1) &&
           skip_chain(b, NULL);
}

bool image_gif_look(struct image_meta *out, const void *bytes, size_t len, struct error *err)
{
    const unsigned char *head = bytes;
    struct blocks b = {head, head + len};
    bool found = false, sound = true;
    struct buf raw, text;

    if (!skip(&b, HEADER_BYTES) || !skip(&b, table_bytes(head[10])))
        return error_set(err, ERROR_CORRUPT, "GIF: the file ends too early");
    buf_init(&raw, IMAGE_META_MAX_TEXT_BYTES);
    buf_init(&text, IMAGE_META_MAX_TEXT_BYTES);
    /* What is damaged behind the first image does not matter. */
    while (sound && left(&b) > 0) {
        int mark = *b.p++;
        if (mark == MARK_IMAGE && !found) {
            found = left(&b) >= IMAGE_BYTES;
            if (found)
                place(out, frame_at(b.p), le16(head + 6), le16(head + 8));
        }
        if (mark == MARK_EXTENSION)
            sound = look_at_extension(out, &b, !found, &raw);
        else
            sound = mark == MARK_IMAGE && skip_image(&b);
    }
    image_text_from_utf8(&text, raw.bytes, raw.len);
    text.failed = text.failed || raw.failed;
    if (text.len > 0)
        image_meta_add(out, "comment", &text);
    buf_clear(&text);
    buf_clear(&raw);
    if (found)
        return image_meta_finish(out, err);
    image_meta_clear(out);
    return error_set(err, ERROR_CORRUPT, "GIF: no image in the file");
}

struct reader {
    GifFileType *gif;
    struct blocks rest;
    struct image canvas; /* RGBA */
    GifPixelType *row;
    int transparent; /* index, or -1 */
};

static int read_bytes(GifFileType *gif, GifByteType *out, int n)
{
    struct reader *r = gif->UserData;
    size_t take = n < 0 ? 0 : (size_t)n;

    if (take > left(&r->rest))
        take = left(&r->rest);
    memcpy(out, r->rest.p, take);
    r->rest.p += take;
    return (int)take;
}

static bool fail(const struct reader *r, struct error *err)
{
    const char *why = GifErrorString(r->gif->Error);
    return error_set(err, ERROR_CORRUPT, "GIF: %.100s", why ? why : "the file is damaged");
}

static bool read_extension(struct reader *r, struct error *err)
{
    GraphicsControlBlock control;
    GifByteType *block = NULL;
    int label = 0;

    if (DGifGetExtension(r->gif, &label, &block) == GIF_ERROR)
        return fail(r, err);
    if (label == LABEL_CONTROL && block && DGifExtensionToGCB(block[0], block + 1, &control))
        r->transparent = control.TransparentColor;
    while (block)
        if (DGifGetExtensionNext(r->gif, &block) == GIF_ERROR)
            return fail(r, err);
    return true;
}

/* Up to the first image, whose place the reader then knows. */
static bool find_image(struct reader *r, struct error *err)
{
    GifRecordType type = UNDEFINED_RECORD_TYPE;

    while (type != IMAGE_DESC_RECORD_TYPE) {
        if (DGifGetRecordType(r->gif, &type) == GIF_ERROR)
            return fail(r, err);
        if (type == TERMINATE_RECORD_TYPE)
            return error_set(err, ERROR_CORRUPT, "GIF: no image in the file");
        if (type == EXTENSION_RECORD_TYPE && !read_extension(r, err))
            return false;
    }
    return DGifGetImageDesc(r->gif) != GIF_ERROR || fail(r, err);
}

static void paint_row(struct reader *r, const ColorMapObject *map, int y)
{
    const GifImageDesc *d = &r->gif->Image;
    uint8_t *px = r->canvas.px +
                  ((size_t)(d->Top + y) * (size_t)r->canvas.width + (size_t)d->Left) * IMAGE_RGBA;

    for (int x = 0; x < d->Width; x++, px += IMAGE_RGBA) {
        int i = r->row[x];
        if (i == r->transparent)
            continue;
        if (i < map->ColorCount) {
            px[0] = map->Colors[i].Red;
            px[1] = map->Colors[i].Green;
            px[2] = map->Colors[i].Blue;
        }
        px[3] = 255;
    }
}

/* Interlaced images come in four passes. */
static bool paint(struct reader *r, struct error *err)
{
    static const int start[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    const GifImageDesc *d = &r->gif->Image;
    const ColorMapObject *map = d->ColorMap ? d->ColorMap : r->gif->SColorMap;

    if (!map)
        return error_set(err, ERROR_CORRUPT, "GIF: no table of colours");
    for (int pass = 0; pass < (d->Interlace ? 4 : 1); pass++)
        for (int y = d->Interlace ? start[pass] : 0; y < d->Height;
             y += d->Interlace ? step[pass] : 1) {
            if (DGifGetLine(r->gif, r->row, d->Width) == GIF_ERROR)
                return fail(r, err);
            paint_row(r, map, y);
        }
    return true;
}

bool image_gif_read(struct image_file *out, const void *bytes, size_t len,
                    struct image_limits limits, struct error *err)
{
    const unsigned char *head = bytes;
    struct reader r = {.rest = {head, head + len}, .transparent = -1};
    struct image_meta size = {0};
    int code = 0;
    bool ok = false;

    *out = (struct image_file){0};
    r.gif = DGifOpen(&r, read_bytes, &code);
    if (!r.gif)
        return error_set(err, ERROR_CORRUPT, "GIF: the file ends too early");
    if (!find_image(&r, err))
        goto done;
    const GifImageDesc *d = &r.gif->Image;
    place(&size, (struct frame){d->Left, d->Top, d->Width, d->Height}, r.gif->SWidth,
          r.gif->SHeight);
    if (!image_check_size(d->Width, d->Height, limits, err) ||
        !image_check_size(size.width, size.height, limits, err) ||
        !image_init_rgba(&r.canvas, (int)size.width, (int)size.height, err))
        goto done;
    r.row = malloc((size_t)d->Width * sizeof *r.row);
    if (!r.row) {
        error_set(err, ERROR_MEMORY, "no memory to read a picture");
        goto done;
    }
    if (!paint(&r, err) || !image_split_alpha(&out->alpha, &r.canvas, err))
        goto done;
    out->image = r.canvas;
    r.canvas = (struct image){0};
    ok = true;

done:
    free(r.row);
    image_clear(&r.canvas);
    DGifCloseFile(r.gif, &code);
    return ok;
}
