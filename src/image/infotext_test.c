#include "base/test.h"
#include "image/infotext.h"

#include <string.h>

#define IS(info, key, want)                                                                        \
    (infotext_find(&(info), key) && strcmp(infotext_find(&(info), key), want) == 0)

static struct infotext parse(const char *text)
{
    struct infotext info = {0};
    struct error err;
    CHECK(infotext_parse(&info, text, strlen(text), &err));
    return info;
}

static void writes_keys_in_the_order_of_a1111(void)
{
    static const struct infotext_pair pair[] = {
        {"Version", "v0.1"},  {"Size", "512x768"},     {"Hires upscale", "2"}, {"Seed", "42"},
        {"Steps", "20"},      {"Model", "tiny, v2"},   {"Sampler", "Euler a"}, {"VAE", ""},
        {"CFG scale", "7.0"}, {"Schedule type", NULL}, {"Note", "a \"b\": c"}};
    static const char want[] =
        "a cat,\non a mat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7.0, "
        "Seed: "
        "42, Size: 512x768, Model: \"tiny, v2\", Hires upscale: 2, Note: \"a \\\"b\\\": c\", "
        "Version: v0.1";
    struct error err;
    struct buf out;

    buf_init(&out, 4096);
    CHECK(
        infotext_write(&out, "a cat,\non a mat", "dog", pair, sizeof pair / sizeof pair[0], &err));
    CHECK(out.len == sizeof want - 1 && memcmp(out.bytes, want, out.len) == 0);
    struct infotext info = {0};
    CHECK(infotext_parse(&info, out.bytes, out.len, &err));
    CHECK(strcmp(info.prompt, "a cat,\non a mat") == 0);
    CHECK(strcmp(info.negative_prompt, "dog") == 0);
    CHECK(info.n_pairs == 9);
    CHECK(IS(info, "Model", "tiny, v2"));
    CHECK(IS(info, "Note", "a \"b\": c"));
    infotext_clear(&info);
    buf_clear(&out);
}

static void reads_what_others_wrote(void)
{
    struct infotext info =
        parse("\n one \n two \nNegative prompt: bad\n worse\r\n"
              "Steps: 20, Sampler: DPM++ 2M, Lora hashes: \"a: 1, b: 2\", "
              "Path: \"x\\u00e9\\ud83d\\ude00\\n\", Odd: \"a\"b, Size: 8x8,Steps: 30");
    CHECK(strcmp(info.prompt, "one\ntwo") == 0);
    CHECK(strcmp(info.negative_prompt, "bad\nworse") == 0);
    CHECK(IS(info, "Steps", "30")); /* the last one wins */
    CHECK(IS(info, "Sampler", "DPM++ 2M"));
    CHECK(IS(info, "Lora hashes", "a: 1, b: 2"));
    CHECK(IS(info, "Path", "x\xc3\xa9\xf0\x9f\x98\x80\n"));
    CHECK(IS(info, "Odd", "\"a\"b"));
    CHECK(IS(info, "Size", "8x8"));
    CHECK(infotext_find(&info, "Seed") == NULL);
    infotext_clear(&info);
}

static void takes_a_last_line_of_two_pairs_for_prompt(void)
{
    struct infotext info = parse("a cat\nwith Style: oil, Mood: calm");
    CHECK(strcmp(info.prompt, "a cat\nwith Style: oil, Mood: calm") == 0);
    CHECK(info.n_pairs == 0);
    infotext_clear(&info);

    info = parse("a\n\n\naa: 1, bb: 2, cc: 3");
    CHECK(strcmp(info.prompt, "a\n\n") == 0); /* as A1111 reads it */
    infotext_clear(&info);

    info = parse("");
    CHECK(strcmp(info.prompt, "") == 0 && strcmp(info.negative_prompt, "") == 0);
    infotext_clear(&info);

    info = parse("aa: 1, bb: 2, cc: \"unfinished");
    CHECK(strcmp(info.prompt, "") == 0 && info.n_pairs == 3);
    CHECK(IS(info, "cc", "\"unfinished"));
    infotext_clear(&info);
}

static void refuses_bad_keys_and_too_much(void)
{
    static const char *const key[] = {"", "a", "a:b", " ab", "a,b", "-ab"};
    static char much[INFOTEXT_MAX_PAIRS * 8 + 16];
    struct infotext info;
    struct error err;
    struct buf out;

    buf_init(&out, 100);
    for (size_t i = 0; i < sizeof key / sizeof key[0]; i++) {
        struct infotext_pair pair = {key[i], "x"};
        CHECK(!infotext_write(&out, "p", NULL, &pair, 1, &err) && err.code == ERROR_INVALID);
    }
    for (size_t i = 0; i + 8 < sizeof much; i += 8)
        memcpy(much + i, "ab: 123,", 8);
    CHECK(!infotext_parse(&info, much, strlen(much), &err) && err.code == ERROR_LIMIT);
    memset(much, 'x', sizeof much - 1);
    CHECK(!infotext_write(&out, much, NULL, NULL, 0, &err) && err.code == ERROR_LIMIT);
    buf_clear(&out);
}

int main(void)
{
    writes_keys_in_the_order_of_a1111();
    reads_what_others_wrote();
    takes_a_last_line_of_two_pairs_for_prompt();
    refuses_bad_keys_and_too_much();
    return TEST_END();
}
