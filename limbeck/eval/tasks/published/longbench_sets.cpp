#include "limbeck/eval/tasks/published/longbench.h"
#include "limbeck/eval/tasks/published/wording.h"

namespace limbeck {
namespace {

constexpr std::string_view kNarrativeqa =
    "Read the story below; a question about it follows. Answer in as few words as you can, with a "
    "single phrase if that is possible.\n\nStory: {context}\n\nNow answer the question about the "
    "story in as few words as you can, with a single phrase if that is possible. Do not "
    "explain.\n\n"
    "Question: {input}\n\nAnswer:";
constexpr std::string_view kQasper =
    "Read the scientific article below; a question about it follows. Answer in as few words as you "
    "can, with a phrase or a sentence. If the article does not tell, write \"unanswerable\". If it "
    "is a yes/no question, write \"yes\", \"no\" or \"unanswerable\". Do not explain.\n\nArticle: "
    "{context}\n\nNow answer the question about the article in as few words as you can, with a "
    "phrase or a sentence. If the article does not tell, write \"unanswerable\". If it is a yes/no "
    "question, write \"yes\", \"no\" or \"unanswerable\". Do not explain.\n\nQuestion: {input}\n\n"
    "Answer:";
constexpr std::string_view kMultifieldqa =
    "Read the text below; a short question about it follows.\n\n{context}\n\nAnswer the question "
    "about the text above. Reply with the answer only and with no other words.\n\nQuestion: "
    "{input}\n\nAnswer:";
constexpr std::string_view kPassages =
    "Answer the question that follows the passages below. Reply with the answer only and with no "
    "other words.\n\nThe passages:\n{context}\n\nAnswer the question with the help of the passages "
    "above. Reply with the answer only and with no other words.\n\nQuestion: {input}\n\nAnswer:";
constexpr std::string_view kReport =
    "Read the government report below. A summary of it, one page long, is wanted.\n\nReport:\n"
    "{context}\n\nNow write a summary of the report, one page long.\n\nSummary:";
constexpr std::string_view kMeeting =
    "Read the transcript of a meeting below; a request about it follows, to be answered in one or "
    "more sentences.\n\nTranscript:\n{context}\n\nNow answer the request about the meeting in one "
    "or more sentences.\n\nRequest: {input}\n\nAnswer:";
constexpr std::string_view kNews =
    "Read the news articles below. One summary of all of them, up to a page long, is wanted.\n\n"
    "News:\n{context}\n\nNow write one summary of all the news, up to a page long.\n\nSummary:";
constexpr std::string_view kTrec =
    "Find the type of the last question below. The questions before it are examples with their "
    "types.\n\n{context}\n{input}";
constexpr std::string_view kTriviaqa =
    "Answer the last question from its passage, with the answer only and no other words. The ones "
    "before it are examples.\n\n{context}\n\n{input}";
constexpr std::string_view kSamsum =
    "Summarise the last dialogue in a few short sentences. The ones before it are examples.\n\n"
    "{context}\n\n{input}";
constexpr std::string_view kPassageCount =
    "The numbered paragraphs below may contain copies of one another. Count how many different "
    "ones "
    "there are, each set of copies once.\n\n{context}\n\nHow many different paragraphs are above, "
    "each set of copies counted once? Reply with the number only and with no other words.\n\n"
    "Number of different paragraphs:";
constexpr std::string_view kPassageRetrieval =
    "Below are 30 numbered paragraphs of an encyclopedia, and behind them a summary of one. Find "
    "out of which.\n\n{context}\n\nThe summary:\n{input}\n\nReply with the number of the paragraph "
    "that it sums up, in the form \"Paragraph 1\", \"Paragraph 2\" and so on.\n\nThe paragraph:";
constexpr std::string_view kLcc = "Complete the code below.\n{context}Next line of code:\n";
constexpr std::string_view kRepobench =
    "Complete the code at the end of the files below.\n{context}{input}Next line of code:\n";

}  // namespace

const std::vector<LongBenchSet>& longbench_sets() {
  static const std::vector<LongBenchSet> sets = {
      {"narrativeqa", "single-doc", "qa_f1", 128, true, false, true, kNarrativeqa},
      {"qasper", "single-doc", "qa_f1", 128, true, false, true, kQasper},
      {"multifieldqa_en", "single-doc", "qa_f1", 64, true, false, true, kMultifieldqa},
      {"hotpotqa", "multi-doc", "qa_f1", 32, true, false, true, kPassages},
      {"2wikimqa", "multi-doc", "qa_f1", 32, true, false, true, kPassages},
      {"musique", "multi-doc", "qa_f1", 32, true, false, true, kPassages},
      {"gov_report", "summary", "rouge_l_set", 512, true, false, false, kReport},
      {"qmsum", "summary", "rouge_l_set", 512, true, false, true, kMeeting},
      {"multi_news", "summary", "rouge_l_set", 512, true, false, false, kNews},
      {"trec", "few-shot", "classification", 64, false, true, true, kTrec},
      {"triviaqa", "few-shot", "qa_f1", 32, false, true, true, kTriviaqa},
      {"samsum", "few-shot", "rouge_l_set", 128, false, true, true, kSamsum},
      {"passage_count", "synthetic", "count", 32, true, false, false, kPassageCount},
      {"passage_retrieval_en", "synthetic", "retrieval", 32, true, false, true, kPassageRetrieval},
      {"lcc", "code", "code_sim", 64, false, false, false, kLcc},
      {"repobench-p", "code", "code_sim", 64, false, false, true, kRepobench},
  };
  return sets;
}

void add_longbench_wording(WordingList& out) {
  for (const LongBenchSet& set : longbench_sets())
    out.emplace_back("longbench " + std::string(set.name), set.form);
}

}  // namespace limbeck
