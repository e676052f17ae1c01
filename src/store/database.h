// A thin, strict wrapper around sqlite3: every result code becomes a Status that names the file. Internal to store/.
//
// A Database and its Statements belong to one thread at a time; the owner locks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace concerto::store {

class Database;

// A prepared statement. Parameters count from 1, columns from 0. bind_* can't fail on a statement of ours: an index out
// of range is a bug (CHECK).
class Statement {
 public:
  Statement() = default;
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, int64_t number);
  Statement& bind(int index, const std::optional<int64_t>& number);
  // true: a row is there; false: done.
  base::Result<bool> step();
  // Ready to be bound and run again; call after each use, error or not.
  void reset() noexcept;

  [[nodiscard]] std::string text(int column) const;
  [[nodiscard]] int64_t number(int column) const;
  [[nodiscard]] bool is_null(int column) const;

 private:
  friend class Database;
  Statement(Database* database, sqlite3_stmt* statement) : database_(database), statement_(statement) {}
  Database* database_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
};

class Database {
 public:
  static base::Result<std::unique_ptr<Database>> open(const std::string& path, int busy_timeout_ms);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  base::Result<Statement> prepare(std::string_view sql);
  // Any number of statements without results.
  base::Status execute(const std::string& sql);
  // The first column of the first row of a query that always has one.
  base::Result<int64_t> query_number(std::string_view sql);
  base::Result<std::string> query_text(std::string_view sql);

  // Rows that the last INSERT or UPDATE changed.
  [[nodiscard]] int64_t changes() const;
  [[nodiscard]] const std::string& path() const { return path_; }
  // The last failure of this database.
  [[nodiscard]] base::Error error(int result_code) const;

 private:
  Database(std::string path, int busy_timeout_ms) : path_(std::move(path)), busy_timeout_ms_(busy_timeout_ms) {}

  std::string path_;
  int busy_timeout_ms_;
  sqlite3* handle_ = nullptr;
};

}  // namespace concerto::store
