#include "base/fs.h"
#include "base/test.h"
#include "web/web.h"

#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 256, FILE_MAX_BYTES = 1 << 20 };

static void check_file(const struct web_file *file)
{
    char path[PATH_BYTES], *bytes = NULL;
    size_t n = 0;
    struct error err = {0};

    if (!fs_join(path, sizeof path, "web", file->path, &err) ||
        !fs_read(&bytes, &n, path, FILE_MAX_BYTES, &err)) {
        fprintf(stderr, "%s: %s\n", file->path, err.text);
        test_failures++;
        return;
    }
    CHECK(file->n_bytes == n && memcmp(file->bytes, bytes, n) == 0);
    free(bytes);
}

static void holds_the_files_of_web_as_they_are(void)
{
    CHECK(web_at(0) != NULL);
    for (size_t i = 0; web_at(i); i++) {
        const struct web_file *file = web_at(i);
        check_file(file);
        CHECK(web_find(file->path) == file);
        CHECK(strlen(file->etag) == 34 && file->etag[0] == '"' && file->etag[33] == '"');
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(web_at(k)->etag, file->etag) != 0);
    }
}

static void finds_the_page_by_no_path_and_nothing_by_a_foreign_one(void)
{
    const struct web_file *page = web_find("");

    CHECK(page && page == web_find("index.html"));
    CHECK(page && strcmp(page->content_type, "text/html; charset=utf-8") == 0);
    CHECK(!web_find("nothing.js"));
    CHECK(!web_find("../src/web/web.c"));
    CHECK(!web_find("index.html/"));
}

static bool holds(const struct web_file *file, const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i + n <= file->n_bytes; i++)
        if (memcmp(file->bytes + i, text, n) == 0)
            return true;
    return false;
}

/* What a strict Content-Security-Policy would refuse, or what would have to come from elsewhere. */
static void needs_nothing_from_outside_and_nothing_inline(void)
{
    static const char *const forbidden[] = {"https://",  "http://",     "src=\"//",  "@import",
                                            "eval(",     "innerHTML",   " style=\"", "<style",
                                            " onclick=", "javascript:", "<script>"};

    for (size_t i = 0; web_at(i); i++)
        for (size_t k = 0; k < sizeof forbidden / sizeof forbidden[0]; k++)
            /* SVG's own name begins so; it is never fetched. */
            if (holds(web_at(i), forbidden[k]) &&
                !(strcmp(forbidden[k], "http://") == 0 && strstr(web_at(i)->path, ".svg"))) {
                fprintf(stderr, "web/%s holds %s\n", web_at(i)->path, forbidden[k]);
                test_failures++;
            }
}

int main(void)
{
    holds_the_files_of_web_as_they_are();
    finds_the_page_by_no_path_and_nothing_by_a_foreign_one();
    needs_nothing_from_outside_and_nothing_inline();
    return TEST_END();
}
