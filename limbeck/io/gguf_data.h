/// What an open GGUF file holds. Private to io/.
#pragma once

#include "limbeck/io/gguf_metadata.h"

namespace limbeck {

struct GgufFile::Data {
  std::string name;
  std::shared_ptr<const MappedFile> mapping;  // null for bytes in memory
  int version = 0;
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  std::map<std::string, size_t, std::less<>> index;
};

}  // namespace limbeck
