/* TIFF 6.0, section 2, and EXIF 2.3, sections 4.6.3 and 4.6.5. */
#include "image/image_exif.h"

#include "image/image_text.h"

#include <stdbool.h>
#include <string.h>

enum {
    TAG_ORIENTATION = 0x0112,
    TAG_EXIF_FOLDER = 0x8769,
    TAG_USER_COMMENT = 0x9286,
    TYPE_LONG = 4,
    TYPE_UNDEFINED = 7,
    ENTRY_BYTES = 12,
    CODE_BYTES = 8,
};

static void add_be(struct buf *out, uint32_t value, int n_bytes)
{
    for (int i = n_bytes - 1; i >= 0; i--) {
        unsigned char b = (unsigned char)(value >> (8 * i));
        buf_add(out, &b, 1);
    }
}

/* A folder of one entry, and no folder behind it. */
static void add_folder(struct buf *out, uint32_t tag, uint32_t type, uint32_t count, uint32_t value)
{
    add_be(out, 1, 2);
    add_be(out, tag, 2);
    add_be(out, type, 2);
    add_be(out, count, 4);
    add_be(out, value, 4);
    add_be(out, 0, 4);
}

/* The byte order of UTF-16 text without a mark.  piexif and what web UIs use it for write
 * big-endian whatever the order of the structure, others keep that order.  The letters of ASCII, of
 * which every infotext is full, have their zero in front or behind.  In a big-endian structure the
 * case must be clear. */
static bool is_big_endian(const uint8_t *text, size_t len, bool big_endian_file)
{
    enum { ENOUGH = 8 };
    size_t n = 0, front = 0, behind = 0;

    for (size_t i = 0; i < len / 2 && (text[2 * i] || text[2 * i + 1]); i++) { /* up to a 0 */
        n++;
        front += text[2 * i] == 0 && text[2 * i + 1] != 0;
        behind += text[2 * i] != 0 && text[2 * i + 1] == 0;
    }
    return big_endian_file ? n < ENOUGH || front > 0 || behind <= n / 2 : front >= behind;
}

static bool starts_with_mark(const uint8_t *text, size_t len)
{
    return len >= 2 &&
           ((text[0] == 0xfe && text[1] == 0xff) || (text[0] == 0xff && text[1] == 0xfe));
}

void image_exif_write(struct buf *out, const char *text)
{
    const uint32_t folder_bytes = 2 + ENTRY_BYTES + 4;
    const uint32_t exif_at = 8 + folder_bytes, comment_at = exif_at + folder_bytes;
    struct buf comment, utf16;

    buf_init(&comment, out->limit);
    buf_init(&utf16, out->limit);
    buf_add(&comment, "UNICODE", CODE_BYTES);
    image_text_to_utf16be(&utf16, text);
    const uint8_t *u = (const uint8_t *)utf16.bytes;
    /* Only freaks need a mark, which other readers might take for a character. */
    if (!is_big_endian(u, utf16.len, true) || starts_with_mark(u, utf16.len))
        buf_add(&comment, "\xfe\xff", 2);
    buf_add(&comment, utf16.bytes, utf16.len);
    buf_add(out, "MM\0*", 4);
    add_be(out, 8, 4);
    add_folder(out, TAG_EXIF_FOLDER, TYPE_LONG, 1, exif_at);
    add_folder(out, TAG_USER_COMMENT, TYPE_UNDEFINED, (uint32_t)comment.len, comment_at);
    buf_add(out, comment.bytes, comment.len);
    out->failed = out->failed || comment.failed || utf16.failed;
    buf_clear(&utf16);
    buf_clear(&comment);
}

bool image_exif_prepare(struct buf *out, const char *text, size_t limit, struct error *err)
{
    buf_init(out, limit);
    if (!text || !*text)
        return true;
    if (!image_text_is_utf8(text))
        return error_set(err, ERROR_INVALID, "the picture's text is not UTF-8");
    image_exif_write(out, text);
    if (!out->failed)
        return true;
    buf_clear(out);
    return error_set(err, ERROR_LIMIT, "the picture's text is longer than %zu bytes", limit);
}

