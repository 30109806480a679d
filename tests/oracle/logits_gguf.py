"""Random checkpoints as GGUF files, written with the gguf package the way llama.cpp's converter does."""
import math
import re

import gguf
import torch
from gguf import GGMLQuantizationType as Type

from logits_cases import LLAMA3, YARN, Case

CASES = [(Case(f"gguf {arch} {kind}", family, config), arch, kind)
         for arch, family, config in (("llama", "Llama", {}),
                                      ("qwen2", "Qwen2", {"tie_word_embeddings": True}),
                                      ("qwen3", "Qwen3", {"head_dim": 32, "hidden_size": 64}))
         for kind in ("F32", "F16", "Q8_0")]
CASES.append((Case("gguf llama, rope_freqs", "Llama", {"rope_parameters": LLAMA3}), "llama", "F32"))
CASES.append((Case("gguf qwen2, yarn", "Qwen2", {"rope_parameters": YARN}), "qwen2", "F32"))
CASES.append((Case("gguf qwen3, linear", "Qwen3", {"head_dim": 32, "rope_parameters": {
    "rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}}), "qwen3", "F32"))

LAYER_NAMES = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
               "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
               "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
               "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
               "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_name(name):
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in whole:
        return whole[name]
    layer, part, kind = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)", name).groups()
    return f"blk.{layer}.{LAYER_NAMES[part]}.{kind}"


def interleave(array, heads):
    """Rows (j, j + D/2) of every head side by side, as llama.cpp stores the llama architecture."""
    return array.reshape(heads, 2, array.shape[0] // heads // 2, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def llama3_divisors(rope, head_dim):
    out = []
    for j in range(0, head_dim, 2):
        wave = 2 * math.pi * rope["rope_theta"] ** (j / head_dim)
        low = rope["original_max_position_embeddings"] / rope["low_freq_factor"]
        high = rope["original_max_position_embeddings"] / rope["high_freq_factor"]
        if wave < high:
            out.append(1.0)
        elif wave > low:
            out.append(rope["factor"])
        else:
            smooth = (rope["original_max_position_embeddings"] / wave - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"])
            out.append(1.0 / ((1 - smooth) / rope["factor"] + smooth))
    return torch.tensor(out, dtype=torch.float32)


def add_facts(writer, config, head_dim):
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    rope = config.rope_parameters
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("yarn", "linear"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope, head_dim).numpy())


def save_gguf(model, arch, kind, path):
    """Writes the model and leaves in it the weights that a reader of the file gets."""
    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer = gguf.GGUFWriter(path, arch)
    add_facts(writer, config, head_dim)
    for name, p in model.named_parameters():  # a tied head is not among them
        array = p.data.numpy()
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        part = name.split(".")[-2]
        stored = interleave(array, heads[part]) if arch == "llama" and part in heads else array
        if array.ndim == 1 or kind == "F32":
            writer.add_tensor(gguf_name(name), stored)
            continue
        packed = gguf.quants.quantize(stored, Type[kind])
        writer.add_tensor(gguf_name(name), packed, raw_dtype=Type[kind])
        # Quantisation works row by row, so the order of the rows does not matter to it.
        p.data.copy_(torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(array, Type[kind]), Type[kind])))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
