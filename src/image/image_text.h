/* The encodings that image files use for text, to and from UTF-8. */
#ifndef IMAGE_IMAGE_TEXT_H
#define IMAGE_IMAGE_TEXT_H

#include "base/buf.h"

#include <stdint.h>

/* The next character of UTF-8 text of *len bytes, which must not be empty; moves both on.  Returns
 * false for anything that is not shortest-form UTF-8 of a Unicode scalar value. */
bool image_text_next(uint32_t *out, const char **text, size_t *len);

/* Appends one character as UTF-8. */
void image_text_add(struct buf *out, uint32_t c);

/* Whether the terminated text is UTF-8 at all, and whether it fits Latin-1. */
bool image_text_is_utf8(const char *text);
bool image_text_is_latin1(const char *text);

/* Text must be UTF-8; for Latin-1, image_text_is_latin1. */
void image_text_to_latin1(struct buf *out, const char *text);
void image_text_to_utf16be(struct buf *out, const char *text);

void image_text_from_latin1(struct buf *out, const char *text, size_t len);
/* Halves of surrogate pairs that stand alone become U+FFFD; an odd last byte is ignored. */
void image_text_from_utf16(struct buf *out, const uint8_t *bytes, size_t len, bool big_endian);
/* Japanese text: ISO-2022-JP if it switches character sets by escapes, else Shift JIS, as piexif
 * has it.  Where the system cannot convert these, what is not UTF-8 becomes U+FFFD. */
void image_text_from_jis(struct buf *out, const char *text, size_t len);
/* What is not UTF-8 becomes U+FFFD. */
void image_text_from_utf8(struct buf *out, const char *text, size_t len);

/* Ends the text and hands it over, without what lies behind a 0.  Returns NULL after a failure; the
 * buffer is empty then. */
char *image_text_take(struct buf *text);

#endif
