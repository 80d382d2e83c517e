#include "base/base64.h"
#include "base/test.h"

#include <string.h>

static void decodes_what_clients_send(void)
{
    static const struct {
        const char *text, *want; /* NULL: refused */
    } row[] = {
        {"", ""},
        {"aGVsbG8=", "hello"},
        {"aGVsbG8", "hello"},
        {"aGVs\r\nbG8=\n", "hello"},
        {"Pz8_", "???"},
        {"Pz8/", "???"},
        {"Pj4-", ">>>"},
        {"aGk=", "hi"},
        {"aA==", "h"},
        {"aA", "h"},
        {"a", NULL},
        {"aGVsb", NULL},
        {"aA==aA==", NULL},
        {"====", ""},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        unsigned char out[64];
        size_t n = 0, len = strlen(row[i].text);
        bool ok = base64_decode(out, &n, row[i].text, len);
        CHECK(ok == (row[i].want != NULL));
        CHECK(n <= base64_max_bytes(len));
        if (ok && row[i].want)
            CHECK(n == strlen(row[i].want) && memcmp(out, row[i].want, n) == 0);
    }
}

static void encodes_with_padding(void)
{
    static const char *const want[] = {"", "AA==", "AP8=", "AP8A"};
    static const unsigned char bytes[] = {0, 255, 0};

    for (size_t n = 0; n < 4; n++) {
        char out[8];
        base64_encode(out, bytes, n);
        CHECK(base64_text_bytes(n) == strlen(want[n]));
        CHECK(memcmp(out, want[n], strlen(want[n])) == 0);
    }
}

int main(void)
{
    decodes_what_clients_send();
    encodes_with_padding();
    return TEST_END();
}
