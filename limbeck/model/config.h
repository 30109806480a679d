/// Model configurations: Hugging Face's config.json and GGUF metadata to ModelSpec.
#pragma once

#include "limbeck/io/gguf.h"
#include "limbeck/model/spec.h"

#include <filesystem>
#include <string>
#include <string_view>

namespace limbeck {

/// From the text of a config.json. Refuses, naming key and value: unknown model_type, rope type or
/// activation, any quantization_config. `name` stands for the file in error texts.
ModelSpec spec_from_config(std::string_view json, const std::string& name);
/// Adds the EOS ids of generation_config.json to the spec and reads the sampling defaults.
GenerationDefaults read_generation_config(std::string_view json, const std::string& name,
                                          ModelSpec& spec);
/// From GGUF metadata; architectures llama, qwen2, qwen3.
ModelSpec spec_from_gguf(const GgufFile& file);
/// True when rows of attn_q and attn_k are stored for interleaved pairs and must be permuted back.
bool gguf_interleaved_rope(const GgufFile& file);

}  // namespace limbeck
