/// GGUF (versions 1 to 3, little-endian): metadata, tensors, and dequantisation.
///
/// Goals: everything the model and the tokenizer need from one file, hostile files refused.
/// Non-goals: writing, big-endian files, quantisations that are not listed here.
#pragma once

#include "limbeck/io/mapped_file.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace limbeck {

/// Storage types of GGUF tensors; numbers as in the file.
enum class GgufType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  bf16 = 30,
};
std::string_view gguf_type_name(GgufType type);
/// Weights a block and bytes a block (1 and the item size for the plain types).
int64_t gguf_block_elements(GgufType type);
int64_t gguf_block_bytes(GgufType type);

/// A metadata value. Numbers of every width widen to the three below; arrays hold one kind.
using GgufValue = std::variant<bool, int64_t, double, std::string, std::vector<bool>,
                               std::vector<int64_t>, std::vector<double>, std::vector<std::string>>;

struct GgufTensor {
  std::string name;
  GgufType type = GgufType::f32;
  /// Row-major, slowest first ([out, in] for a matrix): the file's order reversed.
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
  int64_t elements() const;
};

/// An open file. Cheap to copy (shares the mapping and the tables).
class GgufFile {
 public:
  /// Throws ResourceError (cannot open) or FormatError (rule and values).
  static GgufFile open(const std::filesystem::path& path);
  /// The same checks on bytes in memory, which must outlive the object.
  static GgufFile parse(std::span<const std::byte> bytes, std::string name);

  int version() const;
  const std::string& name() const;
  const std::map<std::string, GgufValue, std::less<>>& metadata() const;
  const std::vector<GgufTensor>& tensors() const;
  const GgufTensor* find_tensor(std::string_view name) const;

  /// Metadata by key; empty when absent. A value of another kind throws FormatError naming the key.
  std::optional<std::string> text(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;  ///< takes integers too
  std::optional<bool> boolean(std::string_view key) const;
  const std::vector<std::string>* texts(std::string_view key) const;
  const std::vector<int64_t>* integers(std::string_view key) const;
  const std::vector<double>* numbers(std::string_view key) const;
  /// As above, but absence throws FormatError.
  std::string require_text(std::string_view key) const;
  int64_t require_integer(std::string_view key) const;

 private:
  struct Data;
  static GgufFile read(std::span<const std::byte> bytes, std::string name,
                       std::shared_ptr<const MappedFile> mapping);
  std::shared_ptr<const Data> data_;
};

/// Dequantises elements [begin, end) of a tensor to float32; begin and end are multiples of the
/// type's block, out has end - begin elements. Bit-identical to the reference rules of the format.
/// Thread-safe: callers split a tensor into row ranges.
void gguf_dequantize(const GgufTensor& tensor, int64_t begin, int64_t end, std::span<float> out);

}  // namespace limbeck
