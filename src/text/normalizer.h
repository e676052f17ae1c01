// Unicode normalization form C, as Qwen2's tokenizer applies it before anything else. Thread-safe.
#pragma once

#include <string>
#include <string_view>

namespace concerto::text {

// True when `text` (valid UTF-8) may need normalizing; false means it is in NFC. One pass, no allocation.
bool may_need_nfc(std::string_view text) noexcept;

// NFC of valid UTF-8, equal to Hugging Face's normalizer (Unicode 9; newer marks stay where they are).
std::string nfc(std::string_view text);

}  // namespace concerto::text
