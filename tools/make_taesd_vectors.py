#!/usr/bin/python3
"""Makes tests/data/taesd-random.safetensors: a tiny autoencoder of width 8 with random weights, and
what PyTorch computes with it.

The architecture is the published one (Ollin Boer Bohan, TAESD; AutoencoderTiny in diffusers), written
down here as PyTorch modules so that their numbering is the checkpoints' own.  Needs PyTorch alone:

    tools/make_taesd_vectors.py tests/data/taesd-random.safetensors
"""
import json
import struct
import sys

import torch
from torch import nn

WIDTH, LATENT = 8, 4


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1))

    def forward(self, x):
        return torch.relu(self.conv(x) + x)


def halve():
    return nn.Conv2d(WIDTH, WIDTH, 3, padding=1, stride=2, bias=False)


def double():
    return [nn.Upsample(scale_factor=2), nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False)]


class Half(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)


def three():
    return [Block(), Block(), Block()]


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Half([nn.Conv2d(3, WIDTH, 3, padding=1), Block(),
                             halve(), *three(), halve(), *three(), halve(), *three(),
                             nn.Conv2d(WIDTH, LATENT, 3, padding=1)])
        self.decoder = Half([nn.Conv2d(LATENT, WIDTH, 3, padding=1), nn.ReLU(),
                             *three(), *double(), *three(), *double(), *three(), *double(),
                             Block(), nn.Conv2d(WIDTH, 3, 3, padding=1)])

    def encode(self, picture):
        return self.encoder.layers(picture)

    def decode(self, latent):
        return self.decoder.layers(torch.tanh(latent / 3) * 3)


def save(path, tensors):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, t in tensors.items():
        kind = {torch.float16: "F16", torch.float32: "F32"}[t.dtype]
        data = t.contiguous().numpy().tobytes()
        header[name] = {"dtype": kind, "shape": list(t.shape),
                        "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + body)


def main():
    torch.manual_seed(20)
    model = Tiny()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() > 1:
                # The last convolution of a block adds to its input: smaller.
                gain = 0.7 if name.endswith("conv.4.weight") else 1.4
                p.normal_(0, gain / (p[0].numel()) ** 0.5)
            else:
                p.normal_(0, 0.1)
            p.copy_(p.half().float())
        latent = torch.randn(1, LATENT, 4, 3) * 2.5  # far enough for the clamp to matter
        picture = torch.rand(1, 3, 32, 24)
        expect = {"expect.latent": latent, "expect.decoded": model.decode(latent),
                  "expect.picture": picture, "expect.encoded": model.encode(picture)}
    weights = {n: p.detach().half() for n, p in model.named_parameters()}
    save(sys.argv[1], {**weights, **expect})
    for name, t in expect.items():
        print(name, list(t.shape), "mean %.4f deviation %.4f" % (t.mean(), t.std()))


main()
