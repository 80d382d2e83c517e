#include "base/test.h"
#include "text/prompt_attention.h"
#include "text/prompt_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PIECES = 12 };

struct piece {
    const char *text; /* NULL: BREAK */
    double weight;
};

struct row {
    const char *why, *prompt;
    struct piece piece[MAX_PIECES];
    size_t n;
};

/* The first six are AUTOMATIC1111's own examples; the numbers are its, digit for digit. */
static const struct row rows[] = {
    {"plain", "normal text", {{"normal text", 1}}, 1},
    {"round", "an (important) word", {{"an ", 1}, {"important", 1.1}, {" word", 1}}, 3},
    {"never closed", "(unbalanced", {{"unbalanced", 1.1}}, 1},
    {"escapes", "\\(literal\\]", {{"(literal]", 1}}, 1},
    {"equal neighbours", "(unnecessary)(parens)", {{"unnecessaryparens", 1.1}}, 1},
    {"all at once",
     "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
     {{"a ", 1},
      {"house", 1.5730000000000004},
      {" ", 1.1},
      {"on", 1.0},
      {" a ", 1.1},
      {"hill", 0.55},
      {", sun, ", 1.1},
      {"sky", 1.4641000000000006},
      {".", 1.1}},
     9},
    {"nothing", "", {{"", 1}}, 1},
    {"only brackets", "()", {{"", 1}}, 1},
    {"square", "[low]", {{"low", 1 / 1.1}}, 1},
    {"square never closed", "a [low", {{"a ", 1}, {"low", 1 / 1.1}}, 2},
    {"never opened", "a) b] c", {{"a) b] c", 1}}, 1},
    {"a weight and no bracket", "16:9) b", {{"16:9) b", 1}}, 1},
    {"spaces around a weight", "(a: 1.5 )", {{"a", 1.5}}, 1},
    {"weights with signs and without digits", "(a:-.5)(b:+2.)", {{"a", -0.5}, {"b", 2}}, 2},
    {"a weight of nothing", "(a:0)b", {{"a", 0}, {"b", 1}}, 2},
    {"no weight but a colon", "(a:b)", {{"a:b", 1.1}}, 1},
    {"two points make no number", "(a:1.2.3)", {{"a:1.2.3", 1.1}}, 1},
    {"no exponent", "(a:1e3)", {{"a:1e3", 1.1}}, 1},
    {"a weight in square brackets", "[a:0.5]", {{"a:0.5", 1 / 1.1}}, 1},
    {"an escaped backslash", "\\\\(a)", {{"\\", 1}, {"a", 1.1}}, 2},
    {"a backslash in front of a letter", "\\a", {{"a", 1}}, 1},
    {"a backslash at the end", "(a)\\", {{"a", 1.1}, {"", 1}}, 2},
    {"a backslash does not hide a colon", "(a\\:2)", {{"a", 2}}, 1},
    {"brackets that cross", "(a[b)c]", {{"a", 1.1}, {"b", 1.1 / 1.1}, {"c", 1 / 1.1}}, 3},
    {"BREAK", "a  BREAK\nb", {{"a", 1}, {NULL, 1}, {"b", 1}}, 3},
    {"BREAK and brackets", "(a:2)BREAK(b)", {{"a", 2}, {"", 1}, {NULL, 1}, {"", 1}, {"b", 1.1}}, 5},
    {"two BREAKs", "BREAK BREAK", {{"", 1}, {NULL, 1}, {"", 1}, {NULL, 1}, {"", 1}}, 5},
    {"BREAK in brackets", "(a BREAK b)", {{"a", 1.1}, {NULL, 1.1}, {"b", 1.1}}, 3},
    {"part of a word",
     "BREAKS UNBREAK \xc3\xa9"
     "BREAK BREAK_",
     {{"BREAKS UNBREAK \xc3\xa9"
       "BREAK BREAK_",
       1}},
     1},
    {"beside a wide comma",
     "a\xef\xbc\x8c"
     "BREAK",
     {{"a\xef\xbc\x8c", 1}, {NULL, 1}, {"", 1}},
     3},
};

static bool equal(const struct prompt_pieces *got, size_t i, const struct piece *want)
{
    const struct prompt_piece *p = &got->pieces[i];
    if (p->is_break || !want->text)
        return p->is_break && !want->text;
    return p->len == strlen(want->text) && memcmp(got->text + p->at, want->text, p->len) == 0 &&
           fabs(p->weight - want->weight) < 1e-15;
}

static void weighs_pieces(void)
{
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct row *row = &rows[r];
        struct prompt_pieces got;
        struct error err = {0};
        bool good = prompt_attention_parse(&got, row->prompt, strlen(row->prompt), &err);
        CHECK(good);
        if (!good)
            continue;
        good = got.n == row->n;
        for (size_t i = 0; good && i < got.n; i++)
            good = equal(&got, i, &row->piece[i]);
        if (!good) {
            fprintf(stderr, "%s:", row->why);
            for (size_t i = 0; i < got.n; i++)
                fprintf(stderr, " ['%.*s' %.17g%s]", (int)got.pieces[i].len,
                        got.text + got.pieces[i].at, got.pieces[i].weight,
                        got.pieces[i].is_break ? " BREAK" : "");
            fprintf(stderr, "\n");
        }
        CHECK(good);
        prompt_attention_clear(&got);
    }
}

static void refuses(const char *prompt, const char *what)
{
    struct prompt_pieces got;
    struct error err = {0};
    CHECK(!prompt_attention_parse(&got, prompt, strlen(prompt), &err));
    CHECK(err.code == ERROR_INVALID);
    CHECK(strstr(err.text, what));
    CHECK(!got.text && !got.pieces);
}

static void refuses_what_would_drown_the_picture(void)
{
    char deep[PROMPT_SCAN_MAX_DEPTH + 3];

    refuses("(a word:1000.5)", "'a word' the weight 1000.5");
    refuses("((a:999):-2)", "-1998");
    memset(deep, '(', sizeof deep);
    deep[PROMPT_SCAN_MAX_DEPTH + 1] = '\0';
    refuses(deep, "open brackets at byte 256");
    memset(deep, '[', PROMPT_SCAN_MAX_DEPTH);
    deep[PROMPT_SCAN_MAX_DEPTH] = 'x';
    struct prompt_pieces got;
    struct error err = {0};
    CHECK(prompt_attention_parse(&got, deep, strlen(deep), &err));
    prompt_attention_clear(&got);
}

static void leaves_literal_text_alone(void)
{
    static const char text[] = "a (b:1.2) [c] \\( BREAK";
    struct prompt_pieces got;
    struct error err = {0};
    CHECK(prompt_attention_literal(&got, text, strlen(text), &err));
    CHECK(got.n == 1 && equal(&got, 0, &(struct piece){text, 1}));
    prompt_attention_clear(&got);
}

int main(void)
{
    weighs_pieces();
    refuses_what_would_drown_the_picture();
    leaves_literal_text_alone();
    return TEST_END();
}
