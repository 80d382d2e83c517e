#!/usr/bin/python3
"""Writes the numbers that the tests of src/image compare with, src/image/*_vectors.h.

Needs Pillow 9.4 and PyTorch 1.13 (the packages python3-pil and python3-torch of Debian 12):
    tests/image_vectors.py && clang-format -i src/image/*_vectors.h
Pictures come from a generator that the tests repeat; large results are kept as a hash, since Pillow's
integer arithmetic is met exactly.
"""
import io
import os
import struct
import zlib

import torch
from PIL import Image, ImageFilter, ImageOps

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "src", "image")
FILTERS = {"NEAREST": Image.NEAREST, "BILINEAR": Image.BILINEAR, "BICUBIC": Image.BICUBIC,
           "LANCZOS": Image.LANCZOS}


def noise(n, seed=12345):
    s, out = seed, bytearray()
    for _ in range(n):
        s = (s * 1103515245 + 12345) & 0x7FFFFFFF
        out.append(s >> 16 & 255)
    return bytes(out)


def picture(w, h):
    return Image.frombytes("RGB", (w, h), noise(w * h * 3))


def fnv(data):
    h = 0xCBF29CE484222325
    for b in data:
        h = (h ^ b) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return "0x%016xu" % h


def mask_picture(w, h):
    """A soft blob and a hard bar, so that all values and full cover occur."""
    px = bytearray(w * h)
    for y in range(h):
        for x in range(w):
            d = (4 * x - w) ** 2 + (4 * y - h) ** 2
            v = 255 - d * 255 // (w * w) if d < w * w else 0
            px[y * w + x] = 255 if x > w * 3 // 4 and y > h // 2 else v
    return Image.frombytes("L", (w, h), bytes(px))


def save(name, text):
    guard = "IMAGE_%s_VECTORS_H" % name.upper()
    with open(os.path.join(HERE, name + "_vectors.h"), "w") as f:
        f.write("/* Written by tests/image_vectors.py. */\n#ifndef %s\n#define %s\n\n%s\n#endif\n"
                % (guard, guard, text))


def resize_rows():
    sizes = [(1, 1, 5, 3), (2, 2, 64, 1), (3, 7, 7, 3), (16, 16, 15, 17), (64, 48, 64, 20),
             (64, 48, 21, 48), (64, 64, 128, 128), (100, 37, 8, 8), (37, 100, 111, 99),
             (128, 96, 512, 384), (200, 150, 64, 72), (33, 200, 200, 33), (300, 2, 1, 300),
             (256, 256, 96, 96), (50, 50, 51, 49), (7, 1, 1, 9), (400, 3, 3, 2)]
    out = "static const struct {\n    enum resize_filter filter;\n    int in_width, in_height, width, height;\n" \
          "    uint64_t hash;\n} resize_vectors[] = {\n"
    for iw, ih, w, h in sizes:
        for name, f in FILTERS.items():
            got = picture(iw, ih).resize((w, h), f).tobytes()
            out += "{RESIZE_%s, %d, %d, %d, %d, %s},\n" % (name, iw, ih, w, h, fnv(got))
    return out + "};\n"


def fit(im, mode, w, h):
    """The resize modes with bands that repeat the edge."""
    if mode in (0, 3):
        return im.resize((w, h), Image.LANCZOS)
    ratio, src = w / h, im.width / im.height
    if mode == 1:
        sw = w if ratio > src else im.width * h // im.height
        sh = h if ratio <= src else im.height * w // im.width
    else:
        sw = w if ratio < src else im.width * h // im.height
        sh = h if ratio >= src else im.height * w // im.width
    r = im.resize((sw, sh), Image.LANCZOS)
    x, y = w // 2 - sw // 2, h // 2 - sh // 2
    res = Image.new(im.mode, (w, h))
    if mode == 2:
        for cx in range(w):
            for cy in range(h):
                res.putpixel((cx, cy), r.getpixel((min(max(cx - x, 0), sw - 1),
                                                   min(max(cy - y, 0), sh - 1))))
    else:
        res.paste(r, (x, y))
    return res


