#include "text/tokenizer.h"

#include "base/fs.h"
#include "base/json.h"
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { MAX_SPECIAL_BYTES = 64, MAX_PATH_BYTES = 4096, SPECIALS = 4 };

enum special { BOS, EOS, UNKNOWN, PAD };

struct special_token {
    char text[MAX_SPECIAL_BYTES];
    int32_t id;
};

struct tokenizer {
    struct bpe *bpe; /* owned */
    struct special_token special[SPECIALS];
};

/* Where the ids of one text go. */
struct sink {
    int32_t *ids;
    size_t n_max, n_total;
    int32_t *word_ids; /* room for the longest word */
    struct bpe_work *work;
};

static const char *const special_key[SPECIALS] = {"bos_token", "eos_token", "unk_token",
                                                  "pad_token"};

/* The value is a text, or an object whose "content" is one. */
static bool read_specials(struct tokenizer *t, const char *path, struct error *err)
{
    struct json j = {0};
    struct error local = {0};
    if (!json_read_file(&j, path, JSON_CONFIG_MAX_BYTES, &local)) {
        if (local.code == ERROR_NOT_FOUND)
            return true;
        *err = local;
        return false;
    }
    bool ok = true;
    for (int i = 0; ok && i < SPECIALS; i++) {
        const json_t *value = json_object_get(j.root, special_key[i]);
        if (json_is_object(value))
            value = json_object_get(value, "content");
        if (!value || json_is_null(value))
            continue;
        const char *text = json_string_value(value);
        const size_t len = text ? json_string_length(value) : 0;
        if (len == 0 || len >= MAX_SPECIAL_BYTES)
            ok = error_set(err, ERROR_CORRUPT, "%s: %s is no text of 1 to %d bytes", path,
                           special_key[i], MAX_SPECIAL_BYTES - 1);
        else
            memcpy(t->special[i].text, text, len + 1);
    }
    json_clear(&j);
    return ok;
}

static bool find_specials(struct tokenizer *t, const char *dir, struct error *err)
{
    static const char *const fallback[SPECIALS] = {"<|startoftext|>", "<|endoftext|>",
                                                   "<|endoftext|>", "<|endoftext|>"};
    static const char *const file[] = {"tokenizer_config.json", "special_tokens_map.json"};
    char path[MAX_PATH_BYTES];

    for (int i = 0; i < SPECIALS; i++)
        memcpy(t->special[i].text, fallback[i], strlen(fallback[i]) + 1);
    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++)
        if (!fs_join(path, sizeof path, dir, file[i], err) || !read_specials(t, path, err))
            return false;
    for (int i = 0; i < SPECIALS; i++) {
        const char *text = t->special[i].text;
        t->special[i].id = bpe_find(t->bpe, text, strlen(text));
        if (t->special[i].id < 0)
            return error_set(err, ERROR_CORRUPT, "%s/vocab.json: %s '%s' is missing", dir,
                             special_key[i], text);
    }
    return true;
}

bool tokenizer_open(struct tokenizer **out, const char *dir, struct error *err)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return error_set(err, ERROR_MEMORY, "no memory for a tokenizer");
    if (!bpe_open(&t->bpe, dir, err) || !find_specials(t, dir, err)) {
        tokenizer_close(t);
        return false;
    }
    *out = t;
    return true;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    bpe_close(t->bpe);
    free(t);
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->special[BOS].id;
}

int32_t tokenizer_eos(const struct tokenizer *t)
{
    return t->special[EOS].id;
}

int32_t tokenizer_pad(const struct tokenizer *t)
{
    return t->special[PAD].id;
}

int32_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return bpe_size(t->bpe);
}

static void emit(struct sink *s, int32_t id)
{
    if (s->n_total < s->n_max)
        s->ids[s->n_total] = id;
    s->n_total++;
}

/* Unicode's White_Space, which utf8proc has no property for. */
static bool is_space(int32_t c)
{
    return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

enum kind { SPACE, LETTER, NUMBER, OTHER };

static enum kind kind_of(int32_t c)
{
    if (is_space(c))
        return SPACE;
    const utf8proc_category_t category = utf8proc_category(c);
    if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
        return LETTER;
    return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO ? NUMBER : OTHER;
}

/* Length of the special token that starts here, 0 for none; *id is its id. */
static size_t special_at(const struct tokenizer *t, int n_specials, const char *text, size_t len,
                         int32_t *id)
{
    for (int i = 0; i < n_specials; i++) {
        const size_t n = strlen(t->special[i].text);
        if (n <= len && memcmp(text, t->special[i].text, n) == 0) {
            *id = t->special[i].id;
            return n;
        }
    }
    return 0;
}

/* Length of 's 't 're 've 'm 'll 'd when one starts here, else 0. */
static size_t contraction_at(const char *text, size_t len)
{
    static const char *const row[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const size_t n = strlen(row[i]);
        if (n <= len && memcmp(text, row[i], n) == 0)
            return n;
    }
    return 0;
}

static enum kind next_kind(const char *text, size_t len, size_t *step)
{
    utf8proc_int32_t c = 0;
    const utf8proc_ssize_t n =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &c);
    *step = n > 0 ? (size_t)n : 1;
    return n > 0 ? kind_of(c) : OTHER;
}

/* CLIP's pattern: a contraction, a run of letters, one number, or a run of anything else but space.
 */
