#include "image/image_text.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

bool image_text_next(uint32_t *out, const char **text, size_t *len)
{
    static const uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)*text;
    uint32_t c = p[0];
    size_t more = c < 0x80 ? 0 : (c & 0xe0) == 0xc0 ? 1 : (c & 0xf0) == 0xe0 ? 2 : 3;

    if (more == 3 && (c & 0xf8) != 0xf0)
        return false;
    if (more >= *len)
        return false;
    if (more > 0)
        c &= 0x3fu >> more;
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return false;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < smallest[more] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return false;
    *text += more + 1;
    *len -= more + 1;
    *out = c;
    return true;
}

static void add_byte(struct buf *out, uint32_t byte)
{
    unsigned char b = (unsigned char)byte;
    buf_add(out, &b, 1);
}

void image_text_add(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        add_byte(out, c);
        return;
    }
    if (c < 0x800) {
        add_byte(out, 0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            add_byte(out, 0xe0 | c >> 12);
        } else {
            add_byte(out, 0xf0 | c >> 18);
            add_byte(out, 0x80 | (c >> 12 & 0x3f));
        }
        add_byte(out, 0x80 | (c >> 6 & 0x3f));
    }
    add_byte(out, 0x80 | (c & 0x3f));
}

/* Whether all characters are known and none is above most. */
static bool holds_only(const char *text, uint32_t most)
{
    size_t len = strlen(text);
    uint32_t c;

    while (len > 0)
        if (!image_text_next(&c, &text, &len) || c > most)
            return false;
    return true;
}

bool image_text_is_utf8(const char *text)
{
    return holds_only(text, 0x10ffff);
}

bool image_text_is_latin1(const char *text)
{
    return holds_only(text, 0xff);
}

void image_text_to_latin1(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    uint32_t c;

    while (len > 0 && image_text_next(&c, &text, &len))
        add_byte(out, c);
}

void image_text_to_utf16be(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    uint32_t c;

    while (len > 0 && image_text_next(&c, &text, &len)) {
        if (c >= 0x10000) {
            uint32_t high = 0xd800 + ((c - 0x10000) >> 10);
            add_byte(out, high >> 8);
            add_byte(out, high);
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        add_byte(out, c >> 8);
        add_byte(out, c);
    }
}

void image_text_from_latin1(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        image_text_add(out, (unsigned char)text[i]);
}

void image_text_from_utf16(struct buf *out, const uint8_t *bytes, size_t len, bool big_endian)
{
    const size_t hi = big_endian ? 0 : 1, lo = 1 - hi;
    uint32_t first = 0; /* the first half of a pair, waiting for its second */

    for (size_t i = 0; i + 2 <= len; i += 2) {
        uint32_t c = (uint32_t)bytes[i + hi] << 8 | bytes[i + lo];
        bool second = c >= 0xdc00 && c < 0xe000;
        if (first && second) {
            image_text_add(out, 0x10000 + ((first - 0xd800) << 10) + (c - 0xdc00));
            first = 0;
            continue;
        }
        if (first)
            image_text_add(out, 0xfffd);
        first = c >= 0xd800 && c < 0xdc00 ? c : 0;
        if (!first)
            image_text_add(out, second ? 0xfffd : c);
    }
    if (first)
        image_text_add(out, 0xfffd);
}

void image_text_from_utf8(struct buf *out, const char *text, size_t len)
{
    uint32_t c;

    while (len > 0) {
        if (!image_text_next(&c, &text, &len)) {
            text++;
            len--;
            c = 0xfffd;
        }
        image_text_add(out, c);
    }
}

/* Bytes that mean nothing become U+FFFD each. */
static void convert(struct buf *out, iconv_t way, const char *text, size_t len)
{
    char *in = (char *)text; /* iconv's type; it does not write there */

    while (len > 0 && !out->failed) {
        char part[512], *to = part;
        size_t room = sizeof part;
        size_t status = iconv(way, &in, &len, &to, &room);
        buf_add(out, part, (size_t)(to - part));
        if (status != (size_t)-1 || errno == E2BIG)
            continue;
        image_text_add(out, 0xfffd);
        in++;
        len--;
    }
}

void image_text_from_jis(struct buf *out, const char *text, size_t len)
{
    bool escapes = len > 0 && memchr(text, 0x1b, len);
    iconv_t way = iconv_open("UTF-8", escapes ? "ISO-2022-JP" : "SHIFT_JIS");

    if (way == (iconv_t)-1) {
        image_text_from_utf8(out, text, len);
        return;
    }
    convert(out, way, text, len);
    iconv_close(way);
}

char *image_text_take(struct buf *text)
{
    char *bytes = NULL;

    buf_add(text, "", 1);
    if (!text->failed) {
        bytes = text->bytes;
        text->bytes = NULL;
    }
    buf_clear(text);
    return bytes;
}
