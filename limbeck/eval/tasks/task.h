/// A benchmark task: documents, questions about them, and how an answer is scored.
///
/// Goals: a task is one file and one line in the registry; it knows texts, never models. The same
/// task parameters, seed and tokenizer give the same bytes on every machine. Non-goals: rendering
/// chat templates, generating answers (eval/runs).
#pragma once

#include "limbeck/base/options.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

/// How a prediction comes about.
enum class AnswerKind {
  generate,       ///< greedy text, at most TaskInfo::max_new tokens
  choose_letter,  ///< likeliest letter A, B, ... of as many as there are options
  choose_option,  ///< option with the highest mean log-probability per token
  /// None: the text itself goes on. A document has at least length + max_new tokens; the first
  /// `length` are compacted, the next max_new are what the caches have to predict.
  continue_text,
};

/// What a document too long for the window loses.
enum class Truncation {
  none,    ///< it fits by construction
  middle,  ///< keeps the first and the last half (LongBench)
  end,     ///< cuts the document's end (HELMET)
};

struct TaskInfo {
  std::string name;       ///< "niah_single_2"
  std::string group;      ///< benchmark: "ruler", "longbench", ...
  std::string category;   ///< part of the benchmark that has a mean of its own; may be empty
  std::string metric;     ///< name of what TaskScore::score is: "all", "qa_f1"
  int64_t max_new = 128;  ///< tokens that an answer may have
  AnswerKind answer = AnswerKind::generate;
  Truncation truncation = Truncation::none;
  /// Documents come in rounds of so many, one of each kind (depths of a grid): runs have whole
  /// ones.
  int64_t round = 1;
  bool sized = true;              ///< documents of any length; false: as the file has them
  bool chat = true;               ///< false: the text is fed as it is, behind BOS
  std::vector<std::string> stop;  ///< strings that end an answer
  /// Strings end an answer only behind at least one generated token (LongBench's samsum).
  bool stop_after_first = false;
  /// Without a chat template answers are scored with the answer prefix before them (HELMET).
  bool prefix_scored = false;
};

struct TaskQuestion {
  std::string id;                    ///< unique within the document
  std::string text;                  ///< stands directly behind the document, in the user's turn
  std::string answer_prefix;         ///< begins the assistant's turn; may be empty
  std::vector<std::string> outputs;  ///< gold answers
  std::vector<std::string> options;  ///< for the kinds that choose
  nlohmann::ordered_json facts;      ///< whatever else scoring needs (labels, classes), may be null
};

struct TaskDocument {
  std::string id;       ///< unique within the task, without '|': "4096-17"
  int64_t ordinal = 0;  ///< place in the run; decides the shard
  int64_t length = 0;   ///< tokens that were asked for, generation included; 0 = as the file has it
  /// Everything before the question in the user's turn: instruction and haystack. What compaction
  /// sees. Never depends on the question.
  std::string text;
  std::vector<TaskQuestion> questions;
  /// What tells it from a document of another run with the same id, where questions and answers do
  /// not: excerpts, of which nothing is asked. May be empty.
  std::string source;
  nlohmann::ordered_json facts;  ///< of the generator, for the records: size x, depths
};

struct TaskScore {
  double score = 0;    ///< of TaskInfo::metric, in [0, 1]
  std::string parsed;  ///< what was compared, after extraction; empty when nothing was found
  bool found = true;   ///< false: no answer could be extracted (counts in the parse rate)
  std::map<std::string, double> more;  ///< other metrics of the same answer
};

/// Tokens that the model is fed for a question about a document: chat format, document, question
/// and answer prefix; without those it generates.
using PromptCounter = std::function<int64_t(std::string_view document, std::string_view question,
                                            std::string_view answer_prefix)>;

class Task {
 public:
  virtual ~Task() = default;
  virtual const TaskInfo& info() const = 0;
  /// Documents that there are at this length; INT64_MAX for generators.
  virtual int64_t size(int64_t length) const = 0;
  /// Document `index` (from 0) of `length` tokens. Throws InvalidArgument when the length is too
  /// small for the task, FormatError naming file, line and field for a broken record; the other
  /// documents stay good.
  virtual TaskDocument document(int64_t length, int64_t index) = 0;
  virtual TaskScore score(const TaskQuestion& question, std::string_view prediction) const = 0;
};

}  // namespace limbeck
