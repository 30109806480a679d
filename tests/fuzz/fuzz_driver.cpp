#include "tests/fuzz/fuzz_driver.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>

// A sanitizer's runtime calls these: undefined behaviour must end the run like every other report.
extern "C" const char* __ubsan_default_options() { return "halt_on_error=1:print_stacktrace=1"; }
// Absent without a sanitizer.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

using limbeck::Random;
using Clock = std::chrono::steady_clock;

constexpr size_t kPoolSize = 256;

struct Arguments {
  double seconds = 2;
  uint64_t runs = std::numeric_limits<uint64_t>::max();
  uint64_t seed = 1;
  std::string replay, seed_folder;
};

// What a dying process still has to tell. Plain memory, because signal handlers read it.
const char* current_data = nullptr;
size_t current_size = 0;
char failure_name[256];

void save_current_input() {
  const int fd = ::open(failure_name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0) return;
  size_t done = 0;
  while (done < current_size) {
    const ssize_t count = ::write(fd, current_data + done, current_size - done);
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  ::close(fd);
  constexpr std::string_view kNote = "fuzz: the failing input is in the file ";
  if (::write(STDERR_FILENO, kNote.data(), kNote.size()) < 0) return;
  if (::write(STDERR_FILENO, failure_name, std::strlen(failure_name)) < 0) return;
  if (::write(STDERR_FILENO, "\n", 1) < 0) return;
}

void on_signal(int number) {
  save_current_input();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

void watch_for_death(const std::string& name) {
  std::snprintf(failure_name, sizeof failure_name, "%s.failure", name.c_str());
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(save_current_input);
    return;
  }
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT})
    std::signal(number, on_signal);
}

/// Returns false after anything but an orderly return.
bool run_one(const std::string& input) {
  // A copy of exactly the input's size, so that reading one byte too many is a sanitizer report.
  const std::vector<uint8_t> exact(input.begin(), input.end());
  current_data = input.data();
  current_size = input.size();
  try {
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
    return true;
  } catch (const std::exception& error) {
    fmt::print(stderr, "fuzz: exception {}\n", error.what());
  } catch (...) {
    fmt::print(stderr, "fuzz: exception of an unknown class\n");
  }
  save_current_input();
  return false;
}

int fuzz(const Arguments& arguments, const std::vector<std::string>& seeds) {
  Random random(arguments.seed);
  // Mutants join the seeds now and then, so that changes add up.
  std::vector<std::string> pool = seeds;
  for (const std::string& seed : seeds) {
    if (!run_one(seed)) return 1;
  }
  const auto start = Clock::now();
  const auto seconds_since = [](Clock::time_point t) {
    return std::chrono::duration<double>(Clock::now() - t).count();
  };
  uint64_t runs = 0;
  double slowest = 0;
  while (runs < arguments.runs && seconds_since(start) < arguments.seconds) {
    std::string input = pool[random.below(pool.size())];
    limbeck::fuzz::mutate(input, pool[random.below(pool.size())], random);
    const auto before = Clock::now();
    if (!run_one(input)) return 1;
    slowest = std::max(slowest, seconds_since(before));
    ++runs;
    if (random.below(64) != 0) continue;
    if (pool.size() < seeds.size() + kPoolSize) {
      pool.push_back(std::move(input));
    } else {
      pool[seeds.size() + random.below(kPoolSize)] = std::move(input);
    }
  }
  fmt::print("fuzz: {} inputs from {} seeds with --seed {} in {:.1f} s, slowest {:.1f} ms\n", runs,
             seeds.size(), arguments.seed, seconds_since(start), slowest * 1e3);
  return 0;
}

int replay(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) {
    fmt::print(stderr, "fuzz: {} cannot be opened\n", name);
    return 2;
  }
  return run_one({std::istreambuf_iterator<char>(file), {}}) ? 0 : 1;
}

int write_seeds(const std::string& folder, const std::vector<std::string>& seeds) {
  std::filesystem::create_directories(folder);
  for (size_t i = 0; i < seeds.size(); ++i) {
    std::ofstream file(std::filesystem::path(folder) / fmt::format("seed{}", i), std::ios::binary);
    if (!(file << seeds[i]).flush()) {
      fmt::print(stderr, "fuzz: {} cannot be written\n", folder);
      return 2;
    }
  }
  return 0;
}

std::optional<Arguments> parse(int count, char** words) {
  Arguments arguments;
  bool has_seconds = false;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view flag = words[i];
    const char* value = words[i + 1];
    if (flag == "--seconds") {
      arguments.seconds = std::strtod(value, nullptr);
      has_seconds = true;
    } else if (flag == "--runs") {
      arguments.runs = std::strtoull(value, nullptr, 10);
    } else if (flag == "--seed") {
      arguments.seed = std::strtoull(value, nullptr, 10);
    } else if (flag == "--replay") {
      arguments.replay = value;
    } else if (flag == "--write-seeds") {
      arguments.seed_folder = value;
    } else {
      return std::nullopt;
    }
  }
  if (count % 2 == 0) return std::nullopt;
  // A count alone is a count: the clock must not make two runs differ.
  if (!has_seconds && arguments.runs != std::numeric_limits<uint64_t>::max()) {
    arguments.seconds = std::numeric_limits<double>::infinity();
  }
  return arguments;
}

}  // namespace

int main(int count, char** words) {
  const auto arguments = parse(count, words);
  if (!arguments) {
    fmt::print(
        stderr,
        "usage: {} [--seconds N] [--runs N] [--seed S] [--replay FILE] [--write-seeds FOLDER]\n",
        words[0]);
    return 2;
  }
  watch_for_death(std::filesystem::path(words[0]).filename().string());
  if (!arguments->replay.empty()) return replay(arguments->replay);
  const std::vector<std::string> seeds = fuzz_seeds();
  if (!arguments->seed_folder.empty()) return write_seeds(arguments->seed_folder, seeds);
  return fuzz(*arguments, seeds);
}
