/// limbeck: the command line. Only parsing lives here; each command has a file of its own.

#include "cli/commands.h"
#include "cli/plan_file.h"

#include "limbeck/base/error.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdlib>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

using namespace limbeck;
using namespace limbeck::cli;

void add_sampling(CLI::App* app, SamplingFlags& f) {
  app->add_option("--max-tokens", f.max_tokens, "tokens to generate at most")
      ->capture_default_str();
  app->add_option("--stop", f.stop, "text that ends the answer (repeatable)");
  SamplingOptions& s = f.sampling;
  s.for_each_field([&](const char* name, auto& value, const auto&, const char* help) {
    std::string flag = "--" + std::string(name);
    std::replace(flag.begin(), flag.end(), '_', '-');
    app->add_option(flag, value, help)->capture_default_str();
  });
}

void add_compact(CLI::App* app, CompactFlags& f) {
  app->add_option("--method", f.method,
                  "preset or scorer, with +fit to fit what it keeps (see `limbeck methods`)")
      ->capture_default_str();
  app->add_option("--ratio", f.ratio, "fraction of the text's entries to keep, in (0, 1]");
  app->add_option("--budget", f.budget, "slots to keep per head instead of a ratio");
  app->add_option("--quality", f.quality,
                  "share of the answers' quality to keep, in (0, 1), instead of a ratio; needs "
                  "calibrate quality");
  app->add_option("--quality-file", f.quality_file,
                  "curves for --quality; default: MODEL.quality.json, or what ships");
  app->add_flag("--conservative", f.conservative,
                "with --quality: keep what held in nine of ten calibration texts");
  app->add_option("--scorer", f.scorer, "replace the method's scorer");
  app->add_option("--allocator", f.allocator, "replace the method's allocator");
  app->add_option("--builder", f.builder, "replace the method's builder");
  app->add_option("--set", f.options, "scorer option name=value (repeatable)");
  app->add_option("--set-allocator", f.allocator_options,
                  "allocator option name=value (repeatable)");
  app->add_option("--set-builder", f.builder_options, "builder option name=value (repeatable)");
  app->add_option("--coverage", f.coverage,
                  "replace the scorer of the first stage of a two-stage method (limbeck)");
  app->add_option("--coverage-allocator", f.coverage_allocator, "replace that stage's allocator");
  app->add_option("--set-coverage", f.coverage_options,
                  "option name=value of the first stage's scorer (repeatable)");
  app->add_option("--set-coverage-allocator", f.coverage_allocator_options,
                  "option name=value of the first stage's allocator (repeatable)");
  app->add_option("--head-weights", f.head_weights,
                  "calibrated importance of heads; default: MODEL.heads.json, or what ships");
  app->add_option("--head-shares", f.head_shares,
                  "table of the heads for the allocators table and head");
  app->add_option("--queries", f.queries,
                  "reference queries to learn from: repeat, excerpts, prefill, sampled, selfstudy "
                  "(comma-separated); default: the method's own");
  app->add_option(
      "--polish", f.polish,
      "training steps on biases and values afterwards; each costs about three prefills");
  app->add_option("--first-share", f.first_share,
                  "part of the budget for the first stage of a two-stage method");
  app->add_option("--head-power", f.head_power,
                  "the first stage's scores count times the head's weight to this power");
  app->add_flag("--on-policy", f.on_policy,
                "fit each layer on queries of a model that reads the layers below it compacted");
  app->add_option("--normalize", f.normalize,
                  "zscore, rank or share: make scores of heads comparable");
  app->add_option("--chunk", f.chunk,
                  "select within pieces of about this many tokens; 0 = over the whole text")
      ->capture_default_str();
  app->add_option("--protect", f.protect, "token range begin:end of the text to keep (repeatable)");
  app->add_option("--compact-seed", f.seed, "seed of random selections")->capture_default_str();
}

