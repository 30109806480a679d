#include "limbeck/eval/tasks/needles.h"

#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/prose.h"
#include "limbeck/eval/tasks/stream.h"

namespace limbeck {
namespace {

struct TypeNames {
  std::string_view one, many;
};

TypeNames type_names(NeedleKind kind) {
  switch (kind) {
    case NeedleKind::words: return {"word", "words"};
    case NeedleKind::numbers: return {"number", "numbers"};
    case NeedleKind::uuids: return {"UUID", "UUIDs"};
  }
  LIMBECK_CHECK(false, "needle kind {}", static_cast<int>(kind));
  return {};
}

std::string draw(Random& random, const WordList& words, NeedleKind kind) {
  switch (kind) {
    case NeedleKind::words: return words.draw_key(random);
    case NeedleKind::numbers: return std::to_string(uniform_int(random, 1000000, 9999999));
    case NeedleKind::uuids: return random_uuid(random);
  }
  LIMBECK_CHECK(false, "needle kind {}", static_cast<int>(kind));
  return {};
}

}  // namespace

std::string NeedleDraw::key(NeedleKind kind) {
  std::string out;
  do out = draw(random_, words_, kind);
  while (!keys_.insert(out).second);
  return out;
}

std::string NeedleDraw::value(NeedleKind kind) { return draw(random_, words_, kind); }

std::string needle_sentence(const TaskTemplates& templates, NeedleKind values,
                            const Needle& needle) {
  return fill_slots(
      templates.niah_needle,
      {{"types", type_names(values).many}, {"key", needle.key}, {"value", needle.value}});
}

std::string needle_document(const TaskTemplates& templates, NeedleKind values, bool one,
                            std::string_view haystack) {
  const TypeNames type = type_names(values);
  return fill_slots(one ? templates.niah_document_one : templates.niah_document_many,
                    {{"type", type.one}, {"types", type.many}, {"haystack", haystack}});
}

TaskQuestion needle_question(const TaskTemplates& templates, NeedleKind values, bool one,
                             std::span<const std::string> keys) {
  const TypeNames type = type_names(values);
  const std::string list = list_text(keys);
  const auto fill = [&](std::string_view form) {
    return fill_slots(form, {{"type", type.one}, {"types", type.many}, {"keys", list}});
  };
  TaskQuestion out;
  out.text = fill(one ? templates.niah_question_one : templates.niah_question_many);
  out.answer_prefix = fill(one ? templates.niah_prefix_one : templates.niah_prefix_many);
  return out;
}

std::string list_text(std::span<const std::string> items) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += items.size() > 2 ? ", " : " ";
    if (i > 0 && i + 1 == items.size()) out += "and ";
    out += items[i];
  }
  return out;
}

int64_t count_occurrences(std::string_view text, std::string_view part) {
  int64_t out = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++out;
  return out;
}

std::string insert_sentences(const std::vector<std::string>& sentences,
                             const std::vector<std::string>& needles,
                             const std::vector<int64_t>& places) {
  std::vector<std::string> all;
  all.reserve(sentences.size() + needles.size());
  size_t next = 0;
  for (size_t i = 0; i <= sentences.size(); ++i) {
    while (next < needles.size() && places[next] <= static_cast<int64_t>(i))
      all.push_back(needles[next++]);
    if (i < sentences.size()) all.push_back(sentences[i]);
  }
  LIMBECK_CHECK(next == needles.size(), "{} needles beyond the text", needles.size() - next);
  return join_sentences(all);
}

}  // namespace limbeck
