/// Rules that a container's reader and writer both apply. Private to cache/.
#pragma once

#include "limbeck/cache/container.h"

#include <optional>
#include <string>
#include <string_view>

namespace limbeck {

/// The first position outside `span` or bias that is not finite, as a text that starts with the
/// name of the tensor's field: "pos must lie in [0, 10); found 12 in row 3". Empty when there is
/// none.
std::optional<std::string> contents_problem(const LayerSegment& segment, PositionRange span);

/// Throws Mismatch unless the cache was made for the expected model. Null pointers, empty texts and
/// zeros on either side are not compared.
void check_model(std::string_view file, const ModelIdentity& found, const CacheShape& found_shape,
                 const ModelIdentity* expected, const CacheShape* expected_shape);

/// Four digits of a checksum or fingerprint and "..": what error texts show.
std::string short_hash(std::string_view hex);

}  // namespace limbeck
