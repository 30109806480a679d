/// Changes to a valid .kvc file, taken from the bytes of a fuzz input.
///
/// Mutated files hardly ever get past the JSON of the safetensors header. Here every input is a
/// list of edits to the document and the tensors of a good file, put together again with a header
/// that fits, so that what is tested is the container's reader.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace limbeck::fuzz {

/// Applies the edits in `script` (five bytes each) to the file in `original`.
std::string apply_script(const std::string& original, std::span<const uint8_t> script);

}  // namespace limbeck::fuzz
