// Files over lines that cut, stall, corrupt, redirect and lie.
#include "fetch/download.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fetch/mirror.h"
#include "fetch/scratch.h"

namespace concerto::fetch {
namespace {

using base::Code;
using ::testing::AllOf;
using ::testing::HasSubstr;

class DownloadTest : public ::testing::Test {
 protected:
  void serve(Mirror::Answer answer) { mirror = std::make_unique<Mirror>(std::move(answer)); }

  base::Result<Download> fetch(bool with_hash = true, bool with_size = true) {
    DownloadOptions options;
    options.backoff_ms = 1;
    options.stall_ms = 300;
    options.tries = 4;
    options.cancel = cancel;
    options.on_note = [this](const std::string& note) { notes += note + "\n"; };
    auto opened = Downloader::open(options);
    if (!opened) return tl::make_unexpected(opened.error());
    Source source;
    source.url = mirror->url("/x.gguf");
    source.authorization = authorization;
    source.name = "x";
    source.magic = "GGUF";
    if (with_size) source.size = body.size();
    if (with_hash) source.checksum.hex = hash_of(body);
    return (*opened)->file(source, path, tick);
  }
  void expect_whole() const {
    EXPECT_EQ(read_all(path), body);
    EXPECT_FALSE(exists(path + ".incomplete"));
    EXPECT_FALSE(exists(path + ".incomplete.from"));
  }

