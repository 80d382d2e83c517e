#include "nn/blocks.h"

#include "base/names.h"

#include <stdarg.h>
#include <string.h>

struct blocks_name blocks_name(const char *fmt, ...)
{
    struct blocks_name name;
    va_list args;

    va_start(args, fmt);
    int len = names_format(name.text, sizeof name.text, fmt, args);
    va_end(args);
    /* A cut name could be some other weight's; a full buffer leaves no room for ".weight". */
    if (len < 0)
        name.text[0] = '\0';
    if (len >= (int)sizeof name.text)
        memset(name.text, 'x', sizeof name.text - 1);
    return name;
}

struct graph_shape blocks_shape(const struct graph *g, int tensor)
{
    return tensor > 0 ? graph_tensor_view(g, tensor)->shape : (struct graph_shape){0};
}

int64_t blocks_channels(const struct graph *g, struct graph_source in)
{
    return blocks_shape(g, in.x).c + blocks_shape(g, in.x2).c;
}

static int add_conv(struct graph *g, const struct graph_conv *shape, struct blocks_extra extra,
                    const char *name)
{
    struct graph_conv conv = *shape;
    const int64_t rows = extra.act == GRAPH_ACT_GEGLU ? 2 * conv.out_c : conv.out_c;
    const int64_t dims[4] = {rows, blocks_channels(g, conv.in), conv.kernel, conv.kernel};

    conv.weight = graph_weight(g, conv.kernel == 1 ? 2 : 4, dims, "%s.weight", name);
    conv.bias = extra.no_bias ? 0 : graph_weight(g, 1, &rows, "%s.bias", name);
    conv.channel_add = extra.channel_add;
    conv.act = extra.act;
    conv.residual = extra.residual;
    return graph_conv(g, &conv);
}

int blocks_conv3(struct graph *g, struct graph_source in, int64_t out_c, int stride,
                 struct blocks_extra extra, const char *name)
{
    return add_conv(g,
                    &(struct graph_conv){.in = in,
                                         .out_c = out_c,
                                         .kernel = 3,
                                         .stride = stride,
                                         .pad_before = 1,
                                         .pad_after = 1},
                    extra, name);
}

int blocks_linear(struct graph *g, struct graph_source in, int64_t out_c, struct blocks_extra extra,
                  const char *name)
{
    return add_conv(g, &(struct graph_conv){.in = in, .out_c = out_c, .kernel = 1, .stride = 1},
                    extra, name);
}

struct graph_source blocks_group_norm(struct graph *g, int x, int x2, int groups, float eps,
                                      bool silu, const char *name)
{
    struct graph_source source = {.x = x, .x2 = x2, .silu = silu};
    const int64_t c = blocks_channels(g, source);
    struct graph_group_norm norm = {.x = x, .x2 = x2, .groups = groups, .eps = eps};

    norm.weight = graph_weight(g, 1, &c, "%s.weight", name);
    norm.bias = graph_weight(g, 1, &c, "%s.bias", name);
    source.affine = graph_group_norm(g, &norm);
    return source;
}

int blocks_layer_norm(struct graph *g, int x, float eps, const char *name)
{
    const int64_t c = blocks_shape(g, x).c;
    struct graph_layer_norm norm = {.x = x, .eps = eps};

    norm.weight = graph_weight(g, 1, &c, "%s.weight", name);
    norm.bias = graph_weight(g, 1, &c, "%s.bias", name);
    return graph_layer_norm(g, &norm);
}

int blocks_resnet(struct graph *g, const struct blocks_resnet *r, const char *name)
{
    const struct graph_source input = {.x = r->x, .x2 = r->x2};
    struct blocks_extra plus_time = {0}, plus_input = {.residual = r->x};

    if (r->time)
        plus_time.channel_add =
            blocks_linear(g, (struct graph_source){.x = r->time}, r->out_c,
                          (struct blocks_extra){0}, blocks_name("%s.time_emb_proj", name).text);
    struct graph_source in = blocks_group_norm(g, r->x, r->x2, r->groups, r->eps, true,
                                               blocks_name("%s.norm1", name).text);
    const int hidden =
        blocks_conv3(g, in, r->out_c, 1, plus_time, blocks_name("%s.conv1", name).text);

    in = blocks_group_norm(g, hidden, 0, r->groups, r->eps, true,
                           blocks_name("%s.norm2", name).text);
    if (r->x2 || blocks_channels(g, input) != r->out_c)
        plus_input.residual = blocks_linear(g, input, r->out_c, (struct blocks_extra){0},
                                            blocks_name("%s.conv_shortcut", name).text);
    return blocks_conv3(g, in, r->out_c, 1, plus_input, blocks_name("%s.conv2", name).text);
}

int blocks_upsample(struct graph *g, int x, int64_t h, int64_t w, const char *name)
{
    const struct graph_shape shape = blocks_shape(g, x);
    struct graph_source in = {.x = x, .enlarge = true};

    if (h != 2 * shape.h || w != 2 * shape.w) {
        in.enlarge_h = h;
        in.enlarge_w = w;
    }
    return blocks_conv3(g, in, shape.c, 1, (struct blocks_extra){0}, name);
}
