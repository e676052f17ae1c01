// What comes out of the stream classes must not depend on how the stream was cut.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/utf8.h"
#include "text/random_text.h"
#include "text/stop_matcher.h"
#include "text/stream_detokenizer.h"
#include "text/think_splitter.h"

namespace concerto::text {
namespace {

// `text` in random parts; when whole_characters, cut between characters only (as the detokenizer gives them).
std::vector<std::string> cut(const std::string& text, bool whole_characters, Random* random) {
  std::vector<std::string> parts;
  const uint32_t longest = 1 + random->below(12);
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.size(), at + random->below(longest + 1));
    while (whole_characters && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    parts.push_back(text.substr(at, end - at));
    at = end;
  }
  return parts;
}

TEST(StreamDetokenizer, HoldsBackPartsOfCharacters) {
  StreamDetokenizer stream;
  EXPECT_EQ(stream.feed("a\xE4"), "a");
  EXPECT_EQ(stream.feed("\xBD"), "");
  EXPECT_EQ(stream.feed("\xA0"), "你");
  EXPECT_EQ(stream.feed("\xF0\x9F\x98"), "");
  EXPECT_EQ(stream.feed("x"), "\uFFFDx");
  EXPECT_EQ(stream.feed("\xFF"), "\uFFFD");
  EXPECT_EQ(stream.feed("\xC3"), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StreamDetokenizer, AnyCutGivesTheWhole) {
  Random random(7);
  for (int round = 0; round < 5000; ++round) {
    std::string bytes;
    for (uint32_t n = random.below(20); n > 0; --n) {
      if (random.below(2) == 0) {
        bytes.push_back(static_cast<char>(random.below(256)));
      } else {
        const std::string text = random_text(&random);
        bytes += text.substr(0, random.below(static_cast<uint32_t>(text.size()) + 1));
      }
    }
    StreamDetokenizer stream;
    std::string joined;
    for (const std::string& part : cut(bytes, false, &random)) {
      const std::string out = stream.feed(part);
      ASSERT_EQ(base::utf8_valid_prefix(out), out.size());
      joined += out;
    }
    joined += stream.finish();
    ASSERT_EQ(joined, base::utf8_replace_invalid(bytes)) << "round " << round;
  }
}

TEST(StopMatcher, FindsAcrossCuts) {
  StopMatcher stop({"\n\nUser:", "END"});
  EXPECT_EQ(stop.feed("Hello\n").text, "Hello");
  EXPECT_EQ(stop.feed("\nUs").text, "");
  EXPECT_EQ(stop.feed("e it").text, "\n\nUse it");
  StopMatcher::Step last = stop.feed(" E");
  EXPECT_EQ(last.text, " ");
  EXPECT_FALSE(last.stopped);
  last = stop.feed("NDless");
  EXPECT_EQ(last.text, "");
  EXPECT_TRUE(last.stopped);
  EXPECT_EQ(stop.matched(), 1);
  EXPECT_EQ(stop.feed("more").text, "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopMatcher, GivesBackWhatWasNoStop) {
  StopMatcher stop({"abcabd"});
  EXPECT_EQ(stop.feed("abcab").text, "");
  EXPECT_EQ(stop.feed("c").text, "abc");
  EXPECT_EQ(stop.finish(), "abc");
  EXPECT_EQ(stop.matched(), -1);
}

TEST(StopMatcher, NoStopStringsHoldNothing) {
  StopMatcher stop({"", ""});
  EXPECT_EQ(stop.feed("x").text, "x");
  EXPECT_EQ(stop.finish(), "");
}

// The definition, written the slow way: the first end of any stop string, the longest that ends there.
std::string expected_before_stop(const std::string& text, const std::vector<std::string>& stops, bool* found) {
  *found = false;
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops) {
      if (!stop.empty() && stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0) {
        longest = std::max(longest, stop.size());
      }
    }
    if (longest > 0) {
      *found = true;
      return text.substr(0, end - longest);
    }
  }
  return text;
}

TEST(StopMatcher, AnyCutFindsTheSame) {
  Random random(11);
  int hits = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto word = [&](uint32_t length) {
      std::string s;
      for (; length > 0; --length) s.push_back("abc"[random.below(3)]);
      return s;
    };
    std::vector<std::string> stops;
    for (uint32_t n = 1 + random.below(4); n > 0; --n) stops.push_back(word(random.below(6)));
    const std::string text = word(random.below(40));
    StopMatcher matcher(stops);
    std::string joined;
    for (const std::string& part : cut(text, false, &random)) joined += matcher.feed(part).text;
    joined += matcher.finish();
    bool found = false;
    ASSERT_EQ(joined, expected_before_stop(text, stops, &found)) << "round " << round;
    ASSERT_EQ(matcher.matched() >= 0, found);
    hits += found ? 1 : 0;
  }
  EXPECT_GT(hits, 1000);
  EXPECT_LT(hits, 19000);
}

