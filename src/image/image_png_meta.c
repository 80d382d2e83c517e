/* PNG, third edition, sections 5.3, 11.2.1 and 11.3.3. */
#include "image/image_png_meta.h"

#include "image/image_text.h"

#include <string.h>
#include <zlib.h>

enum {
    SIGNATURE = 8,
    AROUND = 12, /* length, name and checksum */
    HEADER_BYTES = 13,
    MAX_TEXTS = 256, /* each may unpack to a thousand times its length before it is refused */
};

struct chunk {
    const unsigned char *name, *body;
    size_t len;
};

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool is_named(const struct chunk *c, const char *name)
{
    return memcmp(c->name, name, 4) == 0;
}

/* Reads the chunk at *at and moves *at behind it. */
static bool next_chunk(struct chunk *out, const unsigned char *bytes, size_t len, size_t *at)
{
    if (*at > len || len - *at < AROUND)
        return false;
    const unsigned char *p = bytes + *at;
    *out = (struct chunk){.name = p + 4, .body = p + 8, .len = be32(p)};
    if (out->len > len - *at - AROUND)
        return false;
    *at += out->len + AROUND;
    return true;
}

bool image_png_meta_check(const void *bytes, size_t len, struct error *err)
{
    size_t at = SIGNATURE;
    struct chunk c;

    while (next_chunk(&c, bytes, len, &at))
        if (is_named(&c, "IEND"))
            return true;
    return error_set(err, ERROR_CORRUPT, "PNG: the file ends too early");
}

/* Unpacks what zlib packed.  More than the buffer's limit makes the buffer fail. */
static void inflate_text(struct buf *out, const unsigned char *bytes, size_t len)
{
    unsigned char part[4096];
    z_stream z = {0};
    int status = Z_OK;

    if (len > UINT32_MAX || inflateInit(&z) != Z_OK) {
        out->failed = true;
        return;
    }
    z.next_in = (unsigned char *)bytes; /* zlib does not write to it */
    z.avail_in = (uInt)len;
    while (status == Z_OK && !out->failed) {
        z.next_out = part;
        z.avail_out = sizeof part;
        status = inflate(&z, Z_NO_FLUSH);
        if (status == Z_OK || status == Z_STREAM_END)
            buf_add(out, part, sizeof part - z.avail_out);
    }
    out->failed = out->failed || status != Z_STREAM_END;
    inflateEnd(&z);
}

/* Behind the next 0, which must be there. */
static bool skip_string(const unsigned char **p, size_t *len)
{
    const unsigned char *zero = *len ? memchr(*p, 0, *len) : NULL;
    if (!zero)
        return false;
    *len -= (size_t)(zero + 1 - *p);
    *p = zero + 1;
    return true;
}

/* Appends the chunk's text as UTF-8. */
static bool read_text(struct buf *out, const struct chunk *c, const unsigned char *p, size_t len)
{
    const bool international = is_named(c, "iTXt");
    bool packed = is_named(c, "zTXt");
    struct buf bytes;

    if (international) {
        if (len < 2 || p[0] > 1)
            return false;
        packed = p[0] == 1;
        p += 2;
        len -= 2;
        if (!skip_string(&p, &len) || !skip_string(&p, &len)) /* language, translated keyword */
            return false;
    } else if (packed) {
        if (len < 1)
            return false;
        p++; /* the method; there is only one */
        len--;
    }
    buf_init(&bytes, IMAGE_META_MAX_TEXT_BYTES);
    if (packed)
        inflate_text(&bytes, p, len);
    const char *text = packed ? bytes.bytes : (const char *)p;
    len = packed ? bytes.len : len;
    if (international)
        image_text_from_utf8(out, text, len);
    else
        image_text_from_latin1(out, text, len);
    bool ok = !bytes.failed;
    buf_clear(&bytes);
    return ok;
}

static bool is_text(const struct chunk *c)
{
    return is_named(c, "tEXt") || is_named(c, "zTXt") || is_named(c, "iTXt");
}

static void add_text(struct image_meta *out, const struct chunk *c)
{
    enum { MAX_KEYWORD = 79 };
    const unsigned char *p = c->body;
    size_t len = c->len;
    struct buf key, text;

    if (!skip_string(&p, &len) || p - c->body > MAX_KEYWORD + 1)
        return;
    buf_init(&key, IMAGE_META_MAX_KEY_BYTES);
    buf_init(&text, IMAGE_META_MAX_TEXT_BYTES);
    image_text_from_latin1(&key, (const char *)c->body, (size_t)(p - c->body - 1));
    buf_add(&key, "", 1);
    if (!key.failed && read_text(&text, c, p, len))
        image_meta_add(out, key.bytes, &text);
    buf_clear(&text);
    buf_clear(&key);
}

bool image_png_meta_look(struct image_meta *out, const void *bytes, size_t len, struct error *err)
{
    enum { COLOUR_TYPE_AT = 9, ALPHA = 4 };
    size_t at = SIGNATURE;
    int n_texts = 0;
    struct chunk c;

    if (!next_chunk(&c, bytes, len, &at) || !is_named(&c, "IHDR") || c.len != HEADER_BYTES)
        return error_set(err, ERROR_CORRUPT, "PNG: no header");
    out->width = be32(c.body);
    out->height = be32(c.body + 4);
    out->has_alpha = (c.body[COLOUR_TYPE_AT] & ALPHA) != 0;
    while (next_chunk(&c, bytes, len, &at)) {
        if (is_named(&c, "IEND"))
            return image_meta_finish(out, err);
        if (is_named(&c, "tRNS"))
            out->has_alpha = true;
        else if (is_named(&c, "eXIf"))
            image_meta_add_exif(out, c.body, c.len, true);
        else if (out->wants_text && is_text(&c) && n_texts++ < MAX_TEXTS)
            add_text(out, &c);
    }
    image_meta_clear(out);
    return error_set(err, ERROR_CORRUPT, "PNG: the file ends too early");
}
