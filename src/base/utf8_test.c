#include "base/test.h"
#include "base/utf8.h"

#include <string.h>

static void tells_text_from_bytes(void)
{
    static const struct {
        const char *why, *bytes;
        bool good;
    } rows[] = {
        {"nothing", "", true},
        {"letters", "conv.weight", true},
        {"two, three, four bytes", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true},
        {"a control character", "a\x1b[31m", false},
        {"delete", "\x7f", false},
        {"a second-page control character", "\xc2\x85", false},
        {"a lone following byte", "\x80", false},
        {"cut short", "\xe2\x82", false},
        {"broken by a letter", "\xe2\x82z", false},
        {"overlong slash", "\xc0\xaf", false},
        {"overlong in three", "\xe0\x80\xaf", false},
        {"a surrogate", "\xed\xa0\x80", false},
        {"beyond Unicode", "\xf4\x90\x80\x80", false},
        {"no first byte", "\xff", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool good = utf8_is_text(rows[i].bytes, strlen(rows[i].bytes));
        if (good != rows[i].good)
            fprintf(stderr, "row '%s': ", rows[i].why);
        CHECK(good == rows[i].good);
    }
    CHECK(!utf8_is_text("a\0b", 3));
}

int main(void)
{
    tells_text_from_bytes();
    return TEST_END();
}
