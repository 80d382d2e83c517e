#include "base/clock.h"
#include "pipeline/stages.h"

#include <stdlib.h>
#include <string.h>

/* Writes one prompt's padded ids as the numbers the graph takes. */
static bool write_ids(float *to, const struct stage *s, const char *prompt, int n,
                      struct error *err)
{
    int32_t ids[TOKENIZER_LENGTH];
    int vocabulary = model_view(s->model)->clip[0].vocab_size;

    if (n != TOKENIZER_LENGTH)
        return error_set(err, ERROR_CORRUPT, "the text encoder takes %d tokens, CLIP's takes %d", n,
                         TOKENIZER_LENGTH);
    if (!tokenizer_encode_padded(s->tokenizer, ids, NULL, prompt, strlen(prompt), err))
        return false;
    for (int i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= vocabulary)
            return error_set(err, ERROR_CORRUPT,
                             "the tokenizer has token %d, the text encoder only %d tokens; they "
                             "do not belong together",
                             (int)ids[i], vocabulary);
        to[i] = (float)ids[i];
    }
    return true;
}

bool text_encode(struct text_cond *out, const struct stage *s, struct error *err)
{
    struct network *net = &s->plan->text;
    struct graph_shape ids_shape = graph_tensor_view(net->graph, net->ids)->shape;
    struct graph_shape shape = graph_tensor_view(net->graph, net->out)->shape;
    size_t each = (size_t)(shape.c * shape.w), copies = (size_t)s->plan->batch;
    double started = clock_seconds();
    bool guided = shape.n == 2;

    float *ids = stages_numbers((size_t)(ids_shape.n * ids_shape.w), err);
    float *rows = stages_numbers((size_t)shape.n * each, err);
    float *all = stages_numbers((size_t)(s->plan->unet_batch * s->plan->unet_rounds) * each, err);
    bool ok =
        ids && rows && all &&
        write_ids(ids, s, guided ? s->request->negative_prompt : s->request->prompt,
                  (int)ids_shape.w, err) &&
        (!guided || write_ids(ids + ids_shape.w, s, s->request->prompt, (int)ids_shape.w, err)) &&
        stages_begin(s, net, err);
    if (ok) {
        exec_write(net->exec, net->ids, ids, BACKEND_ROWS);
        ok = stages_call(s, net, PLAN_TEXT_ENCODE, 0, 1, err);
        if (ok)
            exec_read(net->exec, net->out, rows, BACKEND_ROWS);
        stages_end(s, net, PLAN_TEXT_ENCODE, started);
    }
    if (ok) {
        for (size_t i = 0; i < (size_t)(s->plan->unet_batch * s->plan->unet_rounds); i++)
            memcpy(all + i * each, rows + (i / copies) * each, each * sizeof *all);
        out->rows = all;
        all = NULL;
    }
    free(ids);
    free(rows);
    free(all);
    return ok;
}
