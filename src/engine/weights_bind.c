#include "engine/weights_bind.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void write_shape(char *to, size_t room, int n_dims, const int64_t *dims)
{
    size_t len = 0;
    to[0] = 0;
    for (int i = 0; i < n_dims && len < room; i++) {
        int n = snprintf(to + len, room - len, "%s%" PRId64, i ? "x" : "", dims[i]);
        len += n > 0 ? (size_t)n : 0;
    }
}

static bool same_dims(const struct graph_weight *want, const struct model_tensor *have)
{
    for (int i = 0; i < 4; i++) {
        int64_t a = i < want->n_dims ? want->dims[i] : 1;
        int64_t b = i < have->n_dims ? have->dims[i] : 1;
        if (a != b)
            return false;
    }
    return true;
}

static bool bind_one(struct weight_view *out, const struct graph_weight *want,
                     const struct model *m, enum model_part part, struct error *err)
{
    struct model_tensor have;

    if (!model_find(m, part, want->name, &have))
        return error_set(err, ERROR_CORRUPT, "%s: the %s has no tensor '%s'", model_view(m)->path,
                         model_part_name(part), want->name);
    if (!same_dims(want, &have)) {
        char a[96], b[96];
        write_shape(a, sizeof a, want->n_dims, want->dims);
        write_shape(b, sizeof b, have.n_dims, have.dims);
        return error_set(err, ERROR_CORRUPT, "%s: tensor '%s' is %s, the network needs %s",
                         have.file, have.name, b, a);
    }
    if (have.dtype != DTYPE_F32 && have.dtype != DTYPE_F16 && have.dtype != DTYPE_BF16)
        return error_set(err, ERROR_CORRUPT, "%s: tensor '%s' is not float32, float16 or bfloat16",
                         have.file, have.name);
    *out = (struct weight_view){have.bytes, have.dtype,
                                (int64_t)(have.n_bytes / dtype_bytes(have.dtype))};
    return true;
}

bool weights_bind(struct weights **out, const struct graph *g, const struct model *m,
                  enum model_part part, struct error *err)
{
    if (!graph_check(g, err))
        return false;
    int n = graph_n_weights(g);
    struct weight_view *views = calloc(n ? (size_t)n : 1, sizeof *views);
    if (!views)
        return error_set(err, ERROR_MEMORY, "no memory for a list of %d weights", n);
    bool ok = true;
    for (int i = 0; i < n && ok; i++)
        ok = bind_one(&views[i], graph_weight_view(g, i + 1), m, part, err);
    ok = ok && weights_from_mapping(out, g, views, err);
    free(views);
    return ok;
}
