#!/usr/bin/python3
"""Trains the demo model: a small network of Stable Diffusion 1.x layout that draws coloured shapes from a caption.

usage: train.py STAGE DIR [--option VALUE ...]

DIR is a model folder in the diffusers layout (unet/, vae/, text_encoder/, tokenizer/, scheduler/, model_index.json).
Needs python3-torch, python3-numpy and python3-pil from Debian, and nothing else: the three networks, the tokenizer
and the safetensors format are written out below, with the tensor names that diffusers and transformers use.

stages, in the order in which a model is made (a stage writes float32 weights back to DIR):
  vae      the autoencoder, from nothing; also writes the tokenizer and the configuration files
  unet     the denoiser and the text encoder together; from nothing, or on from the weights that are there
  decoder  the decoder half of the autoencoder alone, for sharper edges (the latents stay what they are)
  eval     draws test captions and counts by machine how often colour, place and shape are right
  sample   draws --prompt (or six examples) into --png
  export   writes the model in float16 to --to FOLDER

options (default):
  --seconds N (2400)     time for a training stage         --scenes N (12000)   pictures in the training set
  --threads N (1)        at most so many threads           --batch N (32)       pictures a step
  --lr X (0.0012)        highest learning rate
  --latents FILE         keeps the encoded training set    --log-every N (50)   steps between log lines
  --save-every S (240)   seconds between checkpoints       --begin X (0)        where on the learning-rate curve (0..1)
  --words N (0)          steps that teach the text encoder alone what words mean, before the UNet goes on (unet)
  --fused 0|1 (0)        attention in C: attention.c, compiled with cc, about a third faster on the whole
  --steps N (20)         sampler steps (eval, sample)      --guidance X (5)     guidance scale (eval, sample)
  --seeds N (2)          seeds a caption (eval)            --count N (40)       captions a kind (eval)
  --prompt TEXT, --seed N (1), --png FILE (sample.png), --to FOLDER

The training set is drawn here: 128x128 pictures of one or two shapes, with a caption that says what, where, how large
and on what. The networks learn v-prediction (Salimans and Ho 2022) over the noise schedule of Stable Diffusion 1.x.
"""
import concurrent.futures
import copy
import ctypes
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# ---------------------------------------------------------------------------------------------------------------------
# The training set
# ---------------------------------------------------------------------------------------------------------------------

COLORS = {
    "red": (214, 48, 49), "green": (46, 160, 67), "blue": (36, 94, 200), "yellow": (245, 205, 47),
    "orange": (240, 132, 32), "purple": (126, 64, 178), "black": (28, 28, 32), "white": (244, 244, 240),
    "pink": (243, 140, 178), "cyan": (62, 196, 204),
}
SHAPES = ["circle", "square", "triangle", "star", "ring", "heart", "diamond", "cross"]
PLACES = {
    "": (.5, .5), "on the left": (.27, .5), "on the right": (.73, .5), "at the top": (.5, .27),
    "at the bottom": (.5, .73),
}
SIZES = {"": .26, "small": .15, "large": .37}
PREFIXES = ["a drawing of ", "a picture of ", "a photo of "]
OTHER_WORDS = "a an the and of on with picture drawing photo background shape shapes big tiny centre center middle"
SIDE = 128      # of a picture; drawn at twice that and averaged
GRID_Y, GRID_X = (np.mgrid[0:2 * SIDE, 0:2 * SIDE].astype(np.float32) + .5) / (2 * SIDE)


def shape_mask(shape, cx, cy, r):
    """The pixels inside a shape of radius r around (cx, cy); the picture is the unit square, y downwards."""
    x, y = (GRID_X - cx) / r, (GRID_Y - cy) / r
    if shape == "circle":
        return x * x + y * y < 1
    if shape == "square":
        return np.maximum(abs(x), abs(y)) < .86
    if shape == "diamond":
        return abs(x) * 1.25 + abs(y) < 1.05
    if shape == "ring":
        d = x * x + y * y
        return (d < 1) & (d > .36)
    if shape == "cross":
        return ((abs(x) < .32) & (abs(y) < .95)) | ((abs(y) < .32) & (abs(x) < .95))
    if shape == "triangle":
        return (y < .75) & (y > -1) & (abs(x) < (y + 1) * .56)
    if shape == "heart":
        x, y = x * 1.15, -y * 1.15 + .1
        return (x * x + y * y - .75) ** 3 - x * x * y ** 3 * 2.2 < 0
    k = np.mod(np.arctan2(x, -y), 2 * np.pi / 5) - np.pi / 5    # star: a radius that swings five times around
    return np.hypot(x, y) < .45 + .55 * (np.abs(k) / (np.pi / 5)) ** 1.3


def draw_scene(rng):
    """A picture (3, SIDE, SIDE) in -1..1, and what is on it: (background, [(size, colour, shape, place), ...])."""
    background = rng.choice(list(COLORS))
    shade = 1 - .12 * (GRID_Y if rng.random() < .5 else GRID_X) * rng.random()
    img = np.array(COLORS[background], np.float32) * shade[..., None]
    two = rng.random() < .2
    if two:
        places = [("on the left", PLACES["on the left"]), ("on the right", PLACES["on the right"])]
    else:
        places = [rng.choice(list(PLACES.items()))]
    items = []
    for place, (cx, cy) in places:
        color = rng.choice([c for c in COLORS if c != background])
        shape = rng.choice(SHAPES)
        size = rng.choice(["", "small"] if two else ["", "", "small", "large"])
        r = SIZES[size] * (1 + .08 * (rng.random() - .5))
        r = min(r, .24) if two else min(r, .3) if place else r
        m = shape_mask(shape, cx + .03 * (rng.random() - .5), cy + .03 * (rng.random() - .5), r)[..., None]
        img = np.where(m, np.array(COLORS[color], np.float32) * (1 - .1 * rng.random() * GRID_Y[..., None]), img)
        items.append((size, color, shape, place))
    img = img.reshape(SIDE, 2, SIDE, 2, 3).mean((1, 3)) / 127.5 - 1
    return img.transpose(2, 0, 1).astype(np.float32), (background, items)


