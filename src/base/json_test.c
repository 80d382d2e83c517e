#include "base/json.h"
#include "base/test.h"

#include <string.h>

static bool parse(struct json *j, const char *text, struct error *err)
{
    *err = (struct error){0};
    return json_read_bytes(j, "f.json", text, strlen(text), 1000, err);
}

static void refuses_what_is_no_plain_object(void)
{
    static const struct {
        const char *text, *error; /* how the error begins */
    } rows[] = {
        {"", "f.json: "},
        {"[1]", "f.json:1:1: not a JSON object"},
        {"{\"a\":1,\n\"a\":2}", "f.json:2:"},
        {"{\"a\":1} x", "f.json:1:"},
        {"{\"a\":99999999999999999999}", "f.json:1:"},
        {"{\"a\":\"\\u0000\"}", "f.json:1:"},
        {"{\"a\":\n [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1", "f.json:2:33: nested deeper"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json j;
        struct error err;
        CHECK(!parse(&j, rows[i].text, &err));
        if (strncmp(err.text, rows[i].error, strlen(rows[i].error)) != 0)
            fprintf(stderr, "%s instead of %s: ", err.text, rows[i].error);
        CHECK(strncmp(err.text, rows[i].error, strlen(rows[i].error)) == 0);
        CHECK(j.root == NULL);
    }
    struct json j;
    struct error err;
    CHECK(!json_read_bytes(&j, "f.json", "{}  ", 4, 3, &err) && err.code == ERROR_LIMIT);
    CHECK(parse(&j, "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"}", &err));
    json_clear(&j);
}

static void gives_values_of_the_right_type_and_range(void)
{
    struct json j;
    struct error err;
    int i = 0, list[3] = {0}, n = 0;
    float f = 0;
    bool b = false;
    const char *text = NULL;

    CHECK(parse(&j, "{\"i\":7,\"f\":0.5,\"b\":true,\"s\":\"x\",\"l\":[1,2],\"z\":null}", &err));
    CHECK(json_want_int(&j, "i", 0, 7, &i, &err) && i == 7);
    CHECK(!json_want_int(&j, "i", 0, 6, &i, &err));
    CHECK(strcmp(err.text, "f.json: 'i' is 7: it must be a whole number from 0 to 6") == 0);
    CHECK(!json_want_int(&j, "f", 0, 6, &i, &err));
    CHECK(!json_want_int(&j, "none", 0, 6, &i, &err));
    CHECK(strstr(err.text, "'none' is missing"));
    CHECK(json_maybe_int(&j, "z", 0, 6, 3, &i, &err) && i == 3);
    CHECK(json_want_float(&j, "f", 0, 1, &f, &err) && f == 0.5f);
    CHECK(json_want_float(&j, "i", 0, 9, &f, &err) && f == 7);
    CHECK(!json_want_float(&j, "s", 0, 9, &f, &err));
    CHECK(json_want_bool(&j, "b", &b, &err) && b);
    CHECK(!json_want_bool(&j, "i", &b, &err));
    CHECK(json_want_string(&j, "s", &text, &err) && strcmp(text, "x") == 0);
    CHECK(!json_maybe_string(&j, "i", "", &text, &err));
    CHECK(json_want_ints(&j, "l", 1, 2, list, 3, &n, &err) && n == 2 && list[1] == 2);
    CHECK(!json_want_ints(&j, "l", 1, 1, list, 3, &n, &err));
    CHECK(!json_want_ints(&j, "l", 1, 2, list, 1, &n, &err));
    json_clear(&j);
}

int main(void)
{
    refuses_what_is_no_plain_object();
    gives_values_of_the_right_type_and_range();
    return TEST_END();
}
