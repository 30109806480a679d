/// The JSON header of a safetensors file, read without building a document. Private to io/.
#pragma once

#include "limbeck/io/dtype.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// One entry as the header states it; nothing is checked against the data yet.
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  ///< each >= 0
  int64_t begin = 0, end = 0;  ///< each >= 0
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  ///< in the order of the text
  std::map<std::string, std::string> metadata;
};

/// Parses the header; `file` names the file in errors. Memory is a small multiple of the text.
/// Throws FormatError for every broken rule of the text: JSON, duplicate names, missing or unknown
/// fields, unknown dtypes, numbers that are not non-negative integers.
SafetensorsHeader parse_safetensors_header(std::string_view text, std::string_view file);

}  // namespace limbeck
