#include "config/env_file.h"

#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MAX_BYTES = 256 << 10, NAME_MAX_BYTES = 128, VALUE_MAX_BYTES = 8192 };

struct reader {
    const char *name;
    const char *at, *end;
    int line;
    char key[NAME_MAX_BYTES], value[VALUE_MAX_BYTES];
    size_t len; /* of value */
};

static bool reject(const struct reader *r, const char *what, struct error *err)
{
    return error_set(err, ERROR_INVALID, "%.200s:%d: %s", r->name, r->line, what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && is_blank(*r->at))
        r->at++;
}

static bool is_name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

static bool read_name(struct reader *r, struct error *err)
{
    size_t n = 0;

    while (r->at < r->end && is_name_char(*r->at, n == 0)) {
        if (n + 1 >= sizeof r->key)
            return reject(r, "the name is too long", err);
        r->key[n++] = *r->at++;
    }
    r->key[n] = 0;
    return n > 0 || reject(r, "a variable's name is made of letters, digits and _", err);
}

static bool put(struct reader *r, char c, struct error *err)
{
    if (r->len + 1 >= sizeof r->value)
        return reject(r, "the value is too long", err);
    if (c == 0)
        return reject(r, "the value has a zero byte", err);
    r->value[r->len++] = c;
    return true;
}

static char unescaped(char c)
{
    return c == 'n' ? '\n' : c == 't' ? '\t' : c;
}

/* Up to the closing quote, over several lines if need be. */
static bool read_quoted(struct reader *r, struct error *err)
{
    char quote = *r->at++;

    for (; r->at < r->end && *r->at != quote; r->at++) {
        if (*r->at == '\\' && quote == '"' && r->at + 1 < r->end && strchr("nt\"\\$", r->at[1])) {
            r->at++;
            if (!put(r, unescaped(*r->at), err))
                return false;
            continue;
        }
        r->line += *r->at == '\n';
        if (!put(r, *r->at, err))
            return false;
    }
    if (r->at == r->end)
        return reject(r, "a quote is not closed", err);
    r->at++;
    return true;
}

/* To the end of the line, or to a comment, which begins behind a blank. */
static bool read_bare(struct reader *r, struct error *err)
{
    for (; r->at < r->end && *r->at != '\n'; r->at++) {
        if (*r->at == '#' && r->len > 0 && is_blank(r->value[r->len - 1]))
            break;
        if (!put(r, *r->at, err))
            return false;
    }
    while (r->len > 0 && is_blank(r->value[r->len - 1]))
        r->len--;
    return true;
}

static bool read_line(struct reader *r, env_file_fn fn, void *ctx, struct error *err)
{
    if ((size_t)(r->end - r->at) > 7 && strncmp(r->at, "export ", 7) == 0)
        r->at += 7;
    skip_blanks(r);
    if (!read_name(r, err))
        return false;
    skip_blanks(r);
    if (r->at == r->end || *r->at != '=')
        return reject(r, "there is no = behind the name", err);
    r->at++;
    skip_blanks(r);
    r->len = 0;
    bool quoted = r->at < r->end && (*r->at == '"' || *r->at == '\'');
    if (!(quoted ? read_quoted(r, err) : read_bare(r, err)))
        return false;
    r->value[r->len] = 0;
    skip_blanks(r);
    if (r->at < r->end && *r->at == '#')
        while (r->at < r->end && *r->at != '\n')
            r->at++;
    if (r->at < r->end && *r->at != '\n')
        return reject(r, "there is something behind the value", err);
    return fn(ctx, r->key, r->value, err);
}

bool env_file_read_bytes(const char *name, const char *bytes, size_t n_bytes, env_file_fn fn,
                         void *ctx, struct error *err)
{
    struct reader r = {.name = name, .at = bytes, .end = bytes + n_bytes, .line = 1};

    while (r.at < r.end) {
        skip_blanks(&r);
        if (r.at < r.end && *r.at == '#')
            while (r.at < r.end && *r.at != '\n')
                r.at++;
        else if (r.at < r.end && *r.at != '\n' && !read_line(&r, fn, ctx, err))
            return false;
        if (r.at < r.end) {
            r.at++; /* the newline */
            r.line++;
        }
    }
    return true;
}

static bool set_variable(void *ctx, const char *name, const char *value, struct error *err)
{
    (void)ctx;
    return setenv(name, value, 0) == 0 ||
           error_set(err, ERROR_MEMORY, "no memory for the environment");
}

bool env_file_apply(const char *path, struct error *err)
{
    struct error problem = {0};
    char *bytes;
    size_t n_bytes;

    if (!fs_read(&bytes, &n_bytes, path, FILE_MAX_BYTES, &problem)) {
        if (problem.code == ERROR_NOT_FOUND)
            return true;
        *err = problem;
        return false;
    }
    bool ok = env_file_read_bytes(path, bytes, n_bytes, set_variable, NULL, err);
    free(bytes);
    return ok;
}
