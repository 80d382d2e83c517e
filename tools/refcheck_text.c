/* Token ids: CLIP's own vocabulary on awkward texts, and each model's vocabulary on its prompts. */
#include "refcheck.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* How many of the padded ids differ. */
static double differing_ids(const int32_t have[TOKENIZER_LENGTH], const json_t *want)
{
    if (json_array_size(want) != TOKENIZER_LENGTH)
        return TOKENIZER_LENGTH;
    int n = 0;
    for (size_t i = 0; i < TOKENIZER_LENGTH; i++)
        n += have[i] != json_integer_value(json_array_get(want, i));
    return n;
}

/* n_untruncated counts bos and eos; NULL when it is not known. */
static void check_text(struct refcheck *r, const struct tokenizer *t, const char *row,
                       const json_t *text, const json_t *ids, const json_t *n_untruncated)
{
    int32_t have[TOKENIZER_LENGTH];
    size_t n_total;
    struct error err = {0};

    if (!tokenizer_encode_padded(t, have, &n_total, json_string_value(text),
                                 json_string_length(text), &err)) {
        refcheck_fail(r, row, err.text);
        return;
    }
    double wrong = differing_ids(have, ids);
    wrong += n_untruncated && json_integer_value(n_untruncated) != (json_int_t)n_total + 2;
    refcheck_row(r, row, wrong, 0);
}

static struct tokenizer *open_tokenizer(struct refcheck *r, const char *dir, const char *row)
{
    struct tokenizer *t = NULL;
    struct error err = {0};

    if (!tokenizer_open(&t, dir, &err))
        refcheck_fail(r, row, err.text);
    return t;
}

static void check_clip(struct refcheck *r)
{
    char dir[REFCHECK_MAX_PATH], path[REFCHECK_MAX_PATH + 32], row[64];
    size_t i;
    json_t *entry;

    snprintf(dir, sizeof dir, "%s/clip", r->dir);
    snprintf(path, sizeof path, "%s/expect_ids.json", dir);
    json_t *root = refcheck_json(r, path, "clip ids");
    struct tokenizer *t = root ? open_tokenizer(r, dir, "clip ids") : NULL;
    if (t)
        json_array_foreach(root, i, entry)
        {
            snprintf(row, sizeof row, "clip ids, row %zu", i);
            check_text(r, t, row, json_object_get(entry, "text"), json_object_get(entry, "ids"),
                       json_object_get(entry, "n_untruncated"));
        }
    tokenizer_close(t);
    json_decref(root);
}

static void check_model_ids(struct refcheck *r, const char *name)
{
    char path[REFCHECK_MAX_PATH], file[64], row[96];
    const char *text;
    json_t *ids;
    int i = 0;

    snprintf(file, sizeof file, "%s/token_ids.json", name);
    refcheck_expect_path(r, path, file);
    json_t *root = refcheck_json(r, path, file);
    struct model *m = root ? refcheck_model(r, name, false) : NULL;
    const char *dir = m ? model_view(m)->tokenizer_dir[0] : NULL;
    struct tokenizer *t = dir ? open_tokenizer(r, dir, file) : NULL;
    if (m && !dir)
        refcheck_fail(r, file, "the model's folder has no tokenizer");
    if (t)
        json_object_foreach(root, text, ids)
        {
            json_t *prompt = json_string(text);
            snprintf(row, sizeof row, "%s token ids, row %d", name, i++);
            check_text(r, t, row, prompt, ids, NULL);
            json_decref(prompt);
        }
    tokenizer_close(t);
    model_close(m);
    json_decref(root);
}

void refcheck_text(struct refcheck *r)
{
    check_clip(r);
    check_model_ids(r, "sd15");
}
