/// A .kvc file taken apart, changed, and put together again with checksums that fit: for tests of
/// what checksums do not catch.
#pragma once

#include "limbeck/cache/container_read.h"
#include "limbeck/io/checksum.h"
#include "limbeck/io/safetensors.h"
#include "limbeck/io/test_files.h"

#include <nlohmann/json.hpp>

#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace limbeck::test {

struct Forgery {
  struct Tensor {
    DType dtype = DType::u8;
    std::vector<int64_t> shape;
    std::string bytes;
  };
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
  nlohmann::json document;
  bool fix_checksums = true;  ///< of tensors; kvc_xxh3 always fits unless given in `metadata`

  explicit Forgery(std::string_view file) {
    const auto parsed = SafetensorsFile::parse(as_bytes(file), "original");
    for (const StoredTensor& t : parsed.tensors())
      tensors[t.name] = {
          t.dtype, t.shape, {reinterpret_cast<const char*>(t.data.data()), t.data.size()}};
    metadata = parsed.metadata();
    document = nlohmann::json::parse(metadata.at("kvc"));
    metadata.erase("kvc");
    metadata.erase("kvc_xxh3");
  }

  template <class T>
  void set(const std::string& tensor, size_t index, T value) {
    std::memcpy(tensors.at(tensor).bytes.data() + index * sizeof(T), &value, sizeof(T));
  }

  void write(const std::filesystem::path& path) const {
    nlohmann::json fixed = document;
    std::vector<TensorToWrite> list;
    for (const auto& [name, t] : tensors) {
      list.push_back({name, t.dtype, t.shape, as_bytes(t.bytes)});
      if (fix_checksums && fixed.contains("checksums") && fixed["checksums"].contains(name))
        fixed["checksums"][name] = hash_hex(xxh3_64(as_bytes(t.bytes)));
    }
    auto texts = metadata;
    const std::string text = fixed.dump();
    texts.emplace("kvc", text);
    texts.emplace("kvc_xxh3", hash_hex(xxh3_64(as_bytes(text))));
    std::erase_if(texts, [](const auto& entry) { return entry.second == "(absent)"; });
    write_safetensors(path, std::move(list), texts);
  }
};

}  // namespace limbeck::test
