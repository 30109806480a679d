/// The wording of all generated tasks, as data: texts with named slots such as {key}.
///
/// Goals: another wording can be loaded instead, and the hash over all of it tells runs with
/// different wordings apart (their scores do not compare). The wording is this project's own; what
/// each text has to say is published with the benchmarks (arXiv 2404.06654, 2410.02694,
/// 2501.05414). Non-goals: logic in templates, escapes.
///
/// Every "document" is what compaction sees and ends with an empty line; every "question" follows
/// it directly; every "prefix" begins the answer and neither begins nor ends with a blank, because
/// the three are tokenised apart.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace limbeck {

struct TaskTemplates {
  std::string countdown_document =
      "In the number game below, four numbers and a target are given. Combine the numbers with +, "
      "-, * and / until the target is reached. Use every number exactly once; a result may be used "
      "once in a later step; a division must leave no remainder. Search step by step, then write "
      "the solution as three lines between <solution> and </solution>.\n\n{examples}";
  std::string countdown_example =
      "Numbers: {numbers}\nTarget: {target}\nSearch:\n{search}\n<solution>\n{solution}\n"
      "</solution>\n\n";
  std::string countdown_prefix = "Search:";
  std::string countdown_question =
      "Play the game now. Search in the same way and end with the solution.\n\nNumbers: {numbers}\n"
      "Target: {target}";
  std::string cwe_document =
      "{demonstration}The numbered list below repeats some words more often than others. Memorise "
      "the words that it repeats most often.\n\n{list}\n\n";
  std::string cwe_prefix = "The {count} words that the list above repeats most often are:";
  std::string cwe_question = "Which {count} words does the list above repeat most often?";
  std::string demonstration = "{document}{question}\n\n{prefix} {answer}\n\n";
  std::string filler =
      "The bread is warm. The door is open. The rain has stopped. We sit down. All is well now.";
  std::string fwe_document =
      "The text below is written in a code of made-up words. Keep track of how often each coded "
      "word appears in it.\n\n{text}\n\n";
  std::string fwe_prefix = "Without the dots, the three coded words that appear most often are:";
  std::string fwe_question =
      "Ignore the dots \"...\". Which three coded words appear most often in the text above?";
  std::string grid_free_document =
      "Read the text below with care. A quiz about a detail of it follows.\n\n{haystack}\n\n";
  std::string json_kv_demonstration = "Key: {key}\nCorresponding value: {value}\n\n";
  std::string json_kv_document = "The JSON object below gives every key its value.\n\n{object}\n\n";
  std::string json_kv_prefix = "Corresponding value:";
  std::string json_kv_question =
      "Look up the value that the JSON object above gives to a key.\n\n{demonstrations}Key: {key}";
  std::string longeval_document =
      "Each line of the record below has a name and a register content, which is a number. "
      "Memorise "
      "the number of every line; a quiz about them follows.\n\n{lines}\n\n";
  std::string longeval_line = "line {key}: REGISTER_CONTENT is <{number}>";
  std::string longeval_prefix = "The REGISTER_CONTENT of line {key} is";
  std::string longeval_question = "What is the REGISTER_CONTENT of line {key}? Give the number.";
  std::string niah_document_many =
      "Secret {types} are hidden somewhere in the text below. Read with care and memorise them; a "
      "quiz about them follows.\n\n{haystack}\n\n";
  std::string niah_document_one =
      "A secret {type} is hidden somewhere in the text below. Read with care and memorise it; a "
      "quiz about it follows.\n\n{haystack}\n\n";
  std::string niah_needle = "Among the secret {types} is one that was given to {key}: {value}.";
  std::string niah_prefix_many = "In the text above, the secret {types} given to {keys} are";
  std::string niah_prefix_one = "In the text above, the secret {type} given to {keys} is";
  std::string niah_question_many =
      "Which secret {types} were given to {keys} in the text above? Name all of them.";
  std::string niah_question_one = "Which secret {type} was given to {keys} in the text above?";
  std::string path_connection_bus = "A bus runs from {from} to {to}.";
  std::string path_connection_ferry = "A ferry sails from {from} to {to}.";
  std::string path_connection_plane = "A plane flies from {from} to {to}.";
  std::string path_connection_train = "A train goes from {from} to {to}.";
  std::string path_document =
      "In the country described below, each city has exactly one connection that leaves it.\n\n"
      "{connections}\n\n";
  std::string path_leg = "From {from}, take the {vehicle} to {to}.";
  std::string path_prefix = "Route:";
  std::string path_question =
      "Travel from {start} to {goal} by the connections described above. List the legs of the "
      "route in order, one a line, each in this form and nothing else:\n{form}";
  std::string qa_document =
      "Answer the question that follows the documents below. Reply with the answer only and with "
      "no other words.\n\n{documents}\n\n";
  std::string qa_item = "Document {number}:\n{text}";
  std::string qa_prefix = "Answer:";
  std::string qa_question =
      "Answer the question with the help of the documents above. Reply with the answer only and "
      "with no other words.\n\nQuestion: {question}";
  std::string vt_document =
      "{demonstration}Values are assigned to variables somewhere in the text below. Memorise the "
      "chain of assignments and follow which variable has which value.\n\n{haystack}\n\n";
  std::string vt_prefix =
      "By the assignments in the text above, {count} variables have the value {value}, namely";
  std::string vt_question = "Which variables have the value {value} in the text above? Name all.";
  std::string vt_statement = "VAR {name} = {value}.";

