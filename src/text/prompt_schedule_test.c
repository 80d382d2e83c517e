#include "base/test.h"
#include "text/prompt_scan.h"
#include "text/prompt_schedule.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 11 };

struct row {
    const char *prompt;
    struct prompt_steps steps;
    struct {
        int last_step;
        const char *text;
    } part[MAX_PARTS];
};

#define TEN                                                                                        \
    {                                                                                              \
        10, 0                                                                                      \
    }
#define SECOND                                                                                     \
    {                                                                                              \
        10, 10                                                                                     \
    }

/* Those up to the mark are AUTOMATIC1111's own examples. */
static const struct row rows[] = {
    {"test", TEN, {{10, "test"}}},
    {"a [b:3]", TEN, {{3, "a "}, {10, "a b"}}},
    {"a [b: 3]", TEN, {{3, "a "}, {10, "a b"}}},
    {"a [[[b]]:2]", TEN, {{2, "a "}, {10, "a [[b]]"}}},
    {"[(a:2):3]", TEN, {{3, ""}, {10, "(a:2)"}}},
    {"a [b : c : 1] d", TEN, {{1, "a b  d"}, {10, "a  c  d"}}},
    {"a[b:[c:d:2]:1]e", TEN, {{1, "abe"}, {2, "ace"}, {10, "ade"}}},
    {"a [unbalanced", TEN, {{10, "a [unbalanced"}}},
    {"a [b:.5] c", TEN, {{5, "a  c"}, {10, "a b c"}}},
    {"a [{b|d{:.5] c", TEN, {{5, "a  c"}, {10, "a {b|d{ c"}}},
    {"((a][:b:c [d:3]", TEN, {{3, "((a][:b:c "}, {10, "((a][:b:c d"}}},
    {"[a|(b:1.1)]",
     TEN,
     {{1, "a"},
      {2, "(b:1.1)"},
      {3, "a"},
      {4, "(b:1.1)"},
      {5, "a"},
      {6, "(b:1.1)"},
      {7, "a"},
      {8, "(b:1.1)"},
      {9, "a"},
      {10, "(b:1.1)"}}},
    {"[fe|]male",
     TEN,
     {{1, "female"},
      {2, "male"},
      {3, "female"},
      {4, "male"},
      {5, "female"},
      {6, "male"},
      {7, "female"},
      {8, "male"},
      {9, "female"},
      {10, "male"}}},
    {"[fe|||]male",
     TEN,
     {{1, "female"},
      {2, "male"},
      {3, "male"},
      {4, "male"},
      {5, "female"},
      {6, "male"},
      {7, "male"},
      {8, "male"},
      {9, "female"},
      {10, "male"}}},
    {"a [b:.5] c", SECOND, {{10, "a b c"}}},
    {"a [b:1.5] c", SECOND, {{5, "a  c"}, {10, "a b c"}}},
    /* Up to here. */
    {"a [b:15] c", SECOND, {{5, "a  c"}, {10, "a b c"}}},
    {"a [b:10] c", SECOND, {{10, "a b c"}}},
    {"", TEN, {{10, ""}}},
    {"[a::8]", TEN, {{8, "a"}, {10, ""}}},
    {"[:b:4]", TEN, {{4, ""}, {10, "b"}}},
    {"[:4]", TEN, {{4, ""}, {10, ""}}},
    {"[a:b:0]", TEN, {{10, "b"}}},
    {"[a:b:-3]", TEN, {{10, "b"}}},
    {"[a:b:0.05]", TEN, {{10, "b"}}},
    {"[a:b:99]", TEN, {{10, "a"}}},
    {"[a:b:1.]", TEN, {{10, "a"}}},
    {"[a:b:1e300]", TEN, {{10, "a"}}},
    {"[a:b:5e-1]", TEN, {{10, "b"}}},
    {"[a:b:+2 ]", TEN, {{2, "a"}, {10, "b"}}},
    {"[1:2]", TEN, {{2, ""}, {10, "1"}}},
    {"[a:b]", TEN, {{10, "[a:b]"}}},
    {"[a:b:c:5]", TEN, {{10, "[a:b:c:5]"}}},
    {"[a:b:5x]", TEN, {{10, "[a:b:5x]"}}},
    {"[]()[:]", TEN, {{10, "[]()[:]"}}},
    {"(a [b:3]:1.2)", TEN, {{3, "(a :1.2)"}, {10, "(a b:1.2)"}}},
    {"(a [b:3]", TEN, {{3, "(a "}, {10, "(a b"}}},
    {"[a ([b:3]:5]", TEN, {{3, "[a (:5]"}, {10, "[a (b:5]"}}},
    {"[[a:3]", TEN, {{3, "["}, {10, "[a"}}},
    {"\\[a:3\\] [b:3]", TEN, {{3, "\\[a:3\\] "}, {10, "\\[a:3\\] b"}}},
    {"a|b [c:3]", TEN, {{3, "a|b "}, {10, "a|b c"}}},
    {"[(a|b):3]", TEN, {{3, ""}, {10, "(a|b)"}}},
    {"[a|b:c|d:3]", TEN, {{3, "a|b"}, {10, "c|d"}}},
    {"[[|[|x:1]:1]:2]", {3, 0}, {{1, ""}, {2, ""}, {3, "||x"}}},
    {"[a|[b|c]]", {4, 0}, {{1, "a"}, {2, "c"}, {3, "a"}, {4, "c"}}},
    {"[a|[b:c:2]]", {4, 0}, {{1, "a"}, {2, "b"}, {3, "a"}, {4, "c"}}},
    {"a \\", TEN, {{10, "a \\"}}},
};

