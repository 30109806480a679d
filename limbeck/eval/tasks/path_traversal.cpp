#include "limbeck/eval/tasks/path_traversal.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/metrics/longproc_scores.h"
#include "limbeck/eval/tasks/filled_task.h"
#include "limbeck/eval/tasks/stream.h"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace limbeck {
namespace {

constexpr const char* kName = "path_traversal";
constexpr int64_t kCities = 49, kLeastLegs = 24, kMostLegs = 39;
/// Names of two and three syllables; far fewer than there are.
constexpr int64_t kMostCities = 50000;

struct Size {
  std::string_view name;
  int64_t scale, max_new;
};
constexpr std::array<Size, 3> kSizes = {
    {{"small", 1, 1024}, {"medium", 4, 3072}, {"large", 15, 10240}}};

const Size& size_of(const PathOptions& options) {
  const auto found = std::find_if(kSizes.begin(), kSizes.end(),
                                  [&](const Size& size) { return size.name == options.size; });
  LIMBECK_CHECK(found != kSizes.end(), "size {}", options.size);
  return *found;
}

TaskInfo path_info(const PathOptions& options) {
  TaskInfo info;
  info.name = kName;
  info.group = "longproc";
  info.metric = "exact";
  info.max_new = size_of(options).max_new;
  return info;
}

std::vector<std::string> draw_cities(Random& random, int64_t count) {
  std::vector<std::string> out;
  std::unordered_set<std::string> known;
  while (static_cast<int64_t>(out.size()) < count) {
    const auto syllables = uniform_int(random, 2, 3);
    std::string name = syllable_word(random, syllables);
    name[0] = static_cast<char>(name[0] - 'a' + 'A');
    if (known.insert(name).second) out.push_back(std::move(name));
  }
  return out;
}

class PathTraversal : public FilledTask {
 public:
  PathTraversal(const TaskResources& resources, const PathOptions& options, PromptCounter counter)
      : FilledTask(path_info(options), kName, options.seed, std::move(counter)),
        templates_(resources.templates),
        options_(options) {}

  TaskScore score(const TaskQuestion& question, std::string_view prediction) const override {
    const RouteScore route = route_score(prediction, question.outputs.at(0));
    TaskScore out;
    out.score = route.exact;
    out.parsed = prediction;
    out.more["partial"] = route.partial;
    return out;
  }

 protected:
  FillSteps steps(int64_t /*length*/) const override {
    const int64_t cities = kCities * size_of(options_).scale;
    return {cities, 10, options_.fill ? kMostCities : cities};
  }
  std::optional<TaskDocument> build(Random random, const SampleRequest& request,
                                    int64_t x) const override;

 private:
  struct Vehicle {
    std::string_view name, sentence;
  };
  Vehicle draw_vehicle(Random& random) const {
    const std::array<Vehicle, 4> all = {{{"bus", templates_.path_connection_bus},
                                         {"train", templates_.path_connection_train},
                                         {"plane", templates_.path_connection_plane},
                                         {"ferry", templates_.path_connection_ferry}}};
    return all[random.below(all.size())];
  }
  std::string leg(std::string_view from, std::string_view vehicle, std::string_view to) const {
    return fill_slots(templates_.path_leg, {{"from", from}, {"vehicle", vehicle}, {"to", to}});
  }

  TaskTemplates templates_;
  PathOptions options_;
};

std::optional<TaskDocument> PathTraversal::build(Random random, const SampleRequest& /*request*/,
                                                 int64_t x) const {
  const int64_t scale = size_of(options_).scale;
  const auto legs = static_cast<size_t>(uniform_int(random, kLeastLegs * scale, kMostLegs * scale));
  // City i leads to city i + 1 on the route; the others, the goal too, lead to any other city.
  const auto cities = draw_cities(random, x);
  std::vector<std::string> sentences, route;
  for (size_t i = 0; i < cities.size(); ++i) {
    size_t next = i + 1;
    if (i >= legs) {
      next = random.below(cities.size() - 1);
      next += next >= i;
    }
    const Vehicle vehicle = draw_vehicle(random);
    sentences.push_back(fill_slots(vehicle.sentence, {{"from", cities[i]}, {"to", cities[next]}}));
    if (i < legs) route.push_back(leg(cities[i], vehicle.name, cities[next]));
  }
  shuffle(random, sentences);
  TaskDocument out;
  out.text = fill_slots(templates_.path_document,
                        {{"connections", fmt::format("{}", fmt::join(sentences, "\n"))}});
  TaskQuestion question;
  question.text = fill_slots(templates_.path_question,
                             {{"start", cities[0]},
                              {"goal", cities[legs]},
                              {"form", leg("<city>", "<bus, train, plane or ferry>", "<city>")}});
  question.answer_prefix = templates_.path_prefix;
  question.outputs = {fmt::format("{}", fmt::join(route, "\n"))};
  question.facts["legs"] = legs;
  out.questions.push_back(std::move(question));
  return out;
}

}  // namespace

std::unique_ptr<Task> make_path_traversal(const TaskResources& resources,
                                          const PathOptions& options, PromptCounter counter) {
  options_validate(kName, options);
  return std::make_unique<PathTraversal>(resources, options, std::move(counter));
}

}  // namespace limbeck