  template <class V>
  void for_each_field(V&& v) {
    v("countdown_document", countdown_document);
    v("countdown_example", countdown_example);
    v("countdown_prefix", countdown_prefix);
    v("countdown_question", countdown_question);
    v("cwe_document", cwe_document);
    v("cwe_prefix", cwe_prefix);
    v("cwe_question", cwe_question);
    v("demonstration", demonstration);
    v("filler", filler);
    v("fwe_document", fwe_document);
    v("fwe_prefix", fwe_prefix);
    v("fwe_question", fwe_question);
    v("grid_free_document", grid_free_document);
    v("json_kv_demonstration", json_kv_demonstration);
    v("json_kv_document", json_kv_document);
    v("json_kv_prefix", json_kv_prefix);
    v("json_kv_question", json_kv_question);
    v("longeval_document", longeval_document);
    v("longeval_line", longeval_line);
    v("longeval_prefix", longeval_prefix);
    v("longeval_question", longeval_question);
    v("niah_document_many", niah_document_many);
    v("niah_document_one", niah_document_one);
    v("niah_needle", niah_needle);
    v("niah_prefix_many", niah_prefix_many);
    v("niah_prefix_one", niah_prefix_one);
    v("niah_question_many", niah_question_many);
    v("niah_question_one", niah_question_one);
    v("path_connection_bus", path_connection_bus);
    v("path_connection_ferry", path_connection_ferry);
    v("path_connection_plane", path_connection_plane);
    v("path_connection_train", path_connection_train);
    v("path_document", path_document);
    v("path_leg", path_leg);
    v("path_prefix", path_prefix);
    v("path_question", path_question);
    v("qa_document", qa_document);
    v("qa_item", qa_item);
    v("qa_prefix", qa_prefix);
    v("qa_question", qa_question);
    v("vt_document", vt_document);
    v("vt_prefix", vt_prefix);
    v("vt_question", vt_question);
    v("vt_statement", vt_statement);
  }
};

/// XXH3-128 over all names and texts and the wording of the published tasks, in hex, for records of
/// runs.
std::string templates_hash(const TaskTemplates& templates);

/// The default wording with the texts of a JSON object in place of some. `what` names the file in
/// errors. Throws FormatError for unknown names, other types, and texts without the slots of the
/// default or with slots that it does not have.
TaskTemplates templates_from_json(const nlohmann::json& json, std::string_view what);

/// Names of the slots in a text: {name}, name of letters a-z and underscores.
std::set<std::string> template_slots(std::string_view form);

using SlotValue = std::pair<std::string_view, std::string_view>;
/// The text with its slots filled; values are not searched for slots again. Throws InternalError
/// for a slot without a value.
std::string fill_slots(std::string_view form, std::initializer_list<SlotValue> values);

}  // namespace limbeck
