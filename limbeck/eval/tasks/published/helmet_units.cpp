#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/published/helmet.h"
#include "limbeck/io/quote.h"

#include <array>

namespace limbeck {
namespace {

struct Units {
  std::string_view kind;
  std::array<int64_t, 6> counts;  ///< at 4096, 8192, ... 131072 tokens
};

constexpr std::array<Units, 8> kUnits = {{
    {"banking77", {180, 360, 720, 1450, 2900, 5900}},
    {"clinc150", {220, 440, 880, 1750, 3525, 7050}},
    {"json_kv", {50, 105, 220, 440, 900, 1800}},
    {"nlu", {250, 510, 1020, 2040, 4080, 8296}},
    {"rag", {20, 50, 105, 220, 440, 1000}},
    {"rerank", {14, 50, 130, 285, 600, 1000}},
    {"trec_coarse", {200, 400, 800, 1600, 3300, 6600}},
    {"trec_fine", {200, 400, 800, 1600, 3200, 6400}},
}};

}  // namespace

int64_t helmet_units(std::string_view kind, int64_t length) {
  for (const Units& units : kUnits) {
    if (units.kind != kind) continue;
    for (size_t i = 0; i < units.counts.size(); ++i)
      if (length == int64_t{4096} << i) return units.counts[i];
    throw InvalidArgument(
        "[helmet] length must be 4096, 8192, 16384, 32768, 65536 or 131072; found {}", length);
  }
  throw InvalidArgument("[helmet] unknown kind {}", quote(kind));
}

}  // namespace limbeck
