#include "cli/common.h"

#include "limbeck/base/error.h"
#include "limbeck/compact/queries/self_study.h"
#include "limbeck/eval/quality.h"

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

namespace limbeck::cli {

LanguageModel load(const Globals& globals) {
  LoadOptions options;
  if (globals.dtype == "f32")
    options.dtype = DType::f32;
  else if (globals.dtype != "bf16")
    throw InvalidArgument("[cli] --dtype must be bf16 or f32; found {}", globals.dtype);
  if (globals.threads < 0)
    throw InvalidArgument("[cli] --threads must be at least 0; found {}", globals.threads);
  if (globals.threads > 0) at::set_num_threads(globals.threads);
  return load_language_model(find_model(globals.model, model_directory(globals.model_directory)),
                             options);
}

ProgressFn progress(const Globals& globals) {
  if (globals.quiet) return {};
  auto printer = std::make_shared<ProgressPrinter>();
  return [printer](const ProgressStep& step) { (*printer)(step); };
}

namespace {
volatile std::sig_atomic_t interrupted = 0;
}  // namespace

ProgressFn cancellable(ProgressFn show) {
  // The second time it is the system's own again.
  std::signal(SIGINT, [](int) {
    interrupted = 1;
    std::signal(SIGINT, SIG_DFL);
  });
  return [show = std::move(show)](const ProgressStep& step) {
    report_progress(show, step);
    if (interrupted != 0)
      throw Cancelled(
          "[cli] interrupted; what a record holds is kept, and the same command goes on");
  };
}

std::string read_file(const std::string& path) {
  if (path == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  if (std::filesystem::is_directory(path))
    throw ResourceError("[cli] {} is a folder, not a text", path);
  std::ifstream in(path, std::ios::binary);
  if (!in) throw ResourceError("[cli] cannot open {}", path);
  return {std::istreambuf_iterator<char>(in), {}};
}

PreparedText frame_text(const LanguageModel& lm, const std::string& text, const std::string& system,
                        bool raw, std::vector<int32_t>& tokens) {
  PreparedText out{lm.model.new_cache(), {}, {}, 0, {}, {}};
  if (raw) {
    tokens = lm.tokenizer.encode(text, {.add_special = true, .parse_special = true});
    if (!tokens.empty() && lm.tokenizer.bos() && tokens.front() == *lm.tokenizer.bos())
      out.span.begin = 1;
  } else {
    out.frame = chat_frame(lm, system);
    tokens = out.frame.before;
    out.span.begin = static_cast<int64_t>(tokens.size());
    const auto body = lm.tokenizer.encode(text);
    tokens.insert(tokens.end(), body.begin(), body.end());
  }
  out.span.end = static_cast<int64_t>(tokens.size());
  if (out.span.size() < 1) throw InvalidArgument("[cli] the text is empty; nothing to read");
  return out;
}

PreparedText read_text(const LanguageModel& lm, const std::string& text, const std::string& system,
                       bool raw, const ProgressFn& progress, bool with_loss,
                       const std::optional<HeadPattern>& heads) {
  std::vector<int32_t> tokens;
  PreparedText out = frame_text(lm, text, system, raw, tokens);
  if (heads) out.cache.set_head_pattern(*heads);
  read_tokens(lm, tokens, with_loss, progress, out);
  return out;
}

void read_tokens(const LanguageModel& lm, std::span<const int32_t> tokens, bool with_loss,
                 const ProgressFn& progress, PreparedText& out) {
  Stopwatch watch;
  PrefillOptions options;
  options.progress = progress;
  options.logits = LogitsWanted::none;
  std::optional<TextLossMeter> meter;
  if (with_loss)
    options.on_hidden =
        meter.emplace(lm.model, tokens, out.cache.logical_length(), out.span).listener();
  prefill(lm.model, out.cache, tokens, options);
  if (meter) out.loss = meter->result();
  out.seconds = watch.seconds();
}

namespace {

PositionRange parse_range(const std::string& text, PositionRange span) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos)
    throw InvalidArgument("[cli] --protect takes begin:end in tokens; found \"{}\"", text);
  const PositionRange r{detail::parse_int("protect", text.substr(0, colon)),
                        detail::parse_int("protect", text.substr(colon + 1))};
  if (r.begin < 0 || r.end <= r.begin || r.end > span.size())
    throw InvalidArgument("[cli] --protect must lie in [0, {}) and not be empty; found {}",
                          span.size(), text);
  return {span.begin + r.begin, span.begin + r.end};
}

}  // namespace

