/* A1111's modules/infotext_utils.py, written and read without regular expressions. */
#include "image/infotext.h"

#include "image/image_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char negative_mark[] = "Negative prompt:";

/* The order in which A1111 writes its keys; "" is the place of all others. */
static const char *const key_order[] = {
    "Steps",
    "Sampler",
    "Schedule type",
    "CFG scale",
    "Image CFG scale",
    "Seed",
    "Face restoration",
    "Size",
    "Model hash",
    "Model",
    "VAE hash",
    "VAE",
    "Variation seed",
    "Variation seed strength",
    "Seed resize from",
    "Denoising strength",
    "Clip skip",
    "ENSD",
    "Init image hash",
    "RNG",
    "Tiling",
    "",
    "Version",
    "User",
};

enum { N_RANKS = sizeof key_order / sizeof key_order[0] };

static size_t rank_of(const char *key)
{
    size_t other = 0;
    for (size_t i = 0; i < N_RANKS; i++) {
        if (strcmp(key, key_order[i]) == 0)
            return i;
        if (!key_order[i][0])
            other = i;
    }
    return other;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Letters beyond ASCII count as letters; there is no need to know which of them are. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static bool is_key_char(char c)
{
    return is_word(c) || c == ' ' || c == '-' || c == '/';
}

static bool is_key(const char *key)
{
    size_t n = 0;
    if (!is_word(key[0]))
        return false;
    while (is_key_char(key[n]))
        n++;
    return n >= 2 && key[n] == 0;
}

static void add_text(struct buf *out, const char *text)
{
    buf_add(out, text, strlen(text));
}

/* A1111 quotes for a comma, a colon and a line break.  Blanks at the ends and a leading quote are
 * quoted too, because the parser would lose or misread them; A1111 reads that as well. */
static bool needs_quotes(const char *value)
{
    return strpbrk(value, ",:\n\r") || value[0] == '"' || is_space(value[0]) ||
           is_space(value[strlen(value) - 1]);
}

/* As Python's json.dumps with ensure_ascii=False. */
static void add_quoted(struct buf *out, const char *value)
{
    static const char hex[] = "0123456789abcdef";
    static const char special[] = "\"\\\n\r\t\b\f", letter[] = "\"\\nrtbf";

    buf_add(out, "\"", 1);
    for (; *value; value++) {
        const char *s = strchr(special, *value);
        unsigned char c = (unsigned char)*value;
        if (s) {
            char pair[] = {'\\', letter[s - special]};
            buf_add(out, pair, 2);
        } else if (c < 0x20) {
            char code[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
            buf_add(out, code, 6);
        } else {
            buf_add(out, value, 1);
        }
    }
    buf_add(out, "\"", 1);
}

static void add_pairs(struct buf *out, const struct infotext_pair *pairs, size_t n_pairs)
{
    const char *between = "";

    for (size_t rank = 0; rank < N_RANKS; rank++)
        for (size_t i = 0; i < n_pairs; i++) {
            const char *value = pairs[i].value;
            if (!value || !*value || rank_of(pairs[i].key) != rank)
                continue;
            add_text(out, between);
            add_text(out, pairs[i].key);
            add_text(out, ": ");
            if (needs_quotes(value))
                add_quoted(out, value);
            else
                add_text(out, value);
            between = ", ";
        }
}

bool infotext_write(struct buf *out, const char *prompt, const char *negative_prompt,
                    const struct infotext_pair *pairs, size_t n_pairs, struct error *err)
{
    for (size_t i = 0; i < n_pairs; i++)
        if (!is_key(pairs[i].key))
            return error_set(err, ERROR_INVALID, "'%.60s' cannot be a key of an infotext",
                             pairs[i].key);
    const size_t start = out->len;
    add_text(out, prompt ? prompt : "");
    if (negative_prompt && *negative_prompt) {
        add_text(out, out->len > start ? "\n" : "");
        add_text(out, negative_mark);
        add_text(out, " ");
        add_text(out, negative_prompt);
    }
    struct buf line;
    buf_init(&line, out->limit);
    add_pairs(&line, pairs, n_pairs);
    if (line.len > 0 && out->len > start)
        buf_add(out, "\n", 1);
    buf_add(out, line.bytes, line.len);
    bool ok = !line.failed && !out->failed;
    buf_clear(&line);
    return ok || error_set(err, ERROR_LIMIT, "the infotext has no room in %zu bytes", out->limit);
}

/* A stretch of the text. */
struct piece {
    const char *at, *end;
};

static struct piece strip(struct piece p)
{
    while (p.at < p.end && is_space(*p.at))
        p.at++;
    while (p.end > p.at && is_space(p.end[-1]))
        p.end--;
    return p;
}

/* Where a JSON string that starts at p.at ends, behind its quote; NULL if it does not. */
static const char *string_end(struct piece p)
{
    for (const char *c = p.at + 1; c < p.end; c++) {
        if (*c == '"')
            return c + 1;
        if (*c == '\\')
            c++;
    }
    return NULL;
}

/* Finds the next "key: value" of line and moves line behind it.  Looks on from the next place that
 * could start a key when one fails, which keeps it linear. */
static bool next_pair(struct piece *key, struct piece *value, struct piece *line)
{
    const char *p = line->at, *end = line->end;

    for (;;) {
        while (p < end && !is_word(*p))
            p++;
        if (p == end)
            return false;
        key->at = p;
        while (p < end && is_key_char(*p))
            p++;
        key->end = p;
        if (p < end && *p == ':' && key->end - key->at >= 2)
            break;
    }
    for (p++; p < end && is_space(*p);)
        p++;
    value->at = p;
    const char *behind = p < end && *p == '"' ? string_end((struct piece){p, end}) : NULL;
    /* The string must have something in it and a comma or the end behind it; "a"b is plain text. */
    if (!behind || behind - p < 3 || (behind < end && *behind != ','))
        for (behind = p; behind < end && *behind != ',';)
            behind++;
    value->end = behind;
    line->at = behind < end ? behind + 1 : end;
    return true;
}

static size_t count_pairs(struct piece line)
{
    struct piece key, value;
    size_t n = 0;
    while (next_pair(&key, &value, &line))
        n++;
    return n;
}

static bool read_hex(uint32_t *out, const char *p, const char *end)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    uint32_t v = 0;

    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        const char *d = p[i] ? strchr(digits, p[i]) : NULL;
        if (!d)
            return false;
        v = v << 4 | ((uint32_t)(d - digits) & 15);
    }
    *out = v;
    return true;
}

