#include "base/test.h"
#include "image/image_exif.h"

#include <stdlib.h>
#include <string.h>

/* A structure around a comment, as tools lay it out: one folder, with the other behind it. */
static size_t make_tiff(unsigned char *out, bool big, const void *comment, size_t len)
{
    static const unsigned char big_head[] =
        "MM\0*\0\0\0\x8\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x1a\0\0\0\0"
        "\0\1\x92\x86\0\7\0\0\0\0\0\0\0\x2c\0\0\0";
    static const unsigned char little_head[] =
        "II*\0\x8\0\0\0\1\0\x69\x87\4\0\1\0\0\0\x1a\0\0\0\0\0\0\0"
        "\1\0\x86\x92\7\0\0\0\0\0\x2c\0\0\0\0\0\0";
    memcpy(out, big ? big_head : little_head, 44);
    out[big ? 35 : 32] = (unsigned char)len;
    memcpy(out + 44, comment, len);
    return 44 + len;
}

static void reads_every_code(void)
{
#define CODED(code, text) code text, sizeof(code text) - 1
    static const struct {
        const char *why;
        bool big;
        const char *comment;
        size_t len;
        const char *want;
    } row[] = {
        {"as piexif writes it", true, CODED("UNICODE\0", "\0c\0a\0t\0\xe9"), "cat\xc3\xa9"},
        {"piexif's text in the other order's structure", false,
         CODED("UNICODE\0", "\0c\0a\0t\0,\0 \0S"), "cat, S"},
        {"text in the structure's order", false, CODED("UNICODE\0", "c\0a\0t\0"), "cat"},
        {"long enough to be sure", true,
         CODED("UNICODE\0", "S\0t\0e\0p\0s\0:\0 \0"
                            "2\0"
                            "0\0"),
         "Steps: 20"},
        {"no zeros at all", true, CODED("UNICODE\0", "\x73\x2b\x72\xac"),
         "\xe7\x8c\xab\xe7\x8a\xac"},
        {"marked", true, CODED("UNICODE\0", "\xff\xfe\x2b\x73"), "\xe7\x8c\xab"},
        {"marked the other way", false, CODED("UNICODE\0", "\xfe\xff\x73\x2b"), "\xe7\x8c\xab"},
        {"a pair of surrogates", true, CODED("UNICODE\0", "\xd8\x3d\xdc\x08"), "\xf0\x9f\x90\x88"},
        {"ASCII", true, CODED("ASCII\0\0\0", "cat"), "cat"},
        {"UTF-8 that calls itself ASCII", true, CODED("ASCII\0\0\0", "caf\xc3\xa9"), "caf\xc3\xa9"},
        {"Shift JIS", true, CODED("JIS\0\0\0\0\0", "\x94\x4c, 1"), "\xe7\x8c\xab, 1"},
        {"ISO-2022-JP", true, CODED("JIS\0\0\0\0\0", "\x1b$BG-\x1b(B, 1"), "\xe7\x8c\xab, 1"},
        {"half a character of JIS", true, CODED("JIS\0\0\0\0\0", "a\x94"), "a\xef\xbf\xbd"},
        {"no code", true, CODED("\0\0\0\0\0\0\0\0", "caf\xc3\xa9"), "caf\xc3\xa9"},
        {"no room for a code, so UTF-8", true, CODED("hello, c", "at"), "hello, cat"},
        {"filled up with zeros", true, CODED("ASCII\0\0\0", "cat\0\0"), "cat"},
        {"shorter than a code", true, "cat", 3, ""},
    };
    unsigned char tiff[200];
    struct buf out;

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        size_t len = make_tiff(tiff, row[i].big, row[i].comment, row[i].len);
        buf_init(&out, 1000);
        image_exif_read(&out, tiff, len);
        bool ok = out.len == strlen(row[i].want) &&
                  (out.len == 0 || memcmp(out.bytes, row[i].want, out.len) == 0);
        if (!ok)
            fprintf(stderr, "%s: '%.*s'\n", row[i].why, (int)out.len, out.bytes);
        CHECK(ok);
        buf_clear(&out);
        /* Cut anywhere, it is refused or read within its bounds. */
        for (size_t cut = 0; cut < len; cut++) {
            unsigned char *exact = malloc(cut + 1);
            if (!exact)
                break;
            memcpy(exact, tiff, cut);
            buf_init(&out, 1000);
            image_exif_read(&out, exact, cut);
            CHECK(out.len == 0);
            buf_clear(&out);
            free(exact);
        }
    }
}

static void writes_what_piexif_writes(void)
{
    static const unsigned char want[] = "MM\0*\0\0\0\x8\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x1a\0\0\0\0"
                                        "\0\1\x92\x86\0\7\0\0\0\xe\0\0\0\x2c\0\0\0\0"
                                        "UNICODE\0\0c\0\xe9\x73\x2b";
    struct error err;
    struct buf out;

    CHECK(image_exif_prepare(&out, "c\xc3\xa9\xe7\x8c\xab", 1000, &err));
    CHECK(out.len == sizeof want - 1 && memcmp(out.bytes, want, out.len) == 0);
    buf_clear(&out);
    CHECK(image_exif_prepare(&out, "", 1000, &err) && out.len == 0);
    CHECK(!image_exif_prepare(&out, "\xff", 1000, &err) && err.code == ERROR_INVALID);
    CHECK(!image_exif_prepare(&out, "long", 20, &err) && err.code == ERROR_LIMIT);
    CHECK(out.bytes == NULL);
}

int main(void)
{
    reads_every_code();
    writes_what_piexif_writes();
    return TEST_END();
}
