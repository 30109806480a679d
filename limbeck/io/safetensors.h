/// safetensors: reading with every check, writing atomically.
///
/// Goals: a hostile file costs an error, never memory or a crash. Non-goals: FP8 types, writing in
/// place.
#pragma once

#include "limbeck/io/dtype.h"
#include "limbeck/io/mapped_file.h"

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// One stored tensor; `data` points into the file's mapping.
struct StoredTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

/// An open file. Cheap to copy (shares the mapping).
class SafetensorsFile {
 public:
  /// Throws ResourceError (cannot open) or FormatError (which rule, which tensor, which numbers).
  static SafetensorsFile open(const std::filesystem::path& path);
  /// The same checks on bytes in memory (fuzzing, tests); `name` stands for the file in error
  /// texts. The bytes must outlive the object.
  static SafetensorsFile parse(std::span<const std::byte> bytes, std::string name);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view name) const;
  /// Throws FormatError naming file and tensor.
  const StoredTensor& at(std::string_view name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// Owner of the bytes: null when the object came from parse().
  const std::shared_ptr<const MappedFile>& mapping() const { return mapping_; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::shared_ptr<const MappedFile> mapping_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string, size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

/// The tensors of a checkpoint folder: model.safetensors, or the shards of
/// model.safetensors.index.json. Returned views keep their mappings alive through `files`. Moves,
/// but does not copy: `tensors` points into `files`.
struct SafetensorsCheckpoint {
  SafetensorsCheckpoint() = default;
  SafetensorsCheckpoint(SafetensorsCheckpoint&&) = default;
  SafetensorsCheckpoint& operator=(SafetensorsCheckpoint&&) = default;

  std::vector<SafetensorsFile> files;
  std::map<std::string, const StoredTensor*, std::less<>> tensors;  ///< points into `files`
  std::map<std::string, std::shared_ptr<const MappedFile>, std::less<>> owners;  ///< by tensor name
};
/// Throws ResourceError when the folder has neither file, FormatError for a bad index or shard.
SafetensorsCheckpoint open_safetensors_checkpoint(const std::filesystem::path& folder);

/// Something to write: a view of `data`, or chunks produced one after another.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::span<const std::byte> data;
};

/// Writes a file atomically (io/atomic_file.h). Order: item size descending, then name; no holes;
/// the header is padded with spaces so that the data starts at a multiple of 64. Throws
/// InvalidArgument for duplicate names or a size that does not fit the shape, ResourceError for the
/// disk.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace limbeck
