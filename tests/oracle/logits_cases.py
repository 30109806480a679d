"""Small random checkpoints of every model family, and Hugging Face's own logits for them."""
import copy
import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

VOCABULARY = 263
WINDOW = 16
LAYERS = 5


@dataclass
class Case:
    name: str
    family: str  # transformers' prefix of Config and ForCausalLM
    config: dict = field(default_factory=dict)
    dtype: torch.dtype = torch.float32
    shard: str = "1GB"
    style: str = "v5"  # "v4": rope_theta and rope_scaling; "nested", "nested-new": multimodal folders
    tokens: int = 70


LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e3, "factor": 8.0, "low_freq_factor": 1.0,
          "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "rope_theta": 1e3, "factor": 4.0, "original_max_position_embeddings": 24}
DEFAULT = {"rope_type": "default", "rope_theta": 1e4}
GEMMA_KINDS = ["sliding_attention"] * 2 + ["full_attention"]
GEMMA = {"hidden_size": 64, "head_dim": 24, "num_attention_heads": 4, "num_key_value_heads": 2,
         "query_pre_attn_scalar": 40, "sliding_window": WINDOW, "num_hidden_layers": 6,
         "layer_types": GEMMA_KINDS * 2,
         "rope_parameters": {"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
                             "sliding_attention": DEFAULT}}
QWEN_WINDOW = {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 2}

CASES = [
    Case("llama, llama3 rope", "Llama", {"rope_parameters": LLAMA3}),
    Case("llama, biases, tied", "Llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    Case("llama, old rope keys, bf16 file", "Llama", {"rope_parameters": LLAMA3}, torch.bfloat16, style="v4"),
    Case("smollm2-like, shards", "Llama", {"tie_word_embeddings": True, "hidden_size": 72, "head_dim": 8,
                                           "num_attention_heads": 9, "num_key_value_heads": 3}, shard="60KB"),
    Case("mistral, window", "Mistral", {"sliding_window": WINDOW, "head_dim": 24}),
    Case("mistral, no window, f16 file", "Mistral", {"sliding_window": None}, torch.float16),
    Case("qwen2", "Qwen2", {"tie_word_embeddings": True}),
    Case("qwen2, yarn", "Qwen2", {"rope_parameters": YARN}, torch.bfloat16),
    Case("qwen2, sliding layers", "Qwen2", QWEN_WINDOW, shard="50KB"),
    Case("qwen2, max_window_layers", "Qwen2", QWEN_WINDOW, style="v4"),
    Case("qwen3", "Qwen3", {"head_dim": 32, "hidden_size": 64}),
    Case("qwen3, yarn, biases", "Qwen3", {"head_dim": 32, "rope_parameters": YARN, "attention_bias": True}),
    Case("gemma3", "Gemma3Text", GEMMA),
    Case("gemma3, bf16 file, shards", "Gemma3Text", GEMMA, torch.bfloat16, shard="50KB"),
    Case("gemma3, pattern", "Gemma3Text", GEMMA, style="v4"),
    Case("gemma3, multimodal folder", "Gemma3Text", GEMMA, style="nested"),
    Case("gemma3, multimodal folder, new names", "Gemma3Text", GEMMA, style="nested-new"),
]


def build(case, seed=0):
    """A model in f32 whose weights are exact in the case's dtype; nothing is left at 0 or 1."""
    base = {"vocab_size": VOCABULARY, "hidden_size": 96, "intermediate_size": 128, "num_hidden_layers": LAYERS,
            "num_attention_heads": 6, "num_key_value_heads": 2, "max_position_embeddings": 512,
            "tie_word_embeddings": case.family == "Gemma3Text", "attn_implementation": "eager",
            "rope_parameters": DEFAULT, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = getattr(transformers, case.family + "Config")(**{**base, **case.config})
    model_class = case.family.removesuffix("Text") + "ForCausalLM"
    model = getattr(transformers, model_class)(config).float().eval()
    generator = torch.Generator().manual_seed(seed)
    gemma = case.family == "Gemma3Text"
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if "embed" in name:
            value = noise * 0.4
        elif p.dim() == 2:
            value = noise * (1.5 if "q_proj" in name else 1.0) / math.sqrt(p.shape[1])
        elif name.endswith("bias"):
            value = noise * 0.3
        else:
            value = noise * 0.2 + (0.0 if gemma else 1.0)
        p.data.copy_(value.to(case.dtype).float())
    return model


def old_keys(config, family):
    """config.json as transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    if family == "Gemma3Text":
        full = dict(rope["full_attention"])
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        config.pop("layer_types")
        config.pop("_sliding_window_pattern", None)
        config["sliding_window_pattern"] = len(GEMMA_KINDS)
    else:
        full = dict(rope)
        config.pop("layer_types", None)
    config["rope_theta"] = full.pop("rope_theta")
    full["type"] = full.pop("rope_type")
    config["rope_scaling"] = None if full["type"] == "default" else full
    return config


def save(case, model, folder: Path):
    # A copy: to() rounds the reference's rotary frequencies as well.
    copy.deepcopy(model).to(case.dtype).save_pretrained(folder, max_shard_size=case.shard)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if case.style == "v4":
        path.write_text(json.dumps(old_keys(config, case.family)))
    if case.style.startswith("nested"):
        nested = {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"],
                  "eos_token_id": [1, 106], "vision_config": {"hidden_size": 8}, "text_config": config}
        path.write_text(json.dumps(nested))
        prefix = "language_model.model." if case.style == "nested" else "model.language_model."
        tensors = {prefix + k.removeprefix("model."): v.contiguous()
                   for k, v in model.state_dict().items() if k.startswith("model.")}
        tower = "vision_tower." if case.style == "nested" else "model.vision_tower."
        tensors[tower + "patch.weight"] = torch.ones(3, 4)
        save_file(tensors, folder / "model.safetensors")


def tokens_of(case, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, VOCABULARY, (case.tokens,), generator=generator).tolist()


@torch.no_grad()
def reference(model, tokens):
    return model(torch.tensor([tokens]), use_cache=False).logits[0].float()