  Scratch scratch;
  std::string path = scratch / "x.gguf";
  std::string body = some_bytes(2'000'000);
  std::string authorization;
  std::string notes;
  base::CancelToken cancel;
  Downloader::Tick tick;
  std::unique_ptr<Mirror> mirror;
};

TEST_F(DownloadTest, FetchesAndChecks) {
  serve([&](const MirrorRequest&) { return MirrorResponse{.body = body}; });
  uint64_t last = 0;
  tick = [&](uint64_t have, uint64_t total) {
    EXPECT_GE(have, last);
    EXPECT_EQ(total, body.size());
    last = have;
  };
  const auto got = fetch();
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  EXPECT_EQ(last, body.size());
  EXPECT_EQ(got->received, body.size());
  EXPECT_EQ(got->hash, hash_of(body));
}

TEST_F(DownloadTest, AHundredCutsRefetchNothing) {
  std::atomic<int> asked{0};
  serve([&](const MirrorRequest&) {
    return MirrorResponse{.body = body, .cut_after = ++asked <= 100 ? 15'000 + asked * 7 : -1};
  });
  const auto got = fetch();
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  EXPECT_EQ(asked, 101);
  EXPECT_LE(got->received, body.size() * 101 / 100);
  EXPECT_THAT(notes, HasSubstr("going on in"));
}

TEST_F(DownloadTest, AStallEndsAnAttempt) {
  std::atomic<int> asked{0};
  serve([&](const MirrorRequest&) {
    const bool first = ++asked == 1;
    return MirrorResponse{.body = body, .cut_after = first ? 700'000 : -1, .stall_ms = first ? 3000 : 0};
  });
  const auto got = fetch();
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  EXPECT_THAT(notes, HasSubstr("expected data within 300 ms"));
  EXPECT_LE(got->received, body.size() * 101 / 100);
}

TEST_F(DownloadTest, AnotherProcessGoesOn) {
  serve([&](const MirrorRequest& request) {
    const bool first = request.fields.count("range") == 0;
    return MirrorResponse{.status = 200, .body = body, .cut_after = first ? 1'500'000 : -1};
  });
  tick = [&](uint64_t have, uint64_t) {
    if (have > 1'000'000 && have < body.size()) cancel.cancel();
  };
  const auto stopped = fetch();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, Code::kCancelled);
  EXPECT_FALSE(exists(path));
  const auto kept = std::filesystem::file_size(path + ".incomplete");
  EXPECT_GT(kept, 1'000'000U);
  cancel = {};
  tick = {};
  const auto got = fetch();
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  EXPECT_EQ(got->received, body.size() - kept);
}

TEST_F(DownloadTest, CorruptedBytesAreFetchedAnewOnce) {
  std::atomic<int> asked{0};
  serve([&](const MirrorRequest&) {
    MirrorResponse response{.body = body};
    if (++asked == 1) response.body[1'234'567] ^= 1;
    return response;
  });
  const auto got = fetch();
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  EXPECT_EQ(got->received, 2 * body.size());
  EXPECT_THAT(notes, HasSubstr("fetching it anew"));
}

TEST_F(DownloadTest, AlwaysCorruptIsAnErrorAndLeavesNothing) {
  serve([&](const MirrorRequest&) {
    MirrorResponse response{.body = body};
    response.body[1'234'567] ^= 1;
    return response;
  });
  const auto got = fetch();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kCorrupt);
  EXPECT_THAT(got.error().message, AllOf(HasSubstr("x: expected the SHA-256 " + hash_of(body)), HasSubstr("found")));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST_F(DownloadTest, LiesAboutTheSizeAreErrors) {
  for (const int64_t claim : {1'999'999, 2'000'001}) {
    serve([&](const MirrorRequest&) { return MirrorResponse{.body = body, .claim = claim}; });
    const auto got = fetch();
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().code, Code::kCorrupt);
    EXPECT_THAT(got.error().message, HasSubstr(fmt::format("expected 2000000 bytes, found {}", claim)));
    EXPECT_FALSE(exists(path));
  }
}

// No length that could be checked, and an end that never comes to the size that was promised.
TEST_F(DownloadTest, AShortFileIsAnError) {
  serve([&](const MirrorRequest&) { return MirrorResponse{.body = body.substr(0, 1'000'000), .claim = 2'000'000}; });
  const auto got = fetch();
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("x: "));
  EXPECT_FALSE(exists(path));
}

TEST_F(DownloadTest, WithoutRangesItBeginsAgainButNotForever) {
  std::atomic<int> asked{0};
  serve([&](const MirrorRequest&) {
    return MirrorResponse{.body = body, .ranges = false, .cut_after = ++asked <= 2 ? 900'000 : -1};
  });
  auto got = fetch();
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  std::filesystem::remove(path);
  serve([&](const MirrorRequest&) { return MirrorResponse{.body = body, .ranges = false, .cut_after = 900'000}; });
  got = fetch();
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("4 attempts in a row"));
}

TEST_F(DownloadTest, ABusyServerIsAskedAgain) {
  std::atomic<int> asked{0};
  serve([&](const MirrorRequest&) {
    if (++asked <= 2) return MirrorResponse{.status = 503, .fields = {{"Retry-After", "0"}}, .body = "busy"};
    return MirrorResponse{.body = body};
  });
  const auto got = fetch();
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
}

TEST_F(DownloadTest, AMissingFileIsNotAskedForAgain) {
  std::atomic<int> asked{0};
  serve([&](const MirrorRequest&) {
    ++asked;
    return MirrorResponse{.status = 404, .body = "no"};
  });
  const auto got = fetch();
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kNotFound);
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(exists(path));
}

TEST_F(DownloadTest, RedirectsTellNoSecretToAnotherHost) {
  Mirror store([&](const MirrorRequest&) { return MirrorResponse{.body = body}; });
  serve([&](const MirrorRequest& request) {
    if (request.path == "/x.gguf") return MirrorResponse{.status = 307, .fields = {{"Location", "/here"}}};
    return MirrorResponse{.status = 302, .fields = {{"Location", store.url("/blob?signature=1")}}};
  });
  authorization = "Bearer secret";
  const auto got = fetch();
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  const auto asked = mirror->requests();
  ASSERT_EQ(asked.size(), 2U);
  EXPECT_EQ(asked[0].fields.at("authorization"), "Bearer secret");
  EXPECT_EQ(asked[1].fields.at("authorization"), "Bearer secret");
  ASSERT_EQ(store.requests().size(), 1U);
  EXPECT_EQ(store.requests()[0].fields.count("authorization"), 0U);
}

TEST_F(DownloadTest, ARedirectThatComesBackTellsNoSecretEither) {
  std::string home;
  Mirror away([&](const MirrorRequest&) { return MirrorResponse{.status = 302, .fields = {{"Location", home}}}; });
  serve([&](const MirrorRequest& request) {
    if (request.path == "/back") return MirrorResponse{.body = body};
    return MirrorResponse{.status = 302, .fields = {{"Location", away.url("/x")}}};
  });
  home = mirror->url("/back");
  authorization = "Bearer secret";
  ASSERT_TRUE(fetch());
  EXPECT_EQ(mirror->requests().back().fields.count("authorization"), 0U);
}

TEST_F(DownloadTest, RedirectsEnd) {
  serve([&](const MirrorRequest&) { return MirrorResponse{.status = 302, .fields = {{"Location", "/x.gguf"}}}; });
  const auto got = fetch();
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("at most 10 redirects"));
  serve([&](const MirrorRequest&) {
    return MirrorResponse{.status = 302, .fields = {{"Location", "file:///etc/passwd"}}};
  });
  const auto other = fetch();
  ASSERT_FALSE(other);
  EXPECT_THAT(other.error().message, HasSubstr("expected"));
  EXPECT_FALSE(exists(path));
}

TEST_F(DownloadTest, WithoutAHashTheTagGuardsTheRest) {
  std::string tag = "\"one\"";
  std::atomic<int> asked{0};
  serve([&](const MirrorRequest& request) {
    ++asked;
    MirrorResponse response{.fields = {{"ETag", tag}}, .body = body, .cut_after = asked == 1 ? 1'000'000 : -1};
    const auto wish = request.fields.find("if-range");
    response.ranges = wish != request.fields.end() && wish->second == tag;
    if (asked == 1) {  // the file changes while the line is cut
      tag = "\"two\"";
      body = some_bytes(1'800'000, 7);
    }
    return response;
  });
  const auto got = fetch(false, false);
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  EXPECT_EQ(got->hash, hash_of(body));
}

TEST_F(DownloadTest, ARangeOfAnotherFileIsNotTaken) {
  std::atomic<int> asked{0};
  serve([&](const MirrorRequest&) {  // ranges without If-Range
    if (++asked == 1) return MirrorResponse{.fields = {{"ETag", "\"one\""}}, .body = body, .cut_after = 1'000'000};
    if (asked == 2) body = some_bytes(1'900'000, 7);
    return MirrorResponse{.fields = {{"ETag", "\"two\""}}, .body = body};
  });
  const auto got = fetch(false, false);
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  EXPECT_THAT(notes, HasSubstr("has changed meanwhile"));
}

// Killed between the last byte and the rename.
TEST_F(DownloadTest, AWholeFileIsNotFetchedAgain) {
  serve([&](const MirrorRequest&) { return MirrorResponse{.fields = {{"ETag", "\"one\""}}, .body = body}; });
  write_all(path + ".incomplete", body);
  write_all(path + ".incomplete.from", "url " + hash_of(mirror->url("/x.gguf")) + "\n\"one\"");
  auto got = fetch(false, false);
  ASSERT_TRUE(got) << got.error().message;
  expect_whole();
  EXPECT_EQ(got->received, 0U);
}

TEST_F(DownloadTest, ALoginPageIsNoModel) {
  serve([&](const MirrorRequest&) { return MirrorResponse{.body = "<html>please log in</html>"}; });
  const auto got = fetch(false, false);
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("expected a file that begins with GGUF"));
  EXPECT_FALSE(exists(path));
}

TEST_F(DownloadTest, NobodyThereIsAnError) {
  serve([&](const MirrorRequest&) { return MirrorResponse{}; });
  const std::string gone = mirror->url("/x.gguf");
  mirror.reset();
  DownloadOptions options;
  options.backoff_ms = 1;
  options.tries = 2;
  auto opened = Downloader::open(options);
  ASSERT_TRUE(opened);
  const auto got = (*opened)->file({gone, {}, "x", 10, {}, {}}, path);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kUnavailable);
  EXPECT_THAT(got.error().message, AllOf(HasSubstr("x: http://127.0.0.1"), HasSubstr("2 attempts")));
}

}  // namespace
}  // namespace concerto::fetch
