/// A plan file: the flags of a command as one JSON object, or as YAML in a file that ends in .yaml
/// or .yml, so that a run can be kept and repeated.
///
/// Keys are the flags' long names without dashes; values are texts, numbers, yes or no, or lists of
/// these. A flag on the command line stands before the file's. Non-goal: other commands' flags.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace limbeck::cli {

/// Sets what the file, or the plan of that name in assets/plans, names and the command line does
/// not. In the key "task" an entry may be an object {"task", "file", "as", "options"}. Throws
/// ResourceError, FormatError and InvalidArgument naming file and key.
void apply_plan_file(CLI::App& command, const std::string& given);

}  // namespace limbeck::cli
