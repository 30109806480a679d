"""Reads a .kvc file with the PyPI package `safetensors` alone, and says what is in it.

    python tests/oracle/kvc_reader.py FILE

Prints every tensor's name, type and shape, checks what docs/cache-format.md promises about them, and
compares the checksums when the package `xxhash` is installed. Exits with 1 when anything is wrong.
"""

import json
import struct
import sys

from safetensors import safe_open

try:
    import xxhash
except ImportError:
    xxhash = None

TYPES = {"BF16", "F32", "I32", "I64"}


def read_header(path):
    """The safetensors header and the position of the data."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length)), 8 + length


def tensor_bytes(path, entry, start):
    begin, end = entry["data_offsets"]
    with open(path, "rb") as file:
        file.seek(start + begin)
        return file.read(end - begin)


def check_hash(what, data, expected, problems):
    if xxhash is None:
        return
    found = xxhash.xxh3_64_hexdigest(data)
    if found != expected:
        problems.append(f"checksum of {what} is {found}, header says {expected}")


def check_blocks(document, tokens, problems):
    """Each whole block of tokens, chained from the model's fingerprint."""
    if xxhash is None:
        return

    def chain_bytes(digest):  # high half, low half, each as a little-endian u64
        high, low = digest.intdigest() >> 64, digest.intdigest() & (2**64 - 1)
        return struct.pack("<QQ", high, low)

    size = document["tokens"]["block"]
    previous = xxhash.xxh3_128(document["model"]["fingerprint"].encode())
    for i, expected in enumerate(document["tokens"]["blocks"]):
        ids = tokens[4 * size * i : 4 * size * (i + 1)]
        previous = xxhash.xxh3_128(chain_bytes(previous) + ids)
        if previous.hexdigest() != expected:
            problems.append(f"hash of token block {i} is {previous.hexdigest()}, not {expected}")


def check_segments(file, document, problems):
    """Spans cover the sequence; offsets agree with the lengths and the rows."""
    at = 0
    for j, segment in enumerate(document["segments"]):
        if segment["begin"] != at:
            problems.append(f"segment {j} begins at {segment['begin']}, not {at}")
        at = segment["end"]
        for i, lengths in enumerate(segment["lengths"]):
            if document["layers"][i]["kind"] != "full":
                continue
            name = f"seg.{j}.{i}."
            offsets = file.get_tensor(name + "offsets").tolist()
            if [b - a for a, b in zip(offsets, offsets[1:])] != lengths or offsets[0] != 0:
                problems.append(f"{name}offsets are {offsets}, lengths {lengths}")
            rows = file.get_slice(name + "k").get_shape()[0]
            if rows != offsets[-1]:
                problems.append(f"{name}k has {rows} rows, offsets end at {offsets[-1]}")
    if at != document["logical_length"]:
        problems.append(f"segments end at {at}, not {document['logical_length']}")


def check_streams(file, document, problems):
    """Streaming heads hold the first positions and the newest ones, nothing in segments."""
    heads = document.get("heads")
    if heads is None:
        return
    if "streaming-heads" not in document["features"]:
        problems.append("there are streaming heads and no feature that says so")
    length = document["logical_length"]
    held = min(length, heads["sinks"] + heads["window"])
    first = min(heads["sinks"], held)
    expected = list(range(first)) + list(range(length - held + first, length))
    for i, (layer, flags) in enumerate(zip(document["layers"], heads["streaming"])):
        count = sum(flags)
        if layer["kind"] != "full" or count == 0:
            continue
        shape = tuple(file.get_slice(f"stream.{i}.k").get_shape())
        if shape != (count, held, document["model"]["head_dim"]):
            problems.append(f"stream.{i}.k has shape {shape}, {count} heads of {held} rows stream")
        positions = file.get_tensor(f"stream.{i}.pos").tolist()
        if sorted(positions) != expected or positions[:first] != expected[:first]:
            problems.append(f"stream.{i}.pos are {positions}")
        for j, segment in enumerate(document["segments"]):
            for h, (flag, slots) in enumerate(zip(flags, segment["lengths"][i])):
                if flag and slots:
                    problems.append(f"head {h} of layer {i} streams and has {slots} slots in segment {j}")


def main(path):
    problems = []
    header, start = read_header(path)
    if start % 64 != 0:
        problems.append(f"data starts at {start}, which is no multiple of 64")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        document = json.loads(metadata["kvc"])
        print(f"{metadata['format']} {metadata['version']}, {document['logical_length']} tokens, "
              f"{len(document['segments'])} segments, producer {document['producer']!r}")
        check_hash("the kvc document", metadata["kvc"].encode(), metadata["kvc_xxh3"], problems)
        for name in sorted(file.keys()):
            entry = header[name]
            print(f"{name}  {entry['dtype']}  {tuple(file.get_slice(name).get_shape())}")
            if entry["dtype"] not in TYPES:
                problems.append(f"{name} has type {entry['dtype']}")
            check_hash(name, tensor_bytes(path, entry, start), document["checksums"][name], problems)
        if set(file.keys()) != set(document["checksums"]):
            problems.append("the checksums name other tensors than the file holds")
        check_segments(file, document, problems)
        check_streams(file, document, problems)
        check_blocks(document, tensor_bytes(path, header["tokens"], start), problems)
    if xxhash is None:
        print("checksums not compared: the package xxhash is not installed")
    for problem in problems:
        print("problem:", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
