#include "base/test.h"
#include "text/prompt_compose.h"

#include <string.h>

static const struct {
    const char *prompt;
    struct {
        const char *text;
        double weight;
    } part[4];
} rows[] = {
    {"a cat ", {{"a cat ", 1}}},
    {"ratio 16:9", {{"ratio 16:9", 1}}},
    {"a cat AND a dog", {{"a cat", 1}, {" a dog", 1}}},
    {"a cat :1.2 AND a dog:-.5 ", {{"a cat", 1.2}, {" a dog", -0.5}}},
    {"a AND b : 2. AND [c:3]", {{"a", 1}, {" b", 2}, {" [c:3]", 1}}},
    {"a AND", {{"a", 1}, {"", 1}}},
    {"SAND ANDY and", {{"SAND ANDY and", 1}}},
    {"a:b AND (c:1.5)", {{"a:b", 1}, {" (c:1.5)", 1}}},
};

static void splits_at_and(void)
{
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct prompt_composed got[PROMPT_COMPOSE_MAX];
        struct error err = {0};
        int n = 0, want = 0;
        while (want < 4 && rows[r].part[want].text)
            want++;
        CHECK(prompt_compose_split(got, &n, rows[r].prompt, strlen(rows[r].prompt), &err));
        bool good = n == want;
        for (int i = 0; good && i < n; i++)
            good = got[i].len == strlen(rows[r].part[i].text) &&
                   memcmp(got[i].text, rows[r].part[i].text, got[i].len) == 0 &&
                   got[i].weight == rows[r].part[i].weight;
        if (!good)
            fprintf(stderr, "%s: %d parts, '%.*s' %g\n", rows[r].prompt, n, (int)got[0].len,
                    got[0].text, got[0].weight);
        CHECK(good);
    }
}

static void refuses_too_much(void)
{
    static const char many[] = " AND AND AND AND AND AND AND AND AND AND AND AND AND AND AND AND ";
    struct prompt_composed got[PROMPT_COMPOSE_MAX];
    struct error err = {0};
    int n;
    CHECK(!prompt_compose_split(got, &n, many, strlen(many), &err));
    CHECK(err.code == ERROR_LIMIT);
    CHECK(prompt_compose_split(got, &n, many + 4, strlen(many) - 4, &err));
    CHECK(n == PROMPT_COMPOSE_MAX);
    CHECK(!prompt_compose_split(got, &n, "a AND b:101", 11, &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "part 2"));
}

int main(void)
{
    splits_at_and();
    refuses_too_much();
    return TEST_END();
}
