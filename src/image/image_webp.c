/* The container: WebP Container Specification, "Extended File Format". */
#include "image/image_webp.h"

#include "image/image_exif.h"
#include "image/image_text.h"

#include <string.h>
#include <webp/decode.h>
#include <webp/encode.h>

enum {
    RIFF_BYTES = 12, /* "RIFF", length, "WEBP" */
    CHUNK_BYTES = 8, /* name and length */
    CANVAS_BYTES = 10,
    FRAME_BYTES = 16,
    FLAG_ALPHA = 0x10,
    FLAG_EXIF = 0x08,
};

/* A file taken apart. */
struct parts {
    const uint8_t *canvas; /* the content of VP8X, or NULL */
    const uint8_t *frame;  /* of the first ANMF, or NULL */
    size_t frame_len;
    const uint8_t *exif, *xmp;
    size_t exif_len, xmp_len;
};

static uint32_t le(const uint8_t *p, int n_bytes)
{
    uint32_t v = 0;
    for (int i = n_bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static void sort_chunk(struct parts *out, const uint8_t *name, const uint8_t *body, size_t len)
{
    if (memcmp(name, "VP8X", 4) == 0 && len >= CANVAS_BYTES && !out->canvas) {
        out->canvas = body;
    } else if (memcmp(name, "ANMF", 4) == 0 && len > FRAME_BYTES && !out->frame) {
        out->frame = body;
        out->frame_len = len;
    } else if (memcmp(name, "EXIF", 4) == 0 && !out->exif) {
        out->exif = body;
        out->exif_len = len;
    } else if (memcmp(name, "XMP ", 4) == 0 && !out->xmp) {
        out->xmp = body;
        out->xmp_len = len;
    }
}

static bool take_apart(struct parts *out, const uint8_t *bytes, size_t len, struct error *err)
{
    *out = (struct parts){0};
    size_t end = len < RIFF_BYTES ? 0 : (size_t)le(bytes + 4, 4) + 8;
    if (end < RIFF_BYTES || end > len)
        return error_set(err, ERROR_CORRUPT, "WebP: the file ends too early");
    for (size_t at = RIFF_BYTES; end - at >= CHUNK_BYTES;) {
        size_t body = le(bytes + at + 4, 4);
        if (body > end - at - CHUNK_BYTES)
            return error_set(err, ERROR_CORRUPT, "WebP: a chunk ends behind the file");
        sort_chunk(out, bytes + at, bytes + at + CHUNK_BYTES, body);
        at += CHUNK_BYTES + body;
        at += at < end ? body & 1 : 0; /* chunks begin at even places */
    }
    return true;
}

static bool get_features(WebPBitstreamFeatures *out, const void *bytes, size_t len,
                         struct error *err)
{
    VP8StatusCode status = WebPGetFeatures(bytes, len, out);
    if (status == VP8_STATUS_OK)
        return true;
    if (status == VP8_STATUS_OUT_OF_MEMORY)
        return error_set(err, ERROR_MEMORY, "no memory to read a picture");
    return error_set(err, ERROR_CORRUPT, "WebP: the header is damaged");
}

bool image_webp_look(struct image_meta *out, const void *bytes, size_t len, struct error *err)
{
    WebPBitstreamFeatures features;
    struct parts parts;

    if (!take_apart(&parts, bytes, len, err) || !get_features(&features, bytes, len, err))
        return false;
    out->width = features.width;
    out->height = features.height;
    /* The frame of an animation may leave some of its canvas free. */
    out->has_alpha = features.has_alpha || features.has_animation;
    if (parts.exif)
        image_meta_add_exif(out, parts.exif, parts.exif_len, true);
    if (parts.xmp) {
        struct buf text;
        buf_init(&text, IMAGE_META_MAX_TEXT_BYTES);
        image_text_from_utf8(&text, (const char *)parts.xmp, parts.xmp_len);
        image_meta_add(out, "xmp", &text);
    }
    return image_meta_finish(out, err);
}

/* Where on the canvas pixels go, and where they come from. */
struct job {
    const uint8_t *bytes;
    size_t len;
    int x, y, width, height; /* width 0: the whole canvas */
    bool rgba;
};

static bool decode(struct image *canvas, const struct job *job, struct error *err)
{
    const size_t px = job->rgba ? IMAGE_RGBA : IMAGE_CHANNELS, stride = (size_t)canvas->width * px;
    WebPDecoderConfig config;

    if (!WebPInitDecoderConfig(&config))
        return error_set(err, ERROR_CORRUPT, "WebP: this libwebp is not the one we were built for");
    if (!get_features(&config.input, job->bytes, job->len, err))
        return false;
    if (config.input.width != job->width || config.input.height != job->height)
        return error_set(err, ERROR_CORRUPT, "WebP: a frame has another size than it claims");
    uint8_t *at = canvas->px + (size_t)job->y * stride + (size_t)job->x * px;
    config.output.colorspace = job->rgba ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = at;
    config.output.u.RGBA.stride = (int)stride;
    config.output.u.RGBA.size = (size_t)(job->height - 1) * stride + (size_t)job->width * px;
    VP8StatusCode status = WebPDecode(job->bytes, job->len, &config);
    WebPFreeDecBuffer(&config.output);
    if (status == VP8_STATUS_OUT_OF_MEMORY)
        return error_set(err, ERROR_MEMORY, "no memory to read a picture");
    return status == VP8_STATUS_OK ||
           error_set(err, ERROR_CORRUPT, "WebP: the picture's data are damaged");
}

/* Only the first frame, which lies somewhere on the canvas. */
static bool choose_frame(struct job *job, const struct parts *parts, int width, int height,
                         struct error *err)
{
    const uint8_t *f = parts->frame;

    if (!f)
        return error_set(err, ERROR_CORRUPT, "WebP: an animation without a frame");
    *job = (struct job){.bytes = f + FRAME_BYTES,
                        .len = parts->frame_len - FRAME_BYTES,
                        .x = (int)le(f, 3) * 2,
                        .y = (int)le(f + 3, 3) * 2,
                        .width = (int)le(f + 6, 3) + 1,
                        .height = (int)le(f + 9, 3) + 1,
                        .rgba = true};
    return (job->width <= width - job->x && job->height <= height - job->y) ||
           error_set(err, ERROR_CORRUPT, "WebP: the frame does not lie on its canvas");
}

bool image_webp_read(struct image_file *out, const void *bytes, size_t len,
                     struct image_limits limits, struct error *err)
{
    WebPBitstreamFeatures features;
    struct parts parts;

    *out = (struct image_file){0};
    if (!take_apart(&parts, bytes, len, err) || !get_features(&features, bytes, len, err) ||
        !image_check_size(features.width, features.height, limits, err))
        return false;
    struct job job = {.bytes = bytes,
                      .len = len,
                      .width = features.width,
                      .height = features.height,
                      .rgba = features.has_alpha != 0};
    if (features.has_animation && !choose_frame(&job, &parts, features.width, features.height, err))
        return false;
    bool ok = (job.rgba ? image_init_rgba : image_init)(&out->image, features.width,
                                                        features.height, err) &&
              decode(&out->image, &job, err) &&
              (!job.rgba || image_split_alpha(&out->alpha, &out->image, err));
    if (!ok)
        image_format_clear(out);
    return ok;
}

static void add_le(struct buf *out, size_t value, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++) {
        unsigned char b = (unsigned char)(value >> (8 * i));
        buf_add(out, &b, 1);
    }
}

struct sink {
    struct buf *out;
    size_t skip; /* bytes of libwebp's own header that are still to be dropped */
};

static int take_bytes(const uint8_t *bytes, size_t len, const WebPPicture *picture)
{
    struct sink *sink = picture->custom_ptr;
    size_t drop = sink->skip < len ? sink->skip : len;

    sink->skip -= drop;
    buf_add(sink->out, bytes + drop, len - drop);
    return !sink->out->failed;
}

static bool encode(struct sink *sink, const struct image *image, int quality, struct error *err)
{
    WebPConfig config;
    WebPPicture picture;

    if (!WebPConfigInit(&config) || !WebPPictureInit(&picture))
        return error_set(err, ERROR_CORRUPT, "WebP: this libwebp is not the one we were built for");
    config.quality = (float)quality;
    picture.width = image->width;
    picture.height = image->height;
    picture.writer = take_bytes;
    picture.custom_ptr = sink;
    bool ok = WebPPictureImportRGB(&picture, image->px, image->width * IMAGE_CHANNELS) &&
              WebPEncode(&config, &picture);
    WebPEncodingError code = picture.error_code;
    WebPPictureFree(&picture);
    if (ok)
        return true;
    if (sink->out->failed || code == VP8_ENC_ERROR_FILE_TOO_BIG)
        return error_set(err, ERROR_LIMIT, "no room for the picture's file");
    return error_set(err, ERROR_MEMORY, "no memory to write a picture as WebP (%u)",
                     (unsigned)code);
}

/* The start of an extended file, whose length is filled in at the end. */
static void add_canvas(struct buf *out, const struct image *image)
{
    buf_add(out, "RIFF\0\0\0\0WEBPVP8X", RIFF_BYTES + 4);
    add_le(out, CANVAS_BYTES, 4);
    add_le(out, FLAG_EXIF, 4);
    add_le(out, (size_t)image->width - 1, 3);
    add_le(out, (size_t)image->height - 1, 3);
}

static void add_exif(struct buf *out, const struct buf *exif, size_t start)
{
    buf_add(out, "EXIF", 4);
    add_le(out, exif->len, 4);
    buf_add(out, exif->bytes, exif->len);
    buf_add(out, "", exif->len & 1);
    if (out->failed)
        return;
    size_t riff = out->len - start - 8;
    for (int i = 0; i < 4; i++)
        out->bytes[start + 4 + (size_t)i] = (char)(riff >> (8 * i));
}

bool image_webp_write(struct buf *out, const struct image *image,
                      const struct image_write_options *options, struct error *err)
{
    const size_t start = out->len;
    struct sink sink = {.out = out};
    struct buf exif;

    if (options->quality < 1 || options->quality > 100)
        return error_set(err, ERROR_INVALID, "a WebP quality of %d is not from 1 to 100",
                         options->quality);
    if (image->width > WEBP_MAX_DIMENSION || image->height > WEBP_MAX_DIMENSION)
        return error_set(err, ERROR_LIMIT,
                         "a WebP file has at most %d pixels a side; PNG and AVIF have room",
                         WEBP_MAX_DIMENSION);
    if (!image_exif_prepare(&exif, options->infotext, IMAGE_META_MAX_TEXT_BYTES, err))
        return false;
    if (exif.len > 0) {
        add_canvas(out, image);
        sink.skip = RIFF_BYTES;
    }
    bool ok = encode(&sink, image, options->quality, err);
    if (ok && exif.len > 0)
        add_exif(out, &exif, start);
    buf_clear(&exif);
    return ok && (!out->failed || error_set(err, ERROR_LIMIT, "no room for the picture's file"));
}
