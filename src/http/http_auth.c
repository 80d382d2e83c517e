#include "http/http_auth.h"

#include "base/base64.h"
#include "base/fs.h"
#include "base/utf8.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    HASH_BYTES = crypto_generichash_BYTES,
    SECRET_MAX_BYTES = 1024, /* of a key, or of a name and password */
    FILE_MAX_BYTES = 1 << 20,
};

/* Hash of the key, or of "name:password". */
struct entry {
    bool is_user;
    unsigned char hash[HASH_BYTES];
    char label[HTTP_AUTH_LABEL_BYTES];
};

struct http_auth {
    unsigned char salt[crypto_generichash_KEYBYTES];
    struct entry *entries;
    size_t n;
};

static void hash_of(const struct http_auth *a, unsigned char out[HASH_BYTES], const char *text,
                    size_t len)
{
    crypto_generichash(out, HASH_BYTES, (const unsigned char *)text, len, a->salt, sizeof a->salt);
}

static bool add(struct http_auth *a, bool is_user, const char *label, size_t label_len,
                const char *secret, size_t len, struct error *err)
{
    if (a->n == HTTP_AUTH_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d credentials", HTTP_AUTH_MAX);
    if (len == 0 || len > SECRET_MAX_BYTES)
        return error_set(err, ERROR_INVALID, "credential %zu has %zu bytes; 1 to %d are allowed",
                         a->n + 1, len, SECRET_MAX_BYTES);
    if (label_len >= HTTP_AUTH_LABEL_BYTES || !utf8_is_text(label, label_len))
        return error_set(err, ERROR_INVALID,
                         "the name of credential %zu is no text of at most %d bytes", a->n + 1,
                         HTTP_AUTH_LABEL_BYTES - 1);
    struct entry *e = &a->entries[a->n++];
    e->is_user = is_user;
    hash_of(a, e->hash, secret, len);
    if (label_len > 0)
        snprintf(e->label, sizeof e->label, "%.*s", (int)label_len, label);
    else
        snprintf(e->label, sizeof e->label, "key-%zu", a->n);
    return true;
}

static bool add_user(struct http_auth *a, const char *text, size_t len, struct error *err)
{
    const char *colon = memchr(text, ':', len);
    if (!colon || colon == text || (size_t)(colon - text) + 1 == len)
        return error_set(err, ERROR_INVALID, "credential %zu is not written as NAME:PASSWORD",
                         a->n + 1);
    return add(a, true, text, (size_t)(colon - text), text, len, err);
}

static bool add_key_line(struct http_auth *a, const char *text, size_t len, struct error *err)
{
    size_t name = 0;
    while (name < len && text[name] != ' ' && text[name] != '\t')
        name++;
    if (name == len)
        return add(a, false, "", 0, text, len, err);
    size_t key = name;
    while (key < len && (text[key] == ' ' || text[key] == '\t'))
        key++;
    return add(a, false, text, name, text + key, len - key, err);
}

typedef bool (*add_fn)(struct http_auth *a, const char *text, size_t len, struct error *err);

static bool add_key(struct http_auth *a, const char *text, size_t len, struct error *err)
{
    return add(a, false, "", 0, text, len, err);
}

/* Calls fn with each piece between separators that is neither empty nor a comment. */
static bool add_pieces(struct http_auth *a, const char *text, const char *separators,
                       bool has_comments, add_fn fn, struct error *err)
{
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, separators), next = len + (at[len] != 0);
        const char *piece = at;
        while (len > 0 && (*piece == ' ' || *piece == '\t')) {
            piece++;
            len--;
        }
        while (len > 0 && strchr(" \t\r", piece[len - 1]))
            len--;
        if (len > 0 && !(has_comments && *piece == '#') && !fn(a, piece, len, err))
            return false;
        at += next;
    }
    return true;
}

