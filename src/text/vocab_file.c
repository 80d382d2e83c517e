#include "text/vocab_file.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

struct reader {
    char *bytes;
    size_t len, at;
    struct error *err;
};

static bool fail(struct reader *r, const char *what)
{
    return error_set(r->err, ERROR_CORRUPT, "%s at byte %zu", what, r->at);
}

static void skip_space(struct reader *r)
{
    while (r->at < r->len && strchr(" \t\r\n", r->bytes[r->at]) && r->bytes[r->at])
        r->at++;
}

static bool take(struct reader *r, char c)
{
    skip_space(r);
    if (r->at >= r->len || r->bytes[r->at] != c)
        return false;
    r->at++;
    return true;
}

static bool read_hex4(struct reader *r, int32_t *out)
{
    if (r->len - r->at < 4)
        return fail(r, "the file ends inside an escape");
    *out = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        const char c = r->bytes[r->at];
        int digit = -1;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            digit = (c | 32) - 'a' + 10;
        if (digit < 0)
            return fail(r, "bad \\u escape");
        *out = *out * 16 + digit;
    }
    return true;
}

static bool read_escape(struct reader *r, char *out, size_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (r->at >= r->len)
        return fail(r, "the file ends inside an escape");
    const char c = r->bytes[r->at++];
    if (c != 'u') {
        const char *place = c ? strchr(from, c) : NULL;
        if (!place)
            return fail(r, "unknown escape");
        out[(*n)++] = to[place - from];
        return true;
    }
    int32_t code, low;
    if (!read_hex4(r, &code))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (r->len - r->at < 2 || r->bytes[r->at] != '\\' || r->bytes[r->at + 1] != 'u')
            return fail(r, "half of a surrogate pair");
        r->at += 2;
        if (!read_hex4(r, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(r, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return fail(r, "half of a surrogate pair");
    }
    *n += (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)out + *n);
    return true;
}

/* What is decoded is never longer than what it came from, so it is written over it. */
static bool read_text(struct reader *r, struct vocab_entry *e)
{
    char *text = r->bytes + r->at;
    size_t n = 0;
    for (;;) {
        if (r->at >= r->len)
            return fail(r, "the file ends inside a text");
        const unsigned char c = (unsigned char)r->bytes[r->at];
        if (c == '"')
            break;
        if (c < 0x20)
            return fail(r, "control character in a text");
        if (c == '\\') {
            r->at++;
            if (!read_escape(r, text, &n))
                return false;
            continue;
        }
        utf8proc_int32_t code;
        const utf8proc_ssize_t step = utf8proc_iterate((const utf8proc_uint8_t *)r->bytes + r->at,
                                                       (utf8proc_ssize_t)(r->len - r->at), &code);
        if (step < 1)
            return fail(r, "invalid UTF-8");
        memmove(text + n, r->bytes + r->at, (size_t)step);
        n += (size_t)step;
        r->at += (size_t)step;
    }
    r->at++;
    e->text = text;
    e->len = (uint32_t)n;
    return true;
}

static bool read_id(struct reader *r, int32_t *id)
{
    skip_space(r);
    const size_t start = r->at;
    int32_t value = 0;
    while (r->at < r->len && r->bytes[r->at] >= '0' && r->bytes[r->at] <= '9') {
        value = value * 10 + (r->bytes[r->at] - '0');
        if (value >= VOCAB_FILE_MAX_ENTRIES)
            return fail(r, "id out of range");
        r->at++;
    }
    if (r->at == start)
        return fail(r, "expected an id");
    *id = value;
    return true;
}

static bool read_entries(struct reader *r, struct vocab_file *out, unsigned char *seen)
{
    size_t cap = 0;
    do {
        if (out->n == cap) {
            if (out->n >= VOCAB_FILE_MAX_ENTRIES)
                return fail(r, "too many entries");
            cap = cap ? cap * 2 : 1024;
            struct vocab_entry *more = realloc(out->entries, cap * sizeof *more);
            if (!more)
                return error_set(r->err, ERROR_MEMORY, "no memory for %zu entries", cap);
            out->entries = more;
        }
        struct vocab_entry *e = &out->entries[out->n];
        if (!take(r, '"'))
            return fail(r, "expected a text in quotes");
        if (!read_text(r, e))
            return false;
        if (!take(r, ':'))
            return fail(r, "expected ':'");
        if (!read_id(r, &e->id))
            return false;
        if (seen[e->id])
            return fail(r, "an id appears twice");
        seen[e->id] = 1;
        out->n++;
    } while (take(r, ','));
    return true;
}

bool vocab_file_parse(struct vocab_file *out, char *json, size_t len, struct error *err)
{
    *out = (struct vocab_file){0};
    struct reader r = {json, len, 0, err};
    if (len > VOCAB_FILE_MAX_BYTES)
        return error_set(err, ERROR_LIMIT, "%zu bytes; %d are possible", len, VOCAB_FILE_MAX_BYTES);
    if (!take(&r, '{'))
        return fail(&r, "expected '{'");
    if (!take(&r, '}')) {
        unsigned char *seen = calloc(VOCAB_FILE_MAX_ENTRIES, 1);
        if (!seen)
            return error_set(err, ERROR_MEMORY, "no memory for a vocabulary");
        const bool ok = read_entries(&r, out, seen);
        free(seen);
        if (!ok)
            return false;
        if (!take(&r, '}'))
            return fail(&r, "expected ',' or '}'");
    }
    skip_space(&r);
    return r.at == len || fail(&r, "something follows the object");
}

void vocab_file_clear(struct vocab_file *v)
{
    free(v->entries);
    *v = (struct vocab_file){0};
}
