#include "base/test.h"
#include "text/prompt_chunks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { A, B, COMMA, BANG, BOS, EOS, FIRST_VECTOR = 100 };

static const char VOCAB[] = "{\"a</w>\": 0, \"b</w>\": 1, \",</w>\": 2, \"!\": 3, "
                            "\"<|startoftext|>\": 4, \"<|endoftext|>\": 5}";

static void write_text(char *path, size_t room, const char *dir, const char *name, const char *text)
{
    snprintf(path, room, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(text, 1, strlen(text), f) == strlen(text) && fclose(f) == 0);
}

static struct tokenizer *open_tokenizer(const char *special)
{
    char dir[] = "/tmp/prompt-chunks-test-XXXXXX", path[3][64];
    struct tokenizer *t = NULL;
    struct error err = {0};
    CHECK(mkdtemp(dir) != NULL);
    write_text(path[0], sizeof path[0], dir, "vocab.json", VOCAB);
    write_text(path[1], sizeof path[1], dir, "merges.txt", "#version: 0.2\n");
    write_text(path[2], sizeof path[2], dir, "special_tokens_map.json", special);
    CHECK(tokenizer_open(&t, dir, &err));
    for (int i = 0; i < 3; i++)
        unlink(path[i]);
    rmdir(dir);
    return t;
}

static bool make(struct prompt_chunks *out, const struct tokenizer *t, const char *prompt,
                 const struct prompt_word *words, int n_words)
{
    struct prompt_pieces pieces;
    struct error err = {0};
    if (!prompt_attention_parse(&pieces, prompt, strlen(prompt), &err))
        return false;
    const bool ok = prompt_chunks_make(out, t, &pieces, words, n_words, &err);
    prompt_attention_clear(&pieces);
    if (!ok)
        fprintf(stderr, "%s\n", err.text);
    return ok;
}

/* How many tokens of the text are in a chunk, when all behind them is end and padding. */
static int filled(const struct prompt_chunk *c, int32_t pad)
{
    int n = 0;
    while (n < PROMPT_CHUNKS_TOKENS && c->ids[1 + n] != EOS)
        n++;
    bool good = c->ids[0] == BOS && c->ids[1 + n] == EOS;
    for (int i = n + 2; i < TOKENIZER_LENGTH; i++)
        good = good && c->ids[i] == pad && c->weights[i] == 1;
    return good ? n : -1;
}

/* "a " n times, but `there` at one place. */
static char *many(int n, int place, const char *there)
{
    const size_t room = (size_t)n * 2 + strlen(there) + 2;
    char *text = malloc(room);
    size_t len = 0;
    if (text)
        *text = '\0';
    for (int i = 0; text && i < n; i++)
        len += (size_t)snprintf(text + len, room - len, "%s ", i == place ? there : "a");
    return text;
}

/* Where AUTOMATIC1111 cuts, with 20 tokens back to a comma at most. */
static void cuts_at_75_or_at_a_comma(const struct tokenizer *t)
{
    static const struct {
        const char *why, *there;
        int n, place;
        int filled[3];
    } row[] = {
        {"no words", "", 0, -1, {0, -1, -1}},
        {"one chunk, full", "", 75, -1, {75, -1, -1}},
        {"one more", "", 76, -1, {75, 1, -1}},
        {"a comma far behind", ",", 80, 54, {75, 5, -1}},
        {"a comma just near enough", ",", 80, 55, {56, 24, -1}},
        {"a comma last", ",", 80, 74, {75, 5, -1}},
        {"a comma first in the next chunk", ",", 80, 75, {75, 5, -1}},
        {"a comma near the end, but nothing behind", ",", 75, 60, {75, -1, -1}},
        {"BREAK", "BREAK", 80, 10, {10, 69, -1}},
        {"BREAK first", "BREAK", 5, 0, {0, 4, -1}},
        {"BREAK last", "BREAK", 5, 4, {4, -1, -1}},
        {"two BREAKs", "BREAK BREAK", 5, 2, {2, 0, 2}},
        {"BREAK where the chunk is full", "BREAK", 80, 75, {75, 4, -1}},
    };
    for (size_t r = 0; r < sizeof row / sizeof row[0]; r++) {
        struct prompt_chunks got = {0};
        char *text = many(row[r].n, row[r].place, row[r].there);
        CHECK(text && make(&got, t, text, NULL, 0));
        int n = 0;
        while (n < 3 && row[r].filled[n] >= 0)
            n++;
        bool good = got.n == n;
        for (int i = 0; good && i < n; i++)
            good = filled(&got.chunks[i], EOS) == row[r].filled[i] && !got.chunks[i].weighted;
        if (!good)
            for (int i = 0; i < got.n; i++)
                fprintf(stderr, "%s: chunk %d has %d\n", row[r].why, i,
                        filled(&got.chunks[i], EOS));
        CHECK(good);
        prompt_chunks_clear(&got);
        free(text);
    }
}

