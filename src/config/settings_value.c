#include "config/settings_value.h"

#include "base/assert.h"
#include "base/parse.h"

#include <inttypes.h>
#include <string.h>

enum { WORD_ROOM = 24 };

/* Kinds and how their ranges and words are written: one row each. */
static const struct {
    const char *words; /* what the kind takes, or NULL where the row tells */
    size_t bytes;      /* of its field; 0: the row tells */
} kinds[] = {
    [SETTINGS_TEXT] = {NULL, 0},
    [SETTINGS_INT] = {NULL, sizeof(int64_t)},
    [SETTINGS_TRI] = {"true false auto", sizeof(enum tri)},
    [SETTINGS_SIZE] = {"auto, or WIDTHxHEIGHT with sides from 64 to 16384",
                       sizeof(struct settings_size)},
    [SETTINGS_BYTES] = {"auto, or bytes such as 8.5G, 6GiB, 512M", sizeof(uint64_t)},
    [SETTINGS_LEVEL_SIZES] = {"5 sizes, WIDTHxHEIGHT with sides from 64 to 16384",
                              SETTINGS_LEVELS * sizeof(struct settings_size)},
    [SETTINGS_THRESHOLDS] = {"4 or 5 rising numbers of GiB", SETTINGS_LEVELS * sizeof(double)},
};

static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);
    for (const char *at = choices; at; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, value, len) == 0 && (at[len] == ' ' || !at[len]) && len)
            return true;
    }
    return false;
}

static bool parse_text(char *field, const struct settings_row *row, const char *text,
                       struct error *err)
{
    size_t len = strlen(text);
    if (len >= row->size)
        return error_set(err, ERROR_INVALID, "at most %zu bytes are allowed, not %zu",
                         row->size - 1, len);
    if (row->choices && !is_choice(row->choices, text))
        return error_set(err, ERROR_INVALID, "'%.60s' is none of: %s", text, row->choices);
    memcpy(field, text, len + 1);
    return true;
}

static bool parse_side(int64_t *out, const char *text, size_t len)
{
    char digits[WORD_ROOM];
    struct error ignored = {0};

    if (len == 0 || len >= sizeof digits || text[0] < '0' || text[0] > '9')
        return false;
    memcpy(digits, text, len);
    digits[len] = 0;
    return parse_int64(out, digits, SETTINGS_SIDE_MIN, SETTINGS_SIDE_MAX, &ignored);
}

/* "1024x768", the x in any case. */
static bool parse_size(struct settings_size *out, const char *text, struct error *err)
{
    struct settings_size size;
    size_t w = strcspn(text, "xX");

    if (!text[w] || !parse_side(&size.width, text, w) ||
        !parse_side(&size.height, text + w + 1, strlen(text + w + 1)))
        return error_set(err, ERROR_INVALID,
                         "'%.60s' is not a size such as 1024x1024, with sides from %d to %d", text,
                         SETTINGS_SIDE_MIN, SETTINGS_SIDE_MAX);
    *out = size;
    return true;
}

static bool parse_threshold(double *out, const char *text, struct error *err)
{
    return parse_double(out, text, SETTINGS_THRESHOLD_MIN, SETTINGS_THRESHOLD_MAX, err);
}

/* Words between blanks or commas, from least to SETTINGS_LEVELS of them, each cut to WORD_ROOM - 1
 * bytes, which is too long for any. */
static bool split(char word[SETTINGS_LEVELS][WORD_ROOM], int *n, int least, const char *text,
                  struct error *err)
{
    int found = 0;
    for (const char *at = text + strspn(text, " ,"); *at; at += strspn(at, " ,")) {
        size_t len = strcspn(at, " ,"), kept = len < WORD_ROOM ? len : WORD_ROOM - 1;
        if (found < SETTINGS_LEVELS) {
            memcpy(word[found], at, kept);
            word[found][kept] = 0;
        }
        found++;
        at += len;
    }
    *n = found;
    return (found >= least && found <= SETTINGS_LEVELS) ||
           error_set(err, ERROR_INVALID, "'%.60s' holds %d values, %d are needed: %s", text, found,
                     SETTINGS_LEVELS, "very_low, low, medium, high, very_high");
}

static bool parse_level_sizes(struct settings_size *field, const char *text, struct error *err)
{
    struct settings_size sizes[SETTINGS_LEVELS];
    char word[SETTINGS_LEVELS][WORD_ROOM];
    int n;

    if (!split(word, &n, SETTINGS_LEVELS, text, err))
        return false;
    for (int i = 0; i < SETTINGS_LEVELS; i++)
        if (!parse_size(&sizes[i], word[i], err))
            return false;
    memcpy(field, sizes, sizeof sizes);
    return true;
}

int settings_value_first_fall(const double t[SETTINGS_LEVELS])
{
    for (int i = 1; i < SETTINGS_LEVELS; i++)
        if (t[i] < t[i - 1] || (t[i] <= t[i - 1] && i < SETTINGS_LEVELS - 1))
            return i;
    return SETTINGS_LEVELS;
}

