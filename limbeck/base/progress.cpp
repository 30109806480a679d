#include "limbeck/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

namespace limbeck {
namespace {
constexpr double kTerminalInterval = 0.1;  // seconds between rewrites of the line
constexpr double kJsonInterval = 1.0;      // seconds between JSON lines of one stage

/// Steps a second; 0 while it is not known.
double rate_of(const ProgressStep& step, double seconds) {
  return seconds > 0 ? static_cast<double>(step.done - step.resumed) / seconds : 0.0;
}

}  // namespace

ProgressPrinter::ProgressPrinter(std::FILE* out) : out_(out), terminal_(isatty(fileno(out))) {}

ProgressPrinter::~ProgressPrinter() { clear(); }

void ProgressPrinter::clear() {
  if (!open_line_) return;
  fmt::print(out_, "\r\033[K");
  std::fflush(out_);
  open_line_ = false;
}

std::string ProgressPrinter::line(const ProgressStep& step, double seconds) {
  std::string text = fmt::format("{} {}/{} {}", step.stage, step.done, step.total, step.unit);
  if (const double rate = rate_of(step, seconds); rate > 0) {
    text += rate >= 10 ? fmt::format(", {:.0f}/s", rate) : fmt::format(", {:.2g}/s", rate);
    if (step.done < step.total)
      text += fmt::format(", {:.0f} s left", static_cast<double>(step.total - step.done) / rate);
  }
  return text;
}

std::string ProgressPrinter::json(const ProgressStep& step, double seconds) {
  const double rate = rate_of(step, seconds);
  const double left = rate > 0 ? static_cast<double>(step.total - step.done) / rate : 0.0;
  return fmt::format(
      R"({{"progress":"{}","unit":"{}","done":{},"total":{},"per_second":{:.3f},"eta_seconds":{:.1f}}})",
      step.stage, step.unit, step.done, step.total, rate, left);
}

void ProgressPrinter::operator()(const ProgressStep& step) {
  if (step.stage != stage_) {
    clear();
    stage_ = step.stage;
    stage_watch_.restart();
    printed_ = false;
  }
  const bool last = step.done >= step.total;
  const double interval = terminal_ ? kTerminalInterval : kJsonInterval;
  if (!last && printed_ && last_print_.seconds() < interval) return;
  // A first step says nothing about the rate; off a terminal it would only be noise.
  if (!terminal_ && !printed_ && !last && stage_watch_.seconds() < interval) return;
  const double seconds = stage_watch_.seconds();
  if (terminal_) {
    fmt::print(out_, "\r\033[K{}", line(step, seconds));
    open_line_ = true;
  } else if (!last || printed_) {
    fmt::print(out_, "{}\n", json(step, seconds));
  }
  std::fflush(out_);
  printed_ = true;
  last_print_.restart();
  if (last) clear();
}

}  // namespace limbeck
