#include "pipeline/text_pooled.h"

#include "base/file_map.h"

#include <string.h>

static float weight_at(const struct model_tensor *t, size_t i)
{
    const unsigned char *at = t->bytes + i * dtype_bytes(t->dtype);
    uint16_t half;
    float whole;

    if (t->dtype == DTYPE_F32) {
        memcpy(&whole, at, sizeof whole);
        return whole;
    }
    memcpy(&half, at, sizeof half);
    return t->dtype == DTYPE_F16 ? dtype_f32_from_f16(half) : dtype_f32_from_bf16(half);
}

/* The same sums in the same order whichever way the matrix lies. */
static void project(float *out, const float *state, const struct model_tensor *t, size_t width,
                    size_t out_width)
{
    for (size_t i = 0; i < out_width; i++) {
        double sum = 0;
        for (size_t k = 0; k < width; k++)
            sum +=
                (double)state[k] * weight_at(t, t->transposed ? k * out_width + i : i * width + k);
        out[i] = (float)sum;
    }
}

bool text_pooled_project(float *out, const float *states, int n, const struct model *m,
                         struct error *err)
{
    static const char name[] = "text_projection.weight";
    const struct clip_config *c = &model_view(m)->clip[1];
    struct model_tensor t;

    if (!model_find(m, MODEL_TEXT_ENCODER_2, name, &t))
        return error_set(err, ERROR_CORRUPT, "%s: text_encoder_2 has no %s", model_view(m)->path,
                         name);
    const int64_t rows = t.transposed ? c->width : c->projection_dim;
    const int64_t columns = t.transposed ? c->projection_dim : c->width;
    if (t.n_dims != 2 || t.dims[0] != rows || t.dims[1] != columns ||
        (t.dtype != DTYPE_F32 && t.dtype != DTYPE_F16 && t.dtype != DTYPE_BF16))
        return error_set(err, ERROR_CORRUPT,
                         "%s: %s is not a matrix of %lld by %lld floating-point numbers", t.file,
                         t.name, (long long)rows, (long long)columns);
    for (size_t i = 0; i < (size_t)n; i++)
        project(out + i * (size_t)c->projection_dim, states + i * (size_t)c->width, &t,
                (size_t)c->width, (size_t)c->projection_dim);
    file_map_forget(t.bytes, (size_t)t.n_bytes);
    return true;
}
