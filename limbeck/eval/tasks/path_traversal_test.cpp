#include "limbeck/eval/tasks/path_traversal.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/needles.h"
#include "limbeck/eval/tasks/tasks_testing.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>

namespace limbeck {
namespace {

std::unique_ptr<Task> make(const PathOptions& options = {}) {
  return make_path_traversal(test::made_up_resources(), options, test::word_counter());
}

/// "A bus runs from X to Y." and its like, by X: vehicle and Y.
std::map<std::string, std::pair<std::string, std::string>> connections(const TaskDocument& d) {
  std::map<std::string, std::pair<std::string, std::string>> out;
  std::istringstream lines(d.text.substr(d.text.find("\n\n") + 2));
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    std::istringstream words(line);
    std::string a, vehicle, verb, from_word, from, to_word, to;
    words >> a >> vehicle >> verb >> from_word >> from >> to_word >> to;
    to.pop_back();
    EXPECT_TRUE(out.emplace(from, std::pair(vehicle, to)).second) << from;
  }
  return out;
}

TEST(PathTraversalTest, FollowingTheConnectionsGivesTheGold) {
  for (const auto& [size, cities, least, most] :
       {std::tuple("small", 49, 24, 39), {"medium", 196, 96, 156}, {"large", 735, 360, 585}}) {
    PathOptions options;
    options.size = size;
    const auto task = make(options);
    for (int64_t i = 0; i < 20; ++i) {
      const TaskDocument d = task->document(32768, i);
      const auto next = connections(d);
      EXPECT_EQ(static_cast<int>(next.size()), cities);
      for (const auto& [from, connection] : next) {
        EXPECT_TRUE(next.contains(connection.second));
        EXPECT_NE(from, connection.second);
      }
      const TaskQuestion& q = d.questions.at(0);
      std::istringstream words(q.text);
      std::string skip, city, goal;
      words >> skip >> skip >> city >> skip >> goal;
      std::string route;
      int legs = 0;
      for (; city != goal && legs <= most; ++legs) {
        const auto& [vehicle, to] = next.at(city);
        route +=
            fmt::format("{}From {}, take the {} to {}.", legs == 0 ? "" : "\n", city, vehicle, to);
        city = to;
      }
      EXPECT_GE(legs, least);
      EXPECT_LE(legs, most);
      EXPECT_EQ(q.facts["legs"], legs);
      EXPECT_EQ(route, q.outputs.at(0));
      EXPECT_EQ(task->score(q, "\n" + route + "\n").score, 1.0);
    }
  }
}

TEST(PathTraversalTest, LeadingLegsCountAsAPart) {
  const auto task = make();
  const TaskQuestion q = task->document(4096, 2).questions.at(0);
  const size_t second = q.outputs[0].find('\n', q.outputs[0].find('\n') + 1);
  const TaskScore score = task->score(q, q.outputs[0].substr(0, second));
  EXPECT_EQ(score.score, 0.0);
  EXPECT_DOUBLE_EQ(score.more.at("partial"), 2.0 / q.facts["legs"].get<double>());
}

TEST(PathTraversalTest, FillsTheLengthWithCitiesOnRequest) {
  PathOptions options;
  options.fill = true;
  const TaskDocument d = make(options)->document(8192, 1);
  EXPECT_GT(d.facts["x"].get<int64_t>(), 400);
  EXPECT_GE(d.facts["tokens"].get<int64_t>(), 8192 - 2 * 10 * 12);
  EXPECT_LE(d.facts["tokens"].get<int64_t>(), 8192);
  EXPECT_LE(d.questions.at(0).facts["legs"].get<int64_t>(), 39);
  EXPECT_THROW(make()->document(1200, 0), InvalidArgument);
}

TEST(PathTraversalTest, BytesArePinned) {
  EXPECT_EQ(fnv1a64(test::bytes_of(make()->document(4096, 5))), 0xf5e4bf8418381841ULL);
}

}  // namespace
}  // namespace limbeck
