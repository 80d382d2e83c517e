#!/usr/bin/env python3
"""Writes fuzz/corpus/torch_file and fuzz/corpus/pickle: files as torch.save makes them, and hostile ones.

torch_file_test.c says what must come of each.  Needs torch (written with 1.13) and numpy; the tests
themselves need neither.  Usage: tests/make_torch_files.py, in the repository's root.
"""
import argparse
import builtins
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy
import torch

FILES = Path("fuzz/corpus/torch_file")
PICKLES = Path("fuzz/corpus/pickle")


def weights():
    """Every type, shape and way to lie in a storage that a checkpoint may have."""
    base = torch.arange(12, dtype=torch.float32)
    return OrderedDict(
        [
            ("a.weight", base[:6].reshape(2, 3)),
            ("a.bias", base[6:8]),
            ("half", torch.tensor([1.5, -2.0]).half()),
            ("bfloat", torch.tensor([[3.0]]).bfloat16()),
            ("double", torch.tensor([0.25], dtype=torch.float64)),
            ("ids", torch.arange(4).reshape(1, 4)),
            ("scalar", torch.tensor(7.0)),
            ("none", torch.zeros(0, 3)),
            ("bytes", torch.tensor([1, 2], dtype=torch.uint8)),
            ("parameter", torch.nn.Parameter(torch.tensor([9.0]))),
            ("turned", torch.arange(6, dtype=torch.float32).reshape(2, 3).t()),
        ]
    )


def save(name, value, **how):
    b = io.BytesIO()
    torch.save(value, b, **how)
    (FILES / name).write_bytes(b.getvalue())


def lightning():
    """What trainers put beside the weights, with stand-ins for their classes."""
    module = types.ModuleType("pytorch_lightning.callbacks")
    parent = types.ModuleType("pytorch_lightning")
    sys.modules.update({"pytorch_lightning": parent, "pytorch_lightning.callbacks": module})

    class ModelCheckpoint:
        pass

    ModelCheckpoint.__module__ = "pytorch_lightning.callbacks"
    ModelCheckpoint.__qualname__ = "ModelCheckpoint"
    module.ModelCheckpoint = ModelCheckpoint
    checkpoint = ModelCheckpoint()
    checkpoint.best = {"score": numpy.float32(0.5)}
    return {
        "epoch": 3,
        "big": 1 << 70,
        "negative": -5,
        "loops": [1.5, None, True, (1, 2, 3, 4), {1, 2}],
        "state_dict": {"model.w": torch.ones(2), "step": 1},
        "callbacks": {ModelCheckpoint: {"best": numpy.float64(0.5)}, "object": checkpoint},
        "hyper": argparse.Namespace(rate=1e-4, shape=torch.Size([1, 2]), type=torch.float16),
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}}],
    }


# Pickles by hand, operation by operation.


def text(s):
    b = s.encode() if isinstance(s, str) else s
    return b"X" + struct.pack("<I", len(b)) + b


def number(n):
    if 0 <= n < 256:
        return bytes([ord("K"), n])
    if -(1 << 31) <= n < 1 << 31:
        return b"J" + struct.pack("<i", n)
    b = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(b)]) + b


def name(module, what):
    return f"c{module}\n{what}\n".encode()


def group(*parts):
    return b"(" + b"".join(parts) + b"t"


def storage(key="0", n=4, kind="FloatStorage", more=()):
    return group(text("storage"), name("torch", kind), text(key), text("cpu"), number(n), *more) + b"Q"


def tensor(store=None, offset=0, size=(4,), stride=(1,), call="_rebuild_tensor_v2"):
    return (
        name("torch._utils", call)
        + group(
            store or storage(),
            number(offset),
            group(*map(number, size)),
            group(*map(number, stride)),
            b"\x89",
            name("collections", "OrderedDict") + b")R",
        )
        + b"R"
    )


def dictionary(**items):
    return b"}(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def whole(body, protocol=2):
    return b"\x80" + bytes([protocol]) + body + b"."


class Evil:
    def __init__(self, what, *args):
        self.what, self.args = what, args

    def __reduce__(self):
        return self.what, self.args


