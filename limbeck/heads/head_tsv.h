/// Gates as tab-separated decimals: one line a layer, one column a KV head.
/// The format in which DuoAttention and PruLong publish their patterns.
#pragma once

#include "limbeck/heads/head_table.h"

#include <string>
#include <string_view>

namespace limbeck {

/// LF or CRLF; blank lines and lines that begin with '#' do not count. Values are clipped to
/// [0, 1]; all exactly 0 or 1 makes a binary pattern. `group_max`: a file with a multiple of
/// kv_heads columns, one a query head, gives each KV head the highest gate of its group. Throws
/// FormatError naming row and column.
HeadTable parse_head_tsv(std::string_view text, std::string_view what, int64_t layers,
                         int64_t kv_heads, bool group_max = false);

/// The inverse, all digits written.
std::string head_table_tsv(const HeadTable& table);

}  // namespace limbeck
