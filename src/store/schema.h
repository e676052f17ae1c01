// The schema and its history. Internal to store/. docs: one migration per version, never changed once released.
#pragma once

#include "base/result.h"
#include "store/database.h"

namespace concerto::store {

// "CNCT": PRAGMA application_id of our files, so that another program's database is never taken for ours.
inline constexpr int64_t kApplicationId = 0x434E4354;
// PRAGMA user_version after all migrations.
int64_t schema_version() noexcept;

// Checks that the database is ours (or empty) and not of a newer version, then brings it to schema_version(): each
// step in its own transaction, so that a crash leaves a whole older version.
base::Status migrate(Database* database);

}  // namespace concerto::store
