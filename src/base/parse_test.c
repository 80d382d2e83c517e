#include "base/parse.h"
#include "base/test.h"

#include <math.h>

static void reads_whole_numbers(void)
{
    static const struct {
        const char *text;
        bool good;
        int64_t want;
    } row[] = {
        {"0", true, 0},    {"-5", true, -5},
        {"+7", true, 7},   {"100", true, 100},
        {"101", false, 0}, {"-6", false, 0},
        {"", false, 0},    {"-", false, 0},
        {" 1", false, 0},  {"1 ", false, 0},
        {"1.0", false, 0}, {"0x1", false, 0},
        {"+-1", false, 0}, {"99999999999999999999", false, 0},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct error err = {0};
        int64_t v = 0;
        bool ok = parse_int64(&v, row[i].text, -5, 100, &err);
        if (ok != row[i].good)
            fprintf(stderr, "row: '%s'\n", row[i].text);
        CHECK(ok == row[i].good && v == row[i].want);
        CHECK(ok || err.code == ERROR_INVALID);
    }
}

static void reads_real_numbers(void)
{
    static const struct {
        const char *text;
        bool good;
        double want;
    } row[] = {
        {"7", true, 7},      {"7.5", true, 7.5}, {".5", true, 0.5},   {"1e1", true, 10},
        {"-1", true, -1},    {"31", false, 0},   {"nan", false, 0},   {"inf", false, 0},
        {"1e999", false, 0}, {"0x1", false, 0},  {" 1", false, 0},    {"1,5", false, 0},
        {"", false, 0},      {"e", false, 0},    {"1.2.3", false, 0},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct error err = {0};
        double v = 0;
        bool ok = parse_double(&v, row[i].text, -1, 30, &err);
        if (ok != row[i].good)
            fprintf(stderr, "row: '%s'\n", row[i].text);
        CHECK(ok == row[i].good && v == row[i].want);
    }

    struct error err = {0};
    double v = 0;
    CHECK(!parse_double(&v, "1e999", 0, INFINITY, &err)); /* a range without an end admits none */
}

static void reads_sizes(void)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t want;
    } row[] = {
        {"1048576", true, 1048576},
        {"8.5G", true, (uint64_t)17 << 29},
        {"6GiB", true, (uint64_t)6 << 30},
        {"512M", true, (uint64_t)512 << 20},
        {"64kb", true, 65536},
        {"1T", true, (uint64_t)1 << 40},
        {"12b", true, 12},
        {"2T", false, 0},
        {"0", false, 0},
        {"1.5", false, 0},
        {"1.", false, 0},
        {".5G", false, 0},
        {"-1G", false, 0},
        {"1GX", false, 0},
        {"G", false, 0},
        {"", false, 0},
        {"99999999999999999999", false, 0},
        {"18446744073709551615T", false, 0},
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct error err = {0};
        uint64_t v = 0;
        bool ok = parse_bytes(&v, row[i].text, 1, (uint64_t)1 << 40, &err);
        if (ok != row[i].good || v != row[i].want)
            fprintf(stderr, "row: '%s'\n", row[i].text);
        CHECK(ok == row[i].good && v == row[i].want);
    }
}

static void reads_claims(void)
{
    struct error err;
    bool v = false;

    CHECK(parse_bool(&v, "True", &err) && v);
    CHECK(parse_bool(&v, "off", &err) && !v);
    CHECK(!parse_bool(&v, "maybe", &err));
    CHECK(!parse_bool(&v, "", &err));
}

int main(void)
{
    reads_whole_numbers();
    reads_real_numbers();
    reads_sizes();
    reads_claims();
    return TEST_END();
}