static bool add_file(struct http_auth *a, const char *path, add_fn fn, struct error *err)
{
    char *text;
    size_t len;

    if (!path || !path[0])
        return true;
    if (!fs_read(&text, &len, path, FILE_MAX_BYTES, err))
        return false;
    bool ok = strlen(text) == len ? add_pieces(a, text, "\n", true, fn, err)
                                  : error_set(err, ERROR_INVALID, "it is no text");
    sodium_memzero(text, len);
    free(text);
    return ok || error_prefix(err, "%.200s", path);
}

bool http_auth_open(struct http_auth **out, const struct http_auth_sources *s, struct error *err)
{
    *out = NULL;
    if (sodium_init() < 0)
        return error_set(err, ERROR_IO, "libsodium does not start");
    struct http_auth *a = calloc(1, sizeof *a);
    if (a)
        a->entries = calloc(HTTP_AUTH_MAX, sizeof *a->entries);
    if (!a || !a->entries) {
        http_auth_close(a);
        return error_set(err, ERROR_MEMORY, "no memory for credentials");
    }
    randombytes_buf(a->salt, sizeof a->salt);
    if (!(add_pieces(a, s->keys ? s->keys : "", " \t\n", false, add_key, err) &&
          add_file(a, s->keys_file, add_key_line, err) &&
          add_pieces(a, s->users ? s->users : "", ",\n", false, add_user, err) &&
          add_file(a, s->users_file, add_user, err))) {
        http_auth_close(a);
        return false;
    }
    *out = a;
    return true;
}

void http_auth_close(struct http_auth *a)
{
    if (!a)
        return;
    free(a->entries);
    free(a);
}

bool http_auth_is_on(const struct http_auth *a)
{
    return a->n > 0;
}

/* Compares with every entry, so that time tells nothing about which one was near. */
static bool matches(const struct http_auth *a, bool is_user, const char *text, size_t len,
                    const char **label)
{
    unsigned char hash[HASH_BYTES];
    bool found = false;

    if (len == 0 || len > SECRET_MAX_BYTES)
        return false;
    hash_of(a, hash, text, len);
    for (size_t i = 0; i < a->n; i++) {
        const struct entry *e = &a->entries[i];
        bool same = sodium_memcmp(hash, e->hash, HASH_BYTES) == 0 && e->is_user == is_user;
        if (same && !found)
            *label = e->label;
        found = found || same;
    }
    return found;
}

static bool matches_basic(const struct http_auth *a, const char *text, const char **label)
{
    unsigned char plain[SECRET_MAX_BYTES * 2];
    size_t len = strlen(text), n = 0;

    if (base64_max_bytes(len) > sizeof plain || !base64_decode(plain, &n, text, len) || n == 0)
        return false;
    const char *whole = (const char *)plain;
    const char *colon = memchr(whole, ':', n);
    bool ok = matches(a, true, whole, n, label);
    if (!ok && colon)
        ok = matches(a, false, colon + 1, n - (size_t)(colon + 1 - whole), label);
    sodium_memzero(plain, sizeof plain);
    return ok;
}

/* The text behind the scheme's name and blanks, or NULL when it is another scheme. */
static const char *after_scheme(const char *value, const char *scheme)
{
    size_t len = strlen(scheme);
    if (strncasecmp(value, scheme, len) != 0 || value[len] != ' ')
        return NULL;
    return value + len + strspn(value + len, " ");
}

bool http_auth_check(const struct http_auth *a, const struct http_request *r,
                     char label[HTTP_AUTH_LABEL_BYTES])
{
    const char *authorization = http_request_header(r, "Authorization");
    const char *const keys[] = {
        authorization ? after_scheme(authorization, "Bearer") : NULL,
        http_request_header(r, "x-api-key"),
        http_request_header(r, "api-key"),
    };
    const char *basic = authorization ? after_scheme(authorization, "Basic") : NULL;
    const char *found = "";
    bool ok = false;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && !ok; i++)
        ok = keys[i] && matches(a, false, keys[i], strlen(keys[i]), &found);
    if (!ok && basic)
        ok = matches_basic(a, basic, &found);
    snprintf(label, HTTP_AUTH_LABEL_BYTES, "%s", found);
    return ok;
}
