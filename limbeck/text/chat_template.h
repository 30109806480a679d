/// Chat templates: the Jinja subset that model files use, rendered with bounded work.
///
/// Unknown constructs are refused with line and column. The renderer marks which output came from
/// the template itself: only there do texts such as <|im_end|> mean special tokens; message content
/// is plain.
#pragma once

#include "limbeck/text/tokenizer.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace limbeck {

struct ChatMessage {
  std::string role;  ///< "system", "user", "assistant", ...
  std::string content;
};

/// What a template sees besides the messages.
struct ChatOptions {
  bool add_generation_prompt = true;
  std::string bos_token, eos_token;
  /// Seconds since 1970 for strftime_now (UTC). Fixed by the caller: a template that prints today's
  /// date would otherwise break prefix reuse at midnight.
  int64_t now = 0;
  /// Further variables as a JSON object text, e.g. {"enable_thinking": false}.
  std::string variables = "{}";
};

class ChatTemplate {
 public:
  /// Compiles. Throws FormatError `[template] NAME line 3 column 14: rule; found values`.
  static ChatTemplate compile(std::string source, std::string name = "chat_template");
  /// From chat_template.jinja, or tokenizer_config.json (a text or a list of {name, template});
  /// empty when the folder has none.
  static std::optional<ChatTemplate> from_folder(const std::filesystem::path& folder);

  /// Output parts in order, neighbours of one kind joined; parse_special marks what the template
  /// wrote. Throws FormatError for raise_exception and for work beyond the limits.
  std::vector<TextPart> render(const std::vector<ChatMessage>& messages,
                               const ChatOptions& options) const;
  /// The same with messages as any JSON array (tools, multi-part content).
  std::vector<TextPart> render_json(const nlohmann::json& messages,
                                    const ChatOptions& options) const;
  /// Keeps the order of keys, which templates print when they show arguments of tool calls.
  std::vector<TextPart> render_json(const nlohmann::ordered_json& messages,
                                    const ChatOptions& options) const;

  const std::string& source() const;
  std::string fingerprint() const;  ///< hex XXH3-128 of the source

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// All parts as one text.
std::string joined_text(const std::vector<TextPart>& parts);

}  // namespace limbeck