void add_rolling(CLI::App* app, RollingFlags& f, const char* overflow) {
  app->add_option("--kv-budget", f.budget,
                  "what the cache may hold: slots a head, or bytes (512MiB); when it outgrows that "
                  "by --kv-margin it is compacted");
  app->add_option("--kv-margin", f.margin, "part by which it may outgrow the budget, in [0.1, 4]")
      ->capture_default_str();
  app->add_option("--overflow", f.overflow,
                  std::string("when budget or window are full: error, compact, shift (drop the "
                              "oldest), compact-shift; default ") +
                      overflow);
  app->add_option("--kv-recent", f.recent, "newest tokens that stay verbatim")
      ->capture_default_str();
  app->add_option("--kv-method", f.method, "compaction method of the budget")
      ->capture_default_str();
}

void add_pattern(CLI::App* app, PatternFlags& f) {
  app->add_option("--heads", f.file,
                  "gates of DuoAttention or PruLong, TSV or JSON: heads of low gates keep only "
                  "first and newest entries");
  app->add_option("--sparsity", f.sparsity, "fraction of heads that stream, in [0, 1]");
  app->add_option("--sinks", f.sinks,
                  "first entries of a streaming head; default: the file's, 128");
  app->add_option("--window", f.window, "newest entries; default: the file's, 1024");
  app->add_option("--chunk-mask", f.mask,
                  "what rows of a chunk see in streaming heads: full or window");
}

void add_bounded(CLI::App* app, BoundedFlags& f) {
  app->add_option("--kv-budget", f.budget,
                  "compact while reading: slots a head, or bytes (512MiB), after every chunk");
  app->add_option("--prefill-chunk", f.chunk,
                  "compact while reading, after so many tokens, or auto (also with --ratio)");
  app->add_option("--prefill-rule", f.rule,
                  "what competes after a chunk: everything, or the chunk alone")
      ->capture_default_str();
  app->add_option("--patch", f.patch,
                  "the question, where it is known: its queries alone choose (query-aware)");
}

// Groups of flags in the help of `eval`.
constexpr const char* kNeedleFlags = "Needles hidden in texts";
constexpr const char* kTaskFlags = "Benchmark tasks (--task)";

void add_eval(CLI::App* c, EvalArgs& a) {
  // Without this, a list would swallow everything up to the next flag.
  const auto list = [&](const char* flag, auto& values, const char* help) {
    return c->add_option(flag, values, help)->delimiter(',')->allow_extra_args(false);
  };
  c->add_option("--texts", a.texts, ".jsonl or .jsonl.zst (\"text\"), text file, or folder of .txt")
      ->allow_extra_args(false);
  list("--methods", a.methods,
       "name or name:key=value:..., comma-separated; full = the full cache alone")
      ->capture_default_str();
  list("--ratios", a.ratios, "fractions to keep, in (0, 1]")->capture_default_str();
  list("--lengths", a.lengths, "tokens of text to compact")->capture_default_str();
  c->add_option("--contexts", a.contexts, "excerpts for each length")
      ->capture_default_str()
      ->group(kNeedleFlags);
  a.needles.for_each_field([&](const char* name, auto& value, const auto&, const char* help) {
    c->add_option("--" + std::string(name), value, help)
        ->capture_default_str()
        ->group(kNeedleFlags);
  });
  c->add_option("--head-weights", a.head_weights,
                "for methods that name none; default: MODEL.heads.json, or what ships");
  c->add_option("--out", a.output, "record of every run (JSON lines); a killed run goes on there")
      ->group(kNeedleFlags);
  c->footer(
      "keys of a method: scorer, allocator, builder, coverage, coverage-allocator and their "
      "options\n"
      "(scorer.NAME, ...), normalize, queries, sampled-weight, chunk, first-share, head-power, "
      "on-policy, polish, after,\n"
      "head-weights, head-shares, heads, sparsity, sinks, window, chunk-mask (docs/methods.md)\n"
      "example: limbeck eval --texts books.jsonl.zst --methods kvzip,kvzip:allocator=uniform "
      "--ratios 0.1,0.05\n"
      "           --lengths 1024,2048 --contexts 20 --out run.jsonl");
}

