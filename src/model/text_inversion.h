/* Textual inversion (Gal et al. 2022): a file that gives a word some vectors of a text encoder's
 * embedding.
 *
 * Reads what trainers and web UIs write, in any container of tensor_file.h: one matrix, alone, as
 * emb_params or in string_to_param; for SDXL two, clip_l and clip_g. */
#ifndef MODEL_TEXT_INVERSION_H
#define MODEL_TEXT_INVERSION_H

#include "base/error.h"

enum { TEXT_INVERSION_MAX_VECTORS = 75 };

struct text_inversion {
    int n_vectors;
    float *rows[2]; /* owned; [n_vectors][width] of each encoder; NULL where the model has none */
};

/* width: numbers of a vector of the model's first and second encoder, 0 where it has none.
 * ERROR_INVALID, naming both widths, when the file is for another kind of model.  On true the
 * caller clears *out. */
bool text_inversion_load(struct text_inversion *out, const char *path, const int width[2],
                         struct error *err) MUST_CHECK;

/* What a file holds, from its header alone, whatever model it is for. */
struct text_inversion_shape {
    int n_vectors;
    int width[2]; /* numbers of a vector of the first and the second encoder; 0: none */
};

bool text_inversion_look(struct text_inversion_shape *out, const char *path,
                         struct error *err) MUST_CHECK;

/* Accepts zeroes. */
void text_inversion_clear(struct text_inversion *t);

#endif