namespace {

std::map<std::string, std::string> option_texts(const std::vector<std::string>& given,
                                                std::string_view flag) {
  std::map<std::string, std::string> out;
  for (const std::string& option : given) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos)
      throw InvalidArgument("[cli] {} takes name=value; found \"{}\"", flag, option);
    out[option.substr(0, equals)] = option.substr(equals + 1);
  }
  return out;
}

void choose_queries(const LanguageModel& lm, const PreparedText& text, const ProgressFn& progress,
                    CompactOptions& o, const std::string& sources) {
  if (sources.empty()) return;  // the method's own
  QuerySources passes{.repeat = false};
  std::stringstream list(sources);
  for (std::string name; std::getline(list, name, ',');) {
    if (name == "repeat")
      passes.repeat = true;
    else if (name == "excerpts")
      passes.excerpts = kExcerptTokens;
    else if (name == "selfstudy") {
      if (text.cache.logical_length() < text.span.end)
        throw InvalidArgument("[cli] --queries selfstudy needs the whole text in the cache");
      SelfStudyOptions study;
      study.seed = o.seed;
      study.progress = progress;
      o.references = self_study(lm, text.cache, text.span, text.frame, study).suffixes;
    } else if (name == "prefill")
      o.prefill_queries = true;
    else if (name == "sampled")
      o.sampled_tokens = kSampledTokens;
    else
      throw InvalidArgument(
          "[cli] --queries takes repeat, excerpts, prefill, sampled and selfstudy; found \"{}\"",
          name);
  }
  if (passes == QuerySources{.repeat = false}) o.repeat = {};
  o.sources = passes;
}

}  // namespace

HeadTable read_head_shares(const LanguageModel& lm, const std::string& file) {
  std::vector<bool> sliding;
  for (const LayerSpec& layer : lm.model.spec().layers)
    sliding.push_back(layer.attention.type != LayerKind::Type::full);
  HeadTable out =
      read_head_table(file, lm.model.spec().layer_count(), lm.model.spec().kv_heads, sliding);
  if (!out.fingerprint.empty() && out.fingerprint != lm.model.fingerprint())
    throw Mismatch("[cli] {} was made for another model ({})", file, out.architecture);
  return out;
}

HeadTable head_weights(const LanguageModel& lm, const std::string& file) {
  const int64_t layers = lm.model.spec().layer_count(), heads = lm.model.spec().kv_heads;
  const auto usable = [&](const std::filesystem::path& path) {
    HeadTable t = read_head_table(path, layers, heads);
    if (t.kind != "weights")
      throw FormatError("[cli] {} holds {}, not weights", path.string(), t.kind);
    return t;
  };
  if (!file.empty()) {
    HeadTable t = usable(file);
    if (!t.fingerprint.empty() && t.fingerprint != lm.model.fingerprint())
      throw Mismatch("[cli] {} was calibrated on another model ({})", file, t.architecture);
    return t;
  }
  // Beside the model first: what its owner calibrated counts more than what ships.
  const std::filesystem::path beside = lm.path.string() + ".heads.json";
  if (std::filesystem::exists(beside)) return usable(beside);
  const std::filesystem::path shipped =
      std::filesystem::path(LIMBECK_ASSETS) / "heads" / (lm.model.fingerprint() + ".json");
  if (std::filesystem::exists(shipped)) return usable(shipped);
  return {};
}