template <class T>
CLI::Option* add_min_full_score(CLI::App* c, T& value) {
  return c->add_option(
      "--min-full-score", value,
      "tasks on which the full cache scores less are left out of means, in [0, 1]");
}

void add_tasks(CLI::App* c, TaskArgs& a) {
  c->add_option(
       "--task", a.tasks,
       "benchmark tasks instead: NAME, NAME=FILE, or a benchmark (ruler, helmet, ...), with "
       ":option=value behind it, comma-separated; `limbeck tasks` lists them")
      ->allow_extra_args(false);
  const std::string group = c->option_defaults()->get_group();
  c->option_defaults()->group(kTaskFlags);
  c->add_option("-o,--output", a.folder, "folder of a task run; a killed run goes on there");
  c->add_option("--samples", a.samples, "documents of each task and length")->capture_default_str();
  c->add_option("--shard", a.shard, "i/n: every n-th document; limbeck merge joins the parts")
      ->capture_default_str();
  c->add_option("--squad", a.squad, "SQuAD file, for qa_1");
  c->add_option("--hotpot", a.hotpot, "HotpotQA file, for qa_2");
  c->add_option("--words", a.words, "word list, one a line; default: what ships");
  c->add_option("--templates", a.templates, "JSON file with another wording of generated tasks");
  c->add_option("--task-seed", a.seeds,
                "of the tasks' draws; several, comma-separated: documents of each of them")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->capture_default_str();
  c->add_flag("--new", a.anew, "forget what a run in the folder has done, and start anew");
  c->add_option("--mode", a.mode,
                "agnostic: the question comes after compaction; aware: it is compacted with the "
                "text and asked again; in-prompt: read in full before (not comparable)")
      ->capture_default_str();
  c->add_option("--window", a.window, "tokens that a document is cut to fit; 0 = the model's")
      ->capture_default_str();
  c->add_flag("--no-floors", a.no_floors, "no rows of random eviction and sinks + recent window");
  add_min_full_score(c, a.min_full_score)->capture_default_str();
  c->add_flag("--keep-going", a.keep_going, "what fails scores 0 and the run goes on");
  c->add_option("--together", a.together,
                "answers of a document that decode together: faster, the same answers; their "
                "seconds are shared out")
      ->capture_default_str();
  c->option_defaults()->group(group);
}

/// Flags that the other of the two programs of `eval` reads would do nothing.
void refuse_flags_of_the_other(const CLI::App& c, bool tasks) {
  for (const CLI::Option* option : c.get_options()) {
    if (option->count() == 0 || option->get_group() != (tasks ? kNeedleFlags : kTaskFlags))
      continue;
    if (!tasks)
      throw InvalidArgument("[cli] {} belongs to benchmark tasks; found it without --task",
                            option->get_name());
    throw InvalidArgument(
        "[cli] {} belongs to the measurement with needles; found it beside --task (tasks take "
        "options, their seeds are --task-seed, their folder is -o)",
        option->get_name());
  }
}

int fail(const Globals& globals, int code, std::string_view name, const std::string& text) {
  if (globals.json)
    fmt::print("{}\n", nlohmann::json{{"error", {{"code", name}, {"message", text}}}}.dump());
  fmt::print(stderr, "limbeck: {}\n", text);
  return code;
}

