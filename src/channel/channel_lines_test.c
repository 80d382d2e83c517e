#include "base/test.h"
#include "channel/channel_lines.h"

#include <stdlib.h>
#include <string.h>

static struct error err;

static void feed(struct channel_lines *l, const char *bytes, size_t n)
{
    while (n > 0) {
        char *place;
        size_t room;
        CHECK(channel_lines_room(l, &place, &room, &err) && room > 0);
        room = room < n ? room : n;
        memcpy(place, bytes, room);
        channel_lines_added(l, room);
        bytes += room;
        n -= room;
    }
}

static bool next_is(struct channel_lines *l, const char *want)
{
    const char *line;
    size_t len;
    if (!channel_lines_take(l, &line, &len, &err))
        return false;
    return want ? line && len == strlen(want) && memcmp(line, want, len) == 0 : !line;
}

static void gives_lines_whole_and_in_order(void)
{
    struct channel_lines l;
    channel_lines_init(&l, 100);
    CHECK(next_is(&l, NULL));
    feed(&l, "one\ntwo\n\nthr", 12);
    CHECK(next_is(&l, "one") && next_is(&l, "two") && next_is(&l, "") && next_is(&l, NULL));
    feed(&l, "ee\n", 3);
    CHECK(next_is(&l, "three") && next_is(&l, NULL));
    channel_lines_clear(&l);
}

static void keeps_to_its_bound(void)
{
    struct channel_lines l;
    char *place, text[101];
    size_t room;

    memset(text, 'x', sizeof text);
    channel_lines_init(&l, 100);
    feed(&l, text, 99);
    CHECK(next_is(&l, NULL));
    feed(&l, "\n", 1);
    text[99] = 0;
    CHECK(next_is(&l, text)); /* 100 bytes with the newline */
    text[99] = 'x';
    feed(&l, text, 100);
    CHECK(!next_is(&l, NULL) && err.code == ERROR_LIMIT);
    CHECK(!channel_lines_room(&l, &place, &room, &err) && err.code == ERROR_LIMIT);
    CHECK(l.cap <= 100);
    channel_lines_clear(&l);
}

static void gives_the_memory_of_long_lines_back(void)
{
    enum { LONG = 1 << 19 };
    struct channel_lines l;
    char *text = malloc(LONG);
    char *place;
    size_t room;
    CHECK(text != NULL);
    memset(text, 'x', LONG);
    text[LONG - 1] = '\n';
    channel_lines_init(&l, 1 << 20);
    feed(&l, text, LONG);
    text[LONG - 1] = 0;
    CHECK(next_is(&l, text) && l.cap >= LONG);
    CHECK(channel_lines_room(&l, &place, &room, &err) && l.cap < 1 << 16);
    channel_lines_clear(&l);
    free(text);
}

int main(void)
{
    gives_lines_whole_and_in_order();
    keeps_to_its_bound();
    gives_the_memory_of_long_lines_back();
    return TEST_END();
}
