#!/usr/bin/env python3
"""The measurements of engine_bench with transformers: same file, same token counts, same dtype unless told.

usage: transformers_bench.py --model PATH [--text FILE] [--lengths 1024,4096,8064] [--repeats 7]
                             [--generate 32] [--threads N] [--dtype bf16|f32]

PATH is a GGUF file or a folder from Hugging Face. Prefill is one call over the whole text that asks for
the logits of the last position; decoding feeds the likeliest token back, one call a token, on a
DynamicCache. Prints one JSON document with every sample in seconds.
"""

import argparse
import inspect
import json
import os
import pathlib
import statistics
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")  # of the conversion of GGUF weights

import torch
import transformers
from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

TEXT = pathlib.Path(__file__).resolve().parent.parent / "assets" / "demo" / "story.txt"


DTYPES = {"bf16": torch.bfloat16, "f32": torch.float32}


def numbers(text):
    return [int(part) for part in text.split(",")]


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, type=pathlib.Path)
    parser.add_argument("--text", default=TEXT, type=pathlib.Path)
    parser.add_argument("--lengths", default=[1024, 4096, 8064], type=numbers)
    parser.add_argument("--repeats", default=7, type=int)
    parser.add_argument("--generate", default=32, type=int)
    parser.add_argument("--threads", default=0, type=int, help="0 = torch's own choice")
    parser.add_argument("--dtype", default="bf16", choices=DTYPES)
    return parser.parse_args()


def load_gguf(path, dtype):
    """from_pretrained(gguf_file=...) without the accelerate package, which only places the weights."""
    config = transformers.AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
    model = transformers.AutoModelForCausalLM.from_config(
        config, dtype=dtype, attn_implementation="sdpa")
    tensors = load_gguf_checkpoint(str(path), return_tensors=True, model_to_load=model)["tensors"]
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    if unexpected or not set(missing) <= tied:
        raise SystemExit(f"transformers_bench: {path}: missing {missing}, unexpected {unexpected}")
    return model


def load(path, dtype):
    """Model and tokenizer of a GGUF file or a folder."""
    if path.is_dir():
        model = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=dtype, attn_implementation="sdpa")
        return model.eval(), transformers.AutoTokenizer.from_pretrained(path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    return load_gguf(path, dtype).eval(), tokenizer


def text_tokens(tokenizer, path, count):
    once = tokenizer(path.read_text(encoding="utf-8") + "\n\n", add_special_tokens=False,
                     verbose=False)["input_ids"]
    if not once:
        raise SystemExit(f"transformers_bench: {path} is empty")
    return (once * (count // len(once) + 1))[:count]


class Bench:
    def __init__(self, model, repeats, generate):
        self.model, self.repeats, self.generate = model, repeats, generate
        # Models without this argument compute every position's logits; the result says which it was.
        self.last_only = "logits_to_keep" in inspect.signature(model.forward).parameters
        self.extra = {"logits_to_keep": 1} if self.last_only else {}

    def forward(self, ids, cache):
        return self.model(input_ids=ids, past_key_values=cache, use_cache=True, **self.extra).logits

    def prefill(self, ids):
        """Seconds of each run, and the last run's cache."""
        seconds = []
        for _ in range(self.repeats + 1):
            cache = transformers.DynamicCache(config=self.model.config)
            start = time.perf_counter()
            self.forward(ids, cache)
            seconds.append(time.perf_counter() - start)
        return seconds[1:], cache  # the first run was the warm-up

    def decode(self, cache, first):
        """Seconds of each token, and the tokens of the last run."""
        seconds, depth = [], cache.get_seq_length()
        for run in range(self.repeats + 1):
            token, generated = torch.tensor([[first]]), []
            for _ in range(self.generate):
                start = time.perf_counter()
                logits = self.forward(token, cache)
                token = logits[:, -1].argmax(dim=-1, keepdim=True)
                if run > 0:  # run 0 is the warm-up
                    seconds.append(time.perf_counter() - start)
                generated.append(token.item())
            cache.crop(depth)
        return seconds, generated


def rate_row(tokens, per_sample, seconds):
    median = statistics.median(seconds)
    return {
        "tokens": tokens,
        "tokens_per_second": per_sample / median,
        "seconds": {
            "median": median,
            "mad": statistics.median(abs(s - median) for s in seconds),
            "min": min(seconds),
            "samples": len(seconds),
        },
        "samples": seconds,
    }


def main():
    args = parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    if args.threads > 0:
        torch.set_num_threads(args.threads)
    model, tokenizer = load(args.model, DTYPES[args.dtype])
    bench = Bench(model, args.repeats, args.generate)
    window = model.config.get_text_config().max_position_embeddings
    lengths = sorted({min(n, window - args.generate) for n in args.lengths})
    tokens = text_tokens(tokenizer, args.text, lengths[-1])
    prefill, decode = [], []
    with torch.inference_mode():
        for n in lengths:
            seconds, cache = bench.prefill(torch.tensor([tokens[:n]]))
            prefill.append(rate_row(n, n, seconds))
            print(f"transformers: prefill {n}: {prefill[-1]['tokens_per_second']:.0f} tokens/s",
                  file=sys.stderr)
            seconds, generated = bench.decode(cache, tokens[0])
            decode.append(rate_row(n, 1, seconds) | {"generated": generated})
            print(f"transformers: decode {n}: {decode[-1]['tokens_per_second']:.1f} tokens/s",
                  file=sys.stderr)
            del cache
    print(json.dumps({
        "program": "transformers",
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "attention": model.config._attn_implementation,
        "threads": torch.get_num_threads(),
        "last_logits_only": bench.last_only,
        "lengths": lengths,
        "generate": args.generate,
        "prefill": prefill,
        "decode": decode,
    }, indent=1))


if __name__ == "__main__":
    main()