def phrase(size, color, shape, place=""):
    return " ".join(w for w in ("a", size, color, shape, place) if w)


def caption(scene, rng):
    """One of the ways to say what is on the picture."""
    background, items = scene
    if len(items) == 2:
        text = phrase(*items[0][:3]) + " and " + phrase(*items[1][:3])
    else:
        text = phrase(*items[0])
    if rng.random() < .85:
        text += f" on a {background} background"
    if rng.random() < .2:
        text = rng.choice(PREFIXES) + text
    return text


def draw_batch(rng, n):
    return torch.from_numpy(np.stack([draw_scene(rng)[0] for _ in range(n)]))


# ---------------------------------------------------------------------------------------------------------------------
# Files: safetensors and configuration
# ---------------------------------------------------------------------------------------------------------------------

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read_safetensors(path):
    with open(path, "rb") as f:
        size, = struct.unpack("<Q", f.read(8))
        header = json.loads(f.read(size))
        data = bytearray(f.read())
    out = {}
    for name, info in header.items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            t = torch.frombuffer(data[begin:end], dtype=DTYPES[info["dtype"]])
            out[name] = t.reshape(info["shape"]).float()
    return out


def write_safetensors(path, tensors, dtype=torch.float32):
    header, chunks, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name in sorted(tensors):
        t = tensors[name].detach().to(dtype).contiguous()
        raw = t.numpy().tobytes()
        tag = [k for k, v in DTYPES.items() if v == dtype][0]
        header[name] = {"dtype": tag, "shape": list(t.shape), "data_offsets": [at, at + len(raw)]}
        chunks.append(raw)
        at += len(raw)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path + ".new", "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + b"".join(chunks))
    os.replace(path + ".new", path)


UNET_CONFIG = {
    "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": 4,
    "block_out_channels": [48, 96, 128, 128], "center_input_sample": False, "cross_attention_dim": 64,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"], "downsample_padding": 1,
    "flip_sin_to_cos": True, "freq_shift": 0, "in_channels": 4, "layers_per_block": 1, "mid_block_scale_factor": 1,
    "norm_eps": 1e-05, "norm_num_groups": 8, "out_channels": 4, "sample_size": 16,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3, "use_linear_projection": False,
}
VAE_CONFIG = {
    "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": [32, 32, 64, 64],
    "down_block_types": ["DownEncoderBlock2D"] * 4, "in_channels": 3, "latent_channels": 4, "layers_per_block": 1,
    "norm_num_groups": 8, "out_channels": 3, "sample_size": SIDE, "scaling_factor": 0.18215,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
SCHEDULER_CONFIG = {
    "_class_name": "EulerDiscreteScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "prediction_type": "v_prediction", "steps_offset": 1,
    "timestep_spacing": "leading", "interpolation_type": "linear", "use_karras_sigmas": False,
}
MODEL_INDEX = {
    "_class_name": "StableDiffusionPipeline", "feature_extractor": [None, None], "safety_checker": [None, None],
    "requires_safety_checker": False, "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
}


def text_config(vocab):
    return {
        "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": vocab - 2,
        "eos_token_id": vocab - 1, "hidden_act": "quick_gelu", "hidden_size": 64, "intermediate_size": 256,
        "layer_norm_eps": 1e-05, "max_position_embeddings": 77, "model_type": "clip_text_model",
        "num_attention_heads": 4, "num_hidden_layers": 3, "pad_token_id": vocab - 1, "projection_dim": 64,
        "vocab_size": vocab,
    }


def write_json(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write("\n")


def read_json(path):
    with open(path) as f:
        return json.load(f)


# ---------------------------------------------------------------------------------------------------------------------
# The tokenizer of CLIP: byte-pair merges inside words
# ---------------------------------------------------------------------------------------------------------------------

def byte_alphabet():
    """CLIP's (GPT-2's) printable character for every byte, in the order of the vocabulary."""
    order = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    chars = order[:]
    for b in range(256):
        if b not in order:
            chars.append(256 + len(order) - 188)
            order.append(b)
    return {b: chr(c) for b, c in zip(order, chars)}


def write_tokenizer(folder):
    words = sorted(set(" ".join(list(COLORS) + SHAPES + list(PLACES) + list(SIZES) + [OTHER_WORDS]).split()))
    base, merges = list(byte_alphabet().values()), []
    for word in words:          # every word becomes one token, built from its first letter on
        parts = list(word)
        parts[-1] += "</w>"
        while len(parts) > 1:
            if (parts[0], parts[1]) not in merges:
                merges.append((parts[0], parts[1]))
            parts = [parts[0] + parts[1]] + parts[2:]
    vocab = base + [c + "</w>" for c in base] + ["".join(m) for m in merges] + ["<|startoftext|>", "<|endoftext|>"]
    write_json(folder + "/vocab.json", {t: i for i, t in enumerate(dict.fromkeys(vocab))})
    with open(folder + "/merges.txt", "w") as f:
        f.write("#version: 0.2\n" + "".join(" ".join(m) + "\n" for m in merges))
    end = "<|endoftext|>"
    write_json(folder + "/tokenizer_config.json", {
        "model_max_length": 77, "bos_token": "<|startoftext|>", "eos_token": end, "unk_token": end, "pad_token": end,
        "tokenizer_class": "CLIPTokenizer"})


class Tokenizer:
    def __init__(self, folder):
        self.vocab = read_json(folder + "/vocab.json")
        with open(folder + "/merges.txt") as f:
            pairs = [tuple(line.split()) for line in f if not line.startswith("#version") and line.strip()]
        self.rank = {p: i for i, p in enumerate(pairs)}
        self.alphabet = byte_alphabet()
        self.start, self.end = self.vocab["<|startoftext|>"], self.vocab["<|endoftext|>"]
        self.words = {}

    def word(self, text):
        if text not in self.words:
            parts = [self.alphabet[b] for b in text.encode()]
            parts[-1] += "</w>"
            while len(parts) > 1:
                rank, i = min((self.rank.get(p, math.inf), i) for i, p in enumerate(zip(parts, parts[1:])))
                if rank == math.inf:
                    break
                parts[i:i + 2] = [parts[i] + parts[i + 1]]
            self.words[text] = [self.vocab[p] for p in parts]
        return self.words[text]

    def __call__(self, texts, length=77):
        rows = []
        for text in texts:
            ids = [i for w in text.lower().split() for i in self.word(w)][:length - 2]
            row = [self.start] + ids + [self.end]
            rows.append(row + [self.end] * (length - len(row)))
        return torch.tensor(rows)


# ---------------------------------------------------------------------------------------------------------------------
# The networks, with the names and the arithmetic of diffusers and transformers
# ---------------------------------------------------------------------------------------------------------------------

class Resnet(nn.Module):
    def __init__(self, cin, cout, groups, eps, temb=0):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, cin, eps=eps)
        self.conv1 = nn.Conv2d(cin, cout, 3, padding=1)
        if temb:
            self.time_emb_proj = nn.Linear(temb, cout)
        self.norm2 = nn.GroupNorm(groups, cout, eps=eps)
        self.conv2 = nn.Conv2d(cout, cout, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(cin, cout, 1) if cin != cout else None

    def forward(self, x, temb=None):
        h = self.conv1(F.silu(self.norm1(x)))
        if temb is not None:
            h = h + self.time_emb_proj(temb)[:, :, None, None]      # temb has been through silu already
        h = self.conv2(F.silu(self.norm2(h)))
        return (self.conv_shortcut(x) if self.conv_shortcut else x) + h


class Downsample(nn.Module):
    def __init__(self, channels, padding):
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x):
        return self.conv(x if self.padding else F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2., mode="nearest"))


