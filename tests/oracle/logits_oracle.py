"""Compares limbeck's logits, by every route, with Hugging Face transformers.

python tests/oracle/logits_oracle.py --tool build/release/logits_tool [--model FILE.gguf] [--only TEXT]

Prints the greatest absolute difference per case and route; exit code 1 when one exceeds its limit.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

import logits_cases
import logits_gguf

ROUTES = ["oneshot", "chunked", "decode", "differentiable", "differentiable_cached", "batched", "batched_other"]
FLOAT_LIMIT = 1e-4   # small f32 models: rounding of a few layers
REAL_LIMIT = 1e-3    # 30 layers, 512 tokens
COSINE_LIMIT = 0.999  # bf16 weights and activations against f32


def run_tool(tool, model, tokens, folder, dtype):
    ids, out = folder / "tokens.json", folder / f"logits-{dtype}.safetensors"
    ids.write_text(json.dumps(tokens))
    subprocess.run([tool, str(model), str(ids), str(out), "--dtype", dtype], check=True)
    return load_file(out)


def expected_rows(route, reference, other):
    """The rows of the reference that a route's rows must equal."""
    half = reference.shape[0] // 2
    if route == "batched_other":
        return other[other.shape[0] // 2:]
    return reference[half:] if route in ("differentiable_cached", "batched") else reference


def differences(logits, reference, other):
    out = {}
    for route in ROUTES:
        want = expected_rows(route, reference, other)[: logits[route].shape[0]]
        out[route] = (logits[route] - want).abs().max().item()
    return out


def cosines(logits, reference, other):
    return {route: torch.nn.functional.cosine_similarity(
        logits[route], expected_rows(route, reference, other)[: logits[route].shape[0]], dim=-1).min().item()
        for route in ROUTES}


class Report:
    def __init__(self):
        self.failed = []
        print("%-40s" % "greatest absolute difference", *("%13s" % r[:13] for r in ROUTES))

    def add(self, name, values, good):
        marks = ["%13s" % (("%.2e" % v if v < 0.9 else "%.6f" % v) + ("" if good(v) else "!")) for v in values.values()]
        print("%-40s" % name, *marks, flush=True)
        if not all(good(v) for v in values.values()):
            self.failed.append(name)


def compare(report, name, tool, path, model, tokens, folder):
    reference = logits_cases.reference(model, tokens)
    other = logits_cases.reference(model, tokens[1:])
    exact = run_tool(tool, path, tokens, folder, "f32")
    report.add(name, differences(exact, reference, other), lambda v: v <= FLOAT_LIMIT)
    coarse = run_tool(tool, path, tokens, folder, "bf16")
    report.add("  bf16, least cosine", cosines(coarse, reference, other), lambda v: v > COSINE_LIMIT)


def check_families(report, tool, only):
    for seed, case in enumerate(logits_cases.CASES):
        if only not in case.name:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model = logits_cases.build(case, seed)
            logits_cases.save(case, model, folder / "model")
            compare(report, case.name, tool, folder / "model", model, logits_cases.tokens_of(case), folder)


def check_gguf(report, tool, only):
    for seed, (case, arch, kind) in enumerate(logits_gguf.CASES):
        if only not in case.name:
            continue
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            model = logits_cases.build(case, seed)
            logits_gguf.save_gguf(model, arch, kind, folder / "model.gguf")
            compare(report, case.name, tool, folder / "model.gguf", model, logits_cases.tokens_of(case), folder)


def real_text():
    path = Path(os.environ.get("LIMBECK_TEST_DATA", "../shared/data")) / "wikitext2_test.txt"
    if path.exists():
        return path.read_text()[:8000]
    return " ".join(f"On day {i} the ship made {i * 7 % 90} miles, and the mate wrote of wind, rain and "
                    f"the {'north' if i % 3 else 'south'} shore." for i in range(60))


def transformers_gguf(path):
    """from_pretrained(gguf_file=...) without the accelerate package, which only places the weights."""
    config = transformers.AutoConfig.from_pretrained(path.parent, gguf_file=path.name, attn_implementation="eager")
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    return model


def check_real(report, tool, path):
    """The default model against transformers' own load of the same file."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = transformers_gguf(path)
    tokens = tokenizer(real_text(), add_special_tokens=False)["input_ids"][:512]
    with tempfile.TemporaryDirectory() as folder:
        logits = run_tool(tool, path, tokens, Path(folder), "f32")
    reference, other = logits_cases.reference(model, tokens), logits_cases.reference(model, tokens[1:])
    report.add(path.name, differences(logits, reference, other), lambda v: v <= REAL_LIMIT)
    equal = (logits["oneshot"].argmax(-1) == reference.argmax(-1)).sum().item()
    print(f"  top-1 equal on {equal} of {len(tokens)} tokens")
    if equal != len(tokens) or len(tokens) != 512:
        report.failed.append("top-1")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", default="", help="run the cases whose name holds this text")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    report = Report()
    check_families(report, args.tool, args.only)
    check_gguf(report, args.tool, args.only)
    if args.model is not None:
        check_real(report, args.tool, args.model)
    print("failed: " + ", ".join(report.failed) if report.failed else "all routes agree")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
