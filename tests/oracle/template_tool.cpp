// Renders chat templates for the oracle: JSON lines in, JSON lines out.
//   {"template": ..., "messages": [...], "add_generation_prompt": true, "bos_token": "",
//   "eos_token": "",
//    "now": 0, "variables": {...}}  ->  {"text": ..., "parts": [{"text", "parse_special"}]} or
//    {"error": ...}
#include "limbeck/base/error.h"
#include "limbeck/text/chat_template.h"

#include <nlohmann/json.hpp>

#include <iostream>
#include <string>

namespace {

nlohmann::json render(const nlohmann::ordered_json& request) {
  limbeck::ChatOptions options;
  options.add_generation_prompt = request.value("add_generation_prompt", false);
  options.bos_token = request.value("bos_token", "");
  options.eos_token = request.value("eos_token", "");
  options.now = request.value("now", int64_t{0});
  if (request.contains("variables")) options.variables = request["variables"].dump();
  const auto compiled = limbeck::ChatTemplate::compile(request.at("template").get<std::string>(),
                                                       request.value("name", "template"));
  const auto parts = compiled.render_json(request.at("messages"), options);
  auto listed = nlohmann::json::array();
  for (const auto& part : parts) {
    listed.push_back({{"text", part.text}, {"parse_special", part.parse_special}});
  }
  return {{"text", limbeck::joined_text(parts)}, {"parts", std::move(listed)}};
}

}  // namespace

int main() {
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::json answer;
    try {
      answer = render(nlohmann::ordered_json::parse(line));
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n'
              << std::flush;
  }
}
