#include "store/schema.h"

#include <fmt/format.h>

#include <array>

namespace concerto::store {
namespace {

using base::Code;
using base::fail;

// migrations[i] leads from version i to i + 1.
constexpr std::array kMigrations = {
    // 1: cases. json_valid: what an export reads later must parse. The partial index serves the desk's queue.
    R"(
CREATE TABLE cases (
  id          TEXT PRIMARY KEY NOT NULL,
  request_id  TEXT NOT NULL,
  label       TEXT NOT NULL,
  reason      TEXT NOT NULL,
  language    TEXT NOT NULL,
  question    TEXT NOT NULL,
  messages    TEXT NOT NULL CHECK (json_valid(messages)),
  drafts      TEXT NOT NULL CHECK (json_valid(drafts)),
  created_ms  INTEGER NOT NULL,
  state       TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'answered')),
  answer      TEXT,
  answered_by TEXT,
  answered_ms INTEGER,
  CHECK ((state = 'answered') = (answer IS NOT NULL AND answered_by IS NOT NULL AND answered_ms IS NOT NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX cases_open ON cases (created_ms, id) WHERE state = 'open';
CREATE INDEX cases_created ON cases (created_ms, id);
)",
};

base::Status apply(Database* database, size_t version) {
  // IMMEDIATE: two processes that start together take turns; the second sees the new version and has nothing to do.
  TRY_STATUS(database->execute("BEGIN IMMEDIATE"));
  const auto step = [&]() -> base::Status {
    TRY(const int64_t found, database->query_number("PRAGMA user_version"));
    if (found > static_cast<int64_t>(version)) return {};
    TRY_STATUS(database->execute(kMigrations[version]));
    return database->execute(fmt::format("PRAGMA user_version = {}", version + 1));
  };
  auto status = step();
  if (status) status = database->execute("COMMIT");
  if (!status) {
    const auto undone = database->execute("ROLLBACK");
    (void)undone;  // fails when SQLite has rolled back already; the first error is the one to tell
  }
  return status;
}

}  // namespace

int64_t schema_version() noexcept { return static_cast<int64_t>(kMigrations.size()); }

base::Status migrate(Database* database) {
  TRY(const int64_t id, database->query_number("PRAGMA application_id"));
  TRY(const int64_t version, database->query_number("PRAGMA user_version"));
  TRY(const int64_t objects, database->query_number("SELECT count(*) FROM sqlite_schema"));
  if (id != kApplicationId && (id != 0 || version != 0 || objects != 0)) {
    return fail(Code::kUnsupported,
                fmt::format("{}: expected a database of Concerto (application id {:#x}), found another program's "
                            "({:#x}, {} tables and indices); it is left as it is: name another path in [store]",
                            database->path(), kApplicationId, id, objects));
  }
  if (version > schema_version()) {
    return fail(
        Code::kUnsupported,
        fmt::format("{}: expected schema version {} or older, found {}: a newer Concerto wrote it; run that one",
                    database->path(), schema_version(), version));
  }
  if (id == 0) TRY_STATUS(database->execute(fmt::format("PRAGMA application_id = {}", kApplicationId)));
  for (auto step = static_cast<size_t>(version); step < kMigrations.size(); ++step) {
    TRY_STATUS(apply(database, step));
  }
  return {};
}

}  // namespace concerto::store
