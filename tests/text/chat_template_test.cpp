#include "text/chat_template.h"

#include <gtest/gtest.h>

namespace concerto::text {
namespace {

base::Result<std::string> render(const std::string& source, TemplateInput input) {
  auto made = ChatTemplate::compile(source, "<s>", "</s>");
  if (!made) return tl::make_unexpected(made.error());
  return (*made)->render(input);
}

TemplateInput one_message() { return {.messages_json = R"([{"role":"user","content":"你好 <b>&'\""}])"}; }

TEST(ChatTemplate, RendersMessagesAndTokens) {
  const auto out = render(
      "{{ bos_token }}{% for m in messages %}\n[{{ m.role }}] {{ m['content'] }}{{ eos_token }}\n"
      "{% endfor %}\n{% if add_generation_prompt %}go{% endif %}",
      one_message());
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(*out, "<s>[user] 你好 <b>&'\"</s>\ngo");
}

TEST(ChatTemplate, ToolsAreNoneWhenAbsent) {
  const auto out = render("{{ tools is none }} {{ documents is none }} {{ nothing is defined }}", one_message());
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(*out, "True True False");
}

TEST(ChatTemplate, SyntaxErrorNamesTheLine) {
  const auto made = ChatTemplate::compile("fine\n{% if %}", "", "");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, base::Code::kCorrupt);
  EXPECT_NE(made.error().message.find("line 2"), std::string::npos) << made.error().message;
}

TEST(ChatTemplate, RefusalIsTheCallersError) {
  const auto out = render("{{ raise_exception('roles must alternate') }}", one_message());
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, base::Code::kInvalidArgument);
  EXPECT_EQ(out.error().message, "the model's chat template refuses: roles must alternate");
}

TEST(ChatTemplate, RunawayLoopEnds) {
  const auto out =
      render("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}", one_message());
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, base::Code::kInvalidArgument);
  EXPECT_NE(out.error().message.find("too long"), std::string::npos) << out.error().message;
}

TEST(ChatTemplate, BadJsonIsTheCallersError) {
  for (const char* bad : {"", "[", "{}", "[1,]", "\"x\"", "[\"\xff\"]"}) {
    const auto out = render("x", {.messages_json = bad});
    ASSERT_FALSE(out) << bad;
    EXPECT_EQ(out.error().code, base::Code::kInvalidArgument) << bad;
  }
  const auto deep = render("x", {.messages_json = std::string(100'000, '[')});
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, base::Code::kInvalidArgument);
}

TEST(ChatTemplate, UnknownFilterIsUnsupported) {
  const auto out = render("{{ messages | nosuchfilter }}", one_message());
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, base::Code::kUnsupported);
}

}  // namespace
}  // namespace concerto::text
