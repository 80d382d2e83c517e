#include "base/json_place.h"

struct scan {
    const char *text;
    size_t n, at;
};

static char peek(const struct scan *s)
{
    return s->at < s->n ? s->text[s->at] : 0;
}

/* Blanks, and the commas and colons between values. */
static void skip_between(struct scan *s)
{
    while (s->at < s->n) {
        char c = s->text[s->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != ',' && c != ':')
            return;
        s->at++;
    }
}

static void skip_string(struct scan *s)
{
    for (s->at++; s->at < s->n && s->text[s->at] != '"'; s->at++)
        if (s->text[s->at] == '\\')
            s->at++;
    s->at++;
}

static bool ends_word(char c)
{
    return c == ',' || c == ']' || c == '}' || c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Moves behind the value at s->at; brackets inside of it need only be counted. */
static void skip_value(struct scan *s)
{
    int depth = 0;
    do {
        char c = peek(s);
        if (c == '"') {
            skip_string(s);
        } else if (c == '{' || c == '[') {
            depth++;
            s->at++;
        } else if (c == '}' || c == ']') {
            depth--;
            s->at++;
        } else {
            while (s->at < s->n && !ends_word(s->text[s->at]) && s->text[s->at] != ':')
                s->at++;
        }
        if (depth > 0)
            skip_between(s);
    } while (depth > 0 && s->at < s->n);
}

/* Enters the container at s->at and stops at its number-th key or element. */
static void enter(struct scan *s, size_t number, bool is_object)
{
    s->at++;
    skip_between(s);
    for (size_t i = 0; i < number && s->at < s->n && peek(s) != '}' && peek(s) != ']'; i++) {
        if (is_object) {
            skip_string(s);
            skip_between(s);
        }
        skip_value(s);
        skip_between(s);
    }
}

static struct json_place place_of(const struct scan *s)
{
    struct json_place place = {1, 1};
    for (size_t i = 0; i < s->at && i < s->n; i++) {
        unsigned char c = (unsigned char)s->text[i];
        if (c == '\n') {
            place.line++;
            place.column = 1;
        } else if ((c & 0xc0) != 0x80) { /* not a UTF-8 continuation */
            place.column++;
        }
    }
    return place;
}

struct json_place json_place_find(const char *text, size_t n_bytes, const size_t *path, int n_path,
                                  bool of_key)
{
    struct scan s = {.text = text, .n = n_bytes};

    skip_between(&s);
    for (int i = 0; i < n_path && (peek(&s) == '{' || peek(&s) == '['); i++) {
        bool is_object = peek(&s) == '{';
        enter(&s, path[i], is_object);
        if (is_object && peek(&s) == '"' && !(of_key && i == n_path - 1)) {
            skip_string(&s);
            skip_between(&s);
        }
    }
    return place_of(&s);
}
