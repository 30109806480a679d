#include "limbeck/eval/tasks/json_kv.h"

#include "limbeck/eval/metrics/helmet_scores.h"
#include "limbeck/eval/tasks/filled_task.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/stream.h"

#include <algorithm>
#include <array>

namespace limbeck {
namespace {

constexpr const char* kName = "json_kv";
constexpr int64_t kDepths = 6;
constexpr int64_t kDemonstrations = 2;
/// The one asked for, and those that demonstrate.
constexpr int64_t kFewestPairs = 1 + kDemonstrations;

TaskInfo json_kv_info(const JsonKvOptions& options) {
  TaskInfo info;
  info.name = kName;
  if (options.questions > 1) info.name += "+mq";
  info.group = "helmet";
  info.metric = "subem";
  info.max_new = 100;
  info.prefix_scored = true;
  return info;
}

class JsonKv : public FilledTask {
 public:
  JsonKv(const TaskResources& resources, const JsonKvOptions& options, PromptCounter counter)
      : FilledTask(json_kv_info(options), kName, options.seed, std::move(counter)),
        resources_(resources),
        options_(options) {
    if (!resources_.words) resources_.words = std::make_shared<WordList>(WordList::syllables());
  }
  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override;

 protected:
  FillSteps steps(int64_t length) const override {
    FillSteps out = {kFewestPairs, 1};
    if (const int64_t pairs = helmet_json_pairs(length); pairs > 0) out.cap = pairs;
    return out;
  }
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;

 private:
  TaskQuestion ask(const std::vector<Needle>& pairs, int64_t at) const;

  TaskResources resources_;
  JsonKvOptions options_;
};

TaskQuestion JsonKv::ask(const std::vector<Needle>& pairs, int64_t at) const {
  const TaskTemplates& templates = resources_.templates;
  const Needle& asked = pairs[static_cast<size_t>(at)];
  Random random(fnv1a64(asked.key));
  std::string shown;
  for (int64_t i :
       sample_indices(random, static_cast<int64_t>(pairs.size()) - 1, kDemonstrations)) {
    i += i >= at;  // not the pair itself
    const Needle& pair = pairs[static_cast<size_t>(i)];
    shown +=
        fill_slots(templates.json_kv_demonstration, {{"key", pair.key}, {"value", pair.value}});
  }
  TaskQuestion out;
  out.text =
      fill_slots(templates.json_kv_question, {{"demonstrations", shown}, {"key", asked.key}});
  out.answer_prefix = templates.json_kv_prefix;
  out.outputs = {asked.value};
  out.facts["pair"] = at;
  return out;
}

std::optional<TaskDocument> JsonKv::build(Random random, const SampleRequest& request,
                                          int64_t x) const {
  NeedleDraw draws(random, *resources_.words);
  std::vector<Needle> pairs;
  std::string object = "{";
  for (int64_t i = 0; i < x; ++i) {
    Needle pair;
    pair.key = draws.key(NeedleKind::uuids);
    pair.value = draws.key(NeedleKind::uuids);  // distinct from all keys and values
    object += fmt::format("{}\"{}\": \"{}\"", i == 0 ? "" : ", ", pair.key, pair.value);
    pairs.push_back(std::move(pair));
  }
  object += '}';
  TaskDocument out;
  out.text = fill_slots(resources_.templates.json_kv_document, {{"object", object}});
  const int64_t part = request.index % kDepths;
  const int64_t at = (part * (x - 1) + (kDepths - 1) / 2) / (kDepths - 1);
  std::vector<int64_t> asked = {at};
  const int64_t more = std::min(x, options_.questions) - 1;
  for (const int64_t i : sample_indices(random, x - 1, more)) asked.push_back(i + (i >= at));
  for (const int64_t i : asked) out.questions.push_back(ask(pairs, i));
  out.facts["depth"] = 100 * part / (kDepths - 1);
  out.facts["pairs"] = asked;
  return out;
}

TaskScore JsonKv::score(const TaskQuestion& question, std::string_view prediction) const {
  TaskScore out;
  out.parsed = helmet_parse(prediction, resources_.templates.json_kv_prefix);
  out.score = helmet_best(subem, prediction, out.parsed, question.outputs);
  return out;
}

}  // namespace

int64_t helmet_json_pairs(int64_t length) {
  static constexpr std::array<int64_t, 6> pairs = {50, 105, 220, 440, 900, 1800};
  for (size_t i = 0; i < pairs.size(); ++i)
    if (length == int64_t{4096} << i) return pairs[i];
  return 0;
}

std::unique_ptr<Task> make_json_kv(const TaskResources& resources, const JsonKvOptions& options,
                                   PromptCounter counter) {
  options_validate(kName, options);
  return std::make_unique<JsonKv>(resources, options, std::move(counter));
}

}  // namespace limbeck
