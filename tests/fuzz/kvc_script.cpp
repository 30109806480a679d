#include "tests/fuzz/kvc_script.h"

#include "limbeck/cache/test_forgery.h"

#include <limits>

namespace limbeck::fuzz {
namespace {

using nlohmann::json;
using test::Forgery;

struct Edit {
  uint8_t kind, place, index, value, detail;
};
constexpr size_t kEditBytes = 5;
constexpr int64_t kMaxTensorBytes = 1 << 16;

const std::vector<json>& values() {
  static const std::vector<json> list = {0,
                                         1,
                                         2,
                                         3,
                                         4,
                                         -1,
                                         255,
                                         256,
                                         257,
                                         2147483647,
                                         2147483648,
                                         4294967296,
                                         int64_t{1} << 62,
                                         std::numeric_limits<int64_t>::max(),
                                         std::numeric_limits<int64_t>::min(),
                                         std::numeric_limits<uint64_t>::max(),
                                         0.5,
                                         -0.0,
                                         1e308,
                                         "",
                                         "nan",
                                         "-inf",
                                         "full",
                                         "ring",
                                         "verbatim",
                                         "compacted",
                                         "dropped",
                                         "BF16",
                                         "F32",
                                         "F16",
                                         "0123456789abcdef",
                                         true,
                                         false,
                                         nullptr,
                                         json::array(),
                                         json::object(),
                                         json::array({1, 2}),
                                         json::array({json::array()})};
  return list;
}

/// The edit's place in a list of `size` things; two bytes, because documents have hundreds of
/// leaves.
size_t pick(const Edit& edit, size_t size) {
  return (size_t{edit.place} + 256 * size_t{edit.index}) % size;
}

/// Path of a leaf (empty lists and objects are leaves too).
json::json_pointer leaf(const json& document, const Edit& edit) {
  const json flat = document.flatten();
  if (flat.empty()) return json::json_pointer();
  return json::json_pointer(std::next(flat.begin(), pick(edit, flat.size())).key());
}

void set_leaf(json& document, const Edit& edit) {
  const auto at = leaf(document, edit);
  if (at.empty()) return;
  document[at] = values()[edit.value % values().size()];
}

void nudge_leaf(json& document, const Edit& edit) {
  const auto at = leaf(document, edit);
  if (at.empty()) return;
  json& value = document[at];
  if (value.is_number_integer() && !value.is_number_unsigned()) return;
  if (value.is_number_unsigned() && value.get<uint64_t>() < (1u << 30))
    value = value.get<int64_t>() + (edit.value % 5) - 2;
}

/// Removes, or doubles, an element of the object or list that holds a leaf.
void change_parent(json& document, const Edit& edit) {
  auto at = leaf(document, edit);
  for (int up = edit.detail % 3; up > 0 && !at.empty(); --up) at = at.parent_pointer();
  if (at.empty()) return;
  json& parent = document[at.parent_pointer()];
  if (parent.is_object()) {
    parent.erase(at.back());
  } else if (parent.is_array() && !parent.empty()) {
    const size_t index = edit.value % parent.size();
    const json copy = parent[index];
    if (edit.detail & 64)
      parent.insert(parent.begin() + static_cast<json::difference_type>(index), copy);
    else
      parent.erase(index);
  }
}

int64_t elements(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

/// Changes an extent and gives the data the size that it asks for.
void reshape(Forgery::Tensor& tensor, const Edit& edit) {
  auto shape = tensor.shape;
  if (edit.detail & 1 && shape.size() > 1)
    std::swap(shape[0], shape[1]);
  else if (edit.detail & 2)
    shape.push_back(1);
  else if (!shape.empty())
    shape[edit.index % shape.size()] += edit.value % 4 - 1;
  if (std::ranges::any_of(shape, [](int64_t extent) { return extent < 0; })) return;
  if (elements(shape) * 8 > kMaxTensorBytes) return;
  tensor.shape = std::move(shape);
  tensor.bytes.resize(elements(tensor.shape) * dtype_size(tensor.dtype), '\1');
}

void set_element(Forgery::Tensor& tensor, const Edit& edit) {
  const auto size = static_cast<size_t>(dtype_size(tensor.dtype));
  if (tensor.bytes.size() < size) return;
  static constexpr int64_t kIntegers[] = {0,
                                          1,
                                          2,
                                          3,
                                          -1,
                                          300,
                                          1 << 30,
                                          0x7f800000,
                                          0x7fc00000,
                                          int64_t{1} << 40,
                                          std::numeric_limits<int64_t>::max(),
                                          std::numeric_limits<int64_t>::min()};
  const int64_t value = kIntegers[edit.value % std::size(kIntegers)];
  std::memcpy(tensor.bytes.data() + edit.index % (tensor.bytes.size() / size) * size, &value, size);
}

void edit_tensor(Forgery& file, const Edit& edit) {
  if (file.tensors.empty()) return;
  const auto at = std::next(file.tensors.begin(), edit.place % file.tensors.size());
  const std::string name = at->first;
  switch (edit.kind % 8) {
    case 3:
    case 4: set_element(at->second, edit); break;
    case 5: reshape(at->second, edit); break;
    case 6: {
      at->second.dtype = static_cast<DType>(edit.value % 10);
      at->second.bytes.resize(elements(at->second.shape) * dtype_size(at->second.dtype), '\1');
      break;
    }
    default: {
      // Under another name, or gone.
      static constexpr const char* kFields[] = {"beta", "pos", "k", "x.", "x.mass", "offsets"};
      const std::string other =
          name.substr(0, name.rfind('.') + 1) + kFields[edit.value % std::size(kFields)];
      if (edit.detail & 1) file.tensors[other] = at->second;
      if (edit.detail & 2) file.document["checksums"][other] = "0123456789abcdef";
      if (edit.detail & 4) file.tensors.erase(name);
      break;
    }
  }
}

/// The file in memory; unlike write_safetensors this takes whatever it is given.
std::string assemble(const Forgery& file) {
  json header = json::object();
  std::string data;
  for (const auto& [name, tensor] : file.tensors) {
    header[name] = {{"dtype", dtype_name(tensor.dtype)},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  auto metadata = file.metadata;
  metadata["kvc"] = file.document.dump();
  metadata["kvc_xxh3"] = hash_hex(xxh3_64(test::as_bytes(metadata["kvc"])));
  header["__metadata__"] = metadata;
  const std::string text = header.dump();
  return test::raw<uint64_t>(text.size()) + text + data;
}

void apply(Forgery& file, const Edit& edit) {
  switch (edit.kind % 8) {
    case 0: set_leaf(file.document, edit); break;
    case 1: nudge_leaf(file.document, edit); break;
    case 2: change_parent(file.document, edit); break;
    default: edit_tensor(file, edit); break;
  }
}

}  // namespace

std::string apply_script(const std::string& original, std::span<const uint8_t> script) {
  Forgery file(original);
  for (size_t i = 0; i + kEditBytes <= script.size() && i < 16 * kEditBytes; i += kEditBytes) {
    try {
      apply(file, {script[i], script[i + 1], script[i + 2], script[i + 3], script[i + 4]});
    } catch (const json::exception&) {
      // An earlier edit took away what this one looks for.
    }
  }
  return assemble(file);
}

}  // namespace limbeck::fuzz