class FusedAttention(torch.autograd.Function):
    """attend() in C; train.py --fused 1 loads it."""
    library = None

    @classmethod
    def load(cls):
        here = os.path.dirname(os.path.abspath(__file__))
        with tempfile.TemporaryDirectory() as folder:
            out = folder + "/attention.so"
            subprocess.run(["cc", "-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fopenmp",
                            "-shared", "-fPIC", "-o", out, here + "/attention.c", "-lm"], check=True)
            cls.library = ctypes.CDLL(out)

    @classmethod
    def call(cls, name, tensors, sizes, scale):
        pointers = [ctypes.c_void_p(t.data_ptr()) for t in tensors]
        getattr(cls.library, name)(*pointers, *sizes, ctypes.c_float(scale))

    @staticmethod
    def forward(ctx, q, k, v, heads, causal):
        q, k, v = (t.contiguous() for t in (q, k, v))
        b, n, c = q.shape
        out, lse = torch.empty_like(q), torch.empty(b * heads * n)
        ctx.sizes, ctx.scale = (b, n, k.shape[1], heads, c // heads, int(causal)), (c // heads) ** -.5
        FusedAttention.call("attention_forward", (q, k, v, out, lse), ctx.sizes, ctx.scale)
        ctx.save_for_backward(q, k, v, out, lse)
        return out

    @staticmethod
    def backward(ctx, g):
        kept = ctx.saved_tensors
        grads = [torch.empty_like(t) for t in kept[:3]]
        FusedAttention.call("attention_backward", (*kept, g.contiguous(), *grads), ctx.sizes, ctx.scale)
        return *grads, None, None


def attend(q, k, v, heads, mask=None):
    if FusedAttention.library:
        return FusedAttention.apply(q, k, v, heads, mask is not None)
    b, n, c = q.shape
    q, k, v = (t.reshape(b, -1, heads, c // heads).transpose(1, 2) for t in (q, k, v))
    w = (q * (c // heads) ** -.5) @ k.transpose(2, 3)
    if mask is not None:
        w = w + mask
    return (w.softmax(-1) @ v).transpose(1, 2).reshape(b, n, c)


class Attention(nn.Module):
    def __init__(self, dim, heads, context=None, bias=False, norm_groups=0):
        super().__init__()
        self.heads = heads
        if norm_groups:     # the autoencoder's: over the pixels of a picture, with a residual
            self.group_norm = nn.GroupNorm(norm_groups, dim, eps=1e-6)
        self.to_q = nn.Linear(dim, dim, bias=bias)
        self.to_k = nn.Linear(context or dim, dim, bias=bias)
        self.to_v = nn.Linear(context or dim, dim, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])

    def forward(self, x, context=None):
        context = x if context is None else context
        return self.to_out[0](attend(self.to_q(x), self.to_k(context), self.to_v(context), self.heads))

    def over_picture(self, x):
        y = self.group_norm(x).flatten(2).transpose(1, 2)
        return x + self.forward(y).transpose(1, 2).reshape(x.shape)


class GEGLU(nn.Module):
    def __init__(self, dim, inner):
        super().__init__()
        self.proj = nn.Linear(dim, 2 * inner)

    def forward(self, x):
        x, gate = self.proj(x).chunk(2, -1)
        return x * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.net = nn.ModuleList([GEGLU(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class TransformerBlock(nn.Module):
    def __init__(self, dim, heads, context):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
        self.attn1 = Attention(dim, heads)
        self.attn2 = Attention(dim, heads, context)
        self.ff = FeedForward(dim)

    def forward(self, x, context):
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    def __init__(self, dim, heads, context, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, dim, eps=1e-6)
        self.proj_in = nn.Conv2d(dim, dim, 1)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(dim, heads, context)])
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x, context):
        b, c, h, w = x.shape
        y = self.proj_in(self.norm(x)).permute(0, 2, 3, 1).reshape(b, h * w, c)
        y = self.transformer_blocks[0](y, context).reshape(b, h, w, c).permute(0, 3, 1, 2)
        return self.proj_out(y) + x


class Block(nn.Module):
    """A level of the UNet or of the autoencoder: resnets, attentions after them, then a change of scale."""

    def __init__(self, resnets, attentions=(), down=None, up=None):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.attentions = nn.ModuleList(attentions)
        self.downsamplers = nn.ModuleList([down] if down else [])
        self.upsamplers = nn.ModuleList([up] if up else [])

    def rescale(self, x):
        for m in [*self.downsamplers, *self.upsamplers]:
            x = m(x)
        return x

    def forward(self, x):
        for r in self.resnets:
            x = r(x)
        return self.rescale(x)

    def middle(self, x, *args):     # resnet, attention, resnet
        x = self.resnets[0](x, *args[:1])
        x = self.attentions[0](x, args[1]) if args else self.attentions[0].over_picture(x)
        return self.resnets[1](x, *args[:1])


class TimeEmbedding(nn.Module):
    def __init__(self, cin, dim):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(cin, dim), nn.Linear(dim, dim)

    def forward(self, t):
        half = self.linear_1.in_features // 2
        angles = t[:, None].float() * torch.exp(-math.log(10000) / half * torch.arange(half))
        return self.linear_2(F.silu(self.linear_1(torch.cat([angles.cos(), angles.sin()], 1))))


class UNet(nn.Module):
    def __init__(self, cfg=UNET_CONFIG):
        super().__init__()
        widths, groups, layers = cfg["block_out_channels"], cfg["norm_num_groups"], cfg["layers_per_block"]
        temb, heads, context, eps = 4 * widths[0], cfg["attention_head_dim"], cfg["cross_attention_dim"], 1e-5

        def level(sizes, width, cross, **scale):
            resnets = [Resnet(a, width, groups, eps, temb) for a in sizes]
            return Block(resnets, [Transformer(width, heads, context, groups) for _ in sizes] if cross else [], **scale)

        self.conv_in = nn.Conv2d(cfg["in_channels"], widths[0], 3, padding=1)
        self.time_embedding = TimeEmbedding(widths[0], temb)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        before = widths[0]
        for i, (kind, width) in enumerate(zip(cfg["down_block_types"], widths)):
            down = Downsample(width, 1) if i + 1 < len(widths) else None
            sizes = [before] + [width] * (layers - 1)
            self.down_blocks.append(level(sizes, width, "CrossAttn" in kind, down=down))
            before = width
        last = widths[-1]
        self.mid_block = Block([Resnet(last, last, groups, eps, temb) for _ in range(2)],
                               [Transformer(last, heads, context, groups)])
        back = widths[::-1]
        for i, (kind, width) in enumerate(zip(cfg["up_block_types"], back)):
            skips = [width] * layers + [back[min(i + 1, len(back) - 1)]]
            sizes = [a + b for a, b in zip([before] + [width] * layers, skips)]
            up = Upsample(width) if i + 1 < len(back) else None
            self.up_blocks.append(level(sizes, width, "CrossAttn" in kind, up=up))
            before = width
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], eps=eps)
        self.conv_out = nn.Conv2d(widths[0], cfg["out_channels"], 3, padding=1)

    def forward(self, x, t, context):
        temb = F.silu(self.time_embedding(t))
        x = self.conv_in(x)
        skips = [x]
        for block in self.down_blocks:
            for i, r in enumerate(block.resnets):
                x = r(x, temb)
                if block.attentions:
                    x = block.attentions[i](x, context)
                skips.append(x)
            if block.downsamplers:
                x = block.rescale(x)
                skips.append(x)
        x = self.mid_block.middle(x, temb, context)
        for block in self.up_blocks:
            for i, r in enumerate(block.resnets):
                x = r(torch.cat([x, skips.pop()], 1), temb)
                if block.attentions:
                    x = block.attentions[i](x, context)
            x = block.rescale(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class Coder(nn.Module):
    """The encoder (down) or the decoder (up) of the autoencoder."""

    def __init__(self, cin, cout, widths, layers, groups, down):
        super().__init__()
        self.down, eps, last = down, 1e-6, len(widths) - 1
        self.conv_in = nn.Conv2d(cin, widths[0], 3, padding=1)
        blocks, before = nn.ModuleList(), widths[0]
        for i, width in enumerate(widths):
            resnets = [Resnet(before if j == 0 else width, width, groups, eps) for j in range(layers)]
            scale = {} if i == last else {"down": Downsample(width, 0)} if down else {"up": Upsample(width)}
            blocks.append(Block(resnets, **scale))
            before = width
        middle = widths[-1] if down else widths[0]
        self.mid_block = Block([Resnet(middle, middle, groups, eps) for _ in range(2)],
                               [Attention(middle, 1, bias=True, norm_groups=groups)])
        setattr(self, "down_blocks" if down else "up_blocks", blocks)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=eps)
        self.conv_out = nn.Conv2d(widths[-1], cout, 3, padding=1)

    def forward(self, x):
        x = self.conv_in(x)
        if not self.down:
            x = self.mid_block.middle(x)
        for block in self.down_blocks if self.down else self.up_blocks:
            x = block(x)
        if self.down:
            x = self.mid_block.middle(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class VAE(nn.Module):
    def __init__(self, cfg=VAE_CONFIG):
        super().__init__()
        z, groups, layers = cfg["latent_channels"], cfg["norm_num_groups"], cfg["layers_per_block"]
        widths = cfg["block_out_channels"]
        self.scale = cfg["scaling_factor"]
        self.encoder = Coder(cfg["in_channels"], 2 * z, widths, layers, groups, True)
        self.decoder = Coder(z, cfg["out_channels"], widths[::-1], layers + 1, groups, False)
        self.quant_conv = nn.Conv2d(2 * z, 2 * z, 1)
        self.post_quant_conv = nn.Conv2d(z, z, 1)

    def encode(self, x):    # mean and log variance
        return self.quant_conv(self.encoder(x)).chunk(2, 1)

    def decode(self, z):
        return self.decoder(self.post_quant_conv(z))


class TextAttention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x, mask):
        return self.out_proj(attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, mask))


class TextLayer(nn.Module):
    def __init__(self, dim, inner, heads):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.self_attn = TextAttention(dim, heads)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, inner), "fc2": nn.Linear(inner, dim)})

    def forward(self, x, mask):
        x = x + self.self_attn(self.layer_norm1(x), mask)
        y = self.mlp["fc1"](self.layer_norm2(x))
        return x + self.mlp["fc2"](y * torch.sigmoid(1.702 * y))


