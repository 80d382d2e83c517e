#include "base/names.h"
#include "base/test.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static void compare(size_t room, const char *fmt, ...)
{
    char want[64], have[64];
    va_list args, again;

    memset(want, 'x', sizeof want);
    memset(have, 'x', sizeof have);
    va_start(args, fmt);
    va_copy(again, args);
    const int length = vsnprintf(want, room, fmt, args);
    CHECK(names_format(have, room, fmt, again) == length);
    va_end(again);
    va_end(args);
    CHECK(memcmp(want, have, sizeof want) == 0);
}

static void writes_what_vsnprintf_writes(void)
{
    for (size_t room = 0; room <= 64; room++) {
        compare(room, "");
        compare(room, "plain words");
        compare(room, "%s", "");
        compare(room, "%s.weight", "decoder.conv_in");
        compare(room, "up_blocks.%d.resnets.%d.conv%d", 0, 12, 345);
        compare(room, "%s%d%s", "a", INT_MIN, "b");
        compare(room, "%d|%d", INT_MAX, -7);
        compare(room, "100 %% of %s", "it"); /* left to vsnprintf, like the rest */
        compare(room, "%5d %.2f %s", 7, 1.5, "words");
        compare(room, "%zu %s", room, "words");
    }
}

int main(void)
{
    writes_what_vsnprintf_writes();
    return TEST_END();
}
