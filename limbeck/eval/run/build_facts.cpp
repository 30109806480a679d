#include "limbeck/eval/run/build_facts.h"

#include <torch/version.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include <array>
#include <ctime>
#include <fstream>
#include <string>

namespace limbeck {
namespace {

#include "build_facts.inc"  // written by the build: kCommit, kDirty

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) {
      const size_t colon = line.find(':');
      return colon == std::string::npos ? ""
                                        : line.substr(line.find_first_not_of(" \t", colon + 1));
    }
  return "unknown";
}

}  // namespace

nlohmann::ordered_json build_facts() {
  return {{"version", LIMBECK_VERSION},
          {"commit", kCommit},
          {"dirty", kDirty},
          {"compiler", LIMBECK_COMPILER},
          {"build",
           {{"type", LIMBECK_BUILD_TYPE},
            {"sanitizers", LIMBECK_SANITIZERS},
            {"flags", LIMBECK_FLAGS}}},
          {"torch", TORCH_VERSION}};
}

std::string engine_commit() { return std::string(kCommit) + (kDirty ? "+" : ""); }

nlohmann::ordered_json host_facts() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) name[0] = '\0';
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 32> time{};
  std::strftime(time.data(), time.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {{"started", time.data()}, {"host", name.data()}, {"processor", processor_name()}};
}

}  // namespace limbeck
