/// The key-value section of a GGUF file. Private to io/.
#pragma once

#include "limbeck/io/gguf.h"
#include "limbeck/io/gguf_cursor.h"

#include <map>
#include <string>

namespace limbeck {

using GgufMetadata = std::map<std::string, GgufValue, std::less<>>;

/// Reads `count` keys with their values at the cursor. Throws FormatError.
GgufMetadata read_gguf_metadata(GgufCursor& cursor, uint64_t count);

/// "a text", "a list of integers", ... for error texts.
std::string_view gguf_value_kind(const GgufValue& value);

}  // namespace limbeck
