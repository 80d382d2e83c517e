#include "text/bpe.h"

#include "base/fs.h"
#include "text/vocab_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    MAX_MERGES_BYTES = 64 << 20,
    MAX_MERGES = 1 << 20,
    MAX_PIECE_BYTES = 4096, /* of both sides of a merge together */
    MAX_PATH_BYTES = 4096
};

static const char WORD_END[] = "</w>";

struct merge {
    int32_t left, right; /* ids; left is -1 in an empty slot */
    int32_t merged;
    uint32_t rank; /* lower ones come first */
};

struct bpe {
    char *json; /* owned; the texts of vocab lie in it */
    struct vocab_file vocab;
    int32_t size;
    uint32_t *slots;                        /* owned; index into vocab.entries + 1, 0 is empty */
    size_t n_slots;                         /* power of two */
    struct merge *merges;                   /* owned; open addressing */
    size_t n_merges;                        /* power of two */
    int32_t byte_id[256], byte_end_id[256]; /* -1: no entry */
};

struct symbol {
    int32_t id;         /* -1: merged into the one before */
    int32_t prev, next; /* -1: none */
};

struct pair {
    uint32_t rank;
    int32_t at, left, right, merged;
};

struct bpe_work {
    struct symbol *symbols; /* owned; as many as bytes */
    struct pair *heap;      /* owned; a word of n symbols makes at most 3 n pairs */
    size_t n_heap;
};

static uint64_t hash_text(const char *text, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return h ^ (h >> 29);
}

static size_t hash_ids(int32_t left, int32_t right)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    const uint64_t h = key * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(h >> 32);
}

/* The slot of text, or the empty one where it would stand. */
static size_t vocab_slot(const struct bpe *b, const char *text, size_t len)
{
    size_t i = (size_t)hash_text(text, len) & (b->n_slots - 1);
    while (b->slots[i]) {
        const struct vocab_entry *e = &b->vocab.entries[b->slots[i] - 1];
        if (e->len == len && memcmp(e->text, text, len) == 0)
            break;
        i = (i + 1) & (b->n_slots - 1);
    }
    return i;
}

static struct merge *merge_slot(const struct bpe *b, int32_t left, int32_t right)
{
    size_t i = hash_ids(left, right) & (b->n_merges - 1);
    while (b->merges[i].left >= 0 && (b->merges[i].left != left || b->merges[i].right != right))
        i = (i + 1) & (b->n_merges - 1);
    return &b->merges[i];
}

static size_t power_above(size_t n)
{
    size_t p = 16;
    while (p < n)
        p *= 2;
    return p;
}

/* GPT-2's mapping: printable bytes stand for themselves, the others for U+0100 and up, in order. */
static void map_bytes(struct bpe *b)
{
    int32_t next = 256;
    for (int byte = 0; byte < 256; byte++) {
        const bool plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
        const int32_t code = plain ? byte : next++;
        char text[4 + sizeof WORD_END];
        const size_t len = (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)text);
        b->byte_id[byte] = bpe_find(b, text, len);
        memcpy(text + len, WORD_END, sizeof WORD_END - 1);
        b->byte_end_id[byte] = bpe_find(b, text, len + sizeof WORD_END - 1);
    }
}

static bool load_vocab(struct bpe *b, const char *path, struct error *err)
{
    size_t len;
    if (!fs_read(&b->json, &len, path, VOCAB_FILE_MAX_BYTES, err))
        return false;
    if (!vocab_file_parse(&b->vocab, b->json, len, err))
        return error_prefix(err, "%s", path);
    if (b->vocab.n == 0)
        return error_set(err, ERROR_CORRUPT, "%s: the vocabulary is empty", path);

    b->n_slots = power_above(b->vocab.n * 2);
    b->slots = calloc(b->n_slots, sizeof *b->slots);
    if (!b->slots)
        return error_set(err, ERROR_MEMORY, "no memory for a vocabulary");
    for (size_t i = 0; i < b->vocab.n; i++) {
        const struct vocab_entry *e = &b->vocab.entries[i];
        const size_t slot = vocab_slot(b, e->text, e->len);
        if (b->slots[slot])
            return error_set(err, ERROR_CORRUPT, "%s: '%.*s' appears twice, the second time as %d",
                             path, e->len < 64 ? (int)e->len : 64, e->text, e->id);
        b->slots[slot] = (uint32_t)i + 1;
        if (e->id >= b->size)
            b->size = e->id + 1;
    }
    map_bytes(b);
    return true;
}

static bool add_merge(struct bpe *b, const char *line, size_t len, uint32_t rank, struct error *err)
{
    char joined[MAX_PIECE_BYTES];
    const char *space = memchr(line, ' ', len);
    if (!space || len > sizeof joined)
        return error_set(err, ERROR_CORRUPT, "a merge is two texts with a space between");
    const size_t n_left = (size_t)(space - line), n_right = len - n_left - 1;
    memcpy(joined, line, n_left);
    memcpy(joined + n_left, space + 1, n_right);

    const int32_t left = bpe_find(b, line, n_left), right = bpe_find(b, space + 1, n_right);
    const int32_t merged = bpe_find(b, joined, n_left + n_right);
    if (left < 0 || right < 0 || merged < 0)
        return error_set(err, ERROR_CORRUPT, "'%.*s' is not in the vocabulary",
                         len < 64 ? (int)len : 64, line);
    struct merge *m = merge_slot(b, left, right);
    if (m->left >= 0)
        return error_set(err, ERROR_CORRUPT, "'%.*s' appears twice", len < 64 ? (int)len : 64,
                         line);
    *m = (struct merge){left, right, merged, rank};
    return true;
}