def pickles():
    good = tensor()
    nest = b"}"
    for _ in range(40):
        nest = b"}" + text("k") + nest + b"s"
    laughs = b"]q\x00"
    for i in range(12):
        laughs += b"0](" + (b"h" + bytes([i])) * 30 + b"eq" + bytes([i + 1])
    yield "good", whole(dictionary(w=good))
    yield "good_list", whole(b"](" + good + good + b"e")
    yield "os_system", pickle.dumps({"w": Evil(os.system, "echo owned")}, 2)
    yield "os_system_4", pickle.dumps({"w": Evil(os.system, "echo owned")}, 4)
    yield "eval", pickle.dumps({"state_dict": {"w": [[Evil(builtins.eval, "1+1")]]}}, 2)
    yield "getattr", pickle.dumps(Evil(builtins.getattr, 1, "real"), 2)
    yield "subprocess", whole(name("subprocess", "Popen") + b"(" + text("sh") + b"tR")
    yield "newobj", whole(name("os", "popen") + b"(" + text("sh") + b"t\x81")
    yield "name_unused", whole(name("posix", "system") + b"0" + dictionary(w=good))
    yield "prefix_is_no_package", whole(name("torchevil", "run") + b")R")
    yield "stack_name_is_number", whole(b"K\x01K\x02\x93")
    yield "name_not_text", whole(b"ctorch\xff\nx\n")
    yield "build_on_dict", whole(dictionary(w=good) + dictionary(__class__=number(1)) + b"b")
    yield "build_on_name", whole(name("torch", "Tensor") + dictionary(load=number(1)) + b"b")
    yield "call_of_call", whole(name("torch", "load") + b")R)R")
    yield "call_of_text", whole(text("os.system") + b")R")
    yield "call_with_list", whole(name("torch", "load") + b"]R")
    yield "inst", whole(b"(" + text("x") + b"ios\nsystem\n")
    yield "obj", whole(b"(" + name("torch", "load") + b"o")
    yield "extension", whole(b"\x82\x01)R")
    yield "unknown_operation", whole(b"\xf0")
    yield "protocol_0", b"(dp0\nS'w'\np1\nI1\ns."
    yield "protocol_9", whole(b"N", 9)
    yield "second_protocol", whole(b"\x80\x02N")
    yield "laughs", whole(laughs)
    yield "contains_itself", whole(b"}q\x00" + text("k") + b"h\x00s")
    yield "too_deep", whole(nest)
    yield "memo_index", whole(b"Nr\xff\xff\xff\xff")
    yield "never_remembered", whole(b"h\x05")
    yield "huge_text", whole(b"\x8d" + b"\xff" * 8)
    yield "huge_bytes", whole(b"B\xff\xff\xff\xff")
    yield "huge_long", whole(b"\x8b\xff\xff\xff\x7f")
    yield "frame_lies", b"\x80\x04\x95" + b"\xff" * 8 + dictionary(w=good) + b"."
    yield "empty_stack", whole(b"a")
    yield "below_mark", whole(b"](N0a")
    yield "tuple_below_mark", whole(b"N(\x85")
    yield "no_mark", whole(b"]u")
    yield "odd_items", whole(b"}(" + text("k") + b"u")
    yield "odd_dict", whole(b"(" + text("k") + b"d")
    yield "items_into_text", whole(text("k") + b"Na")
    yield "two_values", whole(b"NN")
    yield "no_value", whole(b"")
    yield "open_mark", whole(b"N(")
    yield "reference_is_none", whole(dictionary(w=tensor(b"NQ")))
    yield "reference_is_text", whole(dictionary(w=tensor(text("0") + b"Q")))
    yield "storage_is_number", whole(dictionary(w=tensor(number(3))))
    yield "storage_viewed", whole(dictionary(w=tensor(storage(more=[group(text("1"), number(0), number(4))]))))
    yield "storage_not_viewed", whole(dictionary(w=tensor(storage(more=[b"N"]))))
    yield "storage_unknown", whole(dictionary(w=tensor(storage(kind="Float8Storage"))))
    yield "storage_negative", whole(dictionary(w=tensor(storage(n=-4))))
    yield "storage_huge", whole(dictionary(w=tensor(storage(n=(1 << 62) + 1))))
    yield "storage_missing", whole(dictionary(w=tensor(storage(key="9"))))
    yield "storage_too_long", whole(dictionary(w=tensor(storage(n=400), size=(400,))))
    yield "storage_climbs", whole(dictionary(w=tensor(storage(key="../0"))))
    yield "past_storage", whole(dictionary(w=tensor(offset=1)))
    yield "offset_wraps", whole(dictionary(w=tensor(offset=(1 << 63) - 1)))
    yield "offset_negative", whole(dictionary(w=tensor(offset=-1)))
    yield "size_wraps", whole(dictionary(w=tensor(size=(1 << 62, 8), stride=(8, 1))))
    yield "size_negative", whole(dictionary(w=tensor(size=(-4,))))
    yield "size_is_text", whole(dictionary(w=tensor(size=()).replace(b"(t(t", b"(Nt(t")))
    yield "nine_dimensions", whole(dictionary(w=tensor(size=(1,) * 9, stride=(1,) * 9)))
    yield "strides_missing", whole(dictionary(w=tensor(size=(2, 2))))
    yield "tensor_of_nothing", whole(dictionary(w=name("torch._utils", "_rebuild_tensor_v2") + b")R"))
    yield "tensor_sparse", whole(dictionary(w=name("torch._utils", "_rebuild_sparse_tensor") + b")R"))
    yield "tensor_twice", whole(b"}(" + text("w") + good + text("w") + good + b"u")
    yield "name_is_empty", whole(b"}" + text("") + good + b"s")
    yield "name_has_escape", whole(b"}" + text("w\x1b[31m") + good + b"s")
    yield "name_has_zero", whole(b"}" + text("w\0x") + good + b"s")
    yield "name_too_long", whole(b"}" + text("w" * 513) + good + b"s")
    yield "no_tensors", whole(dictionary(epoch=number(3)))
    yield "old_ordered_dict", whole(
        name("collections", "OrderedDict") + b"(](](" + text("w") + good + b"eetR"
    )


