#include "base/clock.h"
#include "base/log.h"
#include "base/test.h"

#include <stdlib.h>
#include <string.h>

struct lines {
    char text[8000];
    size_t len;
    int n;
};

static void collect(void *ctx, const char *line, size_t len)
{
    struct lines *l = ctx;
    CHECK(l->len + len < sizeof l->text);
    memcpy(l->text + l->len, line, len);
    l->len += len;
    l->n++;
}

static void writes_one_whole_line_an_event(void)
{
    struct lines got = {0};
    struct log log = {.write = collect, .ctx = &got, .level = LOG_INFO, .part = "worker"};

    log_event(&log, LOG_INFO, "job_done", "job=%s steps=%d", "8f3a", 30);
    CHECK(got.len > 24 && strcmp(got.text + 24, " info worker job_done job=8f3a steps=30\n") == 0);
    log_event(&log, LOG_DEBUG, "detail", "x=%d", 1);
    CHECK(got.n == 1);
    log_event(NULL, LOG_ERROR, "nobody", "%s", "listens");
}

static void lets_nothing_forge_a_line(void)
{
    struct lines got = {0};
    struct log log = {.write = collect, .ctx = &got, .level = LOG_INFO};
    static char much[5000];
    memset(much, 'x', sizeof much - 1);

    log_plain(&log, "a\nb\x1b[0m");
    CHECK(strcmp(got.text, "==> a b [0m\n") == 0);
    log_plain(&log, "%s", much);
    CHECK(got.n == 2 && got.len < 2100 && got.text[got.len - 1] == '\n');
    CHECK(strchr(got.text + 12, '\n') == got.text + got.len - 1);
}

static void quotes_values_that_need_it(void)
{
    static const struct {
        const char *text, *want;
    } row[] = {{"plain", "plain"},
               {"", "\"\""},
               {"two words", "\"two words\""},
               {"a=b", "\"a=b\""},
               {"q\"\\", "\"q\\\"\\\\\""},
               {"0123456789abcdef", "\"0123456789ab\""}};
    char out[15];

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        log_quote(out, sizeof out, row[i].text);
        CHECK(strcmp(out, row[i].want) == 0);
    }
}

static void tells_time(void)
{
    char text[CLOCK_UTC_BYTES];

    clock_utc(text, 1769853845123);
    CHECK(strcmp(text, "2026-01-31T10:04:05.123Z") == 0);
    clock_utc(text, -1);
    CHECK(strcmp(text, "1969-12-31T23:59:59.999Z") == 0);
    clock_utc(text, INT64_MAX);
    CHECK(strlen(text) < CLOCK_UTC_BYTES);
    double before = clock_seconds();
    CHECK(clock_seconds() >= before);
    CHECK(clock_unix_ms() > 1700000000000);
}

int main(void)
{
    writes_one_whole_line_an_event();
    lets_nothing_forge_a_line();
    quotes_values_that_need_it();
    tells_time();
    return TEST_END();
}
