#include "text/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "base/utf8.h"
#include "text/unicode_tables.h"

namespace concerto::text {
namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};

void append_nfc(std::string_view run, std::string* out) {
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(run.data()), static_cast<utf8proc_ssize_t>(run.size()),
                   &raw, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, Free> owner(raw);
  if (size < 0) {  // only for lack of memory: the run is valid UTF-8
    out->append(run);
  } else {
    out->append(reinterpret_cast<const char*>(raw), static_cast<size_t>(size));
  }
}

// Nothing below U+0300 is active, so bytes below 0xCC need no look-up.
constexpr unsigned char kFirstActiveLead = 0xCC;

}  // namespace

bool may_need_nfc(std::string_view text) noexcept {
  const CodeSet& active = nfc_active_set();
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < kFirstActiveLead) {
      ++i;
      continue;
    }
    if (active.has(base::utf8_next(text, &i))) return true;
  }
  return false;
}

std::string nfc(std::string_view text) {
  const CodeSet& active = nfc_active_set();
  std::string out;
  out.reserve(text.size());
  // Only a starter and the active code points behind it can change each other; everything else is copied.
  size_t done = 0;        // text[0, done) is in `out`
  size_t last_start = 0;  // where the last code point before `i` begins
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      last_start = begin;
      ++i;
      continue;
    }
    if (!active.has(base::utf8_next(text, &i))) {
      last_start = begin;
      continue;
    }
    size_t run = begin;
    if (begin > 0 && begin > done) {
      // A mark that is younger than the oracle's tables counts as a letter that nothing combines with.
      size_t at = last_start;
      const auto starter = static_cast<utf8proc_int32_t>(base::utf8_next(text, &at));
      if (utf8proc_get_property(starter)->combining_class == 0) run = last_start;
    }
    size_t end = i;
    while (end < text.size()) {
      size_t next = end;
      if (!active.has(base::utf8_next(text, &next))) break;
      end = next;
    }
    out.append(text.substr(done, run - done));
    append_nfc(text.substr(run, end - run), &out);
    done = end;
    i = end;
    last_start = end;
  }
  out.append(text.substr(done));
  return out;
}

}  // namespace concerto::text
