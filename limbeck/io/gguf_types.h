/// Type numbers of GGUF tensors, ours and others. Private to io/.
#pragma once

#include "limbeck/io/gguf.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace limbeck {

/// Empty for the types that we do not read.
std::optional<GgufType> gguf_type_from_number(uint32_t number);

/// What people call a type that we do not read: they know "Q3_K", not 11.
std::string_view gguf_unsupported_type_name(uint32_t number);

}  // namespace limbeck
