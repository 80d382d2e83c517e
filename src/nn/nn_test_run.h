/* Runs a graph on the CPU once, for tests. */
#ifndef NN_NN_TEST_RUN_H
#define NN_NN_TEST_RUN_H

#include "base/test.h"
#include "engine/cpu/cpu_backend.h"
#include "engine/exec.h"

#include <math.h>

struct nn_test_input {
    int tensor;
    const float *numbers;
    enum backend_order order;
};

/* Returns false, having counted and told the failure, when the graph cannot be run. */
static inline bool nn_test_run(const struct graph *g, struct weights *w, struct backend *b,
                               const struct nn_test_input *inputs, int n_inputs, int out, float *to,
                               enum backend_order order)
{
    struct error err = {0};
    struct exec *e = NULL;

    bool ok = graph_check(g, &err) && exec_new(&e, g, b, w, 0, &err) && exec_start(e, NULL, &err);
    for (int i = 0; ok && i < n_inputs; i++)
        exec_write(e, inputs[i].tensor, inputs[i].numbers, inputs[i].order);
    ok = ok && exec_run(e, NULL, NULL, &err);
    if (ok)
        exec_read(e, out, to, order);
    else
        fprintf(stderr, "%s\n", err.text);
    CHECK(ok);
    exec_free(e);
    return ok;
}

/* Largest difference over the largest wanted number; NaN counts as infinitely wrong. */
static inline double nn_test_error(const float *have, const float *want, size_t n)
{
    double worst = 0, largest = 0;

    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)have[i] - (double)want[i]);
        if (!(d <= worst))
            worst = isnan(d) ? INFINITY : d;
        largest = fmax(largest, fabs((double)want[i]));
    }
    return largest > 0 ? worst / largest : worst;
}

#endif