static size_t word_at(const char *text, size_t len, enum kind kind, size_t first)
{
    const size_t contraction = contraction_at(text, len);
    if (contraction)
        return contraction;
    size_t n = first, step;
    if (kind != NUMBER)
        while (n < len && next_kind(text + n, len - n, &step) == kind)
            n += step;
    return n;
}

static void encode_words(const struct tokenizer *t, struct sink *s, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        size_t n;
        int32_t id;
        const enum kind kind = next_kind(text + at, len - at, &n);
        if (kind != SPACE) {
            const size_t special = special_at(t, EOS + 1, text + at, len - at, &id);
            if (special) {
                emit(s, id);
                at += special;
                continue;
            }
            n = word_at(text + at, len - at, kind, n);
            const size_t n_ids = bpe_encode(t->bpe, s->word_ids, (const unsigned char *)text + at,
                                            n, t->special[UNKNOWN].id, s->work);
            for (size_t i = 0; i < n_ids; i++)
                emit(s, s->word_ids[i]);
        }
        at += n;
    }
}

/* Lower case of one character.  U+0130 is the only one that becomes two. */
static size_t put_lower(utf8proc_uint8_t *out, int32_t c)
{
    if (c != 0x130)
        return (size_t)utf8proc_encode_char(utf8proc_tolower(c), out);
    out[0] = 'i';
    return 1 + (size_t)utf8proc_encode_char(0x307, out + 1);
}

/* Normalises a piece without special tokens and encodes it.  White space needs no collapsing, since
 * it only ends words. */
static bool encode_piece(const struct tokenizer *t, struct sink *s, const char *text, size_t len,
                         struct error *err)
{
    utf8proc_uint8_t *composed = NULL;
    if (len == 0)
        return true;
    const utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len,
                                            &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0)
        return error_set(err, ERROR_MEMORY, "the text cannot be normalised: %s",
                         utf8proc_errmsg(n));

    /* A character grows from at least one byte to at most four. */
    utf8proc_uint8_t *lower = malloc((size_t)n * 4 + 1);
    size_t n_lower = 0;
    for (utf8proc_ssize_t at = 0; lower && at < n;) {
        utf8proc_int32_t c = 0;
        const utf8proc_ssize_t step = utf8proc_iterate(composed + at, n - at, &c);
        if (step < 1)
            break;
        n_lower += put_lower(lower + n_lower, c);
        at += step;
    }
    s->word_ids = malloc((n_lower + 1) * sizeof *s->word_ids);
    s->work = bpe_work_new(n_lower);
    const bool ok = lower && s->word_ids && s->work;
    if (ok)
        encode_words(t, s, (const char *)lower, n_lower);
    bpe_work_free(s->work);
    free(s->word_ids);
    free(lower);
    free(composed);
    return ok || error_set(err, ERROR_MEMORY, "no memory for a text of %zu bytes", len);
}

static bool check_utf8(const char *utf8, size_t len, struct error *err)
{
    for (size_t at = 0; at < len;) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t step =
            utf8proc_iterate((const utf8proc_uint8_t *)utf8 + at, (utf8proc_ssize_t)(len - at), &c);
        if (step < 1)
            return error_set(err, ERROR_INVALID, "the text is not UTF-8 at byte %zu", at);
        at += (size_t)step;
    }
    return true;
}

bool tokenizer_encode(const struct tokenizer *t, int32_t *ids, size_t n_max, size_t *n_total,
                      const char *utf8, size_t len, struct error *err)
{
    struct sink s = {.ids = ids, .n_max = n_max};
    if (len > TOKENIZER_MAX_TEXT_BYTES)
        return error_set(err, ERROR_LIMIT, "the text has %zu bytes; %d are possible", len,
                         TOKENIZER_MAX_TEXT_BYTES);
    if (!check_utf8(utf8, len, err))
        return false;

    /* Special tokens, the padding too, are found before anything else, as transformers does. */
    size_t start = 0;
    for (size_t at = 0; at < len;) {
        int32_t id;
        const size_t n = special_at(t, SPECIALS, utf8 + at, len - at, &id);
        if (n == 0) {
            at++;
            continue;
        }
        if (!encode_piece(t, &s, utf8 + start, at - start, err))
            return false;
        emit(&s, id);
        at += n;
        start = at;
    }
    if (!encode_piece(t, &s, utf8 + start, len - start, err))
        return false;
    *n_total = s.n_total;
    return true;
}

void tokenizer_pad_ids(const struct tokenizer *t, int32_t out[TOKENIZER_LENGTH], const int32_t *ids,
                       size_t n)
{
    const size_t kept = n < TOKENIZER_LENGTH - 2 ? n : TOKENIZER_LENGTH - 2;
    out[0] = tokenizer_bos(t);
    for (size_t i = 0; i < kept; i++)
        out[1 + i] = ids[i];
    out[1 + kept] = tokenizer_eos(t);
    for (size_t i = kept + 2; i < TOKENIZER_LENGTH; i++)
        out[i] = tokenizer_pad(t);
}

bool tokenizer_encode_padded(const struct tokenizer *t, int32_t out[TOKENIZER_LENGTH],
                             size_t *n_total, const char *utf8, size_t len, struct error *err)
{
    int32_t ids[TOKENIZER_LENGTH];
    size_t n;
    if (!tokenizer_encode(t, ids, TOKENIZER_LENGTH, &n, utf8, len, err))
        return false;
    tokenizer_pad_ids(t, out, ids, n);
    if (n_total)
        *n_total = n;
    return true;
}