# Zips by hand.


def pack(entries, method=zipfile.ZIP_STORED):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w", method) as z:
        for key, data in entries:
            z.writestr(key, data)
    return b.getvalue()


class Pipe(io.RawIOBase):
    """Somewhere that cannot be gone back in, so that sizes follow the data."""

    def __init__(self):
        self.data = b""

    def writable(self):
        return True

    def write(self, b):
        self.data += bytes(b)
        return len(b)


def change(source, at, fmt, value):
    b = bytearray(source)
    struct.pack_into(fmt, b, at, value)
    return bytes(b)


def zips():
    data = whole(dictionary(w=tensor()))
    store = struct.pack("<4f", 1, 2, 3, 4)
    entries = [("a/data.pkl", data), ("a/data/0", store)]
    good = pack(entries)
    first = good.index(b"PK\1\2")  # of the central directory's two records
    second = good.index(b"PK\1\2", first + 1)
    end = good.index(b"PK\5\6")
    local = good.index(b"PK\3\4", 4)  # the second entry's own header

    yield "zip_plain", good
    yield "zip_comment", good[:-2] + b"\x05\x00hello"
    yield "zip_compressed", pack([("a/data.pkl", data * 9), ("a/data/0", store)], zipfile.ZIP_DEFLATED)
    yield "zip_no_pickle", pack([("a/data/0", store)])
    yield "zip_two_pickles", pack(entries + [("b/data.pkl", data)])
    yield "zip_deeper_pickle", pack(entries + [("a/code/data.pkl", data)])
    yield "zip_no_storage", pack(entries[:1])
    yield "zip_short_storage", pack([entries[0], ("a/data/0", store[:15])])
    yield "zip_big_endian", pack(entries + [("a/byteorder", b"big")])
    yield "zip_twice", pack(entries + [("a/data/1", store)]).replace(b"a/data/1", b"a/data/0")
    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as z:
        for key, what in entries:
            with z.open(key, "w", force_zip64=True) as f:
                f.write(what)
    yield "zip_descriptors", pipe.data
    yield "zip_encrypted", change(good, first + 8, "<H", 1)
    inside = pack([("a/data/0", store)])[: 30 + 8 + 16]  # an entry that lies in another one's data
    outer = pack([("a/data.pkl", data), ("a/data/1", inside), ("a/data/0", store)])
    third = outer.rindex(b"PK\1\2")
    yield "zip_overlap", change(outer, third + 42, "<I", outer.index(inside))
    yield "zip_local_name", change(good, local + 30, "<B", ord("b"))
    yield "zip_local_size", change(good, local + 22, "<I", 15)
    lies = change(good, second + 24, "<I", 999)
    lies = change(change(lies, second + 20, "<I", 999), local + 22, "<I", 999)
    yield "zip_size", change(lies, local + 18, "<I", 999)
    yield "zip_header_past_end", change(good, second + 42, "<I", first + 4)
    yield "zip_name_is_no_text", good.replace(b"a/data/0", b"a/data\x1b0")
    yield "zip_directory_past_end", change(good, end + 16, "<I", first + 1)
    yield "zip_directory_huge", change(good, end + 12, "<I", 0xFFFFFF00)
    yield "zip_count", change(change(good, end + 8, "<H", 9), end + 10, "<H", 9)
    yield "zip_parts", change(good, end + 4, "<H", 1)
    yield "zip_no_locator", change(good, end + 16, "<I", 0xFFFFFFFF)
    yield "zip_size_not_told", change(good, second + 24, "<I", 0xFFFFFFFF)

    end64 = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, 2, 2, end - first, first)
    locator = struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    tail = good[end : end + 8] + struct.pack("<HHIIH", 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    yield "zip64_end", good[:end] + end64 + locator + tail
    yield "zip64_lies", good[:end] + end64[:40] + struct.pack("<QQ", 1 << 63, 1 << 63) + locator + tail


def legacies():
    b = io.BytesIO()
    torch.save({"w": torch.arange(4.0)}, b, _use_new_zipfile_serialization=False)
    good = b.getvalue()
    starts = [i for i in range(len(good)) if good[i : i + 2] == b"\x80\x02"]  # of the five pickles
    count = good.rindex(struct.pack("<q", 4))
    evil = pickle.dumps({"w": Evil(os.system, "echo owned")}, 2)
    yield "legacy_plain", good
    yield "legacy_magic", good.replace(b"\x6c\xfc\x9c\x46", b"\x6c\xfc\x9c\x47", 1)
    yield "legacy_protocol", good.replace(b"M\xe9\x03", b"M\xea\x03", 1)
    yield "legacy_big_endian", good.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89", 1)
    yield "legacy_count", good[:count] + struct.pack("<q", 5) + good[count + 8 :]
    yield "legacy_cut", good[:-1]
    yield "legacy_no_count", good[:count]
    yield "legacy_no_keys", good[: starts[4]] + whole(b"]") + good[count:]
    yield "legacy_unknown_key", good[: starts[4]] + whole(b"]" + text("x") + b"a") + good[count:]
    yield "legacy_keys_are_none", good[: starts[4]] + whole(b"N") + good[count:]
    yield "legacy_os_system", good[: starts[3]] + evil + good[starts[4] :]
    two = whole(dictionary(v=tensor(), w=tensor(storage(n=5))))
    yield "legacy_two_stories", good[: starts[3]] + two + good[starts[4] :]


def main():
    for folder in (FILES, PICKLES):
        folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    both = {"params": {"w": torch.zeros(1)}, "params_ema": weights()}
    save("good_zip", both)
    save("good_legacy", both, _use_new_zipfile_serialization=False)
    save("good_protocol_4", both, pickle_protocol=4)
    save("lightning", lightning())
    save("embedding_a", {"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(1, 4)}, "name": "x"})
    save(
        "embedding_b",
        {"string_to_token": {"*": 265}, "string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(torch.ones(1, 4))})},
    )
    save("embedding_c", {"<cat>": torch.ones(4)})
    save("module", torch.nn.Sequential(torch.nn.Linear(2, 1)))
    for made in (zips(), legacies()):
        for key, data in made:
            (FILES / key).write_bytes(data)
    for key, data in pickles():
        (PICKLES / key).write_bytes(data)


if __name__ == "__main__":
    main()
