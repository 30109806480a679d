/// Texts of models and files, made fit for JSON, HTML and Markdown.
///
/// What a model writes is hostile: broken UTF-8, tags, quotes, control characters, endless lines.
/// Every function returns valid UTF-8. Non-goals: URLs, scripts, style sheets (a report puts no
/// foreign text there).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace limbeck {

/// The text with U+FFFD in place of every byte that belongs to no valid UTF-8 sequence (overlong
/// forms and surrogates are none). Valid texts come back as they are.
std::string valid_utf8(std::string_view text);
/// For element content and quoted attributes of HTML and SVG: & < > " ' become references, control
/// characters other than newline and tab U+FFFD.
std::string escape_html(std::string_view text);
/// For a cell of a Markdown table: one line, and no character that formats or makes HTML.
std::string escape_markdown(std::string_view text);
/// The first `characters` code points, and an ellipsis for the rest.
std::string clip_text(std::string_view text, int64_t characters);
/// Code points of a valid text.
int64_t count_characters(std::string_view text);

}  // namespace limbeck
