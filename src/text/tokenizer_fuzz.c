#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static struct tokenizer *make_tokenizer(void)
{
    char dir[] = "/tmp/tokenizer-fuzz-XXXXXX", vocab[64], merges[64];
    struct tokenizer *t = NULL;
    struct error err = {0};
    if (!mkdtemp(dir))
        abort();
    snprintf(vocab, sizeof vocab, "%s/vocab.json", dir);
    snprintf(merges, sizeof merges, "%s/merges.txt", dir);
    write_text(vocab, "{\"a\":0,\"b\":1,\"a</w>\":2,\"b</w>\":3,\"ab\":4,\"aba</w>\":5,\"aa\":6,"
                      "\"aaaa\":7,\"<|startoftext|>\":8,\"<|endoftext|>\":9}");
    write_text(merges, "a b\nab a</w>\na a\naa aa\n");
    const bool ok = tokenizer_open(&t, dir, &err);
    unlink(vocab);
    unlink(merges);
    rmdir(dir);
    if (!ok)
        abort();
    return t;
}

/* Every id is in the vocabulary; encoding the text again gives the same number of them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tokenizer *t;
    int32_t ids[TOKENIZER_LENGTH];
    size_t n, again;
    struct error err = {0};
    if (!t)
        t = make_tokenizer();
    if (!tokenizer_encode(t, NULL, 0, &n, (const char *)data, size, &err))
        return 0;
    if (!tokenizer_encode_padded(t, ids, &again, (const char *)data, size, &err) || n != again)
        abort();
    for (int i = 0; i < TOKENIZER_LENGTH; i++)
        if (ids[i] < 0 || ids[i] >= tokenizer_vocab_size(t))
            abort();
    return 0;
}
