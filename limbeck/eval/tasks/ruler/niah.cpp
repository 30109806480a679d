/// Needles in a haystack: eight tasks that differ in haystack, kinds and numbers of needles.
#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/ruler/ruler_task.h"

#include <algorithm>
#include <array>

namespace limbeck {
namespace {

enum class Haystack { repeat, essay, needle };

struct Kind {
  std::string_view name;
  Haystack haystack;
  NeedleKind keys_of, values_of;
  int64_t keys, values, queried;
};

constexpr auto kWords = NeedleKind::words, kNumbers = NeedleKind::numbers,
               kUuids = NeedleKind::uuids;
constexpr std::array<Kind, 8> kKinds = {{
    {"niah_single_1", Haystack::repeat, kWords, kNumbers, 1, 1, 1},
    {"niah_single_2", Haystack::essay, kWords, kNumbers, 1, 1, 1},
    {"niah_single_3", Haystack::essay, kWords, kUuids, 1, 1, 1},
    {"niah_multikey_1", Haystack::essay, kWords, kNumbers, 4, 1, 1},
    {"niah_multikey_2", Haystack::needle, kWords, kNumbers, 1, 1, 1},
    {"niah_multikey_3", Haystack::needle, kUuids, kUuids, 1, 1, 1},
    {"niah_multivalue", Haystack::essay, kWords, kNumbers, 1, 4, 1},
    {"niah_multiquery", Haystack::essay, kWords, kNumbers, 4, 1, 4},
}};

/// Depths in percent of the sentences are round(100 i / 39), i = 0 .. 39.
constexpr int64_t kDepths = 40;
int64_t depth_percent(int64_t i) { return (2 * 100 * i + kDepths - 1) / (2 * (kDepths - 1)); }

/// Redraws of needles whose value stands elsewhere in the haystack too; far beyond bad luck.
constexpr int kTries = 100;

class NiahTask : public RulerTask {
 public:
  NiahTask(const Kind& kind, const RulerTaskFacts& facts, const TaskResources& resources,
           const RulerOptions& options, PromptCounter counter)
      : RulerTask(facts, resources, options, std::move(counter)), kind_(kind) {
    if (kind_.haystack == Haystack::essay && !resources.prose)
      throw InvalidArgument("[{}] need prose for the haystack; found none", info().name);
  }

 protected:
  FillSteps steps(int64_t length) const override;
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;

 private:
  /// A sample before its questions: needles as asked for, and what else the haystack holds.
  struct Sample {
    std::vector<Needle> needles;  ///< keys * values, those of one key together
    std::vector<Needle> distractors;
    std::string haystack;
    nlohmann::ordered_json places;
  };
  Sample draw(Random& random, const SampleRequest& request, int64_t x, int64_t offset) const;
  void into_prose(Random& random, int64_t x, int64_t offset,
                  const std::vector<std::string>& needles, Sample& sample) const;
  void into_lines(Random& random, int64_t x, const std::vector<std::string>& needles,
                  Sample& sample) const;
  std::vector<TaskQuestion> questions(Random& random, const Sample& sample) const;
  TaskQuestion question(std::span<const Needle> values) const;
  bool one() const { return kind_.queried * kind_.values == 1; }

