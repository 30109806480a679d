"""Compares what limbeck's methods keep with the presses of kvpress, on a small random Llama and on
the default model.

python tests/oracle/kvpress_oracle.py --tool build/release/keepset_tool [--model FILE.gguf]

Both read the same tokens in f32 and keep equally many entries. Prints the part of kvpress's entries
that we keep too, per method and ratio; exit code 1 when one is below 99.5 %, 77 (skipped) when kvpress
cannot be imported. `pip install --no-deps kvpress==0.5.5` is enough: packages that only other presses
need are stood in for.

Conventions that differ, and what the comparison does about it:
  ratio       kvpress counts the part that is removed; we are given the number that it kept
  knorm       we protect the last 64 entries, kvpress none: `recent` is 0 here
  cur         a short last window joins the one before it here and stands alone in kvpress; the text is
              whole windows long
  lagkv       the same rank occurs in every chunk, and entries without a reference all score 1. Such ties go
              to the later position here and anywhere in kvpress: the budgets leave none open
  snapkv      kvpress refuses a text shorter than its window and always keeps the window; we shrink the
              window under a budget of less than twice its size, which no ratio here asks for
  tova        kvpress adds the last token, we protect it: the same
  compactor   kvpress draws its sketch anew each time; here it is so wide that leverage is nearly exact. A
              short last block, whose mask kvpress adds as -1e-9, is avoided
  adakv       kvpress masks what it drops; its safe share counts protected entries, of which KeyDiff has none
  expected    kvpress gives sinks the highest score, we protect them: the same
  streaming   neither turns the keys of the window to new positions
  h2o         kvpress's name is observed attention; needs the eager attention of transformers
  scale       kvpress divides logits by the root of the head dimension, we read the model's scale
"""
import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import torch
import transformers

import logits_cases
import logits_oracle

transformers.utils.logging.disable_progress_bar()

# Whole windows of 16, chunks of 32 and some, and four whole blocks between 8 and 4 protected tokens.
TOKENS = 640
BLOCK = (TOKENS - 12) // 4
LAG = 32
KEPT = [0.6, 0.35, 0.21]
# Entries that score 1 (sinks, the last chunk, the rest) and so many of each of the others' chunks.
LAG_CHUNKS = (TOKENS - 4) // LAG - 1
LAG_KEPT = [(TOKENS - LAG_CHUNKS * LAG + LAG_CHUNKS * n + 0.5) / TOKENS for n in (18, 9, 4)]
LEAST = 0.995


def stand_in(name, *attributes):
    """An empty module in the place of one that only presses need which are not compared."""
    if importlib.util.find_spec(name) is not None:
        return
    module = types.ModuleType(name)
    for attribute in attributes:
        setattr(module, attribute, lambda *args, **kwargs: lambda function: function)
    sys.modules[name] = module


def import_kvpress():
    """The package, or None and why not."""
    if importlib.util.find_spec("kvpress") is None:
        return None, "kvpress is not installed (pip install --no-deps kvpress==0.5.5)"
    stand_in("cachetools", "LRUCache", "cached")
    stand_in("datasets", "load_dataset")
    stand_in("fire", "Fire")
    stand_in("requests")
    try:
        import kvpress
        return kvpress, ""
    except Exception as error:  # whatever another version of a dependency raises
        return None, f"kvpress cannot be imported: {error}"


def presses(kvpress, model):
    """Our method and scorer options beside a maker of kvpress's press."""
    # A sketch many times wider than the keys keeps their lengths and angles, and with them leverage.
    width = 16 * model.model.layers[0].self_attn.head_dim
    block = {"block": str(BLOCK)}
    return {
        "knorm": ({"recent": "0"}, kvpress.KnormPress),
        "keydiff": ({}, kvpress.KeyDiffPress),
        "tova": ({}, kvpress.TOVAPress),
        "snapkv": ({}, kvpress.SnapKVPress),
        "lagkv": ({"lag": str(LAG)}, lambda ratio: kvpress.LagKVPress(ratio, lag_size=LAG)),
        "lagkv cross": ({"lag": str(LAG), "cross": "true"},
                        lambda ratio: kvpress.LagKVPress(ratio, lag_size=LAG, cross_scoring=True)),
        "cur": ({}, kvpress.CURPress),
        "expected": ({}, kvpress.ExpectedAttentionPress),
        "streaming": ({}, kvpress.StreamingLLMPress),
        "h2o": ({}, kvpress.ObservedAttentionPress),
        "compactor-kvpress blocks": (
            {**block, "removed_blend": "false", "blend": "0"},
            lambda ratio: kvpress.CompactorPress(ratio, blending=0.0, chunk_size=BLOCK)),
        "compactor-kvpress": (
            block, lambda ratio: kvpress.CompactorPress(ratio, chunk_size=BLOCK, sketch_dimension=width)),
    }


