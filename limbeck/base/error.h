/// Errors: what the library throws, and the codes that the command line and the server make of it.
///
/// Goals: one sentence a person can act on, of the form `[function] rule; found values`; a stable
/// code for programs. Non-goals: error values on hot paths, backtraces.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace limbeck {

/// Stable codes; append-only. The number is the exit status of the command line.
enum class ErrorCode : int {
  internal = 1,          ///< a bug of ours
  invalid_argument = 2,  ///< the caller asked for something impossible
  mismatch = 3,   ///< two good things that do not belong together (a cache and another model)
  format = 4,     ///< a file or request that breaks its format's rules
  resource = 5,   ///< a file that cannot be opened, a disk that is full, a budget that is too small
  numerical = 6,  ///< a computation without a finite result
  cancelled = 7,  ///< stopped on request
};

/// Name used in JSON and logs, e.g. "format".
std::string_view error_code_name(ErrorCode code);

/// Base of everything that the library throws on purpose.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& text) : std::runtime_error(text), code_(code) {}
  ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

namespace detail {
template <ErrorCode Code>
class CodedError : public Error {
 public:
  /// Formats with fmt: `throw InvalidArgument("[compact] ratio must be in (0, 1]; found {}",
  /// ratio)`.
  template <class... Args>
  explicit CodedError(fmt::format_string<Args...> form, Args&&... args)
      : Error(Code, fmt::format(form, std::forward<Args>(args)...)) {}
};
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& text);
}  // namespace detail

using InternalError = detail::CodedError<ErrorCode::internal>;
using InvalidArgument = detail::CodedError<ErrorCode::invalid_argument>;
using Mismatch = detail::CodedError<ErrorCode::mismatch>;
using FormatError = detail::CodedError<ErrorCode::format>;
using ResourceError = detail::CodedError<ErrorCode::resource>;
using NumericalError = detail::CodedError<ErrorCode::numerical>;
using Cancelled = detail::CodedError<ErrorCode::cancelled>;

}  // namespace limbeck

/// For what only a bug of ours can break: throws InternalError with file and line.
#define LIMBECK_CHECK(condition, ...)                                                             \
  (static_cast<bool>(condition) ? void(0)                                                         \
                                : ::limbeck::detail::check_failed(__FILE__, __LINE__, #condition, \
                                                                  fmt::format(__VA_ARGS__)))