static void say(const struct row *row, const struct prompt_schedule *got)
{
    fprintf(stderr, "%s:", row->prompt);
    for (int i = 0; i < got->n_parts; i++)
        fprintf(stderr, " [%d '%s']", got->parts[i].last_step, got->texts[got->parts[i].text]);
    fprintf(stderr, "\n");
}

static void lists_texts_by_step(void)
{
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct row *row = &rows[r];
        struct prompt_schedule got = {0};
        struct error err = {0};
        int n = 0;
        while (n < MAX_PARTS && row->part[n].text)
            n++;
        CHECK(prompt_schedule_parse(&got, row->prompt, strlen(row->prompt), row->steps, &err));
        bool good = got.n_parts == n;
        for (int i = 0; good && i < n; i++)
            good = got.parts[i].last_step == row->part[i].last_step &&
                   strcmp(got.texts[got.parts[i].text], row->part[i].text) == 0;
        if (!good)
            say(row, &got);
        CHECK(good);
        prompt_schedule_clear(&got);
    }
}

static void keeps_each_text_once(void)
{
    struct prompt_schedule got;
    struct error err = {0};
    CHECK(prompt_schedule_parse(&got, "[a|b]", 5, (struct prompt_steps){1000, 0}, &err));
    CHECK(got.n_parts == 1000 && got.n_texts == 2);
    CHECK(prompt_schedule_at(&got, 1) == 0 && prompt_schedule_at(&got, 2) == 1);
    CHECK(prompt_schedule_at(&got, 999) == 0 && prompt_schedule_at(&got, 1000) == 1);
    prompt_schedule_clear(&got);
    CHECK(prompt_schedule_parse(&got, "[a:b:3]", 7, (struct prompt_steps){10, 0}, &err));
    CHECK(prompt_schedule_at(&got, 3) == 0 && prompt_schedule_at(&got, 4) == 1);
    prompt_schedule_clear(&got);
    CHECK(prompt_schedule_literal(&got, "[a|b]", 5, 10, &err));
    CHECK(got.n_parts == 1 && got.parts[0].last_step == 10 && strcmp(got.texts[0], "[a|b]") == 0);
    prompt_schedule_clear(&got);
}

/* 40 nested edits with bars: reading them anew at each level would take 2^40 times as long. */
static void reads_nested_brackets_once(void)
{
    char prompt[1024] = "";
    struct prompt_schedule got;
    struct error err = {0};
    for (int i = 0; i < 40; i++)
        strncat(prompt, "[|", sizeof prompt - strlen(prompt) - 1);
    for (int i = 0; i < 40; i++)
        strncat(prompt, ":1]", sizeof prompt - strlen(prompt) - 1);
    CHECK(prompt_schedule_parse(&got, prompt, strlen(prompt), (struct prompt_steps){2, 0}, &err));
    CHECK(got.n_parts == 2 && strlen(got.texts[got.parts[1].text]) == 40);
    prompt_schedule_clear(&got);
}

static void refuses_what_is_too_large(void)
{
    char deep[PROMPT_SCAN_MAX_DEPTH + 2];
    struct prompt_schedule got;
    struct error err = {0};
    memset(deep, '[', sizeof deep);
    CHECK(!prompt_schedule_parse(&got, deep, PROMPT_SCAN_MAX_DEPTH + 1,
                                 (struct prompt_steps){10, 0}, &err));
    CHECK(err.code == ERROR_INVALID && strstr(err.text, "256 deep"));
    CHECK(prompt_schedule_parse(&got, deep, PROMPT_SCAN_MAX_DEPTH, (struct prompt_steps){10, 0},
                                &err));
    prompt_schedule_clear(&got);

    /* 70 texts of 150 kB each. */
    size_t len = 150000;
    char *wide = malloc(len + 1024);
    CHECK(wide != NULL);
    if (!wide)
        return;
    memset(wide, 'a', len);
    for (int i = 0; i < 70; i++)
        len += (size_t)snprintf(wide + len, 16, "[%d:%d]", i, i + 1);
    CHECK(!prompt_schedule_parse(&got, wide, len, (struct prompt_steps){100, 0}, &err));
    CHECK(err.code == ERROR_LIMIT && !got.texts);
    free(wide);
}

int main(void)
{
    lists_texts_by_step();
    keeps_each_text_once();
    reads_nested_brackets_once();
    refuses_what_is_too_large();
    return TEST_END();
}
