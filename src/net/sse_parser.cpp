#include "net/sse_parser.h"

#include <fmt/format.h>

namespace concerto::net {

base::Status SseParser::feed(std::string_view bytes, std::vector<SseEvent>* out) {
  const auto too_large = [&] {
    failed_ = true;
    return base::fail(
        base::Code::kTooLarge,
        fmt::format("event stream: expected events of at most {} bytes, found a longer one", max_event_bytes_));
  };
  if (failed_) return too_large();
  while (!bytes.empty()) {
    if (after_cr_) {
      after_cr_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = bytes.find_first_of("\r\n");
    const size_t take = end == std::string_view::npos ? bytes.size() : end;
    if (line_.size() + event_.data.size() + event_.id.size() + event_.event.size() + take > max_event_bytes_) {
      return too_large();
    }
    line_.append(bytes.substr(0, take));
    if (end == std::string_view::npos) break;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    take_line(out);
  }
  return {};
}

void SseParser::take_line(std::vector<SseEvent>* out) {
  std::string_view line = line_;
  if (first_line_) {
    first_line_ = false;
    if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  }
  if (line.empty()) {
    if (has_data_) {
      event_.data.pop_back();  // the LF after its last line
      out->push_back(std::move(event_));
    }
    event_ = {};
    has_data_ = false;
    open_ = false;
    line_.clear();
    return;
  }
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (!name.empty()) open_ = true;  // ": comment" has an empty name
  if (name == "data") {
    event_.data.append(value);
    event_.data.push_back('\n');
    has_data_ = true;
  } else if (name == "event") {
    event_.event = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) event_.id = value;
  }
  line_.clear();
}

}  // namespace concerto::net