namespace {

/// The curve of this very method, with all that it is set to.
MethodQuality quality_of(const LanguageModel& lm, const CompactOptions& o,
                         const std::string& given) {
  std::filesystem::path file = given.empty() ? lm.path.string() + ".quality.json" : given;
  if (given.empty() && !std::filesystem::exists(file))
    file = std::filesystem::path(LIMBECK_ASSETS) / "quality" / (lm.model.fingerprint() + ".json");
  const char* advice = "limbeck calibrate quality measures it";
  if (given.empty() && !std::filesystem::exists(file))
    throw InvalidArgument("[cli] --quality: nothing is known of this model; {}", advice);
  const QualityFile quality = read_quality_file(file);
  if (quality.model_fingerprint != lm.model.fingerprint())
    throw Mismatch("[cli] {} was calibrated on another model ({})", file.string(),
                   quality.architecture);
  MethodEntry entry;
  entry.options = o;
  entry.self_study = !o.references.empty();
  if (const MethodQuality* m = quality.find(method_fingerprint(entry))) return *m;
  std::string known;
  for (const MethodQuality& m : quality.methods) known += (known.empty() ? "" : ", ") + m.method;
  throw InvalidArgument(
      "[cli] --quality: {} holds no curve of {} with these options (it has {}); {}", file.string(),
      o.method, known, advice);
}

void choose_by_quality(const LanguageModel& lm, const CompactFlags& f, PreparedText& text,
                       CompactOptions& o) {
  if (f.ratio != 0 || f.budget != 0)
    throw InvalidArgument("[cli] give one of --quality, --ratio and --budget");
  if (!(f.quality > 0 && f.quality < 1))
    throw InvalidArgument("[cli] --quality must be in (0, 1); found {}", f.quality);
  if (!text.loss)
    throw InvalidArgument("[cli] --quality needs the whole text read before it is compacted");
  const MethodQuality m = quality_of(lm, o, f.quality_file);
  const double asked = f.quality + (f.conservative ? std::max(0.0, m.fit.error_90) : 0.0);
  text.choice = choose_ratio(m.fit.curve, *text.loss, asked);
  o.ratio = text.choice->ratio;
  o.floors = text.choice->floors;
}

}  // namespace

CompactOptions compact_options(const LanguageModel& lm, const CompactFlags& f, PreparedText& text,
                               const ProgressFn& progress) {
  CompactOptions o;
  o.method = f.method;
  o.scorer = f.scorer;
  o.allocator = f.allocator;
  o.builder = f.builder;
  o.normalize = f.normalize;
  o.scorer_options = option_texts(f.options, "--set");
  o.allocator_options = option_texts(f.allocator_options, "--set-allocator");
  o.builder_options = option_texts(f.builder_options, "--set-builder");
  o.coverage = f.coverage;
  o.coverage_allocator = f.coverage_allocator;
  o.coverage_options = option_texts(f.coverage_options, "--set-coverage");
  o.coverage_allocator_options =
      option_texts(f.coverage_allocator_options, "--set-coverage-allocator");
  if (f.head_power >= 0) o.head_power = f.head_power;
  if (f.first_share >= 0) o.first_share = f.first_share;
  o.on_policy = f.on_policy;
  o.polish = f.polish;
  o.head_weights = head_weights(lm, f.head_weights);
  if (!f.head_shares.empty()) o.head_shares = read_head_shares(lm, f.head_shares);
  if (f.budget != 0) o.budget = f.budget;
  if (f.ratio != 0 || (f.budget == 0 && f.quality == 0)) o.ratio = f.ratio;
  o.span = text.span;
  for (const std::string& p : f.protect) o.protect.push_back(parse_range(p, text.span));
  o.chunk = f.chunk;
  o.seed = f.seed;
  o.repeat = repeat_prompt(lm, text.frame);
  choose_queries(lm, text, progress, o, f.queries);
  o.progress = progress;
  if (f.quality != 0) choose_by_quality(lm, f, text, o);
  return o;
}

