#include "model/arch/registry.h"

namespace concerto::model {
namespace {

constexpr const Architecture* kArchitectures[] = {&kLlama, &kQwen2};

}  // namespace

const Architecture* find_architecture(std::string_view name) noexcept {
  for (const auto* architecture : kArchitectures) {
    if (architecture->name == name) return architecture;
  }
  return nullptr;
}

std::string architecture_names() {
  std::string names;
  for (const auto* architecture : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += architecture->name;
  }
  return names;
}

}  // namespace concerto::model
