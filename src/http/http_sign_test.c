#include "base/fs.h"
#include "base/test.h"
#include "http/http_sign.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct error err;

static bool is_good(const struct http_sign *s, const char *path, const char *query, int64_t now)
{
    struct http_request r = {.path = path, .query = query, .fd = -1};
    return http_sign_check(s, &r, now);
}

static void signs_paths_for_a_while(const struct http_sign *s)
{
    char query[HTTP_SIGN_BYTES], other[HTTP_SIGN_BYTES];

    http_sign_make(s, query, "/images/a", 1000);
    CHECK(is_good(s, "/images/a", query, 999) && is_good(s, "/images/a", query, 1000));
    CHECK(!is_good(s, "/images/a", query, 1001));
    CHECK(!is_good(s, "/images/b", query, 999));
    CHECK(!is_good(s, "/images/a", "", 999) && !is_good(s, "/images/a", "expires=5", 1));
    http_sign_make(s, other, "/images/a", 2000);
    CHECK(strcmp(query, other) != 0);
    char *forged = strdup(query);
    if (forged) {
        forged[8] = '9'; /* expires=9000 */
        CHECK(!is_good(s, "/images/a", forged, 999));
        strstr(forged, "signature=")[10] ^= 1;
        CHECK(!is_good(s, "/images/a", forged, 1));
    }
    free(forged);
}

static void keeps_its_key(void)
{
    char folder[] = "/tmp/http_sign_test.XXXXXX", path[80], query[HTTP_SIGN_BYTES];
    struct http_sign *s = NULL;
    struct stat st;

    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/url.key", folder);
    CHECK(http_sign_open(&s, path, &err));
    if (!s)
        return;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_size == 32);
    signs_paths_for_a_while(s);
    http_sign_make(s, query, "/x", 50);
    http_sign_close(s);
    CHECK(http_sign_open(&s, path, &err) && is_good(s, "/x", query, 49));
    http_sign_close(s);
    CHECK(fs_write(path, "short", 5, &err));
    CHECK(!http_sign_open(&s, path, &err) && err.code == ERROR_CORRUPT && !s);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    keeps_its_key();
    return TEST_END();
}
