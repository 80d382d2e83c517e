/* For tests: files of small upscalers of random numbers. */
#ifndef PIPELINE_UPSCALE_TESTING_H
#define PIPELINE_UPSCALE_TESTING_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UPSCALE_TESTING_WIDTH = 8, UPSCALE_TESTING_GROWTH = 4 };

/* A file being made: names and shapes first, numbers behind them. */
struct upscale_testing_making {
    char header[16384];
    size_t len, at;
    int n;
};

static inline void upscale_testing_tensor(struct upscale_testing_making *m, const char *name,
                                          const char *shape, size_t count)
{
    m->len += (size_t)snprintf(m->header + m->len, sizeof m->header - m->len,
                               "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,"
                               "%zu]}",
                               m->n++ ? "," : "{", name, shape, m->at, m->at + 4 * count);
    m->at += 4 * count;
}

static inline void upscale_testing_conv(struct upscale_testing_making *m, const char *layer,
                                        int in_c, int out_c)
{
    char name[128], shape[64];
    snprintf(name, sizeof name, "%s.weight", layer);
    snprintf(shape, sizeof shape, "%d,%d,3,3", out_c, in_c);
    upscale_testing_tensor(m, name, shape, (size_t)(in_c * out_c * 9));
    snprintf(name, sizeof name, "%s.bias", layer);
    snprintf(shape, sizeof shape, "%d", out_c);
    upscale_testing_tensor(m, name, shape, (size_t)out_c);
}

/* One block, two doublings; the order of layers, and so their numbers, is the same in both
 * spellings, the old one and the new.  fold: pixels that are folded into channels; extra: a layer
 * more than there is, or NULL. */
static inline void upscale_testing_write(const char *path, bool old, const char *prefix, int fold,
                                         const char *extra)
{
    static const char *const layers[][2] = {
        {"conv_first", "model.0"}, {"conv_body", "model.1.sub.1"}, {"conv_up1", "model.3"},
        {"conv_up2", "model.6"},   {"conv_hr", "model.8"},         {"conv_last", "model.10"}};
    static struct upscale_testing_making m;
    char layer[96];
    uint32_t seed = 1;

    memset(&m, 0, sizeof m);
    for (int i = 0; i < 6; i++) {
        snprintf(layer, sizeof layer, "%s%s", prefix, layers[i][old]);
        upscale_testing_conv(&m, layer, i ? UPSCALE_TESTING_WIDTH : 3 * fold * fold,
                             i == 5 ? 3 : UPSCALE_TESTING_WIDTH);
    }
    for (int i = 0; i < 15; i++) {
        const int k = i % 5;
        snprintf(layer, sizeof layer,
                 old ? "%smodel.1.sub.0.RDB%d.conv%d.0" : "%sbody.0.rdb%d.conv%d", prefix,
                 i / 5 + 1, k + 1);
        upscale_testing_conv(&m, layer, UPSCALE_TESTING_WIDTH + k * UPSCALE_TESTING_GROWTH,
                             k == 4 ? UPSCALE_TESTING_WIDTH : UPSCALE_TESTING_GROWTH);
    }
    if (extra)
        upscale_testing_conv(&m, extra, 1, 1);
    m.header[m.len++] = '}';
    while (m.len % 8)
        m.header[m.len++] = ' ';
    FILE *f = fopen(path, "wb");
    if (!f)
        exit(2);
    for (int i = 0; i < 8; i++)
        fputc((int)(m.len >> 8 * i & 255), f);
    fwrite(m.header, 1, m.len, f);
    for (size_t i = 0; i < m.at / 4; i++) {
        seed = seed * 1664525u + 1013904223u;
        const float x = (float)(int32_t)seed * 0x1p-31f * 0.3f;
        fwrite(&x, 4, 1, f);
    }
    if (fclose(f) != 0)
        exit(2);
}

#endif
