#include "base/test.h"
#include "base/tri.h"

#include <string.h>

static void takes_the_three_words_and_their_synonyms(void)
{
    static const struct {
        const char *text;
        enum tri want;
    } row[] = {{"auto", TRI_AUTO}, {"AUTO", TRI_AUTO}, {"true", TRI_TRUE}, {"True", TRI_TRUE},
               {"1", TRI_TRUE},    {"on", TRI_TRUE},   {"no", TRI_FALSE},  {"FALSE", TRI_FALSE}};

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        enum tri t = (enum tri)7;
        struct error err = {0};
        CHECK(tri_parse(&t, row[i].text, &err));
        CHECK(t == row[i].want);
    }
}

static void reads_back_what_it_names(void)
{
    for (enum tri t = TRI_AUTO; t <= TRI_TRUE; t++) {
        enum tri back = (enum tri)7;
        struct error err = {0};
        CHECK(tri_parse(&back, tri_name(t), &err));
        CHECK(back == t);
    }
}

static void refuses_everything_else_and_leaves_the_value_alone(void)
{
    static const char *const text[] = {"", "maybe", "true ", "2", "autos"};

    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++) {
        enum tri t = TRI_TRUE;
        struct error err = {0};
        CHECK(!tri_parse(&t, text[i], &err));
        CHECK(t == TRI_TRUE && err.code == ERROR_INVALID);
        CHECK(strstr(err.text, "auto") && strstr(err.text, text[i]));
    }
}

int main(void)
{
    takes_the_three_words_and_their_synonyms();
    reads_back_what_it_names();
    refuses_everything_else_and_leaves_the_value_alone();
    return TEST_END();
}