class TextEncoder(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        dim, length = cfg["hidden_size"], cfg["max_position_embeddings"]
        self.embeddings = nn.ModuleDict({"token_embedding": nn.Embedding(cfg["vocab_size"], dim),
                                         "position_embedding": nn.Embedding(length, dim)})
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList(
            [TextLayer(dim, cfg["intermediate_size"], cfg["num_attention_heads"])
             for _ in range(cfg["num_hidden_layers"])])})
        self.final_layer_norm = nn.LayerNorm(dim)
        self.register_buffer("mask", torch.full((length, length), -1e9).triu(1), persistent=False)
        for e in self.embeddings.values():
            nn.init.normal_(e.weight, std=.02)

    def forward(self, ids):
        n = ids.shape[1]
        x = self.embeddings["token_embedding"](ids) + self.embeddings["position_embedding"].weight[:n]
        for layer in self.encoder["layers"]:
            x = layer(x, self.mask[:n, :n])
        return self.final_layer_norm(x)


# ---------------------------------------------------------------------------------------------------------------------
# A model folder, the noise schedule and the sampler
# ---------------------------------------------------------------------------------------------------------------------

class Model:
    FILES = {"unet": "unet/diffusion_pytorch_model.safetensors", "vae": "vae/diffusion_pytorch_model.safetensors",
             "text_encoder": "text_encoder/model.safetensors"}

    def __init__(self, folder):
        self.folder = folder
        self.tokenizer = Tokenizer(folder + "/tokenizer")
        self.unet = UNet(read_json(folder + "/unet/config.json"))
        self.vae = VAE(read_json(folder + "/vae/config.json"))
        self.text_encoder = TextEncoder(read_json(folder + "/text_encoder/config.json"))
        for name in self.FILES:
            self.load(name)

    def load(self, name):
        path = f"{self.folder}/{self.FILES[name]}"
        if os.path.exists(path):
            getattr(self, name).load_state_dict(read_safetensors(path))
        else:
            print(f"no {path}: starting from nothing", flush=True)

    def save(self, name, folder=None, dtype=torch.float32):
        folder = folder or self.folder
        os.makedirs(f"{folder}/{name}", exist_ok=True)
        write_safetensors(f"{folder}/{self.FILES[name]}", getattr(self, name).state_dict(), dtype)


