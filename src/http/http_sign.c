#include "http/http_sign.h"

#include "base/fs.h"
#include "base/parse.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_BYTES = crypto_auth_KEYBYTES, MAC_BYTES = crypto_auth_BYTES, PATH_MAX_BYTES = 1024 };

struct http_sign {
    unsigned char key[KEY_BYTES];
};

static bool make_key(struct http_sign *s, const char *file, struct error *err)
{
    randombytes_buf(s->key, sizeof s->key);
    return fs_write(file, s->key, sizeof s->key, err) &&
           (chmod(file, 0600) == 0 || error_set(err, ERROR_IO, "cannot protect %s", file));
}

bool http_sign_open(struct http_sign **out, const char *key_file, struct error *err)
{
    char *bytes = NULL;
    size_t n = 0;

    *out = NULL;
    if (sodium_init() < 0)
        return error_set(err, ERROR_IO, "libsodium does not start");
    struct http_sign *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_MEMORY, "no memory for the signing key");

    bool ok = fs_read(&bytes, &n, key_file, KEY_BYTES, err);
    if (ok && n == KEY_BYTES)
        memcpy(s->key, bytes, KEY_BYTES);
    else if (ok)
        ok =
            error_set(err, ERROR_CORRUPT,
                      "%s holds %zu bytes instead of a key of %d; remove it, and a new one is made",
                      key_file, n, KEY_BYTES);
    else if (err->code == ERROR_NOT_FOUND)
        ok = make_key(s, key_file, err);
    free(bytes);
    if (!ok) {
        http_sign_close(s);
        return false;
    }
    *out = s;
    return true;
}

void http_sign_close(struct http_sign *s)
{
    if (s)
        sodium_memzero(s->key, sizeof s->key);
    free(s);
}

static void sign(const struct http_sign *s, unsigned char mac[MAC_BYTES], const char *path,
                 int64_t expires)
{
    char text[PATH_MAX_BYTES + 32];
    snprintf(text, sizeof text, "%" PRId64 " %.*s", expires, PATH_MAX_BYTES, path);
    crypto_auth(mac, (const unsigned char *)text, strlen(text), s->key);
}

void http_sign_make(const struct http_sign *s, char out[HTTP_SIGN_BYTES], const char *path,
                    int64_t expires)
{
    unsigned char mac[MAC_BYTES];
    char text[sodium_base64_ENCODED_LEN(MAC_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];

    sign(s, mac, path, expires);
    sodium_bin2base64(text, sizeof text, mac, sizeof mac, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(out, HTTP_SIGN_BYTES, "expires=%" PRId64 "&signature=%s", expires, text);
}

bool http_sign_check(const struct http_sign *s, const struct http_request *r, int64_t now)
{
    char expires_text[24], signature[64];
    unsigned char want[MAC_BYTES], got[MAC_BYTES];
    int64_t expires;
    size_t n;
    struct error ignored;

    if (strlen(r->path) > PATH_MAX_BYTES ||
        !http_request_query(r, "expires", expires_text, sizeof expires_text) ||
        !http_request_query(r, "signature", signature, sizeof signature) ||
        !parse_int64(&expires, expires_text, 0, INT64_MAX, &ignored) ||
        sodium_base642bin(got, sizeof got, signature, strlen(signature), NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
        n != MAC_BYTES)
        return false;
    sign(s, want, r->path, expires);
    return sodium_memcmp(want, got, MAC_BYTES) == 0 && expires >= now;
}
