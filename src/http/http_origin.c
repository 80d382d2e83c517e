#include "http/http_origin.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* The name without the port: *len characters of what is returned. */
static const char *name_of(const char *host, size_t *len)
{
    if (host[0] == '[') {
        *len = strcspn(host, "]");
        *len += host[*len] == ']';
    } else {
        *len = strcspn(host, ":");
    }
    return host;
}

/* "127." and digits and dots: no name such as 127.example.org. */
static bool is_loopback_number(const char *name, size_t len)
{
    if (len < 5 || strncmp(name, "127.", 4) != 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (name[i] != '.' && !isdigit((unsigned char)name[i]))
            return false;
    return true;
}

static bool is_loopback(const char *name, size_t len)
{
    return (len == 9 && strncasecmp(name, "localhost", 9) == 0) ||
           (len == 5 && strncmp(name, "[::1]", 5) == 0) || is_loopback_number(name, len);
}

/* Is the text one of the words? */
static bool is_listed(const char *words, const char *text, size_t len)
{
    for (const char *at = words + strspn(words, " ,"); *at; at += strspn(at, " ,")) {
        size_t n = strcspn(at, " ,");
        if (n == len && strncasecmp(at, text, len) == 0)
            return true;
        at += n;
    }
    return false;
}

bool http_origin_host_is_local(const char *host, const char *allowed)
{
    size_t len;
    const char *name = name_of(host, &len);

    if (host[len] != 0 && host[len] != ':')
        return false;
    return is_loopback(name, len) || is_listed(allowed, name, len) || is_listed(allowed, "*", 1) ||
           is_listed(allowed, host, strlen(host));
}

bool http_origin_is_allowed(const char *origin, const char *allowed, const char *host)
{
    size_t scheme = strncasecmp(origin, "http://", 7) == 0    ? 7
                    : strncasecmp(origin, "https://", 8) == 0 ? 8
                                                              : 0;
    size_t len = strlen(origin), name_len;

    if (is_listed(allowed, "*", 1) || (len > 0 && is_listed(allowed, origin, len)))
        return true;
    if (!scheme)
        return false;
    if (host && strcasecmp(origin + scheme, host) == 0)
        return true;
    const char *name = name_of(origin + scheme, &name_len);
    bool ends = name[name_len] == 0 || name[name_len] == ':';
    return ends && is_listed(allowed, "loopback", 8) && is_loopback(name, name_len);
}
