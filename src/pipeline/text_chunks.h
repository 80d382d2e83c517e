/* Runs a model's text encoders over lists of token ids.  Internal to pipeline/. */
#ifndef PIPELINE_TEXT_CHUNKS_H
#define PIPELINE_TEXT_CHUNKS_H

#include "pipeline/stages.h"

/* What the encoders see at once: bos, up to 75 tokens, eos, padding; for the first encoder and, as
 * far as the model has one, for the second, which pads with another token. */
struct text_chunk {
    int32_t ids[2][TOKENIZER_LENGTH];
};

/* Numbers of a token's row and of the pooled text (0 for SD 1.x), as the UNet takes them. */
size_t text_chunks_width(const struct model_info *info);
size_t text_chunks_pooled_width(const struct model_info *info);

/* Writes the first 75 tokens of a text. */
bool text_chunks_from_text(struct text_chunk *out, const struct expert *e, const char *text,
                           struct error *err) MUST_CHECK;

/* Writes rows [n][TOKENIZER_LENGTH][width]: both encoders' hidden states side by side, and pooled
 * [n][pooled width], which is NULL where the model has none.  The encoders run one after the other,
 * each giving back its weights. */
bool text_chunks_encode(float *rows, float *pooled, const struct stage *s, const struct expert *e,
                        const struct text_chunk *chunks, int n, struct error *err) MUST_CHECK;

#endif