/// Large blocks that come and go stay with the program: the first touch of a new one costs more
/// than many a computation on it.
void keep_freed_memory() {
#ifdef __GLIBC__
  constexpr int kBytes = 256 << 20;
  mallopt(M_MMAP_THRESHOLD, kBytes);
  mallopt(M_TRIM_THRESHOLD, kBytes);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  Globals globals;
  CLI::App app{"limbeck: keep a long text's KV cache at a fraction of its size"};
  app.require_subcommand(1);
  app.fallthrough();
  app.set_version_flag("--version", "limbeck 0.1.0");
  app.add_option("-m,--model", globals.model,
                 "name in the model directory, GGUF file, or Hugging Face folder")
      ->capture_default_str();
  app.add_option("--model-dir", globals.model_directory,
                 "default: $LIMBECK_MODELS or ~/.cache/limbeck/models");
  app.add_option("--dtype", globals.dtype, "weights and cache: bf16 or f32")->capture_default_str();
  app.add_option("--threads", globals.threads, "0 = one per processor")->capture_default_str();
  app.add_flag("--json", globals.json, "print the result as JSON");
  app.add_flag("--quiet", globals.quiet, "no progress");
  app.footer(
      "exit status: 0 done, 1 a bug of ours, 2 bad arguments, 3 things that do not belong "
      "together,\n"
      "4 a bad file, 5 a missing file or resource, 6 no finite result, 7 cancelled");
  int status = 0;

  DemoArgs demo;
  demo.compact.ratio = 0.05;  // ten times smaller with the kept frame and the positions counted
  demo.assets = LIMBECK_ASSETS "/demo";
  CLI::App* c =
      app.add_subcommand("demo", "read a text, shrink its cache, answer from what is left");
  c->add_option("--assets", demo.assets, "folder with text.txt, continuation.txt, questions.json");
  add_compact(c, demo.compact);
  c->add_flag("!--alone", demo.compare, "no other methods beside it");
  c->footer("example: limbeck demo --ratio 0.05");
  c->callback([&status, &globals, &demo, c] {
    // The ratio is a default beside which no other may stand.
    if (c->count("--ratio") == 0 && (demo.compact.budget != 0 || demo.compact.quality != 0))
      demo.compact.ratio = 0;
    status = run_demo(globals, demo);
  });

  GenerateArgs generate;
  c = app.add_subcommand("generate", "continue a prompt");
  c->add_option("-p,--prompt,prompt", generate.prompt, "the prompt")->required();
  c->add_option("--system", generate.system, "system text of the chat template");
  c->add_flag("--raw", generate.raw, "no chat template; special tokens in the prompt are parsed");
  add_sampling(c, generate.sampling);
  add_rolling(c, generate.rolling, "compact");
  add_pattern(c, generate.pattern);
  c->add_option("--prefill-chunk", generate.chunk, "tokens a prefill call, or auto; default 512");
  c->footer(
      "examples: limbeck generate \"Name three uses of a limbeck.\" --temperature 0.7 --seed 1\n"
      "          limbeck generate \"Tell me a long story.\" --max-tokens 4000 --kv-budget 1000\n"
      "          limbeck generate \"$(cat book.txt)\" --heads gates.tsv --sparsity 0.5");
  c->callback([&] { status = run_generate(globals, generate); });

  CompactArgs compact;
  c = app.add_subcommand("compact", "read a text and write its compact cache");
  c->add_option("-f,--file", compact.file, "text to read, - for standard input")->required();
  c->add_option("-o,--output", compact.output, "cache file to write (.kvc)")->required();
  c->add_option("-c,--cache", compact.cache,
                "compact cache behind which the text is read; what it holds stays as it is");
  c->add_option("--system", compact.system, "system text of the chat template (kept, not charged)");
  c->add_flag("--raw", compact.raw, "no chat template; special tokens in the text are parsed");
  add_compact(c, compact.compact);
  add_bounded(c, compact.bounded);
  add_pattern(c, compact.pattern);
  c->footer(
      "examples: limbeck compact -f book.txt -o book.kvc --ratio 0.1\n"
      "          limbeck compact -f log.txt -o log.kvc --method keydiff --budget 256\n"
      "          limbeck compact -c book.kvc -f sequel.txt -o both.kvc --ratio 0.1\n"
      "          limbeck compact -f shelf.txt -o shelf.kvc --kv-budget 2000 --prefill-chunk auto");
  c->callback([&] { status = run_compact(globals, compact); });

  CalibrateArgs calibrate;
  CLI::App* group = app.add_subcommand("calibrate", "measure once what a model's caches need");
  group->require_subcommand(1);
  c = group->add_subcommand("heads", "importance of every KV head, for the default method");
  c->add_option("-f,--file", calibrate.file, "any text of some thousand tokens")->required();
  c->add_option("-o,--output", calibrate.output, "default: MODEL.heads.json, where it is found");
  c->add_option("--texts", calibrate.options.texts, "parts of the text that are used")
      ->capture_default_str();
  c->add_option("--tokens", calibrate.options.tokens, "tokens of each part")->capture_default_str();
  c->add_option("--seed", calibrate.options.seed, "seed of the sampled answers")
      ->capture_default_str();
  c->add_option("--contexts", calibrate.power.contexts,
                "contexts of 1,024 tokens with needles, out of the same text (prose), on which is "
                "measured how the weights count where little is kept; 0: they do not")
      ->capture_default_str();
  c->footer("example: limbeck calibrate heads -m model.gguf -f novel.txt");
  c->callback([&] { status = run_calibrate_heads(globals, calibrate); });
  ShareArgs shares;
  c = group->add_subcommand("shares", "budget shares of the heads, for the allocator table");
  c->add_option("-f,--file", shares.file, "any text of some thousand tokens")->required();
  c->add_option("-o,--output", shares.output, "file to write")->required();
  c->add_option("--method", shares.options.method, "method whose slots per head are the shares")
      ->capture_default_str();
  c->add_option("--ratio", shares.options.ratio, "part of the entries that it keeps")
      ->capture_default_str();
  c->add_option("--texts", shares.options.texts, "parts of the text that are used")
      ->capture_default_str();
  c->add_option("--tokens", shares.options.tokens, "tokens of each part")->capture_default_str();
  c->add_option("--head-weights", shares.head_weights,
                "calibrated importance of heads; default: MODEL.heads.json, or what ships");
  c->footer(
      "example: limbeck calibrate shares -f novel.txt -o shares.json\n"
      "         limbeck compact -f log.txt -o log.kvc --method am-omp-fast --allocator table "
      "--head-shares shares.json --ratio 0.1");
  c->callback([&] { status = run_calibrate_shares(globals, shares); });

  EvalArgs quality;
  std::string quality_file;
  quality.methods = {std::string(kDefaultMethod)};
  quality.ratios = {0.05, 0.1, 0.2, 0.35, 0.5, 0.75};
  quality.lengths = {512, 1024};
  c = group->add_subcommand("quality", "what ratio keeps what quality, for --quality");
  add_eval(c, quality);
  c->add_option("-o,--output", quality_file, "default: MODEL.quality.json, where it is found");
  c->footer(
      "curves of other methods in the file stay\n"
      "example: limbeck calibrate quality --texts books.jsonl.zst --methods limbeck,kvzip "
      "--contexts 100 --out run.jsonl");
  c->callback([&] { status = run_calibrate_quality(globals, quality, quality_file); });

  AskArgs ask;
  c = app.add_subcommand("ask", "answer questions from compact caches");
  c->add_option("-c,--cache", ask.caches, "cache file; several are joined in this order")
      ->required()
      ->allow_extra_args(false);
  c->add_option("questions", ask.questions, "each is asked on its own")->required();
  add_sampling(c, ask.sampling);
  add_rolling(c, ask.rolling, "compact");
  c->footer("example: limbeck ask -c book.kvc \"Who hid the letter?\"");
  c->callback([&] { status = run_ask(globals, ask); });

  ChatArgs chat;
  c = app.add_subcommand("chat", "talk to the model, line by line");
  c->add_option("--system", chat.system, "system text");
  add_sampling(c, chat.sampling);
  add_rolling(c, chat.rolling, "compact-shift");
  c->footer(
      "examples: limbeck chat --temperature 0.7\n"
      "          limbeck chat --kv-budget 1000    # never runs out of room, and says what it did");
  c->callback([&] { status = run_chat(globals, chat); });

  EvalArgs eval;
  if (eval.methods.front() != kDefaultMethod) eval.methods.emplace_back(kDefaultMethod);
  TaskArgs tasks;
  c = app.add_subcommand("eval", "measure methods on texts with hidden needles, or on tasks");
  add_eval(c, eval);
  add_tasks(c, tasks);
  c->footer(
      c->get_footer() +
      "\n         limbeck eval --task longbench=hotpotqa.jsonl,lm --texts books.jsonl.zst -o run\n"
      "         limbeck eval --task niah_multikey_1:questions=4,vt --texts books.jsonl.zst -o run\n"
      "docs/evaluation.md says how every number is computed");
  std::string plan_file;
  c->add_option(
      "--plan", plan_file,
      "flags of this command as a JSON object, {\"lengths\": [512]}, or smoke, dev, full");
  c->callback([&, c] {
    if (!plan_file.empty()) apply_plan_file(*c, plan_file);
    refuse_flags_of_the_other(*c, !tasks.tasks.empty());
    status = tasks.tasks.empty() ? run_eval(globals, eval) : run_eval_tasks(globals, eval, tasks);
  });

  std::vector<std::string> reported;
  c = app.add_subcommand("report", "write a task run's reports anew, or compare two runs");
  c->add_option("folders", reported, "one folder, or two: the second against the first")
      ->required()
      ->expected(1, 2);
  std::optional<double> min_full_score;
  add_min_full_score(c, min_full_score)->default_str("as the run was reported");
  c->footer("example: limbeck report run-old run-new");
  c->callback([&] { status = run_report(globals, reported, min_full_score); });

  std::vector<std::string> shards;
  std::string joined;
  bool join_methods = false;
  c = app.add_subcommand("merge", "join the shards of a task run, or runs of other methods");
  c->add_option("folders", shards, "folders of all shards, or of finished runs")->required();
  c->add_flag("--methods", join_methods,
              "the folders are runs of the same documents with other methods: later ones add "
              "theirs, or replace those of the same name");
  c->add_option("-o,--output", joined, "folder to write")->required();
  c->footer("example: limbeck merge run-1 run-2 -o run");
  c->callback([&] { status = run_merge(shards, join_methods, joined); });

  std::string inspected;
  c = app.add_subcommand("inspect", "check a cache file and say what is in it");
  c->add_option("file", inspected, "cache file (.kvc)")->required();
  c->footer("example: limbeck inspect book.kvc");
  c->callback([&] { status = run_inspect(globals, inspected); });

  c = app.add_subcommand("methods", "list methods, scorers, allocators and builders");
  c->callback([&] { status = run_methods(globals); });
  c = app.add_subcommand("tasks", "list the benchmark tasks of eval and their options");
  c->callback([&] { status = run_task_list(globals); });
  c = app.add_subcommand("models", "list the models at hand and say how to add others");
  c->callback([&] { status = run_models(globals); });

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    return code == 0 ? 0 : static_cast<int>(ErrorCode::invalid_argument);
  } catch (const Error& e) {
    return fail(globals, static_cast<int>(e.code()), error_code_name(e.code()), e.what());
  } catch (const std::bad_alloc&) {
    return fail(globals, static_cast<int>(ErrorCode::resource), "resource", "out of memory");
  } catch (const std::exception& e) {
    // c10::Error carries a backtrace behind its first line.
    std::string text = e.what();
    return fail(globals, static_cast<int>(ErrorCode::internal), "internal",
                text.substr(0, text.find('\n')));
  }
  return status;
}