def alphas_cumprod(cfg=SCHEDULER_CONFIG):
    n = cfg["num_train_timesteps"]
    betas = torch.linspace(cfg["beta_start"] ** .5, cfg["beta_end"] ** .5, n, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0).float()


@torch.no_grad()
def generate(model, prompts, seeds, steps=20, guidance=5., chunk=40):
    """Euler's method over the leading timesteps, as the scheduler configuration says. Pictures (n, 3, h, w) in 0..1."""
    acp = alphas_cumprod()
    times = torch.arange(steps).flip(0) * (len(acp) // steps) + 1
    sigmas = torch.cat([((1 - acp) / acp).sqrt()[times], torch.zeros(1)]).tolist()
    out = []
    for at in range(0, len(prompts), chunk):
        texts, some = prompts[at:at + chunk], seeds[at:at + chunk]
        context = model.text_encoder(model.tokenizer([""] * len(texts) + texts))
        noise = [torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(s)) for s in some]
        x = torch.stack(noise) * (sigmas[0] ** 2 + 1) ** .5
        for t, s, s_next in zip(times, sigmas, sigmas[1:]):
            v = model.unet(torch.cat([x, x]) / (s * s + 1) ** .5, t.expand(2 * len(x)), context)
            v0, v1 = v.chunk(2)
            v = v0 + guidance * (v1 - v0)
            clean = x / (s * s + 1) - v * s / (s * s + 1) ** .5
            x = x + (x - clean) / s * (s_next - s)
        out.append((model.vae.decode(x / model.vae.scale) / 2 + .5).clamp(0, 1))
    return torch.cat(out)


# ---------------------------------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------------------------------

def edges_loss(y, x):
    gx = (y[..., 1:] - y[..., :-1]) - (x[..., 1:] - x[..., :-1])
    gy = (y[..., 1:, :] - y[..., :-1, :]) - (x[..., 1:, :] - x[..., :-1, :])
    return gx.abs().mean() + gy.abs().mean()


