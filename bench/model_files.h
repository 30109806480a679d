/// Where the benchmark programs look for models.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace limbeck::bench {

/// `given` unless empty, else $LIMBECK_MODELS or ~/.cache/limbeck/models.
inline std::filesystem::path model_directory(const std::string& given) {
  if (!given.empty()) return given;
  if (const char* dir = std::getenv("LIMBECK_MODELS"); dir != nullptr && *dir != 0) return dir;
  const char* home = std::getenv("HOME");
  return std::filesystem::path(home != nullptr ? home : ".") / ".cache" / "limbeck" / "models";
}

}  // namespace limbeck::bench
