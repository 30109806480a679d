#include "limbeck/base/error.h"
#include "limbeck/model/forward_pass.h"

#include <c10/core/GradMode.h>

namespace limbeck {

ForwardResult Model::forward(std::span<const Feed> feeds, const ForwardOptions& options) const {
  // Not inference mode: caches made here may later be read by a differentiable pass.
  c10::NoGradGuard guard;
  if (feeds.empty()) throw InvalidArgument("[forward] need at least one feed; found none");
  for (size_t i = 0; i < feeds.size(); ++i) {
    check_feed(*feeds[i].cache, feeds[i].tokens);
    for (size_t j = 0; j < i; ++j)
      if (feeds[j].cache == feeds[i].cache)
        throw InvalidArgument(
            "[forward] every feed needs a cache of its own; feeds {} and {} share one", j, i);
  }
  if (options.fold != nullptr && feeds.size() != 1)
    throw InvalidArgument("[forward] layers are folded for one feed at a time; found {}",
                          feeds.size());
  return ForwardPass(*this, feeds, options).run();
}

}  // namespace limbeck
