#include "image/infotext.h"
#include "image/infotext_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Whether A1111's grammar can hold these at all: prompts that look like its marks cannot come back.
 */
static bool can_come_back(const struct infotext *info)
{
    size_t n = 0;
    for (size_t i = 0; i < info->n_pairs; i++)
        n += info->pairs[i].value[0] != 0;
    return n >= 3 && !strstr(info->prompt, "Negative prompt:") &&
           !strstr(info->negative_prompt, "Negative prompt:");
}

/* Every form has room for whatever was read. */
static void make_json(const struct infotext *info)
{
    json_t *forms[] = {infotext_json_native(info), infotext_json_sdapi(info),
                       infotext_json_settings(info)};
    for (int i = 0; i < 3; i++) {
        if (!json_is_object(forms[i]))
            abort();
        json_decref(forms[i]);
    }
}

/* What was read can be written and comes back the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct infotext info, again;
    struct error err;
    struct buf out;

    if (!infotext_parse(&info, (const char *)data, size, &err))
        return 0;
    make_json(&info);
    if (!can_come_back(&info)) {
        infotext_clear(&info);
        return 0;
    }
    buf_init(&out, 16 * size + 4096);
    if (!infotext_write(&out, info.prompt, info.negative_prompt, info.pairs, info.n_pairs, &err))
        abort();
    if (!infotext_parse(&again, out.bytes, out.len, &err))
        abort();
    if (strcmp(info.prompt, again.prompt) != 0)
        abort();
    if (strcmp(info.negative_prompt, again.negative_prompt) != 0)
        abort();
    for (size_t i = 0; i < again.n_pairs; i++) {
        const char *a = infotext_find(&again, again.pairs[i].key);
        const char *last = NULL;
        for (size_t k = 0; k < info.n_pairs; k++)
            if (info.pairs[k].value[0] && strcmp(info.pairs[k].key, again.pairs[i].key) == 0)
                last = info.pairs[k].value;
        if (!last || strcmp(a, last) != 0)
            abort();
    }
    buf_clear(&out);
    infotext_clear(&again);
    infotext_clear(&info);
    return 0;
}