static void weighs_tokens(const struct tokenizer *t)
{
    static const struct {
        int32_t id;
        float weight;
    } want[] = {{BOS, 1}, {A, 1}, {B, 1.5f}, {B, 1.5f}, {COMMA, 1}, {A, 0.5f}, {EOS, 1}};
    struct prompt_chunks got;
    CHECK(make(&got, t, "a (b b:1.5), (a:0.5)", NULL, 0));
    CHECK(got.n == 1 && got.chunks[0].weighted && got.n_tokens == 5);
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        CHECK(got.chunks[0].ids[i] == want[i].id && got.chunks[0].weights[i] == want[i].weight);
    prompt_chunks_clear(&got);

    /* Weights move with their tokens to the next chunk. */
    char *text = many(70, 60, ",");
    char *whole = malloc(1024);
    CHECK(text && whole);
    snprintf(whole, 1024, "%s (b b b b b b:2)", text);
    CHECK(make(&got, t, whole, NULL, 0));
    CHECK(got.n == 2 && filled(&got.chunks[0], EOS) == 61 && !got.chunks[0].weighted);
    CHECK(got.chunks[1].weights[9] == 1 && got.chunks[1].weights[10] == 2);
    CHECK(got.chunks[1].ids[9] == A && got.chunks[1].ids[10] == B);
    prompt_chunks_clear(&got);
    free(whole);
    free(text);
}

static void pads_with_the_tokenizers_padding(void)
{
    struct tokenizer *t = open_tokenizer("{\"pad_token\": \"!\"}");
    struct prompt_chunks got;
    CHECK(make(&got, t, "a b BREAK a", NULL, 0));
    CHECK(got.n == 2 && filled(&got.chunks[0], BANG) == 2 && filled(&got.chunks[1], BANG) == 1);
    const struct prompt_chunk empty = prompt_chunks_empty(t);
    CHECK(filled(&empty, BANG) == 0 && !empty.weighted);
    prompt_chunks_clear(&got);
    tokenizer_close(t);
}

static void puts_vectors_for_names(const struct tokenizer *t)
{
    struct prompt_word word[2] = {{.first_id = FIRST_VECTOR, .n_vectors = 3},
                                  {.first_id = FIRST_VECTOR + 3, .n_vectors = 1}};
    struct prompt_chunks got;
    struct error err = {0};
    CHECK(prompt_chunks_name(&word[0], t, "b b", &err) && word[0].n_name_ids == 2);
    CHECK(prompt_chunks_name(&word[1], t, "b", &err) && word[1].n_name_ids == 1);
    CHECK(!prompt_chunks_name(&word[1], t, " ", &err) && err.code == ERROR_INVALID);

    /* The longer name counts; the weight is that of each vector. */
    CHECK(make(&got, t, "a (b b:1.5) a b", word, 2));
    static const int32_t want[] = {BOS, A, 100, 101, 102, A, 103, EOS};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        CHECK(got.chunks[0].ids[i] == want[i]);
    CHECK(got.chunks[0].weights[2] == 1.5f && got.chunks[0].weights[4] == 1.5f);
    prompt_chunks_clear(&got);

    /* 73 tokens leave room for two vectors, not three. */
    char *text = many(74, 73, "b b");
    CHECK(text && make(&got, t, text, word, 2));
    CHECK(got.n == 2 && filled(&got.chunks[0], EOS) == 73 && filled(&got.chunks[1], EOS) == 3);
    CHECK(got.chunks[1].ids[1] == 100 && got.chunks[1].ids[3] == 102);
    prompt_chunks_clear(&got);
    free(text);
    text = many(73, 72, "b b");
    CHECK(text && make(&got, t, text, word, 2));
    CHECK(got.n == 1 && filled(&got.chunks[0], EOS) == 75);
    prompt_chunks_clear(&got);
    free(text);

    /* A word that follows a comma moves with it, whole. */
    text = many(75, 70, ", b b");
    CHECK(text && make(&got, t, text, word, 2));
    CHECK(got.n == 2 && filled(&got.chunks[0], EOS) == 71);
    CHECK(got.chunks[1].ids[1] == 100 && got.chunks[1].ids[3] == 102 && got.chunks[1].ids[4] == A);
    prompt_chunks_clear(&got);
    free(text);
}

