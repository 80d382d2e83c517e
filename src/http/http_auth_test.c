#include "base/fs.h"
#include "base/test.h"
#include "http/http_auth.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct error err;
static struct http_auth *auth;
static char label[HTTP_AUTH_LABEL_BYTES];

static bool open_with(const char *keys, const char *keys_file, const char *users)
{
    const struct http_auth_sources s = {.keys = keys, .keys_file = keys_file, .users = users};
    http_auth_close(auth);
    return http_auth_open(&auth, &s, &err);
}

static bool passes(const char *name, const char *value)
{
    struct http_pair one = {name, value};
    struct http_request r = {.headers = &one, .n_headers = name ? 1 : 0, .query = "", .fd = -1};
    return http_auth_check(auth, &r, label);
}

static void takes_keys_in_every_header(void)
{
    CHECK(open_with("alpha beta", NULL, NULL) && http_auth_is_on(auth));
    CHECK(passes("Authorization", "Bearer alpha") && strcmp(label, "key-1") == 0);
    CHECK(passes("authorization", "bearer  beta") && strcmp(label, "key-2") == 0);
    CHECK(passes("X-API-Key", "alpha") && passes("api-key", "beta"));
    CHECK(passes("Authorization", "Basic YW55OmFscGhh")); /* any:alpha */
    CHECK(!passes("Authorization", "Bearer alph") && label[0] == 0);
    CHECK(!passes("Authorization", "Bearer ") && !passes("Authorization", "alpha"));
    CHECK(!passes("Authorization", "Basic ") && !passes("Authorization", "Basic !!!"));
    CHECK(!passes("Cookie", "alpha") && !passes(NULL, NULL));
    CHECK(!passes("Authorization", "Bearer alpha beta"));
}

static void takes_users(void)
{
    CHECK(open_with("", NULL, "ann:secret, bob:p:w"));
    CHECK(passes("Authorization", "Basic YW5uOnNlY3JldA==") && strcmp(label, "ann") == 0);
    CHECK(passes("Authorization", "Basic Ym9iOnA6dw==") && strcmp(label, "bob") == 0);
    CHECK(!passes("Authorization", "Basic YW5uOnA6dw==")); /* ann:p:w */
    CHECK(!passes("Authorization", "Bearer ann:secret"));  /* a password is no key */
}

static void lets_everybody_in_without_credentials(void)
{
    CHECK(open_with(NULL, "", "") && !http_auth_is_on(auth));
}

static void reads_files(void)
{
    char path[] = "/tmp/http_auth_test.XXXXXX";
    static const char text[] = "# comment\n\nci  k1\r\nlonely\n";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, text, sizeof text - 1) > 0);
    close(fd);
    CHECK(open_with(NULL, path, NULL));
    CHECK(passes("x-api-key", "k1") && strcmp(label, "ci") == 0);
    CHECK(passes("x-api-key", "lonely") && strcmp(label, "key-2") == 0);
    CHECK(!passes("x-api-key", "# comment"));
    unlink(path);
    CHECK(!open_with(NULL, path, NULL) && err.code == ERROR_NOT_FOUND);
}

static void says_what_is_wrong_without_showing_it(void)
{
    CHECK(!open_with(NULL, NULL, "nopassword") && strstr(err.text, "NAME:PASSWORD") &&
          !strstr(err.text, "nopassword"));
    CHECK(!open_with(NULL, NULL, ":x") && !open_with(NULL, NULL, "x:"));
    char *longest = calloc(1, 2000);
    if (longest) {
        memset(longest, 'k', 1500);
        CHECK(!open_with(longest, NULL, NULL) && strstr(err.text, "1 to 1024"));
    }
    free(longest);
}

int main(void)
{
    takes_keys_in_every_header();
    takes_users();
    lets_everybody_in_without_credentials();
    reads_files();
    says_what_is_wrong_without_showing_it();
    return TEST_END();
}
