#include "image/image_avif.h"

#include "image/image_exif.h"
#include "image/image_text.h"

#include <avif/avif.h>
#include <string.h>

enum {
    MAX_FRAMES = 10000, /* the tables of a longer film are not even read */
    DEFAULT_SPEED = 6,  /* libavif's own command's */
    FULL_COLOUR_QUALITY = 90,
    ENCODER_THREADS = 4,
};

static bool fail(avifResult result, const avifDiagnostics *diag, const char *doing,
                 struct error *err)
{
    switch (result) {
    case AVIF_RESULT_OUT_OF_MEMORY:
        return error_set(err, ERROR_MEMORY, "no memory to %s an AVIF file", doing);
    case AVIF_RESULT_NO_CODEC_AVAILABLE:
        return error_set(err, ERROR_INVALID, "this machine's libavif has no codec to %s AVIF files",
                         doing);
    case AVIF_RESULT_INVALID_FTYP:
    case AVIF_RESULT_NO_AV1_ITEMS_FOUND:
        return error_set(err, ERROR_CORRUPT,
                         "AVIF: no AV1 picture in the file; HEIC and films are not read");
    default:
        return error_set(err, ERROR_CORRUPT, "AVIF: %s%s%.150s", avifResultToString(result),
                         diag && diag->error[0] ? ": " : "", diag ? diag->error : "");
    }
}

/* Reads the boxes.  *out is the caller's to destroy, also after a failure; the bytes must outlive
 * it. */
static bool parse(avifDecoder **out, const void *bytes, size_t len, struct image_limits limits,
                  bool wants_text, struct error *err)
{
    avifDecoder *decoder = *out = avifDecoderCreate();

    if (!decoder)
        return error_set(err, ERROR_MEMORY, "no memory to read a picture");
    decoder->maxThreads = 1;
    decoder->imageSizeLimit = (uint32_t)limits.max_pixels;
    decoder->imageDimensionLimit = 0; /* ours speaks */
    decoder->imageCountLimit = MAX_FRAMES;
    decoder->ignoreExif = decoder->ignoreXMP = wants_text ? AVIF_FALSE : AVIF_TRUE;
    avifResult result = avifDecoderSetIOMemory(decoder, bytes, len);
    if (result == AVIF_RESULT_OK)
        result = avifDecoderParse(decoder);
    return result == AVIF_RESULT_OK || fail(result, &decoder->diag, "read", err);
}

/* EXIF's number for a turn of angle * 90 degrees against the clock, then perhaps a mirror. */
static int orientation_of(const avifImage *image)
{
    static const int turned[] = {1, 8, 3, 6}, rows_swapped[] = {4, 5, 2, 7},
                     columns_swapped[] = {2, 7, 4, 5};
    const int angle = image->transformFlags & AVIF_TRANSFORM_IROT ? image->irot.angle & 3 : 0;

    if (!(image->transformFlags & AVIF_TRANSFORM_IMIR))
        return turned[angle];
#if AVIF_VERSION_MAJOR >= 1
    return image->imir.axis ? columns_swapped[angle] : rows_swapped[angle];
#else
    return image->imir.mode ? columns_swapped[angle] : rows_swapped[angle];
#endif
}

bool image_avif_look(struct image_meta *out, const void *bytes, size_t len, struct error *err)
{
    avifDecoder *decoder = NULL;
    bool ok = false;

    if (!parse(&decoder, bytes, len,
               (struct image_limits){.max_pixels = AVIF_DEFAULT_IMAGE_SIZE_LIMIT}, out->wants_text,
               err))
        goto done;
    const avifImage *image = decoder->image;
    out->width = image->width;
    out->height = image->height;
    out->has_alpha = decoder->alphaPresent != AVIF_FALSE;
    out->orientation = orientation_of(image);
    if (image->exif.size > 0)
        image_meta_add_exif(out, image->exif.data, image->exif.size, false);
    if (image->xmp.size > 0) {
        struct buf text;
        buf_init(&text, IMAGE_META_MAX_TEXT_BYTES);
        image_text_from_utf8(&text, (const char *)image->xmp.data, image->xmp.size);
        image_meta_add(out, "xmp", &text);
    }
    ok = image_meta_finish(out, err);

done:
    if (decoder)
        avifDecoderDestroy(decoder);
    if (!ok)
        image_meta_clear(out);
    return ok;
}

/* The pixels of a decoded frame. */
static bool convert(struct image_file *out, const avifImage *image, struct error *err)
{
    const bool alpha = image->alphaPlane != NULL;
    const int width = (int)image->width, height = (int)image->height;
    avifRGBImage rgb;

    if (!(alpha ? image_init_rgba : image_init)(&out->image, width, height, err))
        return false;
    avifRGBImageSetDefaults(&rgb, image);
    rgb.format = alpha ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.depth = 8;
    rgb.pixels = out->image.px;
    rgb.rowBytes = (uint32_t)width * (alpha ? IMAGE_RGBA : IMAGE_CHANNELS);
    avifResult result = avifImageYUVToRGB(image, &rgb);
    if (result != AVIF_RESULT_OK)
        return fail(result, NULL, "read", err);
    return !alpha || image_split_alpha(&out->alpha, &out->image, err);
}

