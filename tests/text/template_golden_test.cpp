// Prompts equal to Jinja2's, for the templates inside the real GGUF files and for DeepSeek-R1-Distill's format.
// Goldens: tools/goldens/make_template_goldens.py. A template whose model file isn't on this machine is skipped.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "text/chat_template.h"
#include "text/model_template.h"
#include "text/models.h"
#include "text/tokenizer.h"

namespace concerto::text {
namespace {

using nlohmann::json;

struct Golden {
  std::string bos, eos;
  TemplateInput input;
  std::optional<std::string> expected;  // absent: Jinja2 fails too
};

std::map<std::string, std::vector<Golden>> read_goldens() {
  std::map<std::string, std::vector<Golden>> out;
  std::ifstream file(CONCERTO_TEST_DATA "/text/template_goldens.jsonl");
  std::string line;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    const json row = json::parse(line);
    Golden golden = {.bos = row["bos"], .eos = row["eos"]};
    golden.input.messages_json = row["messages"];
    golden.input.tools_json = row["tools"];
    golden.input.add_generation_prompt = row["add_generation_prompt"];
    if (row.contains("expected")) golden.expected = row["expected"];
    out[row["template"]].push_back(std::move(golden));
  }
  return out;
}

void check(const ChatTemplate& chat, const std::vector<Golden>& goldens) {
  ASSERT_GE(goldens.size(), 20U);
  for (const Golden& golden : goldens) {
    const auto out = chat.render(golden.input);
    if (golden.expected) {
      ASSERT_TRUE(out) << golden.input.messages_json << ": " << out.error().message;
      EXPECT_EQ(*out, *golden.expected) << golden.input.messages_json;
    } else {
      ASSERT_FALSE(out) << golden.input.messages_json << ": Jinja2 fails here, we gave: " << *out;
      EXPECT_EQ(out.error().code, base::Code::kInvalidArgument);
    }
  }
}

void check_model(const std::string& name, const char* file) {
  OPEN_MODEL_OR_SKIP(gguf, file);
  const auto tokenizer = Tokenizer::from_gguf(*gguf);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const auto chat = load_chat_template(*gguf, **tokenizer);
  ASSERT_TRUE(chat) << chat.error().message;
  check(**chat, read_goldens()[name]);
}

TEST(TemplateGolden, QwenCoderSmall) { check_model("qwen2.5-coder-0.5b", kQwenFile); }
TEST(TemplateGolden, QwenCoderBig) { check_model("qwen2.5-coder-1.5b", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"); }
TEST(TemplateGolden, SmolLm) { check_model("smollm2-135m", kSmolFile); }

TEST(TemplateGolden, DeepSeekR1Distill) {
  std::ifstream file(CONCERTO_TEST_DATA "/text/templates/deepseek-r1-distill.jinja");
  std::stringstream source;
  source << file.rdbuf();
  const auto goldens = read_goldens()["deepseek-r1-distill"];
  ASSERT_FALSE(goldens.empty());
  const auto chat = ChatTemplate::compile(source.str(), goldens[0].bos, goldens[0].eos);
  ASSERT_TRUE(chat) << chat.error().message;
  check(**chat, goldens);
}

}  // namespace
}  // namespace concerto::text
