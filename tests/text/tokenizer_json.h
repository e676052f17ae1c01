// Writes the tokenizer.json that a model publishes, from the vocabulary of its GGUF file: the published file is 7 MB.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "base/check.h"
#include "formats/gguf.h"
#include "text/pretokenizer.h"

namespace concerto::text {

inline std::string json_quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

// kind: qwen2, smollm or deepseek-r1-qwen. The folder is made and filled.
inline void write_tokenizer_folder(const formats::Gguf& file, const std::string& kind, const std::string& folder) {
  std::filesystem::create_directories(folder);
  const auto tokens = file.get_strings("tokenizer.ggml.tokens");
  const auto types = file.get_ints("tokenizer.ggml.token_type");
  const auto merges = file.get_strings("tokenizer.ggml.merges");
  CHECK(tokens && types && merges);
  const bool r1 = kind == "deepseek-r1-qwen";
  const bool smollm = kind == "smollm";
  const std::string kR1Tokens[] = {"<｜end▁of▁sentence｜>",
                                   "<｜User｜>",
                                   "<｜Assistant｜>",
                                   "<｜begin▁of▁sentence｜>",
                                   "<|EOT|>",
                                   "<think>",
                                   "</think>"};
  std::ofstream out(folder + "/tokenizer.json");
  out << R"({"version":"1.0","added_tokens":[)";
  const char* comma = "";
  size_t added = 0;
  for (size_t id = 0; id < tokens->size(); ++id) {
    const int64_t type = (*types)[id];
    if (type != 3 && type != 4) continue;
    const bool own = r1 && added < std::size(kR1Tokens);
    const std::string text = own ? kR1Tokens[added] : std::string((*tokens)[id]);
    const bool special = r1 ? own && (added == 0 || added == 3) : type == 3;
    out << comma << R"({"id":)" << id << R"(,"content":)" << json_quote(text)
        << R"(,"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":)"
        << (special ? "true}" : "false}");
    comma = ",";
    ++added;
  }
  out << R"(],"normalizer":)" << (smollm ? "null" : R"({"type":"NFC"})");
  if (smollm) {
    out << R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":true},)"
        << R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}]})";
  } else {
    out << R"(,"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":)"
        << json_quote(kQwen2Pattern) << R"(},"behavior":"Isolated","invert":false},)"
        << R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}]})";
  }
  if (r1) {
    out << R"(,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<｜begin▁of▁sentence｜>",)"
        << R"("type_id":0}},{"Sequence":{"id":"A","type_id":0}}]})";
  }
  out << R"(,"model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"",)"
      << R"("end_of_word_suffix":"","fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{)";
  comma = "";
  for (size_t id = 0; id < tokens->size(); ++id) {
    if ((*types)[id] != 1) continue;
    out << comma << json_quote((*tokens)[id]) << ':' << id;
    comma = ",";
  }
  out << R"(},"merges":[)";
  comma = "";
  for (const std::string_view merge : *merges) {
    // Both spellings that are in use: "a b" and ["a","b"].
    if (smollm) {
      out << comma << json_quote(merge);
    } else {
      const size_t space = merge.find(' ', 1);
      out << comma << '[' << json_quote(merge.substr(0, space)) << ',' << json_quote(merge.substr(space + 1)) << ']';
    }
    comma = ",";
  }
  out << "]}}";
  std::ofstream config(folder + "/tokenizer_config.json");
  if (r1) {
    config << R"({"add_bos_token":true,"bos_token":"<｜begin▁of▁sentence｜>","eos_token":{"content":)"
           << R"("<｜end▁of▁sentence｜>","special":true}})";
  } else if (smollm) {
    config << R"({"bos_token":"<|im_start|>","eos_token":"<|im_end|>"})";
  } else {
    config << R"({"add_bos_token":false,"bos_token":null,"eos_token":"<|im_end|>"})";
    std::ofstream generation(folder + "/generation_config.json");
    generation << R"({"eos_token_id":[151645,151643],"temperature":0.7})";
  }
}

}  // namespace concerto::text
