/// What a method is made of, after all defaults: for the records of runs.
#pragma once

#include "limbeck/eval/method_entry.h"

#include <nlohmann/json_fwd.hpp>

namespace limbeck {

/// Stages with scorer, allocator and all their options, builder, reference queries, hashes of the
/// head tables, and the entry's fingerprint. Throws what a run of the method would throw for
/// unknown parts.
nlohmann::ordered_json method_facts(const MethodEntry& method);

}  // namespace limbeck