ModelIdentity identity(const LanguageModel& lm) {
  const ModelSpec& s = lm.model.spec();
  return {s.family, lm.model.fingerprint(), s.query_heads, s.softmax_scale,
          s.layers.front().rope.describe()};
}

std::string header_note(const ContainerHeader& header, const std::string& key) {
  const auto it = header.notes.find(key);
  return it == header.notes.end() ? "" : it->second;
}

LoadedCache load_cache(const LanguageModel& lm, const std::string& path) {
  const ModelIdentity id = identity(lm);
  const CacheShape shape = lm.model.spec().cache_shape(lm.model.dtype());
  return cache_load(path, &id, &shape);
}

ContainerHeader container_header(const LanguageModel& lm) {
  ContainerHeader h;
  h.model = identity(lm);
  h.tokenizer_fingerprint = lm.tokenizer.fingerprint();
  if (lm.chat_template) h.template_fingerprint = lm.chat_template->fingerprint();
  h.producer = "limbeck 0.1.0";
  return h;
}

std::vector<int32_t> question_tokens(const LanguageModel& lm, const ChatFrame& frame,
                                     const std::string& question, bool raw) {
  if (raw) return lm.tokenizer.encode(question, {.parse_special = true});
  auto ids = lm.tokenizer.encode("\n\n" + question);
  ids.insert(ids.end(), frame.after.begin(), frame.after.end());
  return ids;
}

nlohmann::ordered_json report_json(const CompactReport& r) {
  nlohmann::ordered_json j;
  j["method"] = r.method;
  j["span"] = {r.span.begin, r.span.end};
  j["ratio"] = {{"requested", r.requested_ratio}, {"achieved", r.achieved_ratio}};
  j["entries"] = {{"before", r.entries_before}, {"after", r.entries_after}};
  j["bytes"] = {{"before", r.bytes_before}, {"after", r.bytes_after}};
  for (const auto& [stage, s] : r.seconds) j["seconds"][stage] = s;
  if (!r.heads.empty()) {
    auto& heads = j["head_errors"] = nlohmann::ordered_json::array();
    for (const HeadErrors& e : r.heads)
      heads.push_back({{"layer", e.layer},
                       {"head", e.head},
                       {"slots", e.slots},
                       {"output", e.output},
                       {"mass", e.mass},
                       {"held_out", e.held_out}});
  }
  for (const auto& [name, value] : r.statistics) j["statistics"][name] = value;
  j["notes"] = r.notes;
  return j;
}

nlohmann::ordered_json cache_json(const KvCache& cache) {
  const CacheBytes b = cache.bytes();
  nlohmann::ordered_json j;
  j["tokens"] = cache.logical_length();
  j["mean_slots"] = cache.mean_slots();
  j["kept_ratio"] = cache.kept_ratio();
  j["bytes"] = {{"total", b.total()},
                {"keys_values", b.keys_values},
                {"bias", b.bias},
                {"positions", b.positions},
                {"extras", b.extras},
                {"slack", b.slack},
                {"full_cache", cache.full_bytes()}};
  return j;
}

std::string human_bytes(int64_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (b >= 1024.0 * 1024.0 * 1024.0)
    return fmt::format("{:.2f} GiB", b / (1024.0 * 1024.0 * 1024.0));
  if (b >= 1024.0 * 1024.0) return fmt::format("{:.2f} MiB", b / (1024.0 * 1024.0));
  if (b >= 1024.0) return fmt::format("{:.1f} KiB", b / 1024.0);
  return fmt::format("{} bytes", bytes);
}

std::string seconds_line(const StageSeconds& seconds) {
  std::string out;
  for (const auto& [stage, s] : seconds)
    out += fmt::format("{}{} {:.2f} s", out.empty() ? "" : ", ", stage, s);
  return out;
}

}  // namespace limbeck::cli