static void takes_literal_text_as_before(const struct tokenizer *t)
{
    struct prompt_chunks got;
    struct error err = {0};
    int32_t ids[TOKENIZER_LENGTH];
    char *text = many(90, 3, "(b:1.5)");
    size_t n = 0;
    CHECK(text && prompt_chunks_literal(&got, t, text, strlen(text), &err));
    CHECK(tokenizer_encode_padded(t, ids, &n, text, strlen(text), &err));
    CHECK(got.n == 1 && got.n_tokens == n && n > 90);
    CHECK(memcmp(got.chunks[0].ids, ids, sizeof ids) == 0 && !got.chunks[0].weighted);
    prompt_chunks_clear(&got);

    /* So does a prompt without syntax that fits. */
    CHECK(make(&got, t, "a b, a! b", NULL, 0));
    CHECK(tokenizer_encode_padded(t, ids, &n, "a b, a! b", 9, &err));
    CHECK(got.n == 1 && got.n_tokens == n && memcmp(got.chunks[0].ids, ids, sizeof ids) == 0);
    prompt_chunks_clear(&got);
    free(text);
}

static void refuses_too_many_chunks(const struct tokenizer *t)
{
    struct prompt_chunks got;
    struct prompt_pieces pieces;
    struct error err = {0};
    char *text = many(PROMPT_CHUNKS_MAX * PROMPT_CHUNKS_TOKENS + 1, -1, "");
    CHECK(text && prompt_attention_parse(&pieces, text, strlen(text), &err));
    CHECK(!prompt_chunks_make(&got, t, &pieces, NULL, 0, &err) && err.code == ERROR_LIMIT);
    CHECK(!got.chunks);
    prompt_attention_clear(&pieces);
    text[strlen(text) - 2] = '\0';
    CHECK(make(&got, t, text, NULL, 0) && got.n == PROMPT_CHUNKS_MAX);
    prompt_chunks_clear(&got);
    free(text);
}

static void keeps_the_mean(void)
{
    enum { WIDTH = 3 };
    float rows[TOKENIZER_LENGTH * WIDTH], before[TOKENIZER_LENGTH * WIDTH];
    struct prompt_chunk c = {.weighted = true};
    double mean = 0, weighted = 0, after = 0;
    for (int i = 0; i < TOKENIZER_LENGTH; i++) {
        c.weights[i] = i == 2 ? 1.5f : i == 5 ? 0 : 1;
        for (int k = 0; k < WIDTH; k++) {
            const float v = (float)((i * 7 + k * 3) % 11) - 4;
            rows[i * WIDTH + k] = before[i * WIDTH + k] = v;
            mean += (double)v;
            weighted += (double)(v * c.weights[i]);
        }
    }
    prompt_chunks_emphasize(rows, WIDTH, &c);
    for (int i = 0; i < TOKENIZER_LENGTH * WIDTH; i++) {
        const double want = (double)before[i] * (double)c.weights[i / WIDTH] * mean / weighted;
        CHECK(fabs((double)rows[i] - want) < 1e-6);
        after += (double)rows[i];
    }
    CHECK(fabs(after - mean) < 1e-4);

    /* No weights: not a bit changes.  A mean of zero cannot be kept and is left. */
    memcpy(rows, before, sizeof rows);
    c.weighted = false;
    prompt_chunks_emphasize(rows, WIDTH, &c);
    CHECK(memcmp(rows, before, sizeof rows) == 0);
    memset(rows, 0, sizeof rows);
    c.weighted = true;
    prompt_chunks_emphasize(rows, WIDTH, &c);
    CHECK(rows[0] == 0);
}

int main(void)
{
    struct tokenizer *t = open_tokenizer("{}");
    cuts_at_75_or_at_a_comma(t);
    weighs_tokens(t);
    pads_with_the_tokenizers_padding();
    puts_vectors_for_names(t);
    takes_literal_text_as_before(t);
    refuses_too_many_chunks(t);
    keeps_the_mean();
    tokenizer_close(t);
    return TEST_END();
}
