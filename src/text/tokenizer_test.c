#include "base/test.h"
#include "text/tokenizer.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char SMALL_VOCAB[] =
    "{\"a\": 0, \"b\": 1, \"c\": 2, \"a</w>\": 3, \"b</w>\": 4, \"c</w>\": 5, \"ab\": 6, "
    "\"abc</w>\": 7,"
    " \"ab</w>\": 8, \"!\": 9, \"!</w>\": 10, \"\\u00c3\": 11, \"\\u00a9</w>\": 12, \"'\": 13,"
    " \"s</w>\": 14, \"'s</w>\": 15, \"1</w>\": 16, \"<|startoftext|>\": 17, \"<|endoftext|>\": "
    "18}";
static const char SMALL_MERGES[] = "#version: 0.2\na b\nab c</w>\na b</w>\n' s</w>\n";

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(text, 1, strlen(text), f) == strlen(text));
    if (f)
        fclose(f);
}

static void remove_folder(const char *dir)
{
    static const char *const name[] = {"vocab.json", "merges.txt", "special_tokens_map.json"};
    char path[256];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, name[i]);
        unlink(path);
    }
    rmdir(dir);
}

static bool open_small(struct tokenizer **t, const char *vocab, const char *merges,
                       const char *special, struct error *err)
{
    char dir[] = "/tmp/tokenizer-test-XXXXXX";
    CHECK(mkdtemp(dir) != NULL);
    write_text(dir, "vocab.json", vocab);
    write_text(dir, "merges.txt", merges);
    if (special)
        write_text(dir, "special_tokens_map.json", special);
    const bool ok = tokenizer_open(t, dir, err);
    remove_folder(dir);
    return ok;
}

static void splits_and_merges(void)
{
    static const struct {
        const char *text;
        int n, ids[8];
    } row[] = {
        {"", 0, {0}},
        {" \t\n\xc2\xa0", 0, {0}},
        {"abc", 1, {7}},
        {"ABC", 1, {7}},
        {"ab", 1, {8}},
        {"abab", 2, {6, 8}},
        {"a  b", 2, {3, 4}},
        {"a's", 2, {3, 15}},
        {"a11b", 4, {3, 16, 16, 4}},
        {"abc!!", 3, {7, 9, 10}},
        {"\xc3\xa9", 2, {11, 12}},
        {"e\xcc\x81", 2, {11, 12}}, /* composed by NFC */
        {"<|endoftext|>c", 2, {18, 5}},
        {"x", 1, {18}}, /* unknown */
    };
    struct tokenizer *t = NULL;
    struct error err = {0};
    CHECK(open_small(&t, SMALL_VOCAB, SMALL_MERGES, NULL, &err));
    if (!t)
        return;
    CHECK(tokenizer_bos(t) == 17 && tokenizer_eos(t) == 18 && tokenizer_pad(t) == 18);
    CHECK(tokenizer_vocab_size(t) == 19);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        int32_t ids[8];
        size_t n;
        CHECK(tokenizer_encode(t, ids, 8, &n, row[i].text, strlen(row[i].text), &err));
        CHECK(n == (size_t)row[i].n);
        for (size_t k = 0; k < n && k < 8; k++)
            CHECK(ids[k] == row[i].ids[k]);
    }
    tokenizer_close(t);
}

static void pads_and_cuts(void)
{
    struct tokenizer *t = NULL;
    struct error err = {0};
    int32_t ids[TOKENIZER_LENGTH];
    size_t n;
    CHECK(open_small(&t, SMALL_VOCAB, SMALL_MERGES, "{\"pad_token\": {\"content\": \"!\"}}", &err));
    if (!t)
        return;
    CHECK(tokenizer_encode_padded(t, ids, &n, "ab!", 3, &err));
    CHECK(n == 2 && ids[0] == 17 && ids[1] == 8 && ids[2] == 9 && ids[3] == 18 && ids[4] == 9);
    char text[400];
    memset(text, '1', sizeof text);
    CHECK(tokenizer_encode_padded(t, ids, &n, text, sizeof text, &err));
    CHECK(n == sizeof text && ids[75] == 16 && ids[76] == 18);
    CHECK(tokenizer_encode_padded(t, ids, NULL, text, 75, &err) && ids[76] == 18);
    tokenizer_close(t);
}

