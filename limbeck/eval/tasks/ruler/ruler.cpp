#include "limbeck/eval/tasks/ruler/ruler.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/ruler/ruler_task.h"
#include "limbeck/io/quote.h"

#include <array>

namespace limbeck {
namespace {

using Make = std::unique_ptr<Task> (*)(const RulerTaskFacts&, const TaskResources&,
                                       const RulerOptions&, PromptCounter);
struct Entry {
  RulerTaskFacts facts;
  Make make;
};

constexpr std::array<Entry, 13> kTasks = {{
    {{"niah_single_1", "one number among copies of one line", "all", 128, false}, make_niah},
    {{"niah_single_2", "one number in prose", "all", 128, false}, make_niah},
    {{"niah_single_3", "one UUID in prose", "all", 128, false}, make_niah},
    {{"niah_multikey_1", "one of four numbers in prose", "all", 128, true}, make_niah},
    {{"niah_multikey_2", "one number among lines of its kind", "all", 128, true}, make_niah},
    {{"niah_multikey_3", "one UUID of a UUID among lines of its kind", "all", 128, true},
     make_niah},
    {{"niah_multivalue", "four numbers of one key in prose", "all", 128, false}, make_niah},
    {{"niah_multiquery", "the numbers of four keys in prose", "all", 128, false}, make_niah},
    {{"vt", "variables along a chain of assignments", "all", 30, false}, make_vt},
    {{"cwe", "the ten commonest words of a list", "all", 120, false}, make_cwe},
    {{"fwe", "the three commonest words of a coded text", "all", 50, false}, make_fwe},
    {{"qa_1", "a question answered by one of many paragraphs", "part", 32, true}, make_ruler_qa},
    {{"qa_2", "a question answered by several of many documents", "part", 32, true}, make_ruler_qa},
}};

const Entry& entry(std::string_view name) {
  for (const Entry& task : kTasks)
    if (task.facts.name == name) return task;
  throw InvalidArgument("[ruler] task must be one of {}; found {}",
                        fmt::join(ruler_task_names(), ", "), quote(name));
}

}  // namespace

const std::vector<std::string>& ruler_task_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Entry& task : kTasks) out.emplace_back(task.facts.name);
    return out;
  }();
  return names;
}

std::string_view ruler_summary(std::string_view name) { return entry(name).facts.summary; }

std::unique_ptr<Task> make_ruler_task(std::string_view name, const TaskResources& resources,
                                      const RulerOptions& options, PromptCounter counter) {
  const Entry& task = entry(name);
  options_validate("ruler", options);
  return task.make(task.facts, resources, options, std::move(counter));
}

}  // namespace limbeck
