#include "limbeck/eval/run/run_folder.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/run/run_testing.h"
#include "limbeck/io/test_files.h"

#include <gtest/gtest.h>

#include <fstream>

namespace limbeck {
namespace {

nlohmann::ordered_json manifest_of(const std::string& shard, int64_t seed = 42) {
  nlohmann::ordered_json j{{"model", "m"}, {"seed", seed}};
  seal_manifest(j);
  j["run"] = {{"shard", shard}};
  return j;
}

/// A finished shard with one unit for each document.
std::filesystem::path shard_of(const std::filesystem::path& folder, const std::string& shard,
                               const std::vector<std::string>& documents) {
  std::filesystem::create_directories(folder);
  const nlohmann::ordered_json manifest = manifest_of(shard);
  begin_run(folder, manifest);
  SampleLog log(folder / "samples.jsonl", manifest.at("manifest_id"));
  for (const std::string& id : documents) {
    SampleUnit unit = test::made_up_unit(id, "full", 1.0);
    unit.rows[0].score = 1;
    log.append({"vt", 512, id, "full", 1.0}, unit);
  }
  end_run(folder, static_cast<int64_t>(documents.size()));
  return folder;
}

template <class E, class F>
void expect_error(F&& act, const std::string& text) {
  try {
    act();
    FAIL() << text;
  } catch (const E& e) {
    EXPECT_NE(std::string(e.what()).find(text), std::string::npos) << e.what();
  }
}

TEST(RunFolderTest, TheIdIgnoresOrderAndTheRunItself) {
  nlohmann::ordered_json other{{"seed", 42}, {"model", "m"}};
  seal_manifest(other);
  EXPECT_EQ(other.at("manifest_id"), manifest_of("2/2").at("manifest_id"));
  EXPECT_NE(other.at("manifest_id"), manifest_of("1/1", 7).at("manifest_id"));
}

TEST(RunFolderTest, AnotherRunOrShardInAFolderIsRefused) {
  const test::ScratchFolder folder;
  begin_run(folder.path(), manifest_of("1/2"));
  begin_run(folder.path(), manifest_of("1/2"));
  expect_error<Mismatch>([&] { begin_run(folder.path(), manifest_of("1/2", 7)); },
                         "differ in seed 42 and 7");
  nlohmann::ordered_json a{{"engine", {{"commit", "x"}}}, {"tasks", {1, 2}}}, b = a;
  b["tasks"][1] = 3;
  const test::ScratchFolder other;
  for (auto* m : {&a, &b}) {
    seal_manifest(*m);
    (*m)["run"] = {{"shard", "1/1"}};
  }
  begin_run(other.path(), a);
  expect_error<Mismatch>([&] { begin_run(other.path(), b); }, "differ in tasks.1 2 and 3");
  expect_error<Mismatch>([&] { begin_run(folder.path(), manifest_of("2/2")); },
                         "holds shard \"1/2\", not \"2/2\"");
}

TEST(RunFolderTest, ShardsJoinToEveryUnitAndAllReports) {
  const test::ScratchFolder folder;
  const auto a = shard_of(folder.path() / "a", "1/2", {"512-0", "512-2"}),
             b = shard_of(folder.path() / "b", "2/2", {"512-1"}), out = folder.path() / "out";
  merge_runs({b, a}, out);
  EXPECT_EQ(read_units(out).size(), 3U);
  for (const char* name : {"heads.jsonl", "summary.json", "summary.md", "report.html"})
    EXPECT_GT(std::filesystem::file_size(out / name), 0U) << name;
  EXPECT_EQ(read_manifest(out).at("run").at("units"), 3);
}

TEST(RunFolderTest, MergingRefusesMissingRepeatedAndUnfinishedShards) {
  const test::ScratchFolder folder;
  const auto a = shard_of(folder.path() / "a", "1/2", {"512-0"}),
             b = shard_of(folder.path() / "b", "2/2", {"512-0"}), out = folder.path() / "out";
  expect_error<InvalidArgument>([&] { merge_runs({a}, out); }, "has 2 shards; found 1");
  expect_error<InvalidArgument>([&] { merge_runs({a, a}, out); }, "shard 1/2 a second time");
  expect_error<InvalidArgument>([&] { merge_runs({a, b}, out); }, "repeats 512-0");
  // Parts of different cuts may have no document in common and still lack one.
  const auto third = shard_of(folder.path() / "third", "2/3", {"512-1"});
  for (const auto& folders : {std::vector{third, a}, std::vector{a, third}})
    expect_error<InvalidArgument>([&] { merge_runs(folders, out); }, "shards");
  const auto open = folder.path() / "open";
  std::filesystem::create_directories(open);
  begin_run(open, manifest_of("2/2"));
  expect_error<InvalidArgument>([&] { merge_runs({a, open}, out); }, "has not come to its end");
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(RunFolderTest, JoinedShardsKeepTheRunsOwnLeastScore) {
  const test::ScratchFolder folder;
  for (const double least : {0.0, 0.9}) {
    const auto name = [&](const char* part) {
      return folder.path() / fmt::format("{}{}", part, least);
    };
    std::vector<std::filesystem::path> parts;
    for (const char* shard : {"1/2", "2/2"}) {
      parts.push_back(
          shard_of(name(shard[0] == '1' ? "a" : "b"), shard, {std::string("512-") + shard[0]}));
      auto manifest = read_manifest(parts.back());
      manifest["run"]["min_full_score"] = least;
      std::ofstream(parts.back() / "manifest.json") << manifest.dump();
    }
    merge_runs(parts, name("out"));
    const auto summary = nlohmann::json::parse(test::read_file(name("out") / "summary.json"));
    EXPECT_EQ(summary.at("options").at("min_full_score"), least);
  }
}

TEST(RunFolderTest, AResumedRunHasTheBoundOfItsLastSession) {
  const test::ScratchFolder folder;
  const auto run = shard_of(folder.path() / "a", "1/1", {"512-0"});
  auto manifest = read_manifest(run);
  manifest["run"]["min_full_score"] = 0.25;
  manifest["run"]["keep_going"] = true;
  manifest["run"]["together"] = 8;
  begin_run(run, manifest);
  EXPECT_EQ(summary_options(run).min_full_score, 0.25);
  manifest["run"]["together"] = 4;
  begin_run(run, manifest);
  EXPECT_EQ(read_manifest(run)["run"]["together"], 8);  // the most of all sessions
  EXPECT_EQ(read_manifest(run)["run"]["keep_going"], true);
}

TEST(RunFolderTest, ForgettingRemovesTheRunAlone) {
  const test::ScratchFolder folder;
  const auto a = shard_of(folder.path() / "a", "1/1", {"512-0"});
  write_reports(a);
  std::ofstream(a / "notes.txt") << "mine";
  forget_run(a);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(a), {}), 1);
  EXPECT_TRUE(std::filesystem::exists(a / "notes.txt"));
  shard_of(a, "1/2", {"512-0"});  // which another run could not have
  forget_run(folder.path() / "nothing");
}

TEST(RunFolderTest, ARunThatIsGoingOnIsNotForgotten) {
  const test::ScratchFolder folder;
  const auto a = shard_of(folder.path() / "a", "1/1", {"512-0"});
  {
    const SampleLog held(a / "samples.jsonl", read_manifest(a).at("manifest_id"));
    expect_error<ResourceError>([&] { forget_run(a); }, "is held by another run");
    EXPECT_EQ(read_units(a).size(), held.units().size());
  }
  forget_run(a);
  EXPECT_FALSE(std::filesystem::exists(a / "manifest.json"));
}

struct MadeUpRun {
  std::string commit = "one";
  std::vector<std::pair<std::string, int>> methods = {{"x", 1}};  ///< with an option
  std::vector<double> ratios = {0.5};
  std::string full = "a";    ///< answer of the full cache
  std::string answers = "";  ///< part of all other answers
  std::string shard = "1/1";
  std::vector<std::string> documents = {"512-0"};
  int64_t seed = 42;
  bool ends = true;
  std::string torch = "2";
};

std::filesystem::path run_of(const std::filesystem::path& folder, const MadeUpRun& run) {
  nlohmann::ordered_json m{{"engine", {{"commit", run.commit}, {"torch", run.torch}}},
                           {"seed", run.seed},
                           {"ratios", run.ratios}};
  m["methods"] = nlohmann::ordered_json::array();
  for (const auto& [label, option] : run.methods)
    m["methods"].push_back({{"method", label}, {"option", option}});
  seal_manifest(m);
  m["run"] = {{"shard", run.shard}};
  std::filesystem::create_directories(folder);
  begin_run(folder, m);
  SampleLog log(folder / "samples.jsonl", m.at("manifest_id"));
  for (const std::string& document : run.documents) {
    const auto add = [&](const std::string& label, double ratio, const std::string& answer) {
      SampleUnit unit = test::made_up_unit(document, label, ratio);
      unit.rows[0].prediction = answer;
      log.append({"vt", 512, document, label, ratio}, unit);
    };
    add("full", 1.0, run.full);
    for (const auto& [label, option] : run.methods)
      for (const double ratio : run.ratios)
        add(label, ratio, label + std::to_string(option) + run.answers);
  }
  if (run.ends) end_run(folder, static_cast<int64_t>(log.units().size()));
  return folder;
}

TEST(RunFolderTest, MethodsOfLaterRunsAreAddedOrTakeTheirPlace) {
  const test::ScratchFolder folder;
  const auto a = run_of(folder.path() / "a",
                        {.methods = {{"x", 1}, {"y", 1}, {"z", 1}}, .ratios = {0.5, 0.2}}),
             b = run_of(folder.path() / "b", {.commit = "two",
                                              .methods = {{"y", 1}, {"w", 1}},
                                              .ratios = {0.2, 0.1},
                                              .answers = " later"}),
             c = run_of(folder.path() / "c",
                        {.commit = "two", .methods = {{"z", 2}}, .ratios = {0.5, 0.2}}),
             out = folder.path() / "out";
  join_methods({a, b, c}, out);
  std::map<std::pair<std::string, double>, std::string> answers;
  for (const SampleRow& row : rows_of(read_units(out)))
    answers[{row.method, row.budget}] = row.prediction;
  // y is the same in both and has all ratios, the later answers among them; z has other options.
  const std::map<std::pair<std::string, double>, std::string> want = {
      {{"full", 1.0}, "a"},     {{"x", 0.5}, "x1"},       {{"x", 0.2}, "x1"}, {{"y", 0.5}, "y1"},
      {{"y", 0.2}, "y1 later"}, {{"y", 0.1}, "y1 later"}, {{"z", 0.5}, "z2"}, {{"z", 0.2}, "z2"},
      {{"w", 0.2}, "w1 later"}, {{"w", 0.1}, "w1 later"}};
  EXPECT_EQ(answers, want);
  const auto m = read_manifest(out);
  EXPECT_EQ(m.at("ratios"), nlohmann::ordered_json({0.5, 0.2, 0.1}));
  EXPECT_EQ(m.at("methods").size(), 4U);
  EXPECT_EQ(m.at("methods")[2].at("option"), 2);
  EXPECT_FALSE(m.at("engine").contains("commit"));
  ASSERT_EQ(m.at("parts").size(), 3U);
  EXPECT_EQ(m.at("parts")[1].at("engine").at("commit"), "two");
  nlohmann::ordered_json sealed = m;
  seal_manifest(sealed);
  EXPECT_EQ(sealed.at("manifest_id"), m.at("manifest_id"));
}

TEST(RunFolderTest, AJoinDoesNotKeepOtherUnitsOfAnEarlierOne) {
  const test::ScratchFolder folder;
  const auto a = run_of(folder.path() / "a", {.methods = {{"x", 1}}}),
             again = run_of(folder.path() / "again", {.methods = {{"x", 1}}, .answers = " later"}),
             out = folder.path() / "out";
  merge_runs({a}, out);
  merge_runs({a}, out);
  expect_error<Mismatch>([&] { merge_runs({again}, out); }, "holds another vt 512-0 of x");
  EXPECT_EQ(read_units(out).at({"vt", 512, "512-0", "x", 0.5}).rows[0].prediction, "x1");
}

TEST(RunFolderTest, RunsOfOneCommitStayItsRunsWhenTheyAreJoined) {
  const test::ScratchFolder folder;
  const auto a = run_of(folder.path() / "a", {}),
             b = run_of(folder.path() / "b", {.methods = {{"y", 1}}}),
             c = run_of(folder.path() / "c", {.methods = {{"z", 1}}});
  join_methods({a, b}, folder.path() / "ab");
  EXPECT_EQ(read_manifest(folder.path() / "ab").at("engine").at("commit"), "one");
  // What was joined can be joined again.
  join_methods({folder.path() / "ab", c}, folder.path() / "abc");
  EXPECT_EQ(read_manifest(folder.path() / "abc").at("parts").size(), 3U);
  EXPECT_EQ(read_units(folder.path() / "abc").size(), 4U);
}

TEST(RunFolderTest, RunsOfSeveralCommitsCanBeJoinedAgain) {
  const test::ScratchFolder folder;
  const auto a = run_of(folder.path() / "a", {}),
             b = run_of(folder.path() / "b", {.commit = "two", .methods = {{"y", 1}}}),
             c = run_of(folder.path() / "c", {.commit = "three", .methods = {{"z", 1}}});
  join_methods({a, b}, folder.path() / "ab");
  join_methods({folder.path() / "ab", c}, folder.path() / "abc");
  const auto m = read_manifest(folder.path() / "abc");
  ASSERT_EQ(m.at("parts").size(), 3U);
  EXPECT_EQ(m.at("parts")[1].at("engine").at("commit"), "two");
  EXPECT_EQ(m.at("parts")[2].at("engine").at("commit"), "three");
  EXPECT_EQ(read_units(folder.path() / "abc").size(), 4U);
}

TEST(RunFolderTest, RunsUnderOtherConditionsAreNotJoined) {
  const test::ScratchFolder folder;
  const auto a = run_of(folder.path() / "a", {.ratios = {0.5, 0.2}}), out = folder.path() / "out";
  const auto refused = [&](const std::string& name, const MadeUpRun& run, auto error,
                           const std::string& text) {
    const auto other = run_of(folder.path() / name, run);
    expect_error<decltype(error)>([&] { join_methods({a, other}, out); }, text);
    EXPECT_FALSE(std::filesystem::exists(out)) << name;
  };
  const Mismatch mismatch("");
  const InvalidArgument invalid("");
  const std::vector<std::pair<std::string, int>> y = {{"y", 1}};
  refused("seed", {.methods = y, .seed = 7}, mismatch, "differ in seed 42 and 7");
  refused("torch", {.methods = y, .torch = "3"}, mismatch,
          "differ in engine.torch \"2\" and \"3\"");
  refused("answer", {.methods = y, .full = "b"}, mismatch, "answers vt 512-0 otherwise");
  refused("more", {.methods = y, .documents = {"512-0", "512-1"}}, mismatch, "a document vt 512-1");
  refused("less", {.methods = y, .documents = {}}, mismatch, "lacks documents");
  refused("shard", {.methods = y, .shard = "1/2"}, invalid, "is shard 1/2; join the shards");
  refused("open", {.methods = y, .ends = false}, invalid, "has not come to its end");
  refused("part", {.methods = {{"x", 2}}}, invalid, "would replace x of an earlier run");
}

TEST(RunFolderTest, AManifestWithoutItsMethodsIsNoManifestToJoin) {
  const test::ScratchFolder folder;
  const auto a = run_of(folder.path() / "a", {});
  const auto with = [&](const std::string& field, const nlohmann::ordered_json& value) {
    nlohmann::ordered_json m = read_manifest(a);
    if (value.is_discarded())
      m.erase(field);
    else
      m[field] = value;
    const auto broken = folder.path() / "broken";
    std::filesystem::remove_all(broken);
    std::filesystem::copy(a, broken);
    std::ofstream(broken / "manifest.json") << m.dump();
    return broken;
  };
  const auto out = folder.path() / "out";
  for (const auto& [field, value] : std::vector<std::pair<std::string, nlohmann::ordered_json>>{
           {"methods", {1}},
           {"methods", {{{"method", 1}}}},
           {"ratios", {"x"}},
           {"ratios", 0.5},
           {"engine", nullptr},
           {"parts", {1}},
           {"parts", {{{"methods", {1}}, {"ratios", {1}}, {"engine", {{"commit", "x"}}}}}},
           {"methods", nlohmann::ordered_json(nlohmann::ordered_json::value_t::discarded)}}) {
    const auto broken = with(field, value);
    expect_error<FormatError>([&] { join_methods({broken}, out); }, field);
  }
  EXPECT_FALSE(std::filesystem::exists(out));
}

}  // namespace
}  // namespace limbeck