ThinkSplitter::Parts split_think(const std::vector<std::string>& parts, bool open_at_start) {
  ThinkSplitter splitter(open_at_start);
  ThinkSplitter::Parts all;
  const auto add = [&](const ThinkSplitter::Parts& p) {
    all.content += p.content;
    all.reasoning += p.reasoning;
  };
  for (const std::string& part : parts) add(splitter.feed(part));
  add(splitter.finish());
  return all;
}

TEST(ThinkSplitter, Cases) {
  struct Case {
    bool open;
    const char* text;
    const char* reasoning;
    const char* content;
  };
  const Case cases[] = {
      {false, "<think>\nhm, 2+2\n</think>\n\n4", "hm, 2+2", "4"},
      {false, "  \n<think>a</think>b", "a", "b"},
      {false, "plain <b>text</b>\n", "", "plain <b>text</b>\n"},
      {false, "  keeps space  ", "", "  keeps space  "},
      {false, "First.\n<think>why\nnot</think> then", "why\nnot", "First. then"},
      {false, "say `<think>` in a line", "", "say `<think>` in a line"},
      {false, "<think></think>x", "", "x"},
      {false, "<think>never closed", "never closed", ""},
      {false, "<think>a</think>b<think>c</think>", "a", "b<think>c</think>"},
      {false, "</think>x", "", "</think>x"},
      {true, "hm\n</think>\n\nyes", "hm", "yes"},
      {true, "<think>\nhm</think>yes", "hm", "yes"},
      {true, "still thinking </thin", "still thinking </thin", ""},
      {true, "</think>direct", "", "direct"},
      {true, "a < b </think> c < d", "a < b", "c < d"},
      {true, "", "", ""},
      {false, "<thin", "", "<thin"},
      {true, "<thin", "<thin", ""},
      {true, "嗯，用户问候。</think>你好！", "嗯，用户问候。", "你好！"},
  };
  for (const Case& c : cases) {
    const ThinkSplitter::Parts got = split_think({c.text}, c.open);
    EXPECT_EQ(got.reasoning, c.reasoning) << c.text;
    EXPECT_EQ(got.content, c.content) << c.text;
  }
}

TEST(ThinkSplitter, AnyCutGivesTheSame) {
  const char* kParts[] = {"<think>", "</think>", "<", "think>", "</", "\n", " ", "a", "你好", "<think", "x\n", "\n\n"};
  Random random(13);
  for (int round = 0; round < 30000; ++round) {
    std::string text;
    for (uint32_t n = random.below(10); n > 0; --n) text += kParts[random.below(std::size(kParts))];
    const bool open = random.below(2) == 0;
    const ThinkSplitter::Parts whole = split_think({text}, open);
    const ThinkSplitter::Parts parts = split_think(cut(text, true, &random), open);
    ASSERT_EQ(parts.content, whole.content) << text;
    ASSERT_EQ(parts.reasoning, whole.reasoning) << text;
    if (!open && text.find("<think>") == std::string::npos) {
      ASSERT_EQ(whole.content, text);
    }
  }
}

TEST(ThinkSplitter, StreamsWithoutDelay) {
  ThinkSplitter splitter(false);
  EXPECT_EQ(splitter.feed("Hello").content, "Hello");
  EXPECT_EQ(splitter.feed(" wor").content, " wor");
  EXPECT_EQ(splitter.feed("ld ").content, "ld");  // white space waits: a tag may follow
  EXPECT_EQ(splitter.feed("x").content, " x");
}

TEST(ThinkSplitter, SeesWhatThePromptOpens) {
  EXPECT_TRUE(prompt_opens_think("<｜Assistant｜><think>\n"));
  EXPECT_TRUE(prompt_opens_think("<think>"));
  EXPECT_FALSE(prompt_opens_think("<think>\n\n</think>\n\n"));
  EXPECT_FALSE(prompt_opens_think(""));
  EXPECT_FALSE(prompt_opens_think("<|im_start|>assistant\n"));
}

}  // namespace
}  // namespace concerto::text
