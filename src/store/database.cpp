#include "store/database.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <utility>

#include "base/check.h"

namespace concerto::store {

using base::Code;

Statement::~Statement() { sqlite3_finalize(statement_); }

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), statement_(std::exchange(other.statement_, nullptr)) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(statement_, other.statement_);
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL; an empty text is a text.
  const char* data = text.data() == nullptr ? "" : text.data();
  CHECK(sqlite3_bind_text64(statement_, index, data, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8) != SQLITE_RANGE);
  return *this;
}

Statement& Statement::bind(int index, int64_t number) {
  CHECK(sqlite3_bind_int64(statement_, index, number) != SQLITE_RANGE);
  return *this;
}

Statement& Statement::bind(int index, const std::optional<int64_t>& number) {
  if (number) return bind(index, *number);
  CHECK(sqlite3_bind_null(statement_, index) != SQLITE_RANGE);
  return *this;
}

base::Result<bool> Statement::step() {
  const int result = sqlite3_step(statement_);
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  return tl::make_unexpected(database_->error(result));
}

void Statement::reset() noexcept {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

std::string Statement::text(int column) const {
  const auto* data = sqlite3_column_text(statement_, column);
  const int bytes = sqlite3_column_bytes(statement_, column);
  return data == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(data), static_cast<size_t>(bytes));
}

int64_t Statement::number(int column) const { return sqlite3_column_int64(statement_, column); }

bool Statement::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

base::Result<std::unique_ptr<Database>> Database::open(const std::string& path, int busy_timeout_ms) {
  std::unique_ptr<Database> database(new Database(path, busy_timeout_ms));
  // NOMUTEX: the owner's lock already allows one thread at a time.
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  const int result = sqlite3_open_v2(path.c_str(), &database->handle_, flags, nullptr);
  if (result != SQLITE_OK) return tl::make_unexpected(database->error(result));
  sqlite3_busy_timeout(database->handle_, busy_timeout_ms);
  return database;
}

Database::~Database() { sqlite3_close_v2(handle_); }

base::Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                        &statement, nullptr);
  if (result != SQLITE_OK) return tl::make_unexpected(error(result));
  return Statement(this, statement);
}

base::Status Database::execute(const std::string& sql) {
  const int result = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return tl::make_unexpected(error(result));
  return {};
}

base::Result<int64_t> Database::query_number(std::string_view sql) {
  TRY(Statement statement, prepare(sql));
  TRY(const bool row, statement.step());
  CHECK(row);
  return statement.number(0);
}

base::Result<std::string> Database::query_text(std::string_view sql) {
  TRY(Statement statement, prepare(sql));
  TRY(const bool row, statement.step());
  CHECK(row);
  return statement.text(0);
}

int64_t Database::changes() const { return sqlite3_changes64(handle_); }

base::Error Database::error(int result_code) const {
  const char* text = handle_ == nullptr ? sqlite3_errstr(result_code) : sqlite3_errmsg(handle_);
  switch (result_code & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {Code::kUnavailable,
              fmt::format("{}: expected to get the database within {} ms, found it locked by another process", path_,
                          busy_timeout_ms_),
              {}};
    case SQLITE_NOTADB:
      return {Code::kCorrupt,
              fmt::format("{}: expected an SQLite database, found a file of another kind; it is left as it is: move it "
                          "away or name another path in [store]",
                          path_),
              {}};
    case SQLITE_CORRUPT:
      return {Code::kCorrupt,
              fmt::format("{}: expected a sound SQLite database, found damage ({}); it is left as it is: restore a "
                          "backup, or save what is readable with `sqlite3 FILE .recover`",
                          path_, text),
              {}};
    case SQLITE_FULL:
      return {Code::kIo, fmt::format("{}: the disk is full", path_), {}};
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
      return {Code::kIo, fmt::format("{}: expected a file this user may read and write, found: {}", path_, text), {}};
    case SQLITE_TOOBIG:
      return {Code::kTooLarge, fmt::format("{}: a value is too large: {}", path_, text), {}};
    case SQLITE_CONSTRAINT:
      return {Code::kConflict, fmt::format("{}: {}", path_, text), {}};
    default:
      return {Code::kIo, fmt::format("{}: {}", path_, text), {}};
  }
}

}  // namespace concerto::store
