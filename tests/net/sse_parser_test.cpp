#include "net/sse_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace concerto::net {
namespace {

std::vector<SseEvent> parse(const std::string& text, size_t step) {
  SseParser parser;
  std::vector<SseEvent> events;
  for (size_t at = 0; at < text.size(); at += step) {
    EXPECT_TRUE(parser.feed(std::string_view(text).substr(at, step), &events));
  }
  return events;
}

TEST(SseParser, ReadsEveryLineEndingHoweverTheStreamIsCut) {
  const std::string text =
      "\xEF\xBB\xBF: hello\ndata: one\n\ndata:two\r\ndata: three\r\n\r\nevent: error\rdata:  x\rid: 7\r\r"
      "id: no data\n\nretry: 10\n\ndata\n\ndata: cut";
  for (size_t step = 1; step <= text.size(); ++step) {
    const auto events = parse(text, step);
    ASSERT_EQ(events.size(), 4U) << "step " << step;
    EXPECT_EQ(events[0].data, "one");
    EXPECT_EQ(events[1].data, "two\nthree");
    EXPECT_EQ(events[2].event, "error");
    EXPECT_EQ(events[2].data, " x");
    EXPECT_EQ(events[2].id, "7");
    EXPECT_EQ(events[3].data, "");
    EXPECT_EQ(events[3].event, "");
  }
}

TEST(SseParser, RefusesEndlessLinesAndEvents) {
  SseParser line(64);
  std::vector<SseEvent> events;
  const auto status = line.feed("data: " + std::string(100, 'a'), &events);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, base::Code::kTooLarge);
  EXPECT_FALSE(line.feed("\n\n", &events));  // and stays refused
  SseParser many(64);
  base::Status last;
  for (int i = 0; i < 100 && last; ++i) last = many.feed("data: 12345678\n", &events);
  EXPECT_FALSE(last);
  EXPECT_TRUE(events.empty());
}

TEST(SseParser, KnowsWhetherTheStreamEndedBetweenEvents) {
  SseParser parser;
  std::vector<SseEvent> events;
  ASSERT_TRUE(parser.feed("data: 1\n\n", &events));
  EXPECT_TRUE(parser.at_boundary());
  ASSERT_TRUE(parser.feed("data: 2\n", &events));
  EXPECT_FALSE(parser.at_boundary());
  ASSERT_TRUE(parser.feed("\n: ping\n", &events));
  EXPECT_TRUE(parser.at_boundary());
}

}  // namespace
}  // namespace concerto::net
