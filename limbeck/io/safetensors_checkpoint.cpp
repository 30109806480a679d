#include "limbeck/base/error.h"
#include "limbeck/io/json.h"
#include "limbeck/io/quote.h"
#include "limbeck/io/safetensors.h"

#include <nlohmann/json.hpp>

#include <utility>

namespace limbeck {
namespace {

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";

/// A shard name comes from a file that we do not trust: it must not lead out of the folder.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name.find("..") == std::string_view::npos &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

/// Tensor name to shard name.
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& path) {
  const auto mapping = MappedFile::open(path);
  const auto bytes = mapping->bytes();
  const std::string what = fmt::format("[safetensors] {}", path.filename().string());
  const auto index =
      parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, what,
                 {.max_bytes = 100'000'000, .max_depth = 16, .max_values = 2'000'000});
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object()) {
    throw FormatError("{}: field \"weight_map\" must be an object; found {}", what,
                      map == index.end() ? "nothing" : map->type_name());
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) {
      throw FormatError("{}: file of tensor {} must be a text; found {}", what, quote(tensor),
                        shard.type_name());
    }
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_plain_name(name)) {
      throw FormatError("{}: file of tensor {} must be a plain file name; found {}", what,
                        quote(tensor), quote(name));
    }
    shards.emplace(tensor, name);
  }
  return shards;
}

SafetensorsCheckpoint open_single(const std::filesystem::path& path) {
  SafetensorsCheckpoint checkpoint;
  checkpoint.files.push_back(SafetensorsFile::open(path));
  const SafetensorsFile& file = checkpoint.files.back();
  for (const StoredTensor& tensor : file.tensors()) {
    checkpoint.tensors.emplace(tensor.name, &tensor);
    checkpoint.owners.emplace(tensor.name, file.mapping());
  }
  return checkpoint;
}

SafetensorsCheckpoint open_sharded(const std::filesystem::path& folder) {
  const auto weight_map = read_weight_map(folder / kIndexName);
  std::map<std::string, size_t> positions;
  SafetensorsCheckpoint checkpoint;
  for (const auto& [tensor, shard] : weight_map) {
    if (positions.contains(shard)) continue;
    positions.emplace(shard, checkpoint.files.size());
    checkpoint.files.push_back(SafetensorsFile::open(folder / shard));
  }
  // Only now do the files stay where they are, so that pointers into them last.
  for (const auto& [tensor, shard] : weight_map) {
    const SafetensorsFile& file = checkpoint.files[positions.at(shard)];
    checkpoint.tensors.emplace(tensor, &file.at(tensor));
    checkpoint.owners.emplace(tensor, file.mapping());
  }
  return checkpoint;
}

}  // namespace

SafetensorsCheckpoint open_safetensors_checkpoint(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / kSingleName, ignored)) {
    return open_single(folder / kSingleName);
  }
  if (std::filesystem::exists(folder / kIndexName, ignored)) return open_sharded(folder);
  throw ResourceError("[safetensors] {}: folder must hold {} or {}; found neither", folder.string(),
                      kSingleName, kIndexName);
}

}  // namespace limbeck
