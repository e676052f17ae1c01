// SseParser: server-sent events from a byte stream, as the WHATWG standard reads them. One thread at a time.
//
// Lines end with LF, CRLF or CR; a byte-order mark at the start is skipped; comments are dropped; an event ends at an
// empty line; an event without data is not reported. What the stream leaves unfinished at its end is dropped too, since
// it may have been cut in the middle. Text is passed on as it is: the caller's JSON parser judges its UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace concerto::net {

struct SseEvent {
  std::string event;  // empty: "message"
  std::string data;   // data lines joined by LF
  std::string id;     // of this event; empty when it has none
};

class SseParser {
 public:
  // An event (and a single line) longer than `max_event_bytes` is refused: the peer decides how long a line is.
  explicit SseParser(size_t max_event_bytes = size_t{4} << 20) : max_event_bytes_(max_event_bytes) {}

  // Appends the events that `bytes` completed. kTooLarge ends the stream: every later call returns it again.
  base::Status feed(std::string_view bytes, std::vector<SseEvent>* out);

  // True between events: nothing received since the last empty line.
  [[nodiscard]] bool at_boundary() const noexcept { return line_.empty() && !open_; }

 private:
  void take_line(std::vector<SseEvent>* out);

  size_t max_event_bytes_;
  std::string line_;
  SseEvent event_;
  bool has_data_ = false;
  bool open_ = false;       // a field of the current event was seen
  bool after_cr_ = false;   // a LF right after a CR belongs to it
  bool first_line_ = true;  // a byte-order mark may open it
  bool failed_ = false;
};

}  // namespace concerto::net
