#include "desk/cases.h"

#include <random>

#include "base/utf8.h"
#include "desk/case_json.h"

namespace concerto::desk {

base::Result<std::string> Cases::open(const cascade::ChatRequest& request, const cascade::Handover& handover) {
  store::NewCase one;
  one.id = new_case_id();
  one.request_id = request.id;
  one.label = kLabel;
  one.reason = handover.reason;
  one.question = last_question(request);
  one.language = std::string(language_of(one.question));
  one.messages_json = messages_json(request.messages);
  one.drafts_json = drafts_json(handover.drafts);
  one.created_ms = clock_->wall_ms();
  TRY_STATUS(store_->create_case(one));
  return one.id;
}

base::Result<store::CaseRecord> Cases::find(std::string_view id) const { return store_->find_case(id); }

base::Result<store::CaseRecord> Cases::answer(std::string_view id, std::string_view answer,
                                              std::string_view answered_by) {
  return store_->answer_case(id, answer, answered_by.empty() ? "desk" : answered_by, clock_->wall_ms());
}

base::Result<int64_t> Cases::count_open() const { return store_->count_cases(store::CaseState::kOpen); }

std::string new_case_id() {
  constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz234567";
  constexpr int kCharacters = 20;
  std::random_device device;
  std::string id("case_");
  for (int i = 0; i < kCharacters; i += 4) {
    uint32_t bits = device();  // 32 bits: six characters' worth, four are taken
    for (int j = 0; j < 4; ++j, bits >>= 5) id.push_back(kAlphabet[bits & 31U]);
  }
  return id;
}

std::string_view last_question(const cascade::ChatRequest& request) {
  for (auto message = request.messages.rbegin(); message != request.messages.rend(); ++message) {
    if (message->role == "user") return message->content;
  }
  return {};
}

std::string_view language_of(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const char32_t c = base::utf8_next(text, &at);
    // CJK Unified Ideographs, extension A, and the planes of the further extensions.
    if ((c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x3FFFF)) return "zh";
  }
  return "en";
}

}  // namespace concerto::desk
