// Store on SQLite: one connection, one lock. WAL with synchronous=FULL: a commit returns when its pages are synced.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "store/database.h"
#include "store/schema.h"
#include "store/store.h"

namespace concerto::store {
namespace {

using base::Code;
using base::fail;

constexpr const char* kColumns =
    "id, request_id, label, reason, language, question, messages, drafts, created_ms, state, answer, answered_by, "
    "answered_ms";

// Checking every page costs time in proportion to the file: 64 MiB take about 0.1 s. Larger files are trusted until
// SQLite meets the damage itself.
constexpr uintmax_t kCheckedBytes = uintmax_t{64} << 20;

CaseRecord read_case(const Statement& row) {
  CaseRecord one;
  one.id = row.text(0);
  one.request_id = row.text(1);
  one.label = row.text(2);
  one.reason = row.text(3);
  one.language = row.text(4);
  one.question = row.text(5);
  one.messages_json = row.text(6);
  one.drafts_json = row.text(7);
  one.created_ms = row.number(8);
  one.state = row.text(9) == state_name(CaseState::kAnswered) ? CaseState::kAnswered : CaseState::kOpen;
  one.answer = row.text(10);
  one.answered_by = row.text(11);
  if (!row.is_null(12)) one.answered_ms = row.number(12);
  return one;
}

// Resets a statement when its use ends, on every path: an unfinished read would hold the WAL back.
class Use {
 public:
  explicit Use(Statement* statement) : statement_(statement) {}
  ~Use() { statement_->reset(); }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  Statement* operator->() const { return statement_; }
  Statement& operator*() const { return *statement_; }

 private:
  Statement* statement_;
};

class SqliteStore final : public Store {
 public:
  base::Status open(const SqliteOptions& options) {
    TRY(database_, Database::open(options.path, options.busy_timeout_ms));
    TRY(const std::string mode, database_->query_text("PRAGMA journal_mode = WAL"));
    if (mode != "wal") {
      return fail(Code::kUnsupported,
                  fmt::format("{}: expected a file system with write-ahead logging, found journal mode '{}'",
                              options.path, mode));
    }
    TRY_STATUS(database_->execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON"));
    TRY_STATUS(check_pages(options.path));
    TRY_STATUS(migrate(database_.get()));
    const auto prepare = [&](Statement* out, const std::string& sql) -> base::Status {
      TRY(*out, database_->prepare(sql));
      return {};
    };
    TRY_STATUS(prepare(&insert_,
                       "INSERT INTO cases (id, request_id, label, reason, language, question, messages, drafts, "
                       "created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"));
    TRY_STATUS(prepare(&find_, fmt::format("SELECT {} FROM cases WHERE id = ?1", kColumns)));
    TRY_STATUS(prepare(&answer_,
                       "UPDATE cases SET state = 'answered', answer = ?2, answered_by = ?3, answered_ms = ?4 "
                       "WHERE id = ?1 AND state = 'open'"));
    TRY_STATUS(prepare(&list_, fmt::format("SELECT {} FROM cases WHERE ?1 = '' OR state = ?1 "
                                           "ORDER BY created_ms, id LIMIT ?2 OFFSET ?3",
                                           kColumns)));
    return prepare(&count_, "SELECT count(*) FROM cases WHERE state = ?1");
  }

  base::Status create_case(const NewCase& one) override {
    const std::lock_guard lock(mutex_);
    const Use insert(&insert_);
    insert->bind(1, one.id).bind(2, one.request_id).bind(3, one.label).bind(4, one.reason).bind(5, one.language);
    insert->bind(6, one.question).bind(7, one.messages_json).bind(8, one.drafts_json).bind(9, one.created_ms);
    if (auto done = insert->step(); !done) return tl::make_unexpected(std::move(done).error());
    return {};
  }

  base::Result<CaseRecord> find_case(std::string_view id) override {
    const std::lock_guard lock(mutex_);
    return find(id);
  }

  base::Result<CaseRecord> answer_case(std::string_view id, std::string_view answer, std::string_view answered_by,
                                       int64_t answered_ms) override {
    const std::lock_guard lock(mutex_);
    {
      const Use update(&answer_);
      update->bind(1, id).bind(2, answer).bind(3, answered_by).bind(4, answered_ms);
      if (auto done = update->step(); !done) return tl::make_unexpected(std::move(done).error());
    }
    const bool changed = database_->changes() == 1;
    TRY(CaseRecord record, find(id));
    if (!changed) {
      return fail(Code::kConflict,
                  fmt::format("case {}: expected it to be open, found it answered by {}", id, record.answered_by));
    }
    return record;
  }

  base::Result<std::vector<CaseRecord>> list_cases(const CaseQuery& query) override {
    const std::lock_guard lock(mutex_);
    const Use list(&list_);
    list->bind(1, query.state ? state_name(*query.state) : std::string_view{});
    list->bind(2, int64_t{query.limit}).bind(3, int64_t{query.offset});
    std::vector<CaseRecord> all;
    for (;;) {
      TRY(const bool row, list->step());
      if (!row) return all;
      all.push_back(read_case(*list));
    }
  }

  base::Result<int64_t> count_cases(CaseState state) override {
    const std::lock_guard lock(mutex_);
    const Use count(&count_);
    count->bind(1, state_name(state));
    if (auto row = count->step(); !row) return tl::make_unexpected(std::move(row).error());
    return count->number(0);
  }

 private:
  base::Result<CaseRecord> find(std::string_view id) {
    const Use select(&find_);
    select->bind(1, id);
    TRY(const bool row, select->step());
    if (!row) return fail(Code::kNotFound, fmt::format("case: expected the id of a case, found '{}'", id), "id");
    return read_case(*select);
  }

  base::Status check_pages(const std::string& path) {
    std::error_code ignored;
    const uintmax_t bytes = std::filesystem::file_size(path, ignored);
    if (ignored || bytes > kCheckedBytes) return {};
    TRY(const std::string verdict, database_->query_text("PRAGMA quick_check(1)"));
    if (verdict == "ok") return {};
    return fail(Code::kCorrupt,
                fmt::format("{}: expected a sound SQLite database, found damage ({}); it is left as it is: restore a "
                            "backup, or save what is readable with `sqlite3 FILE .recover`",
                            path, verdict));
  }

  std::mutex mutex_;
  std::unique_ptr<Database> database_;  // before the statements: they end first
  Statement insert_, find_, answer_, list_, count_;
};

// Cases hold what customers wrote: nobody but the owner may read the file, whatever the umask. SQLite gives its -wal
// and -shm files the same mode.
base::Status make_private(const std::string& path) {
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty() && !std::filesystem::exists(folder, error)) {
    std::filesystem::create_directories(folder, error);
    if (error) {
      return fail(Code::kIo,
                  fmt::format("{}: expected to make this folder, found: {}", folder.string(), error.message()));
    }
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  }
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) {
    return fail(Code::kIo,
                fmt::format("{}: expected a file this user may read and write, found: {}", path, std::strerror(errno)));
  }
  ::close(file);
  return {};
}

}  // namespace

std::string_view state_name(CaseState state) noexcept { return state == CaseState::kOpen ? "open" : "answered"; }

base::Result<std::unique_ptr<Store>> open_sqlite(const SqliteOptions& options) {
  TRY_STATUS(make_private(options.path));
  auto store = std::make_unique<SqliteStore>();
  TRY_STATUS(store->open(options));
  return store;
}

}  // namespace concerto::store
