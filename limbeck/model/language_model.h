/// A model as people have it: weights, tokenizer, chat template and defaults from one folder or
/// file.
///
/// `limbeck models` and every --model flag go through here: a path, or a name in the model
/// directory.
#pragma once

#include "limbeck/model/model.h"
#include "limbeck/text/chat_template.h"
#include "limbeck/text/tokenizer.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace limbeck {

struct LanguageModel {
  std::string name;  ///< file or folder name
  std::filesystem::path path;
  Model model;
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template;
  GenerationDefaults defaults;

  bool is_eos(int32_t id) const;
};

struct LoadOptions {
  DType dtype = DType::bf16;  ///< bf16 or f32
};

/// Loads a GGUF file or a Hugging Face folder. Throws ResourceError or FormatError.
LanguageModel load_language_model(const std::filesystem::path& path,
                                  const LoadOptions& options = {});

/// The weights alone, for programs that bring their own token ids.
Model load_model(const std::filesystem::path& path, const LoadOptions& options = {});

/// One model found in a directory.
struct ModelEntry {
  std::string name;
  std::filesystem::path path;
  std::string kind;   ///< "gguf" or "folder"
  int64_t bytes = 0;  ///< of the weights' files
};

/// GGUF files and folders with a config.json directly in `directory`, by name. A missing directory
/// is an empty list.
std::vector<ModelEntry> list_models(const std::filesystem::path& directory);

/// Where models are looked for: `given` unless empty, else $LIMBECK_MODELS, else
/// ~/.cache/limbeck/models.
std::filesystem::path model_directory(const std::string& given = {});

/// A path that exists, or the name of a model in `directory`; else ResourceError that lists what
/// there is.
std::filesystem::path find_model(const std::string& name_or_path,
                                 const std::filesystem::path& directory);

}  // namespace limbeck
