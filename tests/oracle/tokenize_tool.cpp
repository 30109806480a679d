// Answers the oracle script: reads JSON lines of {"text", "parse_special", "add_special"}, or
// {"parts": [[text, parse_special], ...], "add_special"}, or {"decode": [ids], "skip_special"}, and
// writes JSON lines of {"ids", "decoded"} or {"error"}. With --speed it encodes a text file and
// prints MB/s.
#include "limbeck/base/error.h"
#include "limbeck/text/tokenizer.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>

namespace {

using limbeck::TokenId;
using limbeck::Tokenizer;
using nlohmann::json;

Tokenizer open_tokenizer(const std::filesystem::path& path, const std::string& family) {
  if (std::filesystem::is_directory(path)) return Tokenizer::from_folder(path, family);
  if (path.extension() == ".gguf") return Tokenizer::from_gguf(limbeck::GgufFile::open(path));
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  return Tokenizer::from_json(text, path.filename().string());
}

std::string decode_stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool skip) {
  limbeck::StreamDecoder stream(tokenizer, skip);
  std::string text;
  for (TokenId id : ids) text += stream.push(id);
  return text + stream.finish();
}

json answer(const Tokenizer& tokenizer, const json& question) {
  std::vector<TokenId> ids;
  const bool add_special = question.value("add_special", false);
  const bool skip_special = question.value("skip_special", false);
  if (question.contains("decode")) {
    ids = question["decode"].get<std::vector<TokenId>>();
  } else if (question.contains("parts")) {
    std::vector<limbeck::TextPart> parts;
    for (const json& part : question["parts"]) parts.push_back({part[0], part[1]});
    ids = tokenizer.encode(parts, add_special);
  } else {
    const limbeck::EncodeOptions options{add_special, question.value("parse_special", false)};
    ids = tokenizer.encode(question["text"].get_ref<const std::string&>(), options);
  }
  const std::string decoded = tokenizer.decode(ids, skip_special);
  if (decode_stream(tokenizer, ids, skip_special) != decoded) {
    return {{"error", "the streamed text differs from the decoded one"}};
  }
  return {{"ids", ids}, {"decoded", decoded}};
}

void measure(const Tokenizer& tokenizer, const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const size_t count = tokenizer.encode(text).size();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::cout << static_cast<double>(text.size()) / 1e6 / seconds.count() << " MB/s, " << count
              << " tokens from " << text.size() << " bytes\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: tokenize_tool PATH [--family NAME] [--speed FILE]\n";
    return 2;
  }
  try {
    std::string family, speed;
    for (int i = 2; i + 1 < argc; i += 2) {
      (std::string(argv[i]) == "--family" ? family : speed) = argv[i + 1];
    }
    const Tokenizer tokenizer = open_tokenizer(argv[1], family);
    if (!speed.empty()) {
      measure(tokenizer, speed.c_str());
      return 0;
    }
    std::string line;
    while (std::getline(std::cin, line)) {
      json reply;
      try {
        reply = answer(tokenizer, json::parse(line));
      } catch (const limbeck::Error& error) {
        reply = {{"error", error.what()}};
      }
      std::cout << reply.dump() << '\n';
    }
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
  return 0;
}
