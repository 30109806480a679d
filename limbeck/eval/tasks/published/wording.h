/// The default wording of the published tasks, all in one list: hashed with the templates of the
/// generated ones, so that runs with different wording are told apart.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limbeck {

/// ("qmsum", text with slots).
using WordingList = std::vector<std::pair<std::string, std::string_view>>;

/// Every text, in an order of its own.
WordingList published_wording();

// Each file adds its own.
void add_helmet_icl_wording(WordingList& out);
void add_helmet_wording(WordingList& out);
void add_longbench_wording(WordingList& out);
void add_longbench_v2_wording(WordingList& out);
void add_qmsum_wording(WordingList& out);
void add_quality_wording(WordingList& out);

}  // namespace limbeck