static bool parse_thresholds(double *field, const char *text, struct error *err)
{
    double t[SETTINGS_LEVELS];
    char word[SETTINGS_LEVELS][WORD_ROOM];
    int n;

    if (!split(word, &n, SETTINGS_LEVELS - 1, text, err))
        return false;
    for (int i = 0; i < n; i++)
        if (!parse_threshold(&t[i], word[i], err))
            return false;
    if (n < SETTINGS_LEVELS)
        t[SETTINGS_LEVELS - 1] = t[SETTINGS_LEVELS - 2]; /* the last level has no upper bound */
    int fall = settings_value_first_fall(t);
    if (fall < SETTINGS_LEVELS)
        return error_set(err, ERROR_INVALID, "'%.60s': %.10g after %.10g: thresholds must rise",
                         text, t[fall], t[fall - 1]);
    memcpy(field, t, sizeof t);
    return true;
}

bool settings_value_parse(void *field, const struct settings_row *row, const char *text,
                          struct error *err)
{
    const bool is_auto = strcmp(text, "auto") == 0;

    ASSERT(kinds[row->kind].bytes == 0 || kinds[row->kind].bytes == row->size);
    switch (row->kind) {
    case SETTINGS_TEXT:
        return parse_text(field, row, text, err);
    case SETTINGS_INT:
        return parse_int64(field, text, row->min, row->max, err);
    case SETTINGS_TRI:
        return tri_parse(field, text, err);
    case SETTINGS_SIZE:
        if (is_auto)
            *(struct settings_size *)field = (struct settings_size){0};
        return is_auto || parse_size(field, text, err);
    case SETTINGS_BYTES:
        if (is_auto)
            *(uint64_t *)field = SETTINGS_BYTES_AUTO;
        return is_auto || parse_bytes(field, text, (uint64_t)row->min, (uint64_t)row->max, err);
    case SETTINGS_LEVEL_SIZES:
        return parse_level_sizes(field, text, err);
    case SETTINGS_THRESHOLDS:
        return parse_thresholds(field, text, err);
    }
    return error_set(err, ERROR_INVALID, "'%.60s' cannot be set", text);
}

/* The largest unit that leaves a whole number. */
static void write_bytes(char *out, size_t room, uint64_t bytes)
{
    static const char *const unit[] = {"", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;

    if (bytes == SETTINGS_BYTES_AUTO) {
        snprintf(out, room, "auto");
        return;
    }
    while (bytes >= 1024 && bytes % 1024 == 0 && i + 1 < sizeof unit / sizeof unit[0]) {
        bytes /= 1024;
        i++;
    }
    snprintf(out, room, "%" PRIu64 "%s", bytes, unit[i]);
}

static void write_size(char *out, size_t room, const struct settings_size *size)
{
    if (size->width == 0)
        snprintf(out, room, "auto");
    else
        snprintf(out, room, "%" PRId64 "x%" PRId64, size->width, size->height);
}

static void write_levels(char *out, size_t room, const struct settings_row *row, const void *field)
{
    const double *thresholds = field;
    const struct settings_size *sizes = field;
    size_t used = 0;

    ASSERT(room >= SETTINGS_LEVELS * (WORD_ROOM + 1));
    for (int i = 0; i < SETTINGS_LEVELS; i++) {
        if (i > 0)
            out[used++] = ' ';
        if (row->kind == SETTINGS_THRESHOLDS)
            snprintf(out + used, WORD_ROOM, "%.10g", thresholds[i]);
        else
            write_size(out + used, WORD_ROOM, &sizes[i]);
        used += strlen(out + used);
    }
}

void settings_value_write(char *out, size_t room, const struct settings_row *row, const void *field)
{
    switch (row->kind) {
    case SETTINGS_TEXT:
        snprintf(out, room, "%s", (const char *)field);
        break;
    case SETTINGS_INT:
        snprintf(out, room, "%" PRId64, *(const int64_t *)field);
        break;
    case SETTINGS_TRI:
        snprintf(out, room, "%s", tri_name(*(const enum tri *)field));
        break;
    case SETTINGS_SIZE:
        write_size(out, room, field);
        break;
    case SETTINGS_BYTES:
        write_bytes(out, room, *(const uint64_t *)field);
        break;
    case SETTINGS_LEVEL_SIZES:
    case SETTINGS_THRESHOLDS:
        write_levels(out, room, row, field);
        break;
    }
}

void settings_value_allowed(char *out, size_t room, const struct settings_row *row)
{
    if (row->kind == SETTINGS_INT)
        snprintf(out, room, "%" PRId64 " to %" PRId64, row->min, row->max);
    else if (row->kind == SETTINGS_TEXT)
        snprintf(out, room, "%s", row->choices ? row->choices : "text");
    else
        snprintf(out, room, "%s", kinds[row->kind].words);
}
