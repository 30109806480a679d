/// How often each word of the frequent-words task appears (RULER, arXiv 2404.06654).
#pragma once

#include <cstdint>
#include <vector>

namespace limbeck {

/// Places of ranks 1, 2, ... in a text of about `words` words: floor(words * k^-2 / zeta(2)).
std::vector<int64_t> fwe_counts(int64_t words, int64_t vocabulary);

}  // namespace limbeck