def random_crop(x, size=64):
    oy, ox = (8 * random.randrange(0, (SIDE - size) // 8 + 1) for _ in range(2))
    return x[:, :, oy:oy + size, ox:ox + size]


def stage_vae(folder, opt):
    write_tokenizer(folder + "/tokenizer")
    vocab = len(read_json(folder + "/tokenizer/vocab.json"))
    write_json(folder + "/unet/config.json", UNET_CONFIG)
    write_json(folder + "/vae/config.json", VAE_CONFIG)
    write_json(folder + "/text_encoder/config.json", text_config(vocab))
    write_json(folder + "/scheduler/scheduler_config.json", SCHEDULER_CONFIG)
    write_json(folder + "/model_index.json", MODEL_INDEX)
    model = Model(folder)
    vae = model.vae
    pool = draw_batch(random.Random(1), 3000)
    optimizer = torch.optim.AdamW(vae.parameters(), 2e-3, weight_decay=1e-4)
    start, i = time.time(), 0
    while (done := (time.time() - start) / opt.seconds) < 1:
        for g in optimizer.param_groups:
            g["lr"] = 2e-3 * min(1, (i + 1) / 100) * (.5 + .5 * math.cos(math.pi * done)) + 1e-6
        x = random_crop(pool[torch.randint(0, len(pool), (8,))])
        x = x.flip(3) if random.random() < .5 else x
        mean, logvar = vae.encode(x)
        logvar = logvar.clamp(-30, 20)
        y = vae.decode(mean + (.5 * logvar).exp() * torch.randn_like(mean))
        kl = .5 * (mean ** 2 + logvar.exp() - 1 - logvar).sum((1, 2, 3)).mean()
        loss = F.l1_loss(y, x) + 2 * F.mse_loss(y, x) + .5 * edges_loss(y, x) + 3e-5 * kl / 64
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.)
        optimizer.step()
        if i % opt.log_every == 0:
            print(f"vae {i} loss {loss.item():.4f} mse {F.mse_loss(y, x).item():.5f} {time.time() - start:.0f}s",
                  flush=True)
        i += 1
    with torch.no_grad():   # latents times the scaling factor shall have a standard deviation of 1
        z = torch.cat([vae.encode(pool[k:k + 16])[0] for k in range(0, 256, 16)])
        s = 1 / vae.scale / z.std().item()
        vae.quant_conv.weight[:4] *= s
        vae.quant_conv.bias[:4] *= s
        vae.quant_conv.bias[4:] += 2 * math.log(s)
        vae.post_quant_conv.weight /= s
    model.save("vae")


def training_set(model, opt):
    """Encoded pictures and what is on them, kept in a file where one is named."""
    if opt.latents and os.path.exists(opt.latents):
        return torch.load(opt.latents)
    rng, latents, scenes, start = random.Random(opt.seed + 1), [], [], time.time()
    vae = model.vae.to(memory_format=torch.channels_last)
    with torch.no_grad():
        while len(scenes) < opt.scenes:
            drawn = [draw_scene(rng) for _ in range(20)]
            x = torch.from_numpy(np.stack([d[0] for d in drawn])).to(memory_format=torch.channels_last)
            latents.append(vae.encode(x)[0].contiguous() * vae.scale)
            scenes += [d[1] for d in drawn]
            if len(scenes) % 2000 == 0:
                print(f"encoded {len(scenes)} {time.time() - start:.0f}s", flush=True)
    out = torch.cat(latents), scenes
    if opt.latents:
        torch.save(out, opt.latents + ".new")
        os.replace(opt.latents + ".new", opt.latents)
    return out


def noise_times(n):
    """Timesteps, most of them late: what is drawn, and where, is settled while there is still little to see."""
    u = (torch.randperm(n) + torch.rand(n)) / n
    t = torch.where(torch.rand(n) < .4, u, .55 + .45 * u)
    return (t * 1000).long().clamp(0, 999)


def teach_words(model, scenes, opt):
    """Has the text encoder say, at the end of a caption and at every token of padding, what the caption was about.

    The UNet finds out about shapes and places much sooner when it need not find the words first.
    """
    def choices(options, spoken=True):
        return {o: i for i, o in enumerate(list(options) + ([] if spoken else [None]))}

    rng, text = random.Random(opt.seed + 4), model.text_encoder
    kinds = [choices(COLORS, False), choices(SIZES), choices(COLORS), choices(SHAPES), choices(PLACES),
             choices(SIZES, False), choices(COLORS, False), choices(SHAPES, False)]
    heads = nn.Linear(text.final_layer_norm.normalized_shape[0], sum(map(len, kinds)))
    params = list(text.parameters()) + list(heads.parameters())
    optimizer = torch.optim.AdamW(params, 2e-3, weight_decay=1e-2)
    start, mean = time.time(), 0.
    for i in range(opt.words):
        for g in optimizer.param_groups:
            g["lr"] = 2e-3 * min(1, (i + 1) / 50) * (.5 + .5 * math.cos(math.pi * i / opt.words)) + 1e-6
        some = [scenes[rng.randrange(len(scenes))] for _ in range(48)]
        texts = [caption(s, rng) for s in some]
        labels = []
        for (background, items), said in zip(some, texts):
            size, color, shape, place = items[0]
            two = len(items) == 2
            labels.append([background if said.endswith("background") else None, size, color, shape,
                           "" if two else place, *(items[1][:3] if two else (None,) * 3)])
        ids = model.tokenizer(texts)
        end = (ids == model.tokenizer.end).int().argmax(1)
        at = end + (torch.rand(len(ids)) ** 2 * (77 - end)).long()      # a token at or after the caption's end
        found = heads(text(ids)[torch.arange(len(ids)), at]).split([len(k) for k in kinds], 1)
        loss = sum(F.cross_entropy(f, torch.tensor([k[row[n]] for row in labels]))
                   for n, (f, k) in enumerate(zip(found, kinds)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.)
        optimizer.step()
        mean = .95 * mean + .05 * loss.item() if i else loss.item()
        if i % 200 == 199:
            print(f"words {i} loss {mean:.4f} {time.time() - start:.0f}s", flush=True)


class Neighbours:
    """How many threads to use: all that are allowed while other work (of normal priority) leaves room, else one."""

    def __init__(self, allowed):
        self.allowed, self.count, self.at, self.busy = allowed, allowed, 0., None

    def threads(self):
        if self.allowed > 1 and time.time() - self.at > 3 and os.path.exists("/proc/stat"):
            with open("/proc/stat") as f:
                user, _, system = (int(n) for n in f.readline().split()[1:4])     # the second is for nice processes
            now, busy = time.time(), (user + system) / os.sysconf("SC_CLK_TCK")
            if self.busy is not None:
                free = os.cpu_count() - (busy - self.busy) / (now - self.at)
                self.count = max(1, min(self.allowed, int(free + .35)))
            self.at, self.busy = now, busy
        return self.count


def stage_unet(folder, opt):
    model = Model(folder)
    torch.manual_seed(opt.seed)
    rng = random.Random(opt.seed + 2)
    latents, scenes = training_set(model, opt)
    print(f"{len(scenes)} scenes, latents of standard deviation {latents.std().item():.3f}", flush=True)
    unet, text = model.unet, model.text_encoder
    if opt.words:
        teach_words(model, scenes, opt)
    params = list(unet.parameters()) + list(text.parameters())
    optimizer = torch.optim.AdamW(params, opt.lr, weight_decay=1e-4, betas=(.9, .99), foreach=True)
    average = [p.detach().clone() for p in params]
    acp = alphas_cumprod()
    start = saved = time.time()
    i, mean = 0, None

    def save():
        kept = [p.detach().clone() for p in params]
        with torch.no_grad():
            for p, a in zip(params, average):
                p.copy_(a)
            model.save("unet")
            model.save("text_encoder")
            for p, k in zip(params, kept):
                p.copy_(k)

    def gradients(z, t, ids, e):    # of a thread's share of a batch; scales far better than threads inside operators
        a = acp[t].view(-1, 1, 1, 1)
        out = unet(a.sqrt() * z + (1 - a).sqrt() * e, t, text(ids))
        loss = F.mse_loss(out, a.sqrt() * e - (1 - a).sqrt() * z) * (len(z) / opt.batch)
        return loss.detach(), torch.autograd.grad(loss, params)

    neighbours = Neighbours(opt.threads)
    pool = concurrent.futures.ThreadPoolExecutor(opt.threads, initializer=torch.set_num_threads, initargs=(1,))
    while (done := (time.time() - start) / opt.seconds) < 1:    # a warm-up, then a cosine over the time there is
        curve = .5 + .5 * math.cos(math.pi * (opt.begin + (1 - opt.begin) * done))
        for g in optimizer.param_groups:
            g["lr"] = opt.lr * min(1, (i + 1) / 100) * curve + 1e-6
        rows = torch.randint(0, len(scenes), (opt.batch,))
        texts = ["" if rng.random() < .1 else caption(scenes[r], rng) for r in rows.tolist()]
        z, t = latents[rows], noise_times(opt.batch)
        n = neighbours.threads()
        shares = zip(*(x.chunk(n) for x in (z, t, model.tokenizer(texts), torch.randn_like(z))))
        losses, grads = zip(*pool.map(gradients, *zip(*shares)))
        for k, p in enumerate(params):
            p.grad = sum(g[k] for g in grads)
        loss = sum(losses)
        nn.utils.clip_grad_norm_(params, 1.)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_mul_(average, d := min(.999, (1 + i) / (10 + i)))
            torch._foreach_add_(average, [p.detach() for p in params], alpha=1 - d)
        mean = loss.item() if mean is None else .98 * mean + .02 * loss.item()
        if i % opt.log_every == 0:
            print(f"unet {i} loss {mean:.4f} {time.time() - start:.0f}s, {n} threads", flush=True)
        if time.time() - saved > opt.save_every:
            save()
            saved = time.time()
        i += 1
    save()
    print(f"unet: {i} steps of {opt.batch}", flush=True)


def stage_decoder(folder, opt):
    model = Model(folder)
    vae = model.vae
    params = list(vae.decoder.parameters()) + list(vae.post_quant_conv.parameters())
    torch.manual_seed(opt.seed)
    rng = random.Random(opt.seed + 3)
    pool = draw_batch(rng, 2000)
    with torch.no_grad():
        latents = torch.cat([vae.encode(pool[k:k + 20])[0] for k in range(0, len(pool), 20)])
    optimizer = torch.optim.AdamW(params, opt.lr, weight_decay=0, betas=(.9, .99))
    start = saved = time.time()
    i, mean = 0, None
    while (done := (time.time() - start) / opt.seconds) < 1:
        for g in optimizer.param_groups:
            g["lr"] = opt.lr * min(1, (i + 1) / 50) * (.5 + .5 * math.cos(math.pi * done)) + 1e-6
        rows = torch.randint(0, len(pool), (4,))
        x, z = pool[rows], latents[rows]
        y = vae.decode(z + .5 * torch.rand(len(z), 1, 1, 1) * torch.randn_like(z))   # the UNet's are not perfect either
        loss = F.l1_loss(y, x) + F.mse_loss(y, x) + .5 * edges_loss(y, x)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params, .5)
        optimizer.step()
        mean = loss.item() if mean is None else .98 * mean + .02 * loss.item()
        if i % opt.log_every == 0:
            print(f"decoder {i} loss {mean:.4f} {time.time() - start:.0f}s", flush=True)
        if time.time() - saved > opt.save_every:
            model.save("vae")
            saved = time.time()
        i += 1
    model.save("vae")
    print(f"decoder: {i} steps of {len(rows)}", flush=True)


# ---------------------------------------------------------------------------------------------------------------------
# A judge that needs no eyes
# ---------------------------------------------------------------------------------------------------------------------

def nearest_colors(img):
    """The number of the nearest palette colour at every pixel."""
    palette = torch.tensor(list(COLORS.values())).float()
    pixels = img.permute(1, 2, 0).reshape(-1, 3) * 255
    return torch.cdist(pixels, palette).argmin(1).reshape(img.shape[1:])


def boxed(mask, size=32):
    """A mask cut to its bounding box and brought to one size."""
    ys, xs = np.nonzero(mask)
    cut = torch.from_numpy(mask[ys.min():ys.max() + 1, xs.min():xs.max() + 1].astype(np.float32))
    return F.interpolate(cut[None, None], (size, size), mode="bilinear", align_corners=False)[0, 0] > .5


TEMPLATES = {s: boxed(shape_mask(s, .5, .5, .3)) for s in SHAPES}


def judge(img, color, shape, background, place):
    """What is right about a picture: {'background': bool, 'color': bool, 'place': bool, 'shape': bool}."""
    names, near = list(COLORS), nearest_colors(img)
    corners = torch.cat([near[y:y + 4, x:x + 4].reshape(-1) for y in (2, SIDE - 6) for x in (2, SIDE - 6)])
    right = {"background": bool((corners == names.index(background)).float().mean() >= .75)}
    mask = (near == names.index(color)).numpy()
    if mask.mean() < .01:
        return dict(right, color=False, place=False, shape=False)
    ys, xs = np.nonzero(mask)
    y, x = ys.mean() / SIDE - .5, xs.mean() / SIDE - .5
    if place:
        right["place"] = {"on the left": x < -.08 and abs(y) < .12, "on the right": x > .08 and abs(y) < .12,
                          "at the top": y < -.08 and abs(x) < .12, "at the bottom": y > .08 and abs(x) < .12}[place]
        right["color"] = bool(mask.mean() >= .03)
    else:
        middle = near[SIDE // 2 - 4:SIDE // 2 + 4, SIDE // 2 - 4:SIDE // 2 + 4]
        inside = background if shape == "ring" else color
        right["color"] = bool((middle == names.index(inside)).float().mean() >= .75 and mask.mean() >= .03)
    cut = boxed(mask)
    overlap = {s: ((cut & t).sum() / (cut | t).sum()).item() for s, t in TEMPLATES.items()}
    right["shape"] = max(overlap, key=overlap.get) == shape
    right["overlap"] = overlap[shape]
    return right


def stage_eval(folder, opt):
    model, rng = Model(folder), random.Random(opt.seed + 5)
    tasks = []
    for kind in ("centre", "place", "large place"):
        for k in range(opt.count):
            background, color = rng.sample(list(COLORS), 2)
            place = "" if kind == "centre" else list(PLACES)[1 + k % 4]
            size = "large" if kind == "large place" else ""
            tasks.append((kind, size, color, SHAPES[k % len(SHAPES)], background, place))
    runs = [(task, opt.seed + 100 * s) for task in tasks for s in range(opt.seeds)]
    texts = [phrase(size, c, s, p) + f" on a {b} background" for (_, size, c, s, b, p), _ in runs]
    start = time.time()
    images = generate(model, texts, [s for _, s in runs], opt.steps, opt.guidance)
    tally, wrong, shapes = {}, [], {}
    for (task, seed), text, img in zip(runs, texts, images):
        kind, _, color, shape, background, place = task
        right = judge(img, color, shape, background, place)
        shapes.setdefault(shape, []).append(right["shape"])
        right["all but shape"] = all(v for k, v in right.items() if k in ("background", "color", "place"))
        for k, v in right.items():
            tally.setdefault((kind, k), []).append(v)
        if not right["all but shape"]:
            what = ", ".join(k for k in ("background", "color", "place") if not right.get(k, True))
            wrong.append(f"{text} (seed {seed}): {what}")
    print(f"{len(runs)} pictures, {opt.steps} steps, guidance {opt.guidance:g}, {time.time() - start:.0f}s")
    for (kind, k), v in tally.items():
        print(f"  {kind:12} {k:14} {100 * sum(v) / len(v):5.1f} % of {len(v)}")
    print("  shapes: " + ", ".join(f"{s} {100 * sum(v) / len(v):.0f} %" for s, v in shapes.items()))
    for line in wrong:
        print("  wrong: " + line)
    if opt.png:
        write_sheet(opt.png, images[:64], 8)


def write_sheet(path, images, columns):
    from PIL import Image
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (SIDE * columns, SIDE * rows))
    for k, img in enumerate(images):
        data = (img.permute(1, 2, 0) * 255).round().byte().numpy()
        sheet.paste(Image.fromarray(data), (SIDE * (k % columns), SIDE * (k // columns)))
    sheet.save(path)


def stage_sample(folder, opt):
    prompts = [opt.prompt] if opt.prompt else [
        "a red circle on a blue background", "a large yellow star on a black background",
        "a small green square on the left on a white background",
        "a pink heart and a cyan ring on a purple background",
        "a white triangle at the top on a orange background", "a blue cross"]
    runs = [(p, opt.seed + k) for p in prompts for k in range(2)]
    images = generate(Model(folder), [p for p, _ in runs], [s for _, s in runs], opt.steps, opt.guidance)
    write_sheet(opt.png or "sample.png", images, 4)


def stage_export(folder, opt):
    model = Model(folder)
    if os.path.abspath(opt.to) != os.path.abspath(folder):
        for part in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
            os.makedirs(f"{opt.to}/{part}", exist_ok=True)
            for name in os.listdir(f"{folder}/{part}"):
                if not name.endswith(".safetensors"):
                    shutil.copy(f"{folder}/{part}/{name}", f"{opt.to}/{part}/{name}")
        shutil.copy(folder + "/model_index.json", opt.to + "/model_index.json")
    for name in Model.FILES:
        model.save(name, opt.to, torch.float16)


DEFAULTS = {
    "seconds": 2400., "scenes": 12000, "threads": 1, "batch": 32, "lr": 0.0012, "fused": 0, "words": 0, "latents": "",
    "log_every": 50, "save_every": 240., "begin": 0., "steps": 20, "guidance": 5., "seeds": 2, "count": 40,
    "prompt": "", "seed": 1, "png": "", "to": "",
}
STAGES = {"vae": stage_vae, "unet": stage_unet, "decoder": stage_decoder, "eval": stage_eval, "sample": stage_sample,
          "export": stage_export}


def main(argv):
    if len(argv) < 2 or argv[0] not in STAGES or len(argv) % 2:
        sys.exit(__doc__)
    opt = type("Options", (), copy.copy(DEFAULTS))()
    for flag, value in zip(argv[2::2], argv[3::2]):
        name = flag[2:].replace("-", "_")
        if not flag.startswith("--") or name not in DEFAULTS:
            sys.exit(f"unknown option {flag}\n\n{__doc__}")
        setattr(opt, name, type(DEFAULTS[name])(value))
    if argv[0] == "export" and not opt.to:
        sys.exit("export needs --to FOLDER")
    torch.set_num_threads(opt.threads)
    if opt.fused:
        FusedAttention.load()
    STAGES[argv[0]](argv[1], opt)


if __name__ == "__main__":
    main(sys.argv[1:])