  Kind kind_;
};

FillSteps NiahTask::steps(int64_t length) const {
  if (kind_.haystack != Haystack::essay) {
    const int64_t lines = length < kShortBelow ? 5 : 25;
    return {lines, lines};
  }
  const int64_t words = length < kShortBelow ? std::max<int64_t>(10, length / 16) : 500;
  const int64_t have = resources_.prose->words();
  if (have < words)
    throw InvalidArgument("[{}] prose must have at least {} words; found {}", info().name, words,
                          have);
  return {words, words, have};
}

void NiahTask::into_prose(Random& random, int64_t x, int64_t offset,
                          const std::vector<std::string>& needles, Sample& sample) const {
  const auto sentences = resources_.prose->excerpt(offset, x);
  std::vector<int64_t> depths, places;
  for (const int64_t i : sample_indices(random, kDepths, static_cast<int64_t>(needles.size())))
    depths.push_back(depth_percent(i));
  std::sort(depths.begin(), depths.end());
  for (const int64_t depth : depths)
    places.push_back(static_cast<int64_t>(sentences.size()) * depth / 100);
  sample.haystack = insert_sentences(sentences, needles, places);
  sample.places = depths;
}

void NiahTask::into_lines(Random& random, int64_t x, const std::vector<std::string>& needles,
                          Sample& sample) const {
  std::vector<std::string> lines(static_cast<size_t>(x), templates().filler);
  if (kind_.haystack == Haystack::needle)
    for (size_t i = 0; i < lines.size(); ++i)
      lines[i] = needle_sentence(templates(), kind_.values_of, sample.distractors[i]);
  auto places = sample_indices(random, x, static_cast<int64_t>(needles.size()));
  std::sort(places.begin(), places.end());
  for (size_t i = needles.size(); i-- > 0;) lines.insert(lines.begin() + places[i], needles[i]);
  sample.haystack = fmt::format("{}", fmt::join(lines, "\n"));
  sample.places = places;
}

NiahTask::Sample NiahTask::draw(Random& random, const SampleRequest& request, int64_t x,
                                int64_t offset) const {
  Sample out;
  NeedleDraw draws(random, words());
  for (int64_t k = 0; k < kind_.keys; ++k) {
    const std::string key = draws.key(kind_.keys_of);
    for (int64_t v = 0; v < kind_.values; ++v)
      out.needles.push_back({key, draws.value(kind_.values_of)});
  }
  if (kind_.haystack == Haystack::needle)
    for (int64_t i = 0; i < x; ++i) {
      std::string key = draws.key(kind_.keys_of);
      out.distractors.push_back({std::move(key), draws.value(kind_.values_of)});
    }
  std::vector<std::string> sentences;
  for (const Needle& needle : out.needles)
    sentences.push_back(needle_sentence(templates(), kind_.values_of, needle));
  shuffle_items(random, request.length, sentences);
  if (kind_.haystack == Haystack::essay)
    into_prose(random, x, offset, sentences, out);
  else
    into_lines(random, x, sentences, out);
  return out;
}

/// About the given needles, which are whole keys in the order of the question.
TaskQuestion NiahTask::question(std::span<const Needle> values) const {
  std::vector<std::string> keys, outputs;
  for (const Needle& needle : values) {
    if (keys.empty() || keys.back() != needle.key) keys.push_back(needle.key);
    outputs.push_back(needle.value);
  }
  TaskQuestion out = needle_question(templates(), kind_.values_of, one(), keys);
  out.outputs = std::move(outputs);
  out.facts["keys"] = keys;
  return out;
}

std::vector<TaskQuestion> NiahTask::questions(Random& random, const Sample& sample) const {
  std::vector<std::vector<Needle>> asked(1);
  const auto order = sample_indices(random, kind_.keys, kind_.keys);
  const auto of_key = [&](int64_t k) {
    const auto begin = sample.needles.begin() + k * kind_.values;
    return std::vector<Needle>(begin, begin + kind_.values);
  };
  for (int64_t i = 0; i < kind_.queried; ++i)
    for (Needle& needle : of_key(order[i])) asked[0].push_back(std::move(needle));
  if (kind_.queried == 1)
    for (size_t i = 1; i < order.size(); ++i) asked.push_back(of_key(order[i]));
  const auto want = static_cast<size_t>(options_.questions);
  if (asked.size() < want && !sample.distractors.empty()) {
    const auto lines = static_cast<int64_t>(sample.distractors.size());
    const auto more = std::min(lines, static_cast<int64_t>(want - asked.size()));
    for (const int64_t i : sample_indices(random, lines, more))
      asked.push_back({sample.distractors[i]});
  }
  asked.resize(std::min(asked.size(), want));
  std::vector<TaskQuestion> out;
  for (const auto& values : asked) out.push_back(question(values));
  return out;
}

std::optional<TaskDocument> NiahTask::build(Random random, const SampleRequest& request,
                                            int64_t x) const {
  if (kind_.haystack == Haystack::essay && x > resources_.prose->words()) return {};
  int64_t offset = 0;
  if (kind_.haystack == Haystack::essay && options_.offset == "random")
    offset = resources_.prose->draw_sentence(random);
  for (int tries = 0; tries < kTries; ++tries) {
    const Sample sample = draw(random, request, x, offset);
    TaskDocument out;
    out.text = needle_document(templates(), kind_.values_of, one(), sample.haystack);
    out.questions = questions(random, sample);
    const bool unique =
        std::all_of(out.questions.begin(), out.questions.end(), [&](const TaskQuestion& question) {
          return std::all_of(
              question.outputs.begin(), question.outputs.end(),
              [&](const std::string& value) { return count_occurrences(out.text, value) == 1; });
        });
    if (!unique) continue;
    if (kind_.haystack == Haystack::essay) {
      out.facts["offset"] = offset;
      out.facts["depths"] = sample.places;
    } else {
      out.facts["lines"] = sample.places;
    }
    return out;
  }
  throw InvalidArgument(
      "[{}] values must occur once in their document; found none that do in {} "
      "draws, look at the templates and the prose",
      info().name, kTries);
}

}  // namespace

std::unique_ptr<Task> make_niah(const RulerTaskFacts& facts, const TaskResources& resources,
                                const RulerOptions& options, PromptCounter counter) {
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(),
                                 [&](const Kind& k) { return k.name == facts.name; });
  LIMBECK_CHECK(kind != kKinds.end(), "no needle task {}", facts.name);
  return std::make_unique<NiahTask>(*kind, facts, resources, options, std::move(counter));
}

}  // namespace limbeck
