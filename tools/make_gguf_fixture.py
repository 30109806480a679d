#!/usr/bin/env python3
"""Writes the GGUF fixtures of limbeck/io/testdata with the Python package `gguf` as the oracle.

gguf_blocks.bin: for every type a record of u32 type, u32 input bytes, u32 outputs, the input, and the
outputs in f32 (all little-endian). Inputs are random blocks whose f16 fields are finite.
gguf_small.bin: a whole file (version 3) as the package's writer makes it.

Usage: python tools/make_gguf_fixture.py [folder]
"""

import pathlib
import struct
import sys

import gguf
import numpy as np
from gguf.constants import GGML_QUANT_SIZES
from gguf.constants import GGMLQuantizationType as Type

# Byte positions of the f16 fields within a block.
HALVES = {
    Type.Q4_0: [0],
    Type.Q4_1: [0, 2],
    Type.Q5_0: [0],
    Type.Q5_1: [0, 2],
    Type.Q8_0: [0],
    Type.Q4_K: [0, 2],
    Type.Q5_K: [0, 2],
    Type.Q6_K: [208],
}
PLAIN = [Type.F32, Type.F16, Type.BF16]
# Zeros, subnormals and the largest values, then ordinary scales.
EDGE_HALVES = np.array([0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00], np.uint16)


def random_blocks(random: np.random.Generator, kind: Type, count: int) -> np.ndarray:
    _, size = GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for number, at in enumerate(HALVES[kind]):
        scales = random.normal(0, 0.05, count).astype(np.float16).view(np.uint16)
        edges = min(len(EDGE_HALVES), count // 2)
        scales[:edges] = np.roll(EDGE_HALVES, number)[:edges]
        blocks[:, at : at + 2] = scales[:, None].view(np.uint8)
    return blocks


def plain_values(random: np.random.Generator, kind: Type, count: int) -> np.ndarray:
    values = np.concatenate([[0.0, -0.0, 1.0, -2.5, 6.0e-8, 1e-40], random.normal(0, 1, count)])
    if kind == Type.F32:
        return values.astype(np.float32).view(np.uint8)
    if kind == Type.F16:
        return values.astype(np.float16).view(np.uint8)
    return gguf.quants.quantize(values.astype(np.float32), Type.BF16).view(np.uint8).ravel()


def write_blocks(path: pathlib.Path) -> None:
    random = np.random.default_rng(20240607)
    with path.open("wb") as file:
        for kind in [*PLAIN, *HALVES]:
            if kind in PLAIN:
                stored = plain_values(random, kind, 250)
            else:
                elements, _ = GGML_QUANT_SIZES[kind]
                stored = random_blocks(random, kind, 32 if elements == 32 else 16).ravel()
            values = gguf.quants.dequantize(stored, kind).astype(np.float32).ravel()
            assert np.isfinite(values).all(), kind
            file.write(struct.pack("<III", int(kind), stored.size, values.size))
            file.write(stored.tobytes())
            file.write(values.tobytes())


def write_small(path: pathlib.Path) -> None:
    random = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("llama.block_count", 2)
    writer.add_float32("llama.rope.freq_base", 10000.0)
    writer.add_int64("test.negative", -5)
    writer.add_bool("tokenizer.ggml.add_bos_token", False)
    writer.add_string("test.text", "größer")
    writer.add_array("tokenizer.ggml.tokens", ["a", "", "bc", "▁d"])
    writer.add_array("tokenizer.ggml.scores", [0.5, -1.25])
    writer.add_array("tokenizer.ggml.token_type", [1, 2, 3])
    writer.add_array("test.flags", [True, False, True])
    writer.add_tensor("plain", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.add_tensor("half", np.arange(5, dtype=np.float16))
    weights = random.normal(0, 1, (3, 64)).astype(np.float32)
    stored = gguf.quants.quantize(weights, Type.Q8_0)
    writer.add_tensor("packed", stored, raw_dtype=Type.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    default = pathlib.Path(__file__).parent.parent / "limbeck" / "io" / "testdata"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(parents=True, exist_ok=True)
    write_blocks(folder / "gguf_blocks.bin")
    write_small(folder / "gguf_small.bin")


if __name__ == "__main__":
    main()
