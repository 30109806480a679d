#include "limbeck/eval/tasks/published/wording.h"

namespace limbeck {

WordingList published_wording() {
  WordingList out;
  for (const auto add : {add_helmet_icl_wording, add_helmet_wording, add_longbench_wording,
                         add_longbench_v2_wording, add_qmsum_wording, add_quality_wording})
    add(out);
  return out;
}

}  // namespace limbeck
