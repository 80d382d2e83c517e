/* The text of a picture: how it was made, in web UIs' keys. */
#ifndef GENERATOR_GENERATOR_INFOTEXT_H
#define GENERATOR_GENERATOR_INFOTEXT_H

#include "base/buf.h"
#include "memory/memory_fit.h"
#include "request/gen_request.h"

struct model_info;

struct generator_infotext {
    const struct gen_request *request; /* of the picture's round */
    const struct model_info *model;
    const char *model_name; /* in the library; NULL or "": the file's or folder's own */
    const char *model_hash; /* "": not known */
    const char *refiner;    /* its name where it draws, or NULL */
    const struct memory_size *requested, *used; /* told where they differ */
    const char *loras;                          /* those in use, as a list; "": none */
    const char *version;                        /* of the program */
    const char *user;                           /* "": nobody */
};

/* Appends the text of picture i of the round, with a final 0. */
bool generator_infotext_write(struct buf *out, const struct generator_infotext *t, int i,
                              struct error *err) MUST_CHECK;

#endif
