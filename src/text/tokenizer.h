// Tokenizer: byte-level BPE as Qwen2, DeepSeek-R1-Distill and SmolLM2 use it. Immutable; thread-safe.
//
// Loaded from GGUF metadata (tokenizer.ggml.*) or a Hugging Face folder (tokenizer.json, tokenizer_config.json).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/gguf.h"

namespace concerto::text {

class Tokenizer {
 public:
  static base::Result<std::unique_ptr<Tokenizer>> from_gguf(const formats::Gguf& file);
  static base::Result<std::unique_ptr<Tokenizer>> from_folder(const std::string& folder);
  virtual ~Tokenizer() = default;

  // Ids of `text`. Invalid UTF-8 is encoded byte by byte (never an error). With parse_special, special tokens written
  // out in the text ("<|im_start|>") become their ids; without, they are ordinary text (user input!).
  [[nodiscard]] virtual std::vector<int32_t> encode(std::string_view text, bool parse_special) const = 0;

  // The bytes a token stands for; may be a part of a UTF-8 character. Special tokens: their text. Empty if out of
  // range.
  [[nodiscard]] virtual std::string_view token_bytes(int32_t id) const = 0;
  [[nodiscard]] std::string decode(const std::vector<int32_t>& ids, bool skip_special) const;

  [[nodiscard]] virtual int vocab_size() const = 0;
  [[nodiscard]] virtual bool is_special(int32_t id) const = 0;
  // True for ids that end a generation (eos, <|im_end|>, <|endoftext|>, ...).
  [[nodiscard]] virtual bool is_end(int32_t id) const = 0;
  [[nodiscard]] virtual int32_t bos() const = 0;    // -1 when the model has none
  [[nodiscard]] virtual int32_t eos() const = 0;    // -1 when the model has none
  [[nodiscard]] virtual bool adds_bos() const = 0;  // encode() of a whole prompt should start with bos
  [[nodiscard]] virtual int32_t find(std::string_view token) const = 0;  // id of a token by its text, or -1
};

}  // namespace concerto::text
