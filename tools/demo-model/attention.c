/* Softmax attention with gradients for small heads: what train.py's attend() computes, several times faster on a CPU.
   train.py --fused 1 compiles this file. Tensors are (batch, tokens, heads * dim), contiguous, float32. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef float vec __attribute__((vector_size(64)));
enum { W = 16 };

static void transpose(const float *a, float *t, int m, int mp, int dim, int row)
{
    memset(t, 0, sizeof(float) * (size_t)mp * dim);
    for (int j = 0; j < m; j++)
        for (int d = 0; d < dim; d++)
            t[d * mp + j] = a[(size_t)j * row + d];
}

static void untranspose(const float *t, float *a, int m, int mp, int dim, int row)
{
    for (int j = 0; j < m; j++)
        for (int d = 0; d < dim; d++)
            a[(size_t)j * row + d] = t[d * mp + j];
}

/* s[j] = sum over d of q[d] * kt[d][j] */
static void scores(const float *q, const float *kt, float *s, int mp, int dim)
{
    for (int j = 0; j < mp; j += W) {
        vec acc = {0};
        for (int d = 0; d < dim; d++)
            acc += q[d] * *(const vec *)(kt + d * mp + j);
        *(vec *)(s + j) = acc;
    }
}

static float dot(const float *a, const float *b, int mp)
{
    vec acc = {0}, acc2 = {0};
    int j = 0;
    for (; j + 2 * W <= mp; j += 2 * W) {
        acc += *(const vec *)(a + j) * *(const vec *)(b + j);
        acc2 += *(const vec *)(a + j + W) * *(const vec *)(b + j + W);
    }
    if (j < mp)
        acc += *(const vec *)(a + j) * *(const vec *)(b + j);
    acc += acc2;
    float sum = 0;
    for (int i = 0; i < W; i++)
        sum += acc[i];
    return sum;
}

static void add_scaled(float *a, const float *b, float f, int mp)
{
    for (int j = 0; j < mp; j += W)
        *(vec *)(a + j) += f * *(const vec *)(b + j);
}

static float *room(size_t floats) { return aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64); }

void attention_forward(const float *q, const float *k, const float *v, float *o, float *lse, int batch, int n, int m,
                       int heads, int dim, int causal, float scale)
{
    const int mp = (m + W - 1) / W * W, row = heads * dim;
#pragma omp parallel for
    for (int bh = 0; bh < batch * heads; bh++) {
        const int b = bh / heads, h = bh % heads;
        float *kt = room((size_t)mp * dim), *vt = room((size_t)mp * dim), *s = room(mp);
        transpose(k + (size_t)b * m * row + h * dim, kt, m, mp, dim, row);
        transpose(v + (size_t)b * m * row + h * dim, vt, m, mp, dim, row);
        for (int i = 0; i < n; i++) {
            const size_t at = ((size_t)b * n + i) * row + h * dim;
            const int seen = causal && i + 1 < m ? i + 1 : m;
            float max = -INFINITY, sum = 0;
            scores(q + at, kt, s, mp, dim);
            for (int j = 0; j < seen; j++)
                max = s[j] > max ? s[j] : max;
            for (int j = 0; j < seen; j++) {
                s[j] = expf((s[j] - max) * scale);
                sum += s[j];
            }
            for (int j = seen; j < mp; j++)
                s[j] = 0;
            for (int d = 0; d < dim; d++)
                o[at + d] = dot(s, vt + d * mp, mp) / sum;
            lse[(size_t)bh * n + i] = max * scale + logf(sum);
        }
        free(kt), free(vt), free(s);
    }
}

void attention_backward(const float *q, const float *k, const float *v, const float *o, const float *lse,
                        const float *go, float *gq, float *gk, float *gv, int batch, int n, int m, int heads, int dim,
                        int causal, float scale)
{
    const int mp = (m + W - 1) / W * W, row = heads * dim;
#pragma omp parallel for
    for (int bh = 0; bh < batch * heads; bh++) {
        const int b = bh / heads, h = bh % heads;
        const size_t size = (size_t)mp * dim, first = (size_t)b * m * row + h * dim;
        float *kt = room(size), *vt = room(size), *gkt = room(size), *gvt = room(size), *p = room(mp), *g = room(mp);
        transpose(k + first, kt, m, mp, dim, row);
        transpose(v + first, vt, m, mp, dim, row);
        memset(gkt, 0, size * sizeof(float));
        memset(gvt, 0, size * sizeof(float));
        for (int i = 0; i < n; i++) {
            const size_t at = ((size_t)b * n + i) * row + h * dim;
            const float l = lse[(size_t)bh * n + i];
            const int seen = causal && i + 1 < m ? i + 1 : m;
            float delta = 0;
            for (int d = 0; d < dim; d++)
                delta += go[at + d] * o[at + d];
            scores(q + at, kt, p, mp, dim);
            scores(go + at, vt, g, mp, dim);
            for (int j = 0; j < seen; j++) {
                p[j] = expf(p[j] * scale - l);
                g[j] = p[j] * (g[j] - delta) * scale;
            }
            for (int j = seen; j < mp; j++)
                p[j] = g[j] = 0;
            for (int d = 0; d < dim; d++) {
                gq[at + d] = dot(g, kt + d * mp, mp);
                add_scaled(gkt + d * mp, g, q[at + d], mp);
                add_scaled(gvt + d * mp, p, go[at + d], mp);
            }
        }
        untranspose(gkt, gk + first, m, mp, dim, row);
        untranspose(gvt, gv + first, m, mp, dim, row);
        free(kt), free(vt), free(gkt), free(gvt), free(p), free(g);
    }
}