/* Reads what follows a backslash at *p and moves *p behind it. */
static bool unescape(struct buf *out, const char **p, const char *end)
{
    static const char letter[] = "\"\\/nrtbf", special[] = "\"\\/\n\r\t\b\f";
    uint32_t c, low;

    if (*p == end)
        return false;
    const char *s = **p ? strchr(letter, **p) : NULL;
    if (s) {
        buf_add(out, &special[s - letter], 1);
        ++*p;
        return true;
    }
    if (**p != 'u' || !read_hex(&c, *p + 1, end) || c == 0)
        return false;
    *p += 5;
    if (c >= 0xd800 && c < 0xe000) {
        if (c >= 0xdc00 || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u' ||
            !read_hex(&low, *p + 2, end) || low < 0xdc00 || low >= 0xe000)
            return false;
        *p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    image_text_add(out, c);
    return true;
}

/* Appends a value, unquoted if it is a sound JSON string and as it stands otherwise. */
static void add_value(struct buf *out, struct piece v)
{
    const size_t start = out->len;
    bool quoted = v.end - v.at >= 2 && *v.at == '"' && v.end[-1] == '"';
    const char *p = v.at + 1, *end = v.end - 1;

    while (quoted && p < end) {
        if (*p == '\\') {
            p++;
            quoted = unescape(out, &p, end);
        } else {
            quoted = *p != '"' && (unsigned char)*p >= 0x20;
            buf_add(out, p++, 1);
        }
    }
    if (!quoted) {
        out->len = start;
        buf_add(out, v.at, (size_t)(v.end - v.at));
    }
    buf_add(out, "", 1);
}

/* Everything before the pairs, line by line; which of the two prompts is being built is told by
 * wanted. */
static void add_prompt(struct buf *out, struct piece text, bool want_negative)
{
    const size_t mark = sizeof negative_mark - 1, start = out->len;
    bool in_negative = false, more = true;

    while (more) { /* an empty line at the end counts */
        const char *stop =
            text.at < text.end ? memchr(text.at, '\n', (size_t)(text.end - text.at)) : NULL;
        struct piece line = strip((struct piece){text.at, stop ? stop : text.end});
        text.at = stop ? stop + 1 : text.end;
        more = stop != NULL;
        if ((size_t)(line.end - line.at) >= mark && memcmp(line.at, negative_mark, mark) == 0) {
            in_negative = true;
            line = strip((struct piece){line.at + mark, line.end});
        }
        if (in_negative != want_negative)
            continue;
        if (out->len > start)
            buf_add(out, "\n", 1);
        buf_add(out, line.at, (size_t)(line.end - line.at));
    }
    buf_add(out, "", 1);
}

/* Points the result into its text, where the strings stand one behind the other. */
static bool point_into(struct infotext *info, struct buf *strings, size_t n_pairs,
                       struct error *err)
{
    info->pairs = calloc(n_pairs + 1, sizeof *info->pairs);
    if (strings->failed || !info->pairs) {
        free(info->pairs);
        buf_clear(strings);
        *info = (struct infotext){0};
        return error_set(err, ERROR_MEMORY, "no memory to read an infotext");
    }
    char *p = info->text = strings->bytes;
    info->prompt = p;
    info->negative_prompt = p += strlen(p) + 1;
    for (size_t i = 0; i < n_pairs; i++) {
        info->pairs[i].key = p += strlen(p) + 1;
        info->pairs[i].value = p += strlen(p) + 1;
    }
    info->n_pairs = n_pairs;
    return true;
}

bool infotext_parse(struct infotext *out, const char *text, size_t len, struct error *err)
{
    struct buf strings;

    *out = (struct infotext){0};
    if (len > INFOTEXT_MAX_BYTES)
        return error_set(err, ERROR_LIMIT, "an infotext of %zu bytes; at most %d", len,
                         INFOTEXT_MAX_BYTES);
    const char *zero = len ? memchr(text, 0, len) : NULL;
    struct piece all = strip((struct piece){text, zero ? zero : text + len});
    struct piece line = all;
    for (const char *p = all.at; p < all.end; p++)
        if (*p == '\n')
            line.at = p + 1;
    size_t n = count_pairs(line);
    if (n > INFOTEXT_MAX_PAIRS)
        return error_set(err, ERROR_LIMIT, "an infotext with %zu pairs; at most %d", n,
                         INFOTEXT_MAX_PAIRS);
    if (n < 3)
        n = 0;
    else
        all.end = line.at;
    if (all.end > all.at && n > 0)
        all.end--; /* the line break before the pairs */

    /* Each string is no longer than what it is made from, plus its final 0. */
    buf_init(&strings, len + 2 * n + 16);
    add_prompt(&strings, all, false);
    add_prompt(&strings, all, true);
    struct piece key, value;
    for (size_t i = 0; i < n && next_pair(&key, &value, &line); i++) {
        buf_add(&strings, key.at, (size_t)(key.end - key.at));
        buf_add(&strings, "", 1);
        add_value(&strings, value);
    }
    return point_into(out, &strings, n, err);
}

void infotext_clear(struct infotext *info)
{
    free(info->pairs);
    free(info->text);
    *info = (struct infotext){0};
}

const char *infotext_find(const struct infotext *info, const char *key)
{
    for (size_t i = info->n_pairs; i > 0; i--)
        if (strcmp(info->pairs[i - 1].key, key) == 0)
            return info->pairs[i - 1].value;
    return NULL;
}