@torch.no_grad()
def cached_keys(model, tokens, press=None):
    """Keys of every layer [H, n, D], after the press if there is one."""
    cache = transformers.DynamicCache()
    ids = torch.tensor([tokens])
    if press is None:
        model(ids, past_key_values=cache)
    else:
        with press(model):
            model(ids, past_key_values=cache)
    return [layer.keys[0] for layer in cache.layers]


def positions(full, kept):
    """For each head the ascending positions of kept keys in the full cache; they are copies."""
    out = []
    for all_rows, rows in zip(full, kept):
        where = {row.numpy().tobytes(): i for i, row in enumerate(all_rows)}
        out.append(sorted(where[row.numpy().tobytes()] for row in rows))
    return out


def adaptive_positions(kvpress, model, tokens, ratio):
    """What AdaKV over KeyDiff leaves unmasked: kvpress does not evict where heads keep different numbers."""
    eager = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    cached_keys(model, tokens, kvpress.AdaKVPress(kvpress.KeyDiffPress(1 - ratio)))
    model.set_attn_implementation(eager)
    out = []
    for layer in model.model.layers:
        _, heads, masked = layer.self_attn.masked_key_indices
        layer.self_attn.masked_key_indices = None
        out.append([sorted(set(range(len(tokens))) - set(masked[heads == h].tolist()))
                    for h in range(model.config.num_key_value_heads)])
    return out


def check(kvpress, tool, model, path, tokens, ratios, folder):
    """Runs every method at every ratio on one text; prints overlaps and returns the complaints."""
    full = cached_keys(model, tokens)
    runs, theirs = [], {}
    for method, (options, make) in presses(kvpress, model).items():
        for ratio in LAG_KEPT[:len(ratios)] if method == "lagkv" else ratios:
            name = f"{method} {ratio:.3f}"
            kept = cached_keys(model, tokens, make(1 - ratio))
            theirs[name] = [positions(a, b) for a, b in zip(full, kept)]
            runs.append({"name": name, "method": method.split()[0], "scorer": options,
                         "budget": kept[0].shape[1]})
    for ratio in ratios:
        name = f"keydiff x adakv {ratio:.3f}"
        theirs[name] = adaptive_positions(kvpress, model, tokens, ratio)
        runs.append({"name": name, "method": "keydiff", "allocator": "adakv",
                     "budget": sum(map(len, theirs[name][0])) // len(theirs[name][0])})
    (folder / "request.json").write_text(json.dumps({"tokens": tokens, "runs": runs}))
    subprocess.run([tool, path, folder / "request.json", folder / "out.json"], check=True)
    ours = json.loads((folder / "out.json").read_text())
    print(f"--- {path.name}, {len(tokens)} tokens")
    bad = []
    for name, layers in theirs.items():
        pairs = [(set(a), set(b)) for x, y in zip(layers, ours[name]) for a, b in zip(x, y)]
        total, here = sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs)
        overlap = sum(len(a & b) for a, b in pairs) / total
        print(f"{name:30} {total:6} entries, overlap {overlap:.4f}")
        if here != total or overlap < LEAST:
            bad.append(f"{path.name}, {name}: {total} entries in kvpress, {here} here, overlap {overlap:.4f}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True, help="keepset_tool")
    parser.add_argument("--model", type=Path, help="the default model, for a comparison on real text")
    args = parser.parse_args()
    kvpress, reason = import_kvpress()
    if kvpress is None:
        print(f"skipped: {reason}")
        return 77
    bad = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        case = logits_cases.Case("llama", "Llama", {"max_position_embeddings": 2048, "num_hidden_layers": 3},
                                 tokens=TOKENS)
        model = logits_cases.build(case)
        logits_cases.save(case, model, folder / "model")
        bad += check(kvpress, args.tool, model, folder / "model", logits_cases.tokens_of(case), KEPT, folder)
        if args.model is not None:
            model = logits_oracle.transformers_gguf(args.model)
            tokenizer = transformers.AutoTokenizer.from_pretrained(args.model.parent, gguf_file=args.model.name)
            tokens = tokenizer(logits_oracle.real_text(), add_special_tokens=False)["input_ids"]
            bad += check(kvpress, args.tool, model, args.model, tokens[:TOKENS], [0.35], folder)
    print(f"{len(bad)} comparisons with kvpress failed" + "".join(f"\n  {line}" for line in bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
