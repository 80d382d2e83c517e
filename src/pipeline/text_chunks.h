/* Runs a model's text encoders over the chunks of its prompts.  Internal to pipeline/. */
#ifndef PIPELINE_TEXT_CHUNKS_H
#define PIPELINE_TEXT_CHUNKS_H

#include "pipeline/prompt_set.h"
#include "pipeline/stages.h"

/* Numbers of a token's row and of the pooled text (0 for SD 1.x), as the UNet takes them. */
size_t text_chunks_width(const struct model_info *info);
size_t text_chunks_pooled_width(const struct model_info *info);

/* Writes rows [n_texts][n_chunks][TOKENIZER_LENGTH][width]: both encoders' hidden states side by
 * side, each multiplied by its token's weight; and pooled [n_texts][n_chunks][pooled width], which
 * is NULL where the model has none.  The encoders run one after the other, each giving back its
 * weights. */
bool text_chunks_encode(float *rows, float *pooled, const struct stage *s, const struct expert *e,
                        const struct prompt_set *set, struct error *err) MUST_CHECK;

#endif
