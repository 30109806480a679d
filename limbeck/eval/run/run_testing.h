/// Units of made-up runs.
#pragma once

#include "limbeck/eval/run/sample_log.h"

#include <string>

namespace limbeck::test {

/// One question of a "vt" document of 512 tokens, answered from a model of one head.
inline SampleUnit made_up_unit(const std::string& document, const std::string& method,
                               double budget) {
  SampleUnit unit;
  SampleRow row;
  row.task = "vt";
  row.group = "ruler";
  row.doc_id = document;
  row.q_id = "0";
  row.length = 512;
  row.method = method;
  row.budget = budget;
  row.finish = "stop";
  unit.rows = {row};
  unit.heads = {"vt", document, method, 512, budget, 1, 1, {9}};
  return unit;
}

}  // namespace limbeck::test
