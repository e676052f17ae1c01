// Store: what must outlive the process. The seam between the desk and a database; SQLite today.
//
// All functions may be called from any thread, several at once. Each returns when its change is on the disk: what a
// caller was told is there after a kill -9 or a power cut. Errors: kUnavailable (the database stays locked), kIo (disk
// full, permission), kCorrupt; their messages name the file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace concerto::store {

// A question that no tier of models could answer, from the moment it is stored.
struct NewCase {
  std::string id;             // public and unguessable: who knows it may read the case
  std::string request_id;     // "chatcmpl-..."
  std::string label;          // 蒸馏版未覆盖case
  std::string reason;         // Decision::reason: "low_confidence", "keyword:合同", ...
  std::string language;       // "zh", "en": of the last user message
  std::string question;       // the last user message
  std::string messages_json;  // the whole conversation, a JSON array
  std::string drafts_json;    // what each tier tried wrote, a JSON array
  int64_t created_ms = 0;     // since 1970
};

enum class CaseState { kOpen, kAnswered };

std::string_view state_name(CaseState state) noexcept;  // "open", "answered"

struct CaseRecord : NewCase {
  CaseState state = CaseState::kOpen;
  std::string answer;  // empty while open
  std::string answered_by;
  std::optional<int64_t> answered_ms;
};

struct CaseQuery {
  std::optional<CaseState> state;  // any
  int limit = 100;
  int offset = 0;
};

class Store {
 public:
  virtual ~Store() = default;

  // kConflict when the id is taken.
  virtual base::Status create_case(const NewCase& one) = 0;
  // kNotFound.
  [[nodiscard]] virtual base::Result<CaseRecord> find_case(std::string_view id) = 0;
  // Once: of several answers to a case, at the same time or not, the first wins and the others get kConflict.
  virtual base::Result<CaseRecord> answer_case(std::string_view id, std::string_view answer,
                                               std::string_view answered_by, int64_t answered_ms) = 0;
  // Oldest first.
  [[nodiscard]] virtual base::Result<std::vector<CaseRecord>> list_cases(const CaseQuery& query) = 0;
  [[nodiscard]] virtual base::Result<int64_t> count_cases(CaseState state) = 0;
};

struct SqliteOptions {
  std::string path;            // made with its folder when absent, readable by its owner only
  int busy_timeout_ms = 5000;  // how long to wait for another process's lock
};

// Opens or creates; brings an older schema up to date. kCorrupt: no SQLite database, or a damaged one; kUnsupported:
// another program's, or written by a newer version; kUnavailable: locked. A file that can't be used is left as it is.
base::Result<std::unique_ptr<Store>> open_sqlite(const SqliteOptions& options);

}  // namespace concerto::store
