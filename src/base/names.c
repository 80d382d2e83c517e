#include "base/names.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct text {
    char *to;
    size_t room, length;
};

static void add(struct text *t, const char *from, size_t n)
{
    if (t->length < t->room) {
        const size_t left = t->room - t->length;
        memcpy(t->to + t->length, from, n < left ? n : left);
    }
    t->length += n;
}

static void add_number(struct text *t, int number)
{
    char digits[16];
    char *at = digits + sizeof digits;
    unsigned rest = number < 0 ? 0u - (unsigned)number : (unsigned)number;

    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (number < 0)
        *--at = '-';
    add(t, at, (size_t)(digits + sizeof digits - at));
}

static bool is_simple(const char *fmt)
{
    for (const char *at = strchr(fmt, '%'); at; at = strchr(at + 2, '%'))
        if (at[1] != 's' && at[1] != 'd')
            return false;
    return true;
}

int names_format(char *to, size_t room, const char *fmt, va_list args)
{
    struct text t = {.to = to, .room = room};

    if (!is_simple(fmt))
        return vsnprintf(to, room, fmt, args);
    while (*fmt) {
        const size_t plain = strcspn(fmt, "%");
        add(&t, fmt, plain);
        fmt += plain;
        if (!*fmt)
            break;
        if (fmt[1] == 'd') {
            add_number(&t, va_arg(args, int));
        } else {
            const char *word = va_arg(args, const char *);
            add(&t, word, strlen(word));
        }
        fmt += 2;
    }
    if (room)
        to[t.length < room ? t.length : room - 1] = '\0';
    return (int)t.length;
}
