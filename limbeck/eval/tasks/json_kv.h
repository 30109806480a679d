/// JSON-KV recall of HELMET (arXiv 2410.02694), generated: the value of a key in one large object.
///
/// Keys and values are UUIDs. At the published lengths there are as many pairs as published, or
/// fewer when the tokenizer needs more room; at others the pairs fill the length. The key asked for
/// stands at one of six even depths, by the document's number. Two other pairs of the object,
/// chosen by a hash of the question, show the form of an answer in front of it.
#pragma once

#include "limbeck/base/options.h"
#include "limbeck/eval/tasks/resources.h"
#include "limbeck/eval/tasks/task.h"

#include <cstdint>
#include <memory>

namespace limbeck {

struct JsonKvOptions {
  int64_t questions = 1;
  int64_t seed = 42;
  template <class V>
  void for_each_field(V&& v) {
    v("questions", questions, closed(1, 64), "keys asked for per document, label +mq above 1");
    v("seed", seed, at_least(0), "of all draws");
  }
};

/// Throws InvalidArgument for options out of range.
std::unique_ptr<Task> make_json_kv(const TaskResources& resources, const JsonKvOptions& options,
                                   PromptCounter counter);

/// Pairs that HELMET has at 4096, 8192, ... 131072 tokens; 0 for other lengths.
int64_t helmet_json_pairs(int64_t length);

}  // namespace limbeck
