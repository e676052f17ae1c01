// The model files that tests read when they are on this machine: $CONCERTO_MODELS, else ~/.cache/concerto/models.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "formats/gguf.h"

namespace concerto::text {

inline constexpr const char* kQwenFile = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
inline constexpr const char* kSmolFile = "smollm2-135m-instruct-q4_1.gguf";

inline std::string model_path(const std::string& name) {
  if (const char* folder = std::getenv("CONCERTO_MODELS")) return std::string(folder) + "/" + name;
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr ? home : "") + "/.cache/concerto/models/" + name;
}

// The opened file, or null (the test then skips).
inline std::unique_ptr<formats::Gguf> open_model(const std::string& name) {
  const std::string path = model_path(name);
  if (!std::filesystem::exists(path)) return nullptr;
  auto made = formats::Gguf::open(path);
  EXPECT_TRUE(made) << made.error().message;
  return made ? std::move(*made) : nullptr;
}

}  // namespace concerto::text

#define OPEN_MODEL_OR_SKIP(variable, name)                  \
  const auto variable = ::concerto::text::open_model(name); \
  if (variable == nullptr) GTEST_SKIP() << ::concerto::text::model_path(name) << " is not on this machine"
