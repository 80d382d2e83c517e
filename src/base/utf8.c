#include "base/utf8.h"

#include <stdint.h>

/* Bytes that follow the first one, and the smallest code point that needs them; -1: no first byte.
 */
static int length_of(unsigned char first, uint32_t *bits, uint32_t *smallest)
{
    if (first < 0x80) {
        *bits = first;
        *smallest = 0;
        return 0;
    }
    if (first < 0xc0 || first >= 0xf8)
        return -1;
    int more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    *bits = first & (0x3fu >> more);
    *smallest = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
    return more;
}

bool utf8_is_text(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n;) {
        uint32_t c, smallest;
        int more = length_of((unsigned char)bytes[i++], &c, &smallest);
        if (more < 0)
            return false;
        for (; more > 0; more--, i++) {
            if (i == n || ((unsigned char)bytes[i] & 0xc0) != 0x80)
                return false;
            c = c << 6 | ((unsigned char)bytes[i] & 0x3f);
        }
        if (c < smallest || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || c < 0x20 ||
            (c >= 0x7f && c < 0xa0))
            return false;
    }
    return true;
}
