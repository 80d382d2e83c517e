#include "pipeline/pipeline_loras.h"

#include "text/prompt_tags.h"

#include <stdio.h>

/* Room for one more than can be used, so that the set knows that there were too many. */
struct wishes {
    struct lora_set_wish list[LORA_SET_MAX + 1];
    int n;
};

static void add(struct wishes *w, struct lora_set_wish wish)
{
    if (w->n <= LORA_SET_MAX)
        w->list[w->n++] = wish;
}

void pipeline_loras_open(struct lora_set *out, const struct gen_request *r,
                         const struct lora_set_place *place, const struct model_info *info)
{
    struct prompt_tags tags = {0};
    struct wishes wishes = {.n = 0};
    struct error why = {0};

    for (int i = 0; i < r->n_loras; i++) {
        const struct gen_lora *l = &r->loras[i];
        add(&wishes, (struct lora_set_wish){.name = l->name,
                                            .is_path = l->is_path,
                                            .text_scale = l->scale,
                                            .unet_scale = l->scale});
    }
    if (r->prompt_syntax != GEN_SYNTAX_OFF && prompt_tags_extract(&tags, r->prompt, &why))
        for (int i = 0; i < tags.n_loras; i++)
            add(&wishes, (struct lora_set_wish){.name = tags.loras[i].name,
                                                .text_scale = tags.loras[i].text_strength,
                                                .unet_scale = tags.loras[i].unet_strength});
    lora_set_open(out, wishes.list, wishes.n, place, info);
    /* What is wrong with the prompt is reported by who reads it; memory may be there again by then.
     */
    if (why.code == ERROR_MEMORY && out->n_warnings <= LORA_SET_MAX)
        snprintf(out->warnings[out->n_warnings++], LORA_SET_WARNING_BYTES,
                 "the prompt's LoRAs are left out: there is no memory to read the prompt");
    prompt_tags_clear(&tags);
}

void pipeline_loras_write(char *out, size_t room, const struct lora_set *s)
{
    size_t len = 0;

    out[0] = 0;
    for (int i = 0; i < s->n; i++) {
        const struct lora_set_entry *e = &s->entries[i];
        const int n = snprintf(out + len, room - len, "%s%s:%g", i ? ", " : "", lora_name(e->lora),
                               e->unet_scale);
        if (n < 0 || (size_t)n >= room - len) {
            out[len] = 0; /* whole entries only */
            return;
        }
        len += (size_t)n;
    }
}
