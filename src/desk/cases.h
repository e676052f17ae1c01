// Cases: the desk's book. Turns a request that no model could answer into a stored case, and serves its state.
//
// Thread-safe. Every function may wait for the disk: not for network or engine threads. The Store and the Clock must
// outlive it.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "cascade/backend.h"
#include "store/store.h"

namespace concerto::desk {

// The label of every case: "not covered by the distilled model". Exports select by it.
inline constexpr std::string_view kLabel = "蒸馏版未覆盖case";

class Cases {
 public:
  explicit Cases(store::Store* store, const base::Clock& clock = base::system_clock())
      : store_(store), clock_(&clock) {}

  // Stores the request under a new id. When it returns an id the case is on the disk.
  base::Result<std::string> open(const cascade::ChatRequest& request, const cascade::Handover& handover);

  [[nodiscard]] base::Result<store::CaseRecord> find(std::string_view id) const;
  // kNotFound, kConflict when it was answered before. An empty `answered_by` is recorded as "desk".
  base::Result<store::CaseRecord> answer(std::string_view id, std::string_view answer, std::string_view answered_by);
  [[nodiscard]] base::Result<int64_t> count_open() const;

 private:
  store::Store* store_;
  const base::Clock* clock_;
};

// "case_" and 20 random characters of a-z2-7: 100 bits from the system, so that knowing an id is being told it.
std::string new_case_id();

// The content of the last message of role user; empty when there is none.
std::string_view last_question(const cascade::ChatRequest& request);

// "zh" when the text holds a Chinese character, else "en".
std::string_view language_of(std::string_view text);

}  // namespace concerto::desk
