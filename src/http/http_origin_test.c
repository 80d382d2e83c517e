#include "base/test.h"
#include "http/http_origin.h"

static void knows_names_of_this_machine(void)
{
    static const struct {
        const char *host, *allowed;
        bool local;
    } row[] = {
        {"localhost", "", true},
        {"LOCALHOST:7866", "", true},
        {"127.0.0.1:80", "", true},
        {"127.1.2.3", "", true},
        {"[::1]:80", "", true},
        {"[::1]", "", true},
        {"example.org", "", false},
        {"127.example.org", "", false},
        {"127.", "", false},
        {"localhost.example.org", "", false},
        {"[::2]", "", false},
        {"", "", false},
        {"example.org:443", "other example.org", true},
        {"example.org", "*", true},
        {"[::1]x", "", false},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        if (http_origin_host_is_local(row[i].host, row[i].allowed) != row[i].local)
            fprintf(stderr, "host '%s', allowed '%s'\n", row[i].host, row[i].allowed);
        CHECK(http_origin_host_is_local(row[i].host, row[i].allowed) == row[i].local);
    }
}

static void knows_pages_that_may_ask(void)
{
    static const struct {
        const char *origin, *allowed, *host;
        bool may;
    } row[] = {
        {"http://localhost:3000", "loopback", NULL, true},
        {"https://127.0.0.1", "loopback", NULL, true},
        {"http://[::1]:1", "loopback", NULL, true},
        {"http://localhost.evil.org", "loopback", NULL, false},
        {"http://evil.org", "loopback", NULL, false},
        {"null", "loopback", NULL, false},
        {"", "loopback", NULL, false},
        {"http://evil.org", "*", NULL, true},
        {"null", "*", NULL, true},
        {"http://localhost", "none", NULL, false},
        {"https://a.org", "https://a.org, http://b.org", NULL, true},
        {"http://b.org", "https://a.org, http://b.org", NULL, true},
        {"http://a.org", "https://a.org, http://b.org", NULL, false},
        {"http://localhost", "loopback https://a.org", NULL, true},
        {"http://box:7866", "none", "box:7866", true},
        {"http://box:7867", "none", "box:7866", false},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        bool may = http_origin_is_allowed(row[i].origin, row[i].allowed, row[i].host);
        if (may != row[i].may)
            fprintf(stderr, "origin '%s', allowed '%s'\n", row[i].origin, row[i].allowed);
        CHECK(may == row[i].may);
    }
}

int main(void)
{
    knows_names_of_this_machine();
    knows_pages_that_may_ask();
    return TEST_END();
}
