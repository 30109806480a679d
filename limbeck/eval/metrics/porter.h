/// Porter's suffix stripping (M. F. Porter, "An algorithm for suffix stripping", Program 14, 1980).
///
/// With the two rules that the author's own program has beyond the paper (bli -> ble, logi -> log).
/// Non-goals: later stemmers, lists of exceptions, languages other than English.
#pragma once

#include <string>
#include <string_view>

namespace limbeck {

/// Stem of a lower-case word; every character but a-z counts as a consonant. Words of one or two
/// characters are their own stems.
std::string porter_stem(std::string_view word);

}  // namespace limbeck