static void refuses_bad_text(void)
{
    struct tokenizer *t = NULL;
    struct error err = {0};
    int32_t ids[4];
    size_t n;
    CHECK(open_small(&t, SMALL_VOCAB, SMALL_MERGES, NULL, &err));
    if (!t)
        return;
    CHECK(!tokenizer_encode(t, ids, 4, &n, "abc\xff", 4, &err) && err.code == ERROR_INVALID);
    CHECK(strstr(err.text, "byte 3") != NULL);
    CHECK(!tokenizer_encode(t, ids, 4, &n, "\xed\xa0\x80", 3, &err) && err.code == ERROR_INVALID);
    char *big = malloc(TOKENIZER_MAX_TEXT_BYTES + 1);
    CHECK(big != NULL);
    if (big) {
        memset(big, 'a', TOKENIZER_MAX_TEXT_BYTES + 1);
        CHECK(tokenizer_encode(t, ids, 4, &n, big, TOKENIZER_MAX_TEXT_BYTES, &err));
        CHECK(n == TOKENIZER_MAX_TEXT_BYTES);
        CHECK(!tokenizer_encode(t, ids, 4, &n, big, TOKENIZER_MAX_TEXT_BYTES + 1, &err));
        CHECK(err.code == ERROR_LIMIT);
    }
    free(big);
    tokenizer_close(t);
}

