/* The EXIF fields this program uses: UserComment, where tools keep a picture's parameters, and how
 * the camera was held. */
#ifndef IMAGE_IMAGE_EXIF_H
#define IMAGE_IMAGE_EXIF_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

/* Appends a big-endian TIFF structure whose only content is the text as UserComment, "UNICODE\0"
 * and UTF-16 big-endian.  text is UTF-8. */
void image_exif_write(struct buf *out, const char *text);

/* Starts a buffer of that limit and writes the text, if there is one, into it.  On false it is
 * cleared: ERROR_INVALID for what is not UTF-8, ERROR_LIMIT for what has no room. */
bool image_exif_prepare(struct buf *out, const char *text, size_t limit,
                        struct error *err) MUST_CHECK;

/* Appends the UserComment of a TIFF structure as UTF-8; nothing when there is none or the structure
 * is not sound.  Codes UNICODE, in either byte order, ASCII, JIS and none (taken as UTF-8) are
 * understood; zeros at the end do not count. */
void image_exif_read(struct buf *out, const uint8_t *tiff, size_t len);

/* The Orientation of a TIFF structure, 1..8; 1 (as stored) when there is none or it is not sound.
 */
int image_exif_orientation(const uint8_t *tiff, size_t len);

#endif
