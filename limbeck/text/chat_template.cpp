#include "limbeck/text/chat_template.h"

#include "limbeck/base/error.h"
#include "limbeck/io/checksum.h"
#include "limbeck/text/jinja_eval.h"
#include "limbeck/text/jinja_json.h"
#include "limbeck/text/jinja_parser.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <sstream>
#include <utility>

namespace limbeck {
namespace {

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file)
    throw ResourceError("[template] a template file must be readable; found {}", path.string());
  return std::move(text).str();
}

/// The entry of a list of named templates that plain conversations use.
const nlohmann::json* pick_named(const nlohmann::json& list, const std::string& file) {
  const nlohmann::json* picked = nullptr;
  for (const auto& entry : list) {
    const bool complete = entry.is_object() && entry.contains("name") &&
                          entry["name"].is_string() && entry.contains("template") &&
                          entry["template"].is_string();
    if (!complete) {
      throw FormatError(
          "[template] {} chat_template: entries are {{name, template}} of strings; found {}", file,
          entry.type_name());
    }
    if (!picked || entry["name"] == "default") picked = &entry["template"];
  }
  return picked;
}

/// Runs `make`, giving its faults the form of errors about `field`.
template <class Make>
jinja::Value input_value(const std::string& name, std::string_view field, Make&& make) {
  try {
    return make();
  } catch (const jinja::Fault& fault) {
    throw FormatError("[template] {} {}: {}", name, field, fault.what());
  }
}

}  // namespace

struct ChatTemplate::Impl {
  std::string source, name;
  jinja::Block body;

  std::vector<TextPart> render(jinja::Value messages, const ChatOptions& options) const;
  void define_inputs(jinja::Interpreter& interpreter, const ChatOptions& options) const;
};

ChatTemplate ChatTemplate::compile(std::string source, std::string name) {
  auto impl = std::make_shared<Impl>();
  impl->body = jinja::parse(source, name);
  impl->source = std::move(source);
  impl->name = std::move(name);
  ChatTemplate result;
  result.impl_ = std::move(impl);
  return result;
}

std::optional<ChatTemplate> ChatTemplate::from_folder(const std::filesystem::path& folder) {
  const auto own_file = folder / "chat_template.jinja";
  if (std::filesystem::exists(own_file)) return compile(read_text(own_file), own_file.string());
  const auto config_file = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(config_file)) return std::nullopt;
  const std::string name = config_file.string();
  const auto config = nlohmann::json::parse(read_text(config_file), nullptr, false);
  if (!config.is_object())
    throw FormatError("[template] {}: a JSON object is expected; found none", name);
  const auto entry = config.find("chat_template");
  if (entry == config.end() || entry->is_null()) return std::nullopt;
  const nlohmann::json* source = entry->is_array() ? pick_named(*entry, name) : &*entry;
  if (!source) return std::nullopt;
  if (!source->is_string()) {
    throw FormatError("[template] {} chat_template: a string or a list is expected; found {}", name,
                      source->type_name());
  }
  return compile(source->get<std::string>(), name);
}

void ChatTemplate::Impl::define_inputs(jinja::Interpreter& interpreter,
                                       const ChatOptions& options) const {
  using jinja::Origin;
  using jinja::Value;
  // What transformers always passes; templates ask `tools is none`, not only `is defined`.
  interpreter.define("tools", jinja::None{});
  interpreter.define("documents", jinja::None{});
  interpreter.define("add_generation_prompt", options.add_generation_prompt);
  interpreter.define("bos_token", Value::text(options.bos_token, Origin::source));
  interpreter.define("eos_token", Value::text(options.eos_token, Origin::source));
  const auto variables = nlohmann::ordered_json::parse(options.variables, nullptr, false);
  if (!variables.is_object()) {
    throw InvalidArgument("[template] variables must be a JSON object; found '{}'",
                          options.variables.substr(0, 80));
  }
  for (const auto& [key, json] : variables.items()) {
    if (key == "messages") {
      throw InvalidArgument(
          "[template] messages are given apart from the variables; found them in both");
    }
    interpreter.define(key, input_value(name, "variable " + key,
                                        [&json = json] { return jinja::from_json(json); }));
  }
}

std::vector<TextPart> ChatTemplate::Impl::render(jinja::Value messages,
                                                 const ChatOptions& options) const {
  jinja::Interpreter interpreter(name, options.now);
  define_inputs(interpreter, options);
  interpreter.define("messages", std::move(messages));
  const jinja::Text text = interpreter.render(body);
  std::vector<TextPart> parts;
  size_t begin = 0;
  for (const auto& run : text.runs()) {
    parts.push_back(
        {text.bytes().substr(begin, run.end - begin), run.origin == jinja::Origin::source});
    begin = run.end;
  }
  return parts;
}

std::vector<TextPart> ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                           const ChatOptions& options) const {
  using jinja::Origin;
  using jinja::Value;
  const Value list = input_value(impl_->name, "messages", [&] {
    std::vector<Value> items;
    for (const ChatMessage& message : messages) {
      items.push_back(Value::dict(
          {{Value::text("role", Origin::input), Value::text(message.role, Origin::input)},
           {Value::text("content", Origin::input), Value::text(message.content, Origin::input)}}));
    }
    return Value::list(std::move(items));
  });
  return impl_->render(list, options);
}

std::vector<TextPart> ChatTemplate::render_json(const nlohmann::json& messages,
                                                const ChatOptions& options) const {
  return impl_->render(
      input_value(impl_->name, "messages", [&] { return jinja::from_json(messages); }), options);
}

std::vector<TextPart> ChatTemplate::render_json(const nlohmann::ordered_json& messages,
                                                const ChatOptions& options) const {
  return impl_->render(
      input_value(impl_->name, "messages", [&] { return jinja::from_json(messages); }), options);
}

const std::string& ChatTemplate::source() const { return impl_->source; }

std::string ChatTemplate::fingerprint() const {
  Hasher128 hasher;
  hasher.update(impl_->source);
  return hash_hex(hasher.digest());
}

std::string joined_text(const std::vector<TextPart>& parts) {
  std::string text;
  for (const TextPart& part : parts) text += part.text;
  return text;
}

}  // namespace limbeck
