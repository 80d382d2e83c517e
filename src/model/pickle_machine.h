/* The stack machine that a pickle is a program for: stack, marks, memo, and the values it makes,
 * each up to its bound.  What the operations do with them is for pickle.c, the only one to include
 * it. */
#ifndef MODEL_PICKLE_MACHINE_H
#define MODEL_PICKLE_MACHINE_H

#include "model/pickle.h"

#include <stddef.h>

/* Values that wait on the stack.  A mark is a height of the stack that nothing but the operation
 * that asks for the mark may go below. */
struct pickle_heights {
    uint32_t *at;
    size_t n, cap;
};

struct pickle_machine {
    struct pickle *p;
    const unsigned char *bytes;
    size_t n_bytes, at, op_at;
    struct pickle_heights stack, marks, memo;
    pickle_allow_fn allow;
    bool stopped;
    /* The argument of the operation that is being run. */
    uint64_t number;
    struct pickle_text text, text2;
};

/* Fails, telling where in the pickle. */
bool pickle_machine_bad(const struct pickle_machine *m, struct error *err, const char *what);

bool pickle_machine_push(struct pickle_machine *m, pickle_ref ref, struct error *err) MUST_CHECK;

bool pickle_machine_new_value(struct pickle_machine *m, pickle_ref *out, struct pickle_value value,
                              struct error *err) MUST_CHECK;

bool pickle_machine_push_new(struct pickle_machine *m, struct pickle_value value,
                             struct error *err) MUST_CHECK;

bool pickle_machine_add_item(struct pickle_machine *m, pickle_ref to, pickle_ref item,
                             struct error *err) MUST_CHECK;

/* The height of the stack at the last mark. */
size_t pickle_machine_floor_of(const struct pickle_machine *m);

bool pickle_machine_push_mark(struct pickle_machine *m, struct error *err) MUST_CHECK;

/* Neither takes or sees anything under the last mark. */
bool pickle_machine_pop(struct pickle_machine *m, pickle_ref *out, struct error *err) MUST_CHECK;
bool pickle_machine_top(const struct pickle_machine *m, pickle_ref *out,
                        struct error *err) MUST_CHECK;

/* The place on the stack where the values since the last mark begin; the mark is taken away. */
bool pickle_machine_pop_mark(struct pickle_machine *m, size_t *first, struct error *err) MUST_CHECK;

/* Keeps what lies on top of the stack under a number, or finds it again. */
bool pickle_machine_remember(struct pickle_machine *m, uint64_t place,
                             struct error *err) MUST_CHECK;
bool pickle_machine_recall(const struct pickle_machine *m, uint64_t place, pickle_ref *out,
                           struct error *err) MUST_CHECK;

/* Frees all but the values. */
void pickle_machine_clear(struct pickle_machine *m);

#endif
