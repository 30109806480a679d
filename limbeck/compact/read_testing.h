/// A small random model that has read a text, and options for compacting that: for tests.
#pragma once

#include "limbeck/compact/compact.h"
#include "limbeck/model/model_testing.h"

#include <string>
#include <utility>
#include <vector>

namespace limbeck::test {

struct Read {
  /// `windows` as in small_spec(): 0 for a full layer.
  Read(std::vector<int64_t> windows, DType dtype, int64_t tokens)
      : model(random_model(small_spec(std::move(windows)), dtype, 21)), cache(model.new_cache()) {
    prefill(model, cache, random_tokens(tokens, 4));
  }
  Model model;
  KvCache cache;
};

/// With the prompts of a repeat pass.
inline CompactOptions compact_options(const std::string& method, double ratio,
                                      int64_t repeat_chunk) {
  CompactOptions o;
  o.method = method;
  o.ratio = ratio;
  o.repeat.first = random_tokens(5, 1);
  o.repeat.before_quote = random_tokens(4, 2);
  o.repeat.after_quote = random_tokens(3, 3);
  o.repeat_chunk = repeat_chunk;
  return o;
}

/// KL(full || compacted) of what the model says of some tokens behind two caches, nats a token.
inline double divergence(const Model& model, KvCache full, KvCache compacted) {
  const auto next = random_tokens(6, 8);
  ForwardOptions all;
  all.logits = LogitsWanted::all;
  const at::Tensor a = at::log_softmax(model.forward(full, next, all).logits, -1),
                   b = at::log_softmax(model.forward(compacted, next, all).logits, -1);
  return (a.exp() * (a - b)).sum(-1).mean().item<double>();
}

}  // namespace limbeck::test