static void refuses_hostile_files(void)
{
    static const struct {
        const char *vocab, *merges, *special, *words;
    } row[] = {
        {"", "", NULL, "vocab.json: expected '{'"},
        {"{}", "", NULL, "vocab.json: the vocabulary is empty"},
        {"{\"a\": 1, \"b\": 1}", "", NULL, "vocab.json: an id appears twice at byte 15"},
        {"{\"a\": 1, \"a\": 2}", "", NULL, "vocab.json: 'a' appears twice"},
        {"{\"a\": -1}", "", NULL, "vocab.json: expected an id at byte 6"},
        {"{\"a\": 99999999999}", "", NULL, "vocab.json: id out of range"},
        {"{\"a\": 1.5}", "", NULL, "vocab.json: expected ',' or '}'"},
        {"{\"a\": 1} x", "", NULL, "vocab.json: something follows"},
        {"{\"\xff\": 1}", "", NULL, "vocab.json: invalid UTF-8 at byte 2"},
        {"{\"\\ud800\": 1}", "", NULL, "vocab.json: half of a surrogate pair"},
        {"{\"\\q\": 1}", "", NULL, "vocab.json: unknown escape"},
        {"{\"a", "", NULL, "vocab.json: the file ends"},
        {"{\"a\": 1}", "", NULL, "vocab.json: bos_token '<|startoftext|>' is missing"},
        {SMALL_VOCAB, "#version\nab\n", NULL, "merges.txt: line 2: a merge is"},
        {SMALL_VOCAB, "#version\na b\na x\n", NULL, "merges.txt: line 3: 'a x' is not"},
        {SMALL_VOCAB, "a b\na b\n", NULL, "merges.txt: line 2: 'a b' appears twice"},
        {SMALL_VOCAB, "", "{\"bos_token\": 7}", "special_tokens_map.json: bos_token"},
        {SMALL_VOCAB, "", "{\"pad_token\": \"zz\"}", "pad_token 'zz' is missing"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        struct tokenizer *t = NULL;
        struct error err = {0};
        const bool ok = open_small(&t, row[i].vocab, row[i].merges, row[i].special, &err);
        if (ok || !strstr(err.text, row[i].words))
            fprintf(stderr, "row %zu: %s\n", i, err.text);
        CHECK(!ok && t == NULL && err.code == ERROR_CORRUPT && strstr(err.text, row[i].words));
        if (ok)
            tokenizer_close(t);
    }
    struct tokenizer *t = NULL;
    struct error err = {0};
    CHECK(!tokenizer_open(&t, "/nonexistent", &err) && err.code == ERROR_NOT_FOUND);
}

static void check_ids(const struct tokenizer *t, const char *text, size_t len, const json_t *want,
                      const json_t *n_untruncated)
{
    int32_t ids[TOKENIZER_LENGTH];
    size_t n;
    struct error err = {0};
    CHECK(tokenizer_encode_padded(t, ids, &n, text, len, &err));
    CHECK(json_array_size(want) == TOKENIZER_LENGTH);
    CHECK(!n_untruncated || (json_int_t)n + 2 == json_integer_value(n_untruncated));
    for (size_t i = 0; i < TOKENIZER_LENGTH; i++)
        if (ids[i] != json_integer_value(json_array_get(want, i))) {
            fprintf(stderr, "'%.40s': id %zu is %d\n", text, i, ids[i]);
            CHECK(ids[i] == json_integer_value(json_array_get(want, i)));
            return;
        }
}

static json_t *load(const char *name)
{
    const char *refs = getenv("DAPI_REFS");
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", refs ? refs : "../shared/refs", name);
    json_t *root = json_load_file(path, 0, NULL);
    if (!root)
        fprintf(stderr, "no reference ids: %s\n", path);
    return root;
}

static struct tokenizer *open_reference(const char *name)
{
    const char *refs = getenv("DAPI_REFS");
    char path[1024];
    struct tokenizer *t = NULL;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/%s", refs ? refs : "../shared/refs", name);
    if (!tokenizer_open(&t, path, &err)) {
        fprintf(stderr, "%s\n", err.text);
        CHECK(t != NULL);
    }
    return t;
}

static bool repeats_the_reference(void)
{
    json_t *clip = load("clip/expect_ids.json"), *tiny = load("expect/sd15/token_ids.json");
    const bool complete = clip && tiny;
    struct timespec from, to;
    size_t i;
    const char *key;
    json_t *value;

    if (complete) {
        clock_gettime(CLOCK_MONOTONIC, &from);
        struct tokenizer *t = open_reference("clip");
        clock_gettime(CLOCK_MONOTONIC, &to);
        printf("CLIP's vocabulary opened in %.1f ms\n",
               (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6);
        json_array_foreach(clip, i, value)
        {
            const json_t *text = json_object_get(value, "text");
            if (t)
                check_ids(t, json_string_value(text), json_string_length(text),
                          json_object_get(value, "ids"), json_object_get(value, "n_untruncated"));
        }
        tokenizer_close(t);
        t = open_reference("tiny-sd15/tokenizer");
        json_object_foreach(tiny, key, value) if (t) check_ids(t, key, strlen(key), value, NULL);
        tokenizer_close(t);
        t = open_reference("tiny-sdxl/tokenizer_2");
        CHECK(t && tokenizer_pad(t) == 0);
        tokenizer_close(t);
    }
    json_decref(clip);
    json_decref(tiny);
    return complete;
}

/* The demo model lies in the repository, so a fresh clone tests a whole vocabulary. */
static void opens_the_demo_model(void)
{
    struct tokenizer *t = NULL;
    struct error err = {0};
    int32_t ids[TOKENIZER_LENGTH];
    size_t n;
    CHECK(tokenizer_open(&t, "assets/demo-model/tokenizer", &err));
    if (!t)
        return;
    static const char text[] = "a red circle on a blue background";
    CHECK(tokenizer_encode_padded(t, ids, &n, text, strlen(text), &err));
    CHECK(n == 7 && ids[1] == ids[5] && ids[8] == tokenizer_eos(t));
    tokenizer_close(t);
}

int main(void)
{
    splits_and_merges();
    pads_and_cuts();
    refuses_bad_text();
    refuses_hostile_files();
    opens_the_demo_model();
    return !repeats_the_reference() && !test_failures ? 77 : TEST_END();
}
