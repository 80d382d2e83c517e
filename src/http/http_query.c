#include "http/http_query.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool http_query_decode(char *out, size_t room, const char *text, size_t len, bool plus_is_blank)
{
    size_t n = 0;

    if (room == 0)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = len - i > 2 ? hex_digit(text[i + 1]) : -1;
            int low = len - i > 2 ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_blank) {
            c = ' ';
        }
        if (n + 1 >= room)
            return false;
        out[n++] = c;
    }
    out[n] = 0;
    return utf8_is_text(out, n);
}

bool http_query_find(char *out, size_t room, const char *query, const char *name)
{
    size_t name_len = strlen(name);

    for (const char *at = query; *at;) {
        size_t len = strcspn(at, "&");
        size_t key = strcspn(at, "=&");
        if (key == name_len && memcmp(at, name, key) == 0) {
            const char *value = at + key + (at[key] == '=');
            return http_query_decode(out, room, value, (size_t)(at + len - value), true);
        }
        at += len + (at[len] == '&');
    }
    return false;
}

void http_query_encode(char *out, size_t room, const char *text)
{
    static const char plain[] = "-_.~";
    size_t n = 0;

    for (; room > 0 && *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        size_t need = letter || strchr(plain, c) ? 1 : 3;
        if (n + need >= room)
            break;
        if (need == 1)
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, room - n, "%%%02X", c);
    }
    if (room > 0)
        out[n] = 0;
}
