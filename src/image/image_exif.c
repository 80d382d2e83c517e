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

void image_exif_write(struct buf *out, const char *text)
{
    const uint32_t folder_bytes = 2 + ENTRY_BYTES + 4;
    const uint32_t exif_at = 8 + folder_bytes, comment_at = exif_at + folder_bytes;
    struct buf comment;

    buf_init(&comment, out->limit);
    buf_add(&comment, "UNICODE", CODE_BYTES);
    image_text_to_utf16be(&comment, text);
    buf_add(out, "MM\0*", 4);
    add_be(out, 8, 4);
    add_folder(out, TAG_EXIF_FOLDER, TYPE_LONG, 1, exif_at);
    add_folder(out, TAG_USER_COMMENT, TYPE_UNDEFINED, (uint32_t)comment.len, comment_at);
    buf_add(out, comment.bytes, comment.len);
    out->failed = out->failed || comment.failed;
    buf_clear(&comment);
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

void image_exif_read(struct buf *out, const uint8_t *bytes, size_t len)
{
    uint32_t count, at;
    struct tiff t;

    if (!open_tiff(&t, bytes, len) ||
        !find_entry(&t, number_at(&t, 4, 4), TAG_EXIF_FOLDER, &count, &at) ||
        !find_entry(&t, at, TAG_USER_COMMENT, &count, &at))
        return;
    if (count < CODE_BYTES || at > len || count > len - at)
        return;
    const uint8_t *comment = bytes + at;
    const uint8_t *text = comment + CODE_BYTES;
    size_t text_len = count - CODE_BYTES;
    /* piexif and the tools that use it write big-endian text whatever the order of the structure.
     */
    if (memcmp(comment, "UNICODE", CODE_BYTES) == 0)
        image_text_from_utf16(out, text, text_len, true);
    else if (memcmp(comment, "ASCII\0\0", CODE_BYTES) == 0 ||
             memcmp(comment, "\0\0\0\0\0\0\0", CODE_BYTES) == 0)
        image_text_from_utf8(out, (const char *)text, text_len);
    else
        image_text_from_utf8(out, (const char *)comment, count);
}
