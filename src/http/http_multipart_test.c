#include "base/test.h"
#include "http/http_multipart.h"

#include <stdlib.h>
#include <string.h>

static struct error err;
static struct http_multipart form;

static bool read_form(const char *type, const char *body)
{
    http_multipart_clear(&form);
    err = (struct error){0};
    return http_multipart_read(&form, type, body, strlen(body), &err);
}

static bool part_is(size_t i, const char *name, const char *bytes)
{
    return i < form.n && strcmp(form.parts[i].name, name) == 0 &&
           form.parts[i].n_bytes == strlen(bytes) &&
           memcmp(form.parts[i].bytes, bytes, strlen(bytes)) == 0;
}

#define TYPE "multipart/form-data; boundary=XX"

static void reads_texts_and_files(void)
{
    CHECK(read_form(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\na cat\r\n"
                          "--XX\r\ncontent-disposition: form-data; name=\"image[]\"; "
                          "filename=\"\xc3\xa4.png\"\r\nContent-Type: image/png\r\n\r\n\r\n--X\r\n"
                          "\r\n--XX--\r\nepilogue"));
    CHECK(form.n == 2);
    CHECK(part_is(0, "prompt", "a cat") && !form.parts[0].is_file && !form.parts[0].type[0]);
    CHECK(part_is(1, "image[]", "\r\n--X\r\n") && form.parts[1].is_file);
    CHECK(strcmp(form.parts[1].file_name, "\xc3\xa4.png") == 0);
    CHECK(strcmp(form.parts[1].type, "image/png") == 0);
    CHECK(http_multipart_find(&form, "image[]") == &form.parts[1]);
    CHECK(http_multipart_find(&form, "image") == NULL);
}

static void is_lenient_where_clients_differ(void)
{
    CHECK(read_form("Multipart/Form-Data; charset=utf-8; boundary=\"--a b\"",
                    "junk\r\n----a b \t\r\nX-Other: 1\r\nContent-Disposition: form-data; "
                    "filename=\"\\\"q\\\\.png\"; name=n\r\n\r\n\r\n----a b--"));
    CHECK(form.n == 1 && part_is(0, "n", ""));
    CHECK(strcmp(form.parts[0].file_name, "\"q\\.png") == 0);
    CHECK(read_form(TYPE, "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n--XX--"));
    CHECK(form.n == 1 && part_is(0, "a", ""));
    CHECK(read_form(TYPE, "--XX--") && form.n == 0);
}

static void says_what_is_wrong(void)
{
    static const struct {
        const char *why, *type, *body, *says;
    } row[] = {
        {"no boundary", "multipart/form-data", "--XX--", "boundary"},
        {"another type", "text/plain; boundary=XX", "--XX--", "multipart/form-data"},
        {"boundary not there", TYPE, "--YY--", "does not hold the boundary"},
        {"empty body", TYPE, "", "does not hold the boundary"},
        {"cut behind the boundary", TYPE, "--XX\r", "cut short"},
        {"headers never end", TYPE, "--XX\r\nContent-Disposition: form-data", "do not end"},
        {"no name", TYPE, "--XX\r\nContent-Disposition: form-data\r\n\r\nx\r\n--XX--", "name"},
        {"no disposition", TYPE, "--XX\r\n\r\nx\r\n--XX--", "Content-Disposition"},
        {"bad name", TYPE,
         "--XX\r\nContent-Disposition: form-data; name=\"\xff\"\r\n\r\n\r\n--XX--", "UTF-8"},
        {"part never ends", TYPE,
         "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--X", "does not end"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bool ok = read_form(row[i].type, row[i].body);
        if (ok || err.code != ERROR_INVALID || !strstr(err.text, row[i].says))
            fprintf(stderr, "%s: %s\n", row[i].why, err.text);
        CHECK(!ok && err.code == ERROR_INVALID && strstr(err.text, row[i].says));
    }
}

static void bounds_the_number_of_parts(void)
{
    static char body[32768];
    size_t used = 0;
    for (int i = 0; i < HTTP_MULTIPART_MAX_PARTS; i++)
        used += (size_t)snprintf(
            body + used, sizeof body - used,
            "--XX\r\nContent-Disposition: form-data; name=\"p%d\"\r\n\r\n%d\r\n", i, i);
    size_t before = used;
    snprintf(body + used, sizeof body - used, "--XX--");
    CHECK(read_form(TYPE, body) && form.n == HTTP_MULTIPART_MAX_PARTS);
    CHECK(part_is(127, "p127", "127"));
    snprintf(body + before, sizeof body - before,
             "--XX\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\n\r\n--XX--");
    CHECK(!read_form(TYPE, body) && strstr(err.text, "more than 128 parts"));
}

int main(void)
{
    reads_texts_and_files();
    is_lenient_where_clients_differ();
    says_what_is_wrong();
    bounds_the_number_of_parts();
    http_multipart_clear(&form);
    return TEST_END();
}
