/// Tasks that read a file in a benchmark's format.
#include "limbeck/base/error.h"
#include "limbeck/eval/tasks/published/helmet.h"
#include "limbeck/eval/tasks/published/longbench.h"
#include "limbeck/eval/tasks/published/longbench_v2.h"
#include "limbeck/eval/tasks/published/longeval.h"
#include "limbeck/eval/tasks/published/qmsum.h"
#include "limbeck/eval/tasks/published/quality.h"
#include "limbeck/eval/tasks/qa_corpus.h"
#include "limbeck/eval/tasks/registry.h"
#include "limbeck/eval/tasks/ruler/ruler.h"

namespace limbeck {
namespace {

/// `make` takes the file's path and the options.
template <class Options, class Make>
TaskEntry of_file(std::string_view name, std::string_view group, std::string_view summary,
                  std::string_view file, Make make) {
  TaskEntry out = task_entry<Options>(
      name, group, summary,
      [make](const TaskResources& /*resources*/, const TaskRequest& request, const Options& options,
             PromptCounter /*counter*/) { return make(request.file, options); });
  out.file = file;
  return out;
}

template <class Make>
TaskEntry helmet(std::string_view name, std::string_view summary, std::string_view file,
                 Make make) {
  TaskEntry out =
      task_entry<HelmetOptions>(name, "helmet", summary,
                                [make](const TaskResources& resources, const TaskRequest& request,
                                       const HelmetOptions& options, PromptCounter /*counter*/) {
                                  return make(request.file, options, resources.broken);
                                });
  out.file = file;
  out.file_options = {"demonstrations"};
  return out;
}

/// The examples' file is an option of the registry: the task itself takes two files.
struct IclOptions : HelmetIclOptions {
  std::string train;
  template <class V>
  void for_each_field(V&& v) {
    HelmetIclOptions::for_each_field(v);
    v("train", train, any_text(), "file of the examples, in records like the test items'");
  }
};

std::unique_ptr<Task> make_icl(const TaskResources& resources, const TaskRequest& request,
                               const IclOptions& options, PromptCounter /*counter*/) {
  if (options.train.empty())
    throw InvalidArgument("[helmet_icl] train must name the file of the examples; found none");
  return make_helmet_icl_task(options.train, request.file, options, resources.broken);
}

/// Questions over paragraphs of a file; the other paragraphs fill the length.
TaskEntry corpus(std::string_view name, std::string_view summary, std::string_view file,
                 QaCorpus (*read)(const std::filesystem::path&, std::vector<std::string>*)) {
  TaskEntry out = task_entry<CorpusOptions>(
      name, name, summary,
      [name, read](const TaskResources& resources, const TaskRequest& request,
                   const CorpusOptions& options, PromptCounter counter) {
        return make_corpus_task(name,
                                std::make_shared<QaCorpus>(read(request.file, resources.broken)),
                                resources, options, std::move(counter));
      });
  out.file = file;
  return out;
}

std::vector<TaskEntry> make_entries() {
  std::vector<TaskEntry> out;
  out.push_back(corpus("squad", "questions about a paragraph that stands among others",
                       "SQuAD 1.1 or 2.0, JSON", read_squad));
  out.push_back(corpus("hotpotqa", "questions about two documents that stand among others",
                       "HotpotQA, JSON", read_hotpotqa));
  out.push_back(of_file<LongBenchOptions>(
      "longbench", "longbench",
      "an English set of LongBench or LongBench-E, known by the file's name", "one set, JSON lines",
      make_longbench_task));
  out.push_back(of_file<LongBenchV2Options>("longbench_v2", "longbench-v2",
                                            "multiple choice about long texts",
                                            "data.json, or JSON lines", make_longbench_v2_task));
  out.push_back(of_file<QualityOptions>("quality", "quality", "multiple choice about articles",
                                        "QuALITY or L-Eval, JSON lines", make_quality_task));
  out.push_back(of_file<QmsumOptions>("qmsum", "qmsum", "requests about a meeting's transcript",
                                      "QMSum, JSON lines", make_qmsum_task));
  out.push_back(of_file<LongEvalOptions>("longeval", "longeval",
                                         "the number of a line, out of LongEval's file",
                                         "LongEval lines, JSON lines", make_longeval_task));
  out.push_back(helmet("helmet_rag", "questions over retrieved passages",
                       "question, answers, ctxs, JSON lines", make_helmet_rag_task));
  out.push_back(helmet("helmet_qa", "questions about a long text",
                       "context, question, answers, JSON lines", make_helmet_qa_task));
  out.push_back(helmet("helmet_choice", "multiple choice about a long text",
                       "context, question, options, answer, JSON lines", make_helmet_choice_task));
  out.push_back(helmet("helmet_rerank", "passages to be put in order for a query",
                       "qid, query, ctxs with labels, JSON lines", make_helmet_rerank_task));
  out.push_back(task_entry<IclOptions>("helmet_icl", "helmet", "a label learned from many examples",
                                       make_icl));
  out.back().file = "test items (text, label), JSON lines";
  out.back().file_options = {"train"};
  return out;
}

}  // namespace

const std::vector<TaskEntry>& published_tasks() {
  static const std::vector<TaskEntry> entries = make_entries();
  return entries;
}

}  // namespace limbeck
