#include "limbeck/base/error.h"

namespace limbeck {

std::string_view error_code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::internal: return "internal";
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::mismatch: return "mismatch";
    case ErrorCode::format: return "format";
    case ErrorCode::resource: return "resource";
    case ErrorCode::numerical: return "numerical";
    case ErrorCode::cancelled: return "cancelled";
  }
  return "internal";
}

namespace detail {

void check_failed(const char* file, int line, const char* condition, const std::string& text) {
  std::string_view name = file;
  // The build machine's folders are nobody's business: keep what follows the last "limbeck/".
  if (auto at = name.rfind("limbeck/"); at != std::string_view::npos) name = name.substr(at);
  throw InternalError("[check] {}:{}: {} does not hold; {}", name, line, condition, text);
}

}  // namespace detail
}  // namespace limbeck
