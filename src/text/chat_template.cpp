#include "text/chat_template.h"

#include <fmt/format.h>

#include <ctime>
#include <limits>
#include <utility>

#include "concerto_rust.h"

namespace concerto::text {
namespace {

using base::Code;
using base::Result;

concerto_text as_text(std::string_view s) { return {s.data(), s.size()}; }

std::string take(concerto_buffer buffer) {
  std::string text = buffer.data != nullptr ? std::string(buffer.data, buffer.len) : std::string();
  concerto_buffer_free(buffer);
  return text;
}

// Seconds east of UTC at that moment, by TZ: strftime_now is what a person here would call today.
int32_t utc_offset_s(int64_t wall_ms) {
  const int64_t seconds = wall_ms / 1000;
  if (seconds > std::numeric_limits<std::time_t>::max() || seconds < std::numeric_limits<std::time_t>::min()) return 0;
  const auto when = static_cast<std::time_t>(seconds);
  std::tm local{};
  if (localtime_r(&when, &local) == nullptr) return 0;
  return static_cast<int32_t>(local.tm_gmtoff);
}

class MinijinjaTemplate final : public ChatTemplate {
 public:
  MinijinjaTemplate(concerto_template* handle, std::string source) : handle_(handle), source_(std::move(source)) {}
  ~MinijinjaTemplate() override { concerto_template_free(handle_); }
  MinijinjaTemplate(const MinijinjaTemplate&) = delete;
  MinijinjaTemplate& operator=(const MinijinjaTemplate&) = delete;

  Result<std::string> render(const TemplateInput& in) const override {
    concerto_template_input input{};
    input.messages_json = as_text(in.messages_json);
    input.tools_json = as_text(in.tools_json);
    input.extra_json = as_text(in.extra_json);
    input.add_generation_prompt = in.add_generation_prompt ? 1 : 0;
    input.wall_ms = in.wall_ms;
    input.utc_offset_s = utc_offset_s(in.wall_ms);
    concerto_buffer out{};
    const concerto_status status = concerto_template_render(handle_, &input, &out);
    std::string text = take(out);
    switch (status) {
      case CONCERTO_OK:
        return text;
      case CONCERTO_REFUSED:
        return base::fail(Code::kInvalidArgument, fmt::format("the model's chat template refuses: {}", text),
                          "messages");
      case CONCERTO_OUT_OF_FUEL:
        return base::fail(Code::kInvalidArgument,
                          "chat template: ran for too long: expected an end within the render budget", "messages");
      case CONCERTO_UNKNOWN:
        return base::fail(Code::kUnsupported, fmt::format("chat template: {}", text));
      case CONCERTO_PANIC:
        return base::fail(Code::kInternal, fmt::format("chat template: {}", text));
      default:
        return base::fail(Code::kInvalidArgument, fmt::format("chat template: {}", text), "messages");
    }
  }

  const std::string& source() const override { return source_; }

 private:
  concerto_template* handle_;
  std::string source_;
};

}  // namespace

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::compile(std::string source, const std::string& bos,
                                                            const std::string& eos) {
  concerto_template* handle = nullptr;
  concerto_buffer message{};
  const concerto_status status =
      concerto_template_compile(as_text(source), as_text(bos), as_text(eos), &handle, &message);
  if (status != CONCERTO_OK) {
    const Code code = status == CONCERTO_PANIC ? Code::kInternal : Code::kCorrupt;
    return base::fail(code, fmt::format("chat template: {}", take(message)));
  }
  return std::make_unique<MinijinjaTemplate>(handle, std::move(source));
}

}  // namespace concerto::text