bool image_avif_read(struct image_file *out, const void *bytes, size_t len,
                     struct image_limits limits, struct error *err)
{
    avifDecoder *decoder = NULL;
    bool ok = false;

    *out = (struct image_file){0};
    if (!parse(&decoder, bytes, len,
               (struct image_limits){.max_pixels = AVIF_DEFAULT_IMAGE_SIZE_LIMIT}, false, err) ||
        !image_check_size(decoder->image->width, decoder->image->height, limits, err))
        goto done;
    /* The codec asks this limit before it makes a frame that is larger than the boxes say. */
    const uint32_t claimed = decoder->image->width * decoder->image->height;
    decoder->imageSizeLimit = claimed;
    avifResult result = avifDecoderNextImage(decoder);
    if (result != AVIF_RESULT_OK) {
        fail(result, &decoder->diag, "read", err);
        goto done;
    }
    ok = image_check_size(decoder->image->width, decoder->image->height, limits, err) &&
         convert(out, decoder->image, err);

done:
    if (decoder)
        avifDecoderDestroy(decoder);
    if (!ok)
        image_format_clear(out);
    return ok;
}

static void set_effort(avifEncoder *encoder, const struct image_write_options *options)
{
    encoder->maxThreads = ENCODER_THREADS;
    encoder->speed = options->avif_speed > 0 ? options->avif_speed : DEFAULT_SPEED;
#if AVIF_VERSION_MAJOR >= 1
    encoder->quality = options->quality;
#else
    /* What later versions make of a quality. */
    int quantizer = ((100 - options->quality) * AVIF_QUANTIZER_WORST_QUALITY + 50) / 100;
    encoder->minQuantizer = encoder->maxQuantizer = quantizer;
#endif
}

static avifImage *make_image(const struct image *image, int quality, const struct buf *exif,
                             avifResult *result)
{
    avifImage *out = avifImageCreate((uint32_t)image->width, (uint32_t)image->height, 8,
                                     quality >= FULL_COLOUR_QUALITY ? AVIF_PIXEL_FORMAT_YUV444
                                                                    : AVIF_PIXEL_FORMAT_YUV420);
    avifRGBImage rgb;

    *result = AVIF_RESULT_OUT_OF_MEMORY;
    if (!out)
        return NULL;
    out->colorPrimaries = AVIF_COLOR_PRIMARIES_BT709;
    out->transferCharacteristics = AVIF_TRANSFER_CHARACTERISTICS_SRGB;
    out->matrixCoefficients = AVIF_MATRIX_COEFFICIENTS_BT601;
    out->yuvRange = AVIF_RANGE_FULL;
    if (exif->len > 0) {
        avifImageSetMetadataExif(out, (const uint8_t *)exif->bytes, exif->len);
        if (out->exif.size != exif->len)
            return out; /* no memory */
    }
    avifRGBImageSetDefaults(&rgb, out);
    rgb.format = AVIF_RGB_FORMAT_RGB;
    rgb.depth = 8;
    rgb.pixels = image->px; /* only read */
    rgb.rowBytes = (uint32_t)image->width * IMAGE_CHANNELS;
    *result = avifImageRGBToYUV(out, &rgb);
    return out;
}

static bool encode(struct buf *out, const struct image *image,
                   const struct image_write_options *options, const struct buf *exif,
                   struct error *err)
{
    avifRWData file = AVIF_DATA_EMPTY;
    avifResult result;
    avifImage *yuv = make_image(image, options->quality, exif, &result);
    avifEncoder *encoder = result == AVIF_RESULT_OK ? avifEncoderCreate() : NULL;

    if (encoder) {
        set_effort(encoder, options);
        result = avifEncoderWrite(encoder, yuv, &file);
    } else if (result == AVIF_RESULT_OK) {
        result = AVIF_RESULT_OUT_OF_MEMORY;
    }
    bool ok =
        result == AVIF_RESULT_OK || fail(result, encoder ? &encoder->diag : NULL, "write", err);
    if (ok)
        buf_add(out, file.data, file.size);
    avifRWDataFree(&file);
    if (encoder)
        avifEncoderDestroy(encoder);
    if (yuv)
        avifImageDestroy(yuv);
    return ok && (!out->failed || error_set(err, ERROR_LIMIT, "no room for the picture's file"));
}

bool image_avif_write(struct buf *out, const struct image *image,
                      const struct image_write_options *options, struct error *err)
{
    struct buf exif;

    if (options->quality < 1 || options->quality > 100)
        return error_set(err, ERROR_INVALID, "an AVIF quality of %d is not from 1 to 100",
                         options->quality);
    if (options->avif_speed < 0 || options->avif_speed > 10)
        return error_set(err, ERROR_INVALID, "an AVIF speed of %d is not from 1 to 10",
                         options->avif_speed);
    if (!image_exif_prepare(&exif, options->infotext, IMAGE_META_MAX_TEXT_BYTES, err))
        return false;
    bool ok = encode(out, image, options, &exif, err);
    buf_clear(&exif);
    return ok;
}
