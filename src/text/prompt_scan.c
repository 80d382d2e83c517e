#include "text/prompt_scan.h"

#include "base/parse.h"

#include <float.h>
#include <string.h>
#include <utf8proc.h>

bool prompt_scan_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

size_t prompt_scan_skip_spaces(const char *text, size_t len, size_t at)
{
    while (at < len && prompt_scan_is_space(text[at]))
        at++;
    return at;
}

bool prompt_scan_in_word(const char *text, size_t len, size_t at)
{
    utf8proc_int32_t c = 0;

    if (at >= len ||
        utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(len - at), &c) < 1)
        return false;
    const utf8proc_category_t category = utf8proc_category(c);
    return c == '_' || (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
           (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO);
}

/* Whether the character in front of `at` is part of a word. */
static bool in_word_before(const char *text, size_t len, size_t at)
{
    if (at == 0)
        return false;
    size_t begin = at - 1;
    while (begin > 0 && at - begin < 4 && ((unsigned char)text[begin] & 0xc0) == 0x80)
        begin--;
    return prompt_scan_in_word(text, len, begin);
}

bool prompt_scan_word(size_t *found, const char *text, size_t len, size_t at, const char *word)
{
    const size_t n = strlen(word);

    for (; at < len && len - at >= n; at++) {
        if (memcmp(text + at, word, n) != 0)
            continue;
        if (!in_word_before(text, len, at) && !prompt_scan_in_word(text, len, at + n)) {
            *found = at;
            return true;
        }
    }
    return false;
}

static size_t skip_digits(const char *text, size_t len, size_t at)
{
    while (at < len && text[at] >= '0' && text[at] <= '9')
        at++;
    return at;
}

static size_t skip_sign(const char *text, size_t len, size_t at)
{
    return at < len && (text[at] == '+' || text[at] == '-') ? at + 1 : at;
}

bool prompt_scan_number(double *out, const char *text, size_t len, size_t *at,
                        enum prompt_scan_kind kind)
{
    char copy[PROMPT_SCAN_MAX_NUMBER_BYTES + 1];
    struct error ignored = {0};
    const size_t begin = skip_sign(text, len, *at);
    size_t end = skip_digits(text, len, begin);
    size_t n_digits = end - begin;

    if (end < len && text[end] == '.') {
        const size_t fraction = end + 1;
        end = skip_digits(text, len, fraction);
        n_digits += end - fraction;
    }
    if (n_digits == 0)
        return false;
    if (kind == PROMPT_SCAN_EXPONENT && end < len && (text[end] == 'e' || text[end] == 'E')) {
        const size_t exponent = skip_sign(text, len, end + 1);
        const size_t exponent_end = skip_digits(text, len, exponent);
        if (exponent_end > exponent)
            end = exponent_end;
    }
    const size_t n = end - *at;
    if (n >= sizeof copy)
        return false;
    memcpy(copy, text + *at, n);
    copy[n] = '\0';
    if (!parse_double(out, copy, -DBL_MAX, DBL_MAX, &ignored))
        return false;
    *at = end;
    return true;
}