static bool parse_merges(struct bpe *b, const char *text, size_t len, struct error *err)
{
    size_t lines = 1;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n';
    if (lines > MAX_MERGES)
        return error_set(err, ERROR_LIMIT, "%zu lines; %d are possible", lines, MAX_MERGES);

    b->n_merges = power_above(lines * 2);
    b->merges = malloc(b->n_merges * sizeof *b->merges);
    if (!b->merges)
        return error_set(err, ERROR_MEMORY, "no memory for %zu merges", lines);
    for (size_t i = 0; i < b->n_merges; i++)
        b->merges[i].left = -1;

    uint32_t line = 0;
    for (size_t at = 0; at < len; line++) {
        const char *start = text + at, *end = memchr(start, '\n', len - at);
        size_t n = end ? (size_t)(end - start) : len - at;
        at += n + 1;
        if (n > 0 && start[n - 1] == '\r')
            n--;
        if (n == 0 || (line == 0 && n >= 8 && memcmp(start, "#version", 8) == 0))
            continue;
        if (!add_merge(b, start, n, line, err))
            return error_prefix(err, "line %u", (unsigned)line + 1);
    }
    return true;
}

static bool load_merges(struct bpe *b, const char *path, struct error *err)
{
    char *text = NULL;
    size_t len;
    if (!fs_read(&text, &len, path, MAX_MERGES_BYTES, err))
        return false;
    const bool ok = parse_merges(b, text, len, err);
    free(text);
    return ok || error_prefix(err, "%s", path);
}

bool bpe_open(struct bpe **out, const char *dir, struct error *err)
{
    char vocab[MAX_PATH_BYTES], merges[MAX_PATH_BYTES];
    if (!fs_join(vocab, sizeof vocab, dir, "vocab.json", err) ||
        !fs_join(merges, sizeof merges, dir, "merges.txt", err))
        return false;
    struct bpe *b = calloc(1, sizeof *b);
    if (!b)
        return error_set(err, ERROR_MEMORY, "no memory for a tokenizer");
    if (!load_vocab(b, vocab, err) || !load_merges(b, merges, err)) {
        bpe_close(b);
        return false;
    }
    *out = b;
    return true;
}

void bpe_close(struct bpe *b)
{
    if (!b)
        return;
    vocab_file_clear(&b->vocab);
    free(b->json);
    free(b->slots);
    free(b->merges);
    free(b);
}

int32_t bpe_find(const struct bpe *b, const char *text, size_t len)
{
    const uint32_t place = b->slots[vocab_slot(b, text, len)];
    return place ? b->vocab.entries[place - 1].id : -1;
}

int32_t bpe_size(const struct bpe *b)
{
    return b->size;
}

struct bpe_work *bpe_work_new(size_t max_bytes)
{
    struct bpe_work *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->symbols = calloc(max_bytes + 1, sizeof *w->symbols);
    w->heap = calloc(max_bytes + 1, 3 * sizeof *w->heap);
    if (!w->symbols || !w->heap) {
        bpe_work_free(w);
        return NULL;
    }
    return w;
}

void bpe_work_free(struct bpe_work *w)
{
    if (!w)
        return;
    free(w->symbols);
    free(w->heap);
    free(w);
}

/* Lower ranks first, and of equal ones the leftmost. */
static bool is_before(const struct pair *a, const struct pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_push(struct bpe_work *w, struct pair p)
{
    size_t i = w->n_heap++;
    for (; i > 0 && is_before(&p, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = p;
}

static struct pair heap_pop(struct bpe_work *w)
{
    const struct pair top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->n_heap)
            break;
        if (child + 1 < w->n_heap && is_before(&w->heap[child + 1], &w->heap[child]))
            child++;
        if (!is_before(&w->heap[child], &last))
            break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

static void offer_pair(const struct bpe *b, struct bpe_work *w, int32_t at)
{
    if (at < 0 || w->symbols[at].next < 0)
        return;
    const int32_t left = w->symbols[at].id, right = w->symbols[w->symbols[at].next].id;
    const struct merge *m = merge_slot(b, left, right);
    if (m->left >= 0)
        heap_push(w, (struct pair){m->rank, at, left, right, m->merged});
}

size_t bpe_encode(const struct bpe *b, int32_t *ids, const unsigned char *word, size_t len,
                  int32_t unknown_id, struct bpe_work *w)
{
    struct symbol *s = w->symbols;
    const int32_t n = (int32_t)len;
    for (int32_t i = 0; i < n; i++) {
        const int32_t id = (i == n - 1 ? b->byte_end_id : b->byte_id)[word[i]];
        s[i] = (struct symbol){id < 0 ? unknown_id : id, i - 1, i == n - 1 ? -1 : i + 1};
    }
    w->n_heap = 0;
    for (int32_t i = 0; i < n; i++)
        offer_pair(b, w, i);

    while (w->n_heap > 0) {
        const struct pair p = heap_pop(w);
        struct symbol *left = &s[p.at];
        /* A pair is stale once one of its sides has been merged with something else. */
        if (left->id != p.left || left->next < 0 || s[left->next].id != p.right)
            continue;
        struct symbol *right = &s[left->next];
        left->id = p.merged;
        right->id = -1;
        left->next = right->next;
        if (left->next >= 0)
            s[left->next].prev = p.at;
        offer_pair(b, w, left->prev);
        offer_pair(b, w, p.at);
    }

    size_t n_ids = 0;
    for (int32_t i = 0; i >= 0; i = s[i].next)
        ids[n_ids++] = s[i].id;
    return n_ids;
}
