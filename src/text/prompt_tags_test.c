#include "base/test.h"
#include "text/prompt_tags.h"

#include <stdlib.h>
#include <string.h>

struct row {
    const char *prompt, *left;
    struct prompt_lora lora[3];
    const char *warning;
};

static const struct row rows[] = {
    {"a cat", "a cat", {{0}}, NULL},
    {"a <lora:x:0.8> cat", "a  cat", {{"x", 0.8, 0.8}}, NULL},
    {"<lora:x>", "", {{"x", 1, 1}}, NULL},
    {"<lora:x:0.8:0.5>", "", {{"x", 0.8, 0.5}}, NULL},
    {"<lora:x:unet=0.5>", "", {{"x", 1, 0.5}}, NULL},
    {"<lora:x:te=0.5>", "", {{"x", 0.5, 0.5}}, NULL},
    {"<lora:x:te=0:unet=-1.5>", "", {{"x", 0, -1.5}}, NULL},
    {"<lora:a b_c-d.e:1>,<lora:x:2>", ",", {{"a b_c-d.e", 1, 1}, {"x", 2, 2}}, NULL},
    {"a < b, c > d <: <lora> <lora:>", "a < b, c > d <: <lora> <lora:>", {{0}}, NULL},
    {"<<lora:x>>", "<>", {{"x", 1, 1}}, NULL},
    {"<lora:x", "<lora:x", {{0}}, NULL},
    {"<hypernet:h:1> cat", " cat", {{0}}, "<hypernet:h:1> in the prompt is left out: only"},
    {"<lora:x:much>", "", {{0}}, "must be a number"},
    {"<lora:x:0.5:0.5:0.5>", "", {{0}}, "only a name and two strengths"},
    {"<lora:x:1:dyn=4>", "", {{0}}, "only a name and two strengths"},
    {"<lora:x:1000>", "", {{0}}, "-100 to 100"},
    {"<lora::1>", "", {{0}}, "has no name"},
};

static void takes_tags_out(void)
{
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct row *row = &rows[r];
        struct prompt_tags got;
        struct error err = {0};
        int n = 0;
        while (n < 3 && row->lora[n].name)
            n++;
        CHECK(prompt_tags_extract(&got, row->prompt, &err));
        bool good = strcmp(got.prompt, row->left) == 0 && got.n_loras == n &&
                    got.n_warnings == (row->warning != NULL);
        for (int i = 0; good && i < n; i++)
            good = strcmp(got.loras[i].name, row->lora[i].name) == 0 &&
                   got.loras[i].text_strength == row->lora[i].text_strength &&
                   got.loras[i].unet_strength == row->lora[i].unet_strength;
        if (good && row->warning)
            good = strstr(got.warnings[0], row->warning) != NULL;
        if (!good)
            fprintf(stderr, "%s: '%s' %d LoRAs %s\n", row->prompt, got.prompt, got.n_loras,
                    got.n_warnings ? got.warnings[0] : "");
        CHECK(good);
        prompt_tags_clear(&got);
    }
}

static void refuses_too_many(void)
{
    static const char tag[] = "<lora:x>";
    char many[(PROMPT_TAGS_MAX + 1) * (sizeof tag - 1) + 1];
    struct prompt_tags got;
    struct error err = {0};
    for (int i = 0; i <= PROMPT_TAGS_MAX; i++)
        memcpy(many + (size_t)i * (sizeof tag - 1), tag, sizeof tag);
    CHECK(!prompt_tags_extract(&got, many, &err));
    CHECK(err.code == ERROR_LIMIT);
    many[PROMPT_TAGS_MAX * (sizeof tag - 1)] = '\0';
    CHECK(prompt_tags_extract(&got, many, &err));
    CHECK(got.n_loras == PROMPT_TAGS_MAX && *got.prompt == '\0');
    prompt_tags_clear(&got);
}

int main(void)
{
    takes_tags_out();
    refuses_too_many();
    return TEST_END();
}
