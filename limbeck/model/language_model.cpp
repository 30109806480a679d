#include "limbeck/model/language_model.h"

#include "limbeck/base/error.h"
#include "limbeck/io/gguf.h"
#include "limbeck/model/config.h"
#include "limbeck/model/tensor_source.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace limbeck {
namespace {

namespace fs = std::filesystem;

std::string read_text(const fs::path& path) {
  constexpr int64_t kMost = int64_t{64} << 20;
  std::error_code status;
  const auto size = fs::file_size(path, status);
  if (status) throw ResourceError("[model] cannot read {}: {}", path.string(), status.message());
  if (static_cast<int64_t>(size) > kMost)
    throw FormatError("[model] {}: a configuration of {} bytes exceeds the cap of {}",
                      path.string(), size, kMost);
  std::ifstream in(path, std::ios::binary);
  if (!in) throw ResourceError("[model] cannot open {}", path.string());
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

Model model_from_gguf(const GgufFile& file, const LoadOptions& options) {
  ModelSpec spec = spec_from_gguf(file);
  const auto source =
      open_gguf_source(file, {gguf_interleaved_rope(file), spec.query_heads, spec.kv_heads});
  Weights weights = load_weights(spec, *source, options.dtype);
  std::string fingerprint = source->fingerprint(spec.canonical());
  return Model(std::move(spec), std::move(weights), options.dtype, std::move(fingerprint));
}

Model model_from_folder(const fs::path& path, const LoadOptions& options,
                        GenerationDefaults& defaults) {
  ModelSpec spec =
      spec_from_config(read_text(path / "config.json"), (path / "config.json").string());
  if (const fs::path g = path / "generation_config.json"; fs::exists(g))
    defaults = read_generation_config(read_text(g), g.string(), spec);
  const auto source = open_safetensors_source(path);
  Weights weights = load_weights(spec, *source, options.dtype);
  std::string fingerprint = source->fingerprint(spec.canonical());
  return Model(std::move(spec), std::move(weights), options.dtype, std::move(fingerprint));
}

LanguageModel load_gguf(const fs::path& path, const LoadOptions& options) {
  const GgufFile file = GgufFile::open(path);
  std::optional<ChatTemplate> chat;
  if (auto text = file.text("tokenizer.chat_template"))
    chat = ChatTemplate::compile(*text, path.filename().string() + ":chat_template");
  return {path.stem().string(), path, model_from_gguf(file, options), Tokenizer::from_gguf(file),
          std::move(chat),      {}};
}

LanguageModel load_folder(const fs::path& path, const LoadOptions& options) {
  GenerationDefaults defaults;
  Model model = model_from_folder(path, options, defaults);
  Tokenizer tokenizer = Tokenizer::from_folder(path, model.spec().family);
  return {path.filename().string(),        path,    std::move(model), std::move(tokenizer),
          ChatTemplate::from_folder(path), defaults};
}

void check_load(const fs::path& path, const LoadOptions& options) {
  if (options.dtype != DType::bf16 && options.dtype != DType::f32)
    throw InvalidArgument("[model] weights are held as BF16 or F32; found {}",
                          dtype_name(options.dtype));
  if (!fs::exists(path)) throw ResourceError("[model] {} does not exist", path.string());
}

int64_t weight_bytes(const fs::path& folder) {
  int64_t total = 0;
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(folder, status))
    if (entry.path().extension() == ".safetensors")
      total += static_cast<int64_t>(entry.file_size(status));
  return total;
}

}  // namespace

bool LanguageModel::is_eos(int32_t id) const {
  const auto& a = model.spec().eos;
  const auto& b = tokenizer.eos();
  return std::find(a.begin(), a.end(), id) != a.end() ||
         std::find(b.begin(), b.end(), id) != b.end();
}

Model load_model(const fs::path& path, const LoadOptions& options) {
  check_load(path, options);
  GenerationDefaults unused;
  return fs::is_directory(path) ? model_from_folder(path, options, unused)
                                : model_from_gguf(GgufFile::open(path), options);
}

LanguageModel load_language_model(const fs::path& path, const LoadOptions& options) {
  check_load(path, options);
  LanguageModel model =
      fs::is_directory(path) ? load_folder(path, options) : load_gguf(path, options);
  if (model.tokenizer.vocabulary_size() > model.model.spec().vocabulary)
    throw FormatError("[model] {}: the tokenizer has {} tokens, the weights embed {}",
                      path.string(), model.tokenizer.vocabulary_size(),
                      model.model.spec().vocabulary);
  return model;
}

std::vector<ModelEntry> list_models(const fs::path& directory) {
  std::vector<ModelEntry> out;
  std::error_code status;
  for (const auto& entry : fs::directory_iterator(directory, status)) {
    const fs::path& p = entry.path();
    if (entry.is_regular_file(status) && p.extension() == ".gguf")
      out.push_back({p.stem().string(), p, "gguf", static_cast<int64_t>(entry.file_size(status))});
    else if (entry.is_directory(status) && fs::exists(p / "config.json", status))
      out.push_back({p.filename().string(), p, "folder", weight_bytes(p)});
  }
  std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.name < b.name; });
  return out;
}

fs::path model_directory(const std::string& given) {
  if (!given.empty()) return given;
  if (const char* dir = std::getenv("LIMBECK_MODELS"); dir != nullptr && *dir != 0) return dir;
  const char* home = std::getenv("HOME");
  return fs::path(home != nullptr ? home : ".") / ".cache" / "limbeck" / "models";
}

fs::path find_model(const std::string& name_or_path, const fs::path& directory) {
  if (fs::exists(name_or_path)) return name_or_path;
  std::string known;
  for (const ModelEntry& entry : list_models(directory)) {
    if (entry.name == name_or_path) return entry.path;
    known += (known.empty() ? "" : ", ") + entry.name;
  }
  throw ResourceError(
      "[model] no file, folder or known name \"{}\"; {} holds: {}; `limbeck models` says how to "
      "add one",
      name_or_path, directory.string(), known.empty() ? "nothing" : known);
}

}  // namespace limbeck
