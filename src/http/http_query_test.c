#include "base/test.h"
#include "http/http_query.h"

#include <string.h>

static bool decodes(const char *text, bool plus, const char *want)
{
    char out[64];
    bool ok = http_query_decode(out, sizeof out, text, strlen(text), plus);
    return want ? ok && strcmp(out, want) == 0 : !ok;
}

static void decodes_percents(void)
{
    CHECK(decodes("a%20b", false, "a b"));
    CHECK(decodes("a+b", false, "a+b") && decodes("a+b", true, "a b"));
    CHECK(decodes("%c3%A4", false, "\xc3\xa4"));
    CHECK(decodes("", false, ""));
    CHECK(decodes("%41%42", false, "AB"));
}

static void refuses_what_is_broken(void)
{
    CHECK(decodes("%", false, NULL) && decodes("a%2", false, NULL) && decodes("%zz", false, NULL));
    CHECK(decodes("%00", false, NULL) && decodes("%0a", false, NULL));
    CHECK(decodes("%ff", false, NULL) && decodes("%c3", false, NULL));
    char small[4];
    CHECK(http_query_decode(small, sizeof small, "abc", 3, false));
    CHECK(!http_query_decode(small, sizeof small, "abcd", 4, false));
}

static void finds_members(void)
{
    char out[16];
    const char *q = "a=1&bb=x%26y&a=2&flag&empty=";
    CHECK(http_query_find(out, sizeof out, q, "a") && strcmp(out, "1") == 0);
    CHECK(http_query_find(out, sizeof out, q, "bb") && strcmp(out, "x&y") == 0);
    CHECK(http_query_find(out, sizeof out, q, "flag") && out[0] == 0);
    CHECK(http_query_find(out, sizeof out, q, "empty") && out[0] == 0);
    CHECK(!http_query_find(out, sizeof out, q, "b"));
    CHECK(!http_query_find(out, sizeof out, "", "b"));
}

static void encodes_what_it_decodes(void)
{
    char out[64], back[64];
    http_query_encode(out, sizeof out, "org/na me+\xc3\xa4~");
    CHECK(strcmp(out, "org%2Fna%20me%2B%C3%A4~") == 0);
    CHECK(http_query_decode(back, sizeof back, out, strlen(out), true));
    CHECK(strcmp(back, "org/na me+\xc3\xa4~") == 0);
    http_query_encode(out, 6, "ab//");
    CHECK(strcmp(out, "ab%2F") == 0);
}

int main(void)
{
    decodes_percents();
    refuses_what_is_broken();
    finds_members();
    encodes_what_it_decodes();
    return TEST_END();
}
