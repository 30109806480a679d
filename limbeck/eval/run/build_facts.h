/// Which sources, compiler and libraries this program was made from, and where it runs.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace limbeck {

/// Engine version, commit and whether the sources differed from it, compiler, build options, torch
/// version: what a result may depend on.
nlohmann::ordered_json build_facts();

/// The commit, with "+" behind it when the sources differed from it.
std::string engine_commit();

/// Name and processor of this machine and the time: what no result depends on.
nlohmann::ordered_json host_facts();

}  // namespace limbeck
