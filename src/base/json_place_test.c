#include "base/json_place.h"
#include "base/test.h"

#include <string.h>

static void finds_values_and_keys(void)
{
    static const char text[] = "{ \"a\": 1,\n"
                               "  \"b\\\"{\": {\"x\": [true, \"]\", {}], \"y\": -1e3},\n"
                               "\t\"\xc3\xa4\": \"\xc3\xb6\", \"c\":[[1,2],[3]]}\n";
    static const struct {
        const char *why;
        size_t path[4];
        int n_path;
        bool of_key;
        struct json_place want;
    } row[] = {
        {"the whole", {0}, 0, false, {1, 1}},
        {"first value", {0}, 1, false, {1, 8}},
        {"first key", {0}, 1, true, {1, 3}},
        {"key with a quote and a bracket", {1}, 1, true, {2, 3}},
        {"its value", {1}, 1, false, {2, 11}},
        {"array inside", {1, 0}, 2, false, {2, 17}},
        {"an element", {1, 0, 1}, 3, false, {2, 24}},
        {"an empty object", {1, 0, 2}, 3, false, {2, 29}},
        {"behind the array", {1, 1}, 2, true, {2, 34}},
        {"number", {1, 1}, 2, false, {2, 39}},
        {"columns count characters", {2}, 1, false, {3, 7}},
        {"behind such characters", {3}, 1, true, {3, 12}},
        {"arrays in arrays", {3, 1, 0}, 3, false, {3, 24}},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct json_place p =
            json_place_find(text, strlen(text), row[i].path, row[i].n_path, row[i].of_key);
        bool same = p.line == row[i].want.line && p.column == row[i].want.column;
        if (!same)
            fprintf(stderr, "row: %s: %d:%d\n", row[i].why, p.line, p.column);
        CHECK(same);
    }
}

static void stays_inside_of_what_it_is_given(void)
{
    static const char text[] = "{\"a\": [1, {\"b\": \"x\\\"y\"}], \"c\": 2}";
    static const size_t path[] = {0, 1, 0, 5};

    for (size_t n = 0; n <= sizeof text - 1; n++) {
        char copy[64];
        memcpy(copy, text, n);
        struct json_place p = json_place_find(copy, n, path, 4, false);
        CHECK(p.line == 1 && p.column >= 1 && (size_t)p.column <= n + 1);
    }
}

int main(void)
{
    finds_values_and_keys();
    stays_inside_of_what_it_is_given();
    return TEST_END();
}
