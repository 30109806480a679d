#include "cli/commands.h"

#include <nlohmann/json.hpp>

namespace limbeck::cli {

int run_models(const Globals& globals) {
  const auto directory = model_directory(globals.model_directory);
  const auto models = list_models(directory);
  if (globals.json) {
    nlohmann::ordered_json j;
    j["directory"] = directory.string();
    j["models"] = nlohmann::ordered_json::array();
    for (const ModelEntry& m : models)
      j["models"].push_back(
          {{"name", m.name}, {"kind", m.kind}, {"bytes", m.bytes}, {"path", m.path.string()}});
    fmt::print("{}\n", j.dump(2));
    return 0;
  }
  fmt::print("models in {}\n", directory.string());
  for (const ModelEntry& m : models)
    fmt::print("  {:<28} {:<8} {:>10}{}\n", m.name, m.kind, human_bytes(m.bytes),
               m.name == kDefaultModel ? "  (default)" : "");
  if (models.empty()) fmt::print("  none; `make setup` fetches the default model\n");
  fmt::print(
      "\nTo add one, put it there: a GGUF file (architectures llama, qwen2, qwen3), or a Hugging "
      "Face folder with\n"
      "config.json, *.safetensors and tokenizer.json (llama, mistral, qwen2, qwen3, gemma3). Its "
      "name is the file's\n"
      "or folder's. --model also takes a path. --model-dir or LIMBECK_MODELS names another "
      "directory.\n");
  return 0;
}

}  // namespace limbeck::cli