struct tiff {
    const uint8_t *bytes;
    size_t len;
    bool big_endian;
};

/* The caller has checked that n bytes lie at offset at. */
static uint32_t number_at(const struct tiff *t, size_t at, size_t n)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | t->bytes[at + (t->big_endian ? i : n - 1 - i)];
    return v;
}

/* Finds the entry of a tag in the folder at offset at: its number of elements and its value. */
static bool find_entry(const struct tiff *t, size_t at, uint32_t tag, uint32_t *count,
                       uint32_t *value)
{
    if (at > t->len || t->len - at < 2)
        return false;
    size_t n = number_at(t, at, 2);
    at += 2;
    for (size_t i = 0; i < n && t->len - at >= ENTRY_BYTES; i++, at += ENTRY_BYTES) {
        if (number_at(t, at, 2) != tag)
            continue;
        *count = number_at(t, at + 4, 4);
        *value = number_at(t, at + 8, 4);
        return true;
    }
    return false;
}

static bool open_tiff(struct tiff *t, const uint8_t *bytes, size_t len)
{
    if (len < 8 || (memcmp(bytes, "MM\0*", 4) != 0 && memcmp(bytes, "II*", 4) != 0))
        return false;
    *t = (struct tiff){.bytes = bytes, .len = len, .big_endian = bytes[0] == 'M'};
    return true;
}

int image_exif_orientation(const uint8_t *bytes, size_t len)
{
    uint32_t count, value;
    struct tiff t;

    if (!open_tiff(&t, bytes, len) ||
        !find_entry(&t, number_at(&t, 4, 4), TAG_ORIENTATION, &count, &value))
        return 1;
    value = t.big_endian ? value >> 16 : value & 0xffff; /* 16 bits, at the field's beginning */
    return value >= 1 && value <= 8 ? (int)value : 1;
}

static void read_utf16(struct buf *out, const uint8_t *text, size_t len, bool big_endian_file)
{
    if (starts_with_mark(text, len))
        image_text_from_utf16(out, text + 2, len - 2, text[0] == 0xfe);
    else
        image_text_from_utf16(out, text, len, is_big_endian(text, len, big_endian_file));
}

static void read_comment(struct buf *out, const uint8_t *comment, size_t len, bool big_endian_file)
{
    const uint8_t *text = comment + CODE_BYTES;
    size_t text_len = len - CODE_BYTES;

    if (memcmp(comment, "UNICODE", CODE_BYTES) == 0)
        read_utf16(out, text, text_len, big_endian_file);
    else if (memcmp(comment, "JIS\0\0\0\0", CODE_BYTES) == 0)
        image_text_from_jis(out, (const char *)text, text_len);
    else if (memcmp(comment, "ASCII\0\0", CODE_BYTES) == 0 ||
             memcmp(comment, "\0\0\0\0\0\0\0", CODE_BYTES) == 0)
        image_text_from_utf8(out, (const char *)text, text_len);
    else
        image_text_from_utf8(out, (const char *)comment, len);
    while (out->len > 0 && out->bytes[out->len - 1] == 0)
        out->len--;
}

void image_exif_read(struct buf *out, const uint8_t *bytes, size_t len)
{
    uint32_t count, at;
    struct tiff t;

    if (!open_tiff(&t, bytes, len) ||
        !find_entry(&t, number_at(&t, 4, 4), TAG_EXIF_FOLDER, &count, &at) ||
        !find_entry(&t, at, TAG_USER_COMMENT, &count, &at))
        return;
    if (count >= CODE_BYTES && at <= len && count <= len - at)
        read_comment(out, bytes + at, count, t.big_endian);
}
