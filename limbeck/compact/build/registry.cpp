#include "limbeck/compact/build/builder.h"

#include "limbeck/base/error.h"

namespace limbeck {

const std::vector<BuilderEntry>& builder_registry() {
  static const std::vector<BuilderEntry> entries = {
      {"copy", "the chosen slots as they are", "none", make_copy_builder, describe_copy_builder},
      {"fit", "biases and values fitted to the attention of the reference queries", "ours",
       make_fit_builder, describe_fit_builder},
      {"fit-literal", "the same as published: clamped least squares", "arXiv 2602.16284",
       make_literal_builder, describe_literal_builder},
  };
  return entries;
}

std::unique_ptr<Builder> make_builder(std::string_view name,
                                      const std::map<std::string, std::string>& options) {
  std::string known;
  for (const BuilderEntry& e : builder_registry()) {
    if (e.name == name) return e.make(options);
    known += (known.empty() ? "" : ", ") + e.name;
  }
  throw InvalidArgument("[compact] unknown builder \"{}\"; known: {}", name, known);
}

}  // namespace limbeck