def mode_rows():
    sizes = [(64, 48, 32, 32), (48, 64, 40, 40), (20, 20, 64, 40), (40, 20, 40, 80), (33, 17, 56, 24),
             (200, 10, 24, 24), (10, 90, 64, 48), (64, 64, 64, 64), (31, 33, 57, 55)]
    out = "static const struct {\n    enum resize_mode mode;\n    int in_width, in_height, width, height;\n" \
          "    uint64_t hash;\n} resize_mode_vectors[] = {\n"
    for iw, ih, w, h in sizes:
        for mode, name in enumerate(["STRETCH", "CROP", "FILL", "LATENT"]):
            out += "{RESIZE_MODE_%s, %d, %d, %d, %d, %s},\n" % (
                name, iw, ih, w, h, fnv(fit(picture(iw, ih), mode, w, h).tobytes()))
    return out + "};\n"


def fill(image, mask):
    mod = Image.new("RGBA", image.size)
    kept = Image.new("RGBa", image.size)
    kept.paste(image.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    for radius, repeats in [(256, 1), (64, 1), (16, 2), (4, 4), (2, 2), (0, 1)]:
        blurred = kept.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(repeats):
            mod.alpha_composite(blurred)
    return mod.convert("RGB")


def restore(result, original, mask):
    over = Image.new("RGBa", original.size)
    over.paste(original.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    out = result.convert("RGBA")
    out.alpha_composite(over.convert("RGBA"))
    return out.convert("RGB")


def mask_rows():
    out = "static const struct {\n    int width, height;\n    uint64_t fill, restore, brightness, latent;\n" \
          "} mask_vectors[] = {\n"
    for w, h in [(1, 1), (5, 9), (64, 48), (100, 130), (320, 200)]:
        im, mask = picture(w, h), mask_picture(w, h)
        small = mask.convert("RGB").resize((max(w // 8, 1), max(h // 8, 1)))
        other = Image.frombytes("RGB", (w, h), noise(w * h * 3, 99))
        out += "{%d, %d, %s, %s, %s, %s},\n" % (
            w, h, fnv(fill(im, mask).tobytes()), fnv(restore(other, im, mask).tobytes()),
            fnv(im.convert("L").tobytes()), fnv(small.split()[0].tobytes()))
    return out + "};\n"


def expand(crop, pw, ph, iw, ih):
    x1, y1, x2, y2 = crop
    if (x2 - x1) / (y2 - y1) > pw / ph:
        d = int((x2 - x1) / (pw / ph) - (y2 - y1))
        y1, y2 = y1 - d // 2, y2 + d - d // 2
        if y2 >= ih:
            y1, y2 = y1 - (y2 - ih), ih
        if y1 < 0:
            y1, y2 = 0, y2 - y1
        y2 = min(y2, ih)
    else:
        d = int((y2 - y1) * (pw / ph) - (x2 - x1))
        x1, x2 = x1 - d // 2, x2 + d - d // 2
        if x2 >= iw:
            x1, x2 = x1 - (x2 - iw), iw
        if x1 < 0:
            x1, x2 = 0, x2 - x1
        x2 = min(x2, iw)
    return x1, y1, x2, y2


def region_rows():
    out = "static const struct {\n    struct mask_region box;\n    int padding, width, height, picture_width, " \
          "picture_height;\n    struct mask_region want;\n} mask_region_vectors[] = {\n"
    for box, pad, w, h, iw, ih in [
            ((10, 10, 138, 42), 0, 512, 512, 640, 480), ((0, 0, 20, 10), 32, 512, 512, 300, 200),
            ((290, 190, 300, 200), 8, 512, 768, 300, 200), ((5, 90, 295, 100), 0, 512, 512, 300, 200),
            ((100, 0, 101, 200), 4, 768, 512, 300, 200), ((0, 0, 300, 200), 64, 512, 512, 300, 200),
            ((40, 50, 73, 61), 5, 640, 384, 1000, 1000)]:
        padded = (max(box[0] - pad, 0), max(box[1] - pad, 0), min(box[2] + pad, iw),
                  min(box[3] + pad, ih))
        out += "{{%d, %d, %d, %d}, %d, %d, %d, %d, %d, {%d, %d, %d, %d}},\n" % (
            box + (pad, w, h, iw, ih) + expand(padded, w, h, iw, ih))
    return out + "};\n"


MODES = [("BILINEAR", "bilinear", False), ("BILINEAR_ANTIALIASED", "bilinear", True),
         ("BICUBIC", "bicubic", False), ("BICUBIC_ANTIALIASED", "bicubic", True),
         ("NEAREST", "nearest", False), ("NEAREST_EXACT", "nearest-exact", False)]


def latent_input(n, w, h):
    values = [(b - 128) / 32 for b in noise(n * w * h)]
    return torch.tensor(values, dtype=torch.float32).reshape(1, n, h, w)


def latent_rows():
    out = "static const struct {\n    enum latent_resize_mode mode;\n    int in_width, in_height, width, height;\n" \
          "    double sum, weighted;\n    float first[6];\n} latent_vectors[] = {\n"
    for iw, ih, w, h in [(8, 8, 16, 16), (8, 6, 12, 9), (5, 7, 13, 4), (16, 12, 5, 30), (3, 2, 6, 4),
                         (1, 1, 4, 4), (24, 16, 16, 24), (64, 64, 96, 128), (10, 10, 10, 10),
                         (64, 48, 23, 17)]:
        for name, mode, aa in MODES:
            got = torch.nn.functional.interpolate(latent_input(4, iw, ih), size=(h, w), mode=mode,
                                                  antialias=aa)
            v = got.flatten().double()
            weights = torch.tensor([(i * 37 % 101 - 50) / 50 for i in range(v.numel())],
                                   dtype=torch.float64)
            out += "{LATENT_RESIZE_%s, %d, %d, %d, %d, %.17g, %.17g, {%s}},\n" % (
                name, iw, ih, w, h, v.sum().item(), (v * weights).sum().item(),
                ", ".join("%#.9gf" % x for x in got.flatten()[:6].tolist()))
    return out + "};\n"


def png(w, h, depth, kind, rows, *chunks):
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(
            ">I", zlib.crc32(name + body))
    raw = b"".join(b"\0" + r for r in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, kind, 0, 0, 0)) + \
        b"".join(chunk(*c) for c in chunks) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def over_white(im):
    base = Image.new("RGB", im.size, "#ffffff")
    im = im.convert("RGBA")
    base.paste(im, mask=im)
    return base


def saved(im, fmt, **options):
    f = io.BytesIO()
    im.save(f, fmt, **options)
    return f.getvalue()


def orientation(n, big):
    return (b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([n]) + b"\0\0\0\0\0\0") if big else (
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([n]) + b"\0\0\0\0\0\0\0")


def input_rows():
    rows, files = "", ""
    base = picture(3, 2)
    flat = Image.new("CMYK", (8, 8), (200, 30, 90, 40))
    corner = Image.new("RGB", (16, 8), (200, 40, 40))
    corner.paste((20, 60, 220), (0, 0, 8, 8))
    cases = [("palette", png(3, 1, 8, 3, [bytes([0, 1, 2])], (b"PLTE", bytes([255, 0, 0, 0, 255, 0, 9, 8, 7]))), 0),
             ("palette with opacity", png(3, 1, 8, 3, [bytes([0, 1, 2])],
                                          (b"PLTE", bytes([255, 0, 0, 0, 255, 0, 9, 8, 7])),
                                          (b"tRNS", bytes([255, 128, 0]))), 0),
             ("two-bit grey", png(4, 1, 2, 0, [bytes([0b00011011])]), 0),
             ("grey with opacity", png(2, 1, 8, 4, [bytes([10, 255, 200, 100])]), 0),
             ("colours with opacity", png(3, 1, 8, 6, [bytes([9, 8, 7, 0, 255, 0, 0, 128, 1, 2, 3, 255])]), 0),
             ("opaque all the same", png(2, 1, 8, 6, [bytes([9, 8, 7, 255, 1, 2, 3, 255])]), 0),
             ("one colour is transparent", png(2, 1, 8, 2, [bytes([9, 8, 7, 1, 2, 3])],
                                               (b"tRNS", bytes([0, 9, 0, 8, 0, 7]))), 0),
             ("16 bits a channel", png(2, 1, 16, 2, [struct.pack(">6H", 65535, 0, 4660, 51966, 255, 256)]), 0),
             ("CMYK", saved(flat, "JPEG", quality=95), 3)]
    for n in range(1, 9):
        cases.append(("turned PNG", png(3, 2, 8, 2, [base.tobytes()[:9], base.tobytes()[9:]],
                                        (b"eXIf", orientation(n, n % 2 == 0))), 0))
    for n in (3, 6):
        cases.append(("turned JPEG", saved(corner, "JPEG", quality=95,
                                           exif=b"Exif\0\0" + orientation(n, n == 6)), 3))
    ramp = Image.new("RGB", (10, 6))
    ramp.putdata([(x * 25, y * 40, 90) for y in range(6) for x in range(10)])
    clear = ramp.convert("RGBA")
    clear.putalpha(Image.frombytes("L", (10, 6), noise(60)))
    few = ramp.quantize(16)
    cases += [("GIF", saved(few, "GIF", interlace=0), 0), ("interlaced GIF", saved(few, "GIF", interlace=1), 0),
              ("transparent GIF", saved(few, "GIF", transparency=few.getpixel((3, 3))), 0),
              ("animated GIF", saved(ramp, "GIF", save_all=True, append_images=[ramp.rotate(180)]), 0),
              ("WebP", saved(ramp, "WEBP", quality=90), 0), ("lossless WebP", saved(ramp, "WEBP", lossless=True), 0),
              ("transparent WebP", saved(clear, "WEBP", lossless=True), 0),
              ("lossy transparent WebP", saved(clear, "WEBP", quality=60), 0),
              ("animated WebP", saved(ramp, "WEBP", lossless=True, save_all=True,
                                      append_images=[ramp.rotate(180)]), 0),
              ("turned WebP", saved(ramp, "WEBP", lossless=True, exif=orientation(6, True)), 0)]
    for why, data, tolerance in cases:
        im = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        want = over_white(im)
        if "16 bits" in why:
            want = Image.frombytes("RGB", (2, 1), bytes([255, 0, 18, 202, 0, 1]))
        i = files.count("static")
        files += "static const uint8_t input_file_%d[] = {%s};\n" % (i, ", ".join(map(str, data)))
        files += "static const uint8_t input_want_%d[] = {%s};\n" % (i, ", ".join(map(str, want.tobytes())))
        rows += '{"%s", input_file_%d, sizeof input_file_%d, %d, %d, input_want_%d, %d},\n' % (
            why, i, i, want.width, want.height, i, tolerance)
    return files + "\nstatic const struct {\n    const char *why;\n    const uint8_t *file;\n    size_t len;\n" \
        "    int width, height;\n    const uint8_t *want;\n    int tolerance;\n} input_vectors[] = {\n" + rows + "};\n"


HASH = """#include "image/%s"

/* FNV-1a. */
static uint64_t hash_bytes(const uint8_t *px, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ px[i]) * 0x100000001b3u;
    return h;
}

"""

save("resize", HASH % "resize.h" + resize_rows())
save("resize_mode", HASH % "resize_mode.h" + mode_rows())
save("mask", HASH % "mask_region.h" + mask_rows() + "\n" + region_rows())
save("latent", '#include "image/latent_resize.h"\n\n' + latent_rows())
save("input", "#include <stddef.h>\n#include <stdint.h>\n\n" + input_rows())
