// What the machine and the servers say about where things are.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "fetch/hub.h"
#include "fetch/known.h"
#include "fetch/package_index.h"
#include "fetch/scratch.h"
#include "fetch/settings.h"
#include "fetch/url.h"
#include "fetch/wheel.h"

namespace concerto::fetch {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Environment environment_of(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) {
    const auto at = values.find(name);
    return at == values.end() ? std::string() : at->second;
  };
}

TEST(UrlTest, ResolvesComparesAndHides) {
  EXPECT_EQ(*resolve_link("https://a.example/simple/demo/", "../../files/x.whl#sha256=1"),
            "https://a.example/files/x.whl#sha256=1");
  EXPECT_EQ(*resolve_link("https://u:p@a.example/simple/", "/x"), "https://u:p@a.example/x");
  EXPECT_EQ(*resolve_link("https://u:p@a.example/simple/", "//b.example/x"), "https://b.example/x");
  EXPECT_EQ(*resolve_link("https://u:p@a.example/", "https://b.example/x"), "https://b.example/x");
  EXPECT_FALSE(resolve_link("https://a.example/", "file:///x"));
  EXPECT_FALSE(resolve_link("no url", "/x"));
  EXPECT_EQ(origin_of("HTTPS://A.example/x"), "https://a.example:443");
  EXPECT_NE(origin_of("https://a.example/"), origin_of("https://a.example:444/"));
  EXPECT_NE(origin_of("https://a.example/"), origin_of("http://a.example/"));
  EXPECT_TRUE(is_loopback("http://127.0.0.1:99/x"));
  EXPECT_FALSE(is_loopback("http://127.0.0.1.example/x"));
  EXPECT_FALSE(is_loopback("http://localhost@a.example/"));
  EXPECT_EQ(file_name_of("https://a.example/b/c%2Bd.gguf?x=1"), "c+d.gguf");
  EXPECT_EQ(file_name_of("https://a.example/b/..%2Fd.gguf"), "");
  EXPECT_EQ(file_name_of("https://a.example/b/"), "");
  EXPECT_EQ(shown_url("https://u:p@a.example/x?token=1#f"), "https://a.example/x");
  EXPECT_EQ(encode("refs/pr/1 ü"), "refs%2Fpr%2F1%20%C3%BC");
  EXPECT_EQ(encode("a/b c", true), "a/b%20c");
  EXPECT_FALSE(is_plain_name("../x"));
  EXPECT_FALSE(is_plain_name(".hidden"));
}

TEST(SettingsTest, FindsTheIndexAsPipDoes) {
  const Scratch scratch;
  std::filesystem::create_directories(scratch / "home/.config/pip");
  const std::string file = scratch / "home/.config/pip/pip.conf";
  write_all(file,
            "# mine\n[global]\nindex-url = https://one.example/simple\nextra-index-url =\n    https://two.example/s\n"
            "    https://three.example/s\n[install]\nindex_url: https://other.example\n");
  const std::string home = scratch / "home";
  EXPECT_THAT(package_indexes(environment_of({{"HOME", home}})),
              ElementsAre("https://one.example/simple", "https://two.example/s", "https://three.example/s"));
  EXPECT_EQ(package_indexes(environment_of({{"HOME", home}, {"PIP_INDEX_URL", "https://env.example"}}))[0],
            "https://env.example");
  const std::string own = scratch / "own.conf";
  write_all(own, "[download]\nindex-url=https://own.example\n[global]\nindex-url=https://not.example\n");
  EXPECT_EQ(package_indexes(environment_of({{"HOME", home}, {"PIP_CONFIG_FILE", own}}))[0], "https://own.example");
  EXPECT_THAT(package_indexes(environment_of({{"PIP_CONFIG_FILE", "/dev/null"}})),
              ElementsAre(::testing::EndsWith("/simple")));
}

TEST(SettingsTest, FindsTheHubAndItsToken) {
  const Scratch scratch;
  write_all(scratch / "token", "hf_file\n");
  EXPECT_EQ(hub_token(environment_of({{"HF_HOME", scratch.path()}})), "hf_file");
  EXPECT_EQ(hub_token(environment_of({{"HF_TOKEN_PATH", scratch / "token"}})), "hf_file");
  EXPECT_EQ(hub_token(environment_of({{"HF_TOKEN", "hf_env"}, {"HF_HOME", scratch.path()}})), "hf_env");
  EXPECT_EQ(hub_token(environment_of({{"HOME", scratch.path()}})), "");
  EXPECT_EQ(hub_endpoint(environment_of({{"HF_ENDPOINT", "https://mirror.example/"}})), "https://mirror.example");
  EXPECT_EQ(hub_endpoint(environment_of({})), "https://huggingface.co");
}

TEST(PackageIndexTest, ReadsBothForms) {
  const std::string hash = hash_of("x");
  const auto json =
      read_index_json(R"({"meta":{"api-version":"1.1"},"name":"demo","files":[{"filename":"demo-1.0.tar.gz",
      "url":"a","hashes":{}},{"filename":"demo-1.0-py3-none-any.whl","url":"../f/demo-1.0-py3-none-any.whl",
      "hashes":{"md5":"1","sha256":")" +
                          hash + R"("},"size":12,"yanked":false}]})",
                      "page");
  ASSERT_TRUE(json) << json.error().message;
  ASSERT_EQ(json->size(), 2U);
  EXPECT_EQ((*json)[1].sha256, hash);
  EXPECT_EQ((*json)[1].size, 12U);
  const auto html = read_index_html(
      "<!DOCTYPE html><html><body><abbr>x</abbr>\n<A data-x=\"1\" "
      "HREF='../f/demo-1.0-py3-none-any.whl?a=1&amp;b=2#sha256=" +
      hash + "'>\n demo-1.0-py3-none-any.whl</A><br/><a href=\"demo-2.0.tar.gz\">demo-2.0.tar.gz</a></body>");
  ASSERT_EQ(html.size(), 2U);
  EXPECT_EQ(html[0].name, "demo-1.0-py3-none-any.whl");
  EXPECT_EQ(html[0].url, "../f/demo-1.0-py3-none-any.whl?a=1&b=2#sha256=" + hash);
  EXPECT_EQ(html[0].sha256, hash);
  EXPECT_EQ(html[1].sha256, "");
  EXPECT_EQ(normalized_package("Demo__Part.1"), "demo-part-1");
}

TEST(PackageIndexTest, SurvivesAnyPage) {
  EXPECT_FALSE(read_index_json(R"({"files":[{"hashes":{"sha256":"zz"}}]})", "page"));
  EXPECT_FALSE(read_index_json(R"({"files":[)", "page"));
  const std::string page = "<a href='x#sha256=" + hash_of("x") + "'>demo-1.0-py3-none-any.whl</a>";
  for (size_t i = 0; i <= page.size(); ++i) {
    read_index_html(page.substr(0, i));
    read_index_html(page.substr(i));
  }
}

TEST(KnownTest, RowsAreSane) {
  for (const KnownModel& model : known_models()) {
    EXPECT_TRUE(is_plain_name(model.name));
    EXPECT_TRUE(is_checksum(model.sha256, ChecksumKind::kSha256)) << model.name;
    EXPECT_GE(model.parts, 1);
    const bool numbered = model.package.find('{') != std::string_view::npos;
    EXPECT_EQ(numbered, model.parts > 1) << model.name;
    EXPECT_EQ(find_known(model.name), &model);
  }
  EXPECT_EQ(find_known("no such"), nullptr);
}

std::string tree_row(const std::string& path, bool large) {
  return fmt::format(R"({{"type":"file",{}"size":5,"path":"{}","oid":"{}"}})",
                     large ? fmt::format(R"("lfs":{{"oid":"{}","size":5,"pointerSize":100}},)", hash_of("x")) : "",
                     path, hash_of("x", ChecksumKind::kGitBlob));
}

std::vector<HubFile> tree_of(std::initializer_list<const char*> paths) {
  std::string text = R"([{"type":"directory","path":"onnx","oid":"0","size":0})";
  for (const char* path : paths)
    text += fmt::format(",{}", tree_row(path, std::string(path).find(".json") == std::string::npos));
  const auto files = read_tree(text + "]", "tree");
  EXPECT_TRUE(files) << files.error().message;
  return files.value_or(std::vector<HubFile>());
}

TEST(HubTest, ReadsATree) {
  const auto files = tree_of({"config.json", "model.safetensors"});
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].checksum.kind, ChecksumKind::kGitBlob);
  EXPECT_EQ(files[1].checksum.kind, ChecksumKind::kSha256);
  EXPECT_EQ(files[1].checksum.hex, hash_of("x"));
  for (const char* path : {"../x", "/x", "a//b", "a/../b", ""}) {
    EXPECT_FALSE(read_tree(fmt::format("[{}]", tree_row(path, true)), "tree")) << path;
  }
  EXPECT_FALSE(read_tree(R"([{"type":"file","path":"x","size":1,"oid":"short"}])", "tree"));
  EXPECT_FALSE(read_tree(R"({"error":"x"})", "tree"));
}

TEST(HubTest, ChoosesWhatMakesAModel) {
  const auto both =
      tree_of({"README.md", "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
               "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
               "consolidated.safetensors", "onnx/config.json", "x-q8_0.gguf"});
  auto choice = choose_files(both, "", "o/r");
  ASSERT_TRUE(choice) << choice.error().message;
  EXPECT_TRUE(choice->folder);
  EXPECT_EQ(choice->files.size(), 7U);
  EXPECT_EQ(choice->files.back().path, "model-00002-of-00002.safetensors");
  choice = choose_files(both, "Q8_0", "o/r");
  ASSERT_TRUE(choice);
  EXPECT_FALSE(choice->folder);

  const auto ggufs = tree_of({"m-q2_k.gguf", "m-q4_k.gguf", "m-q4_k_m.gguf", "m-fp16-00001-of-00002.gguf",
                              "m-fp16-00002-of-00002.gguf", "mmproj-q8_0.gguf"});
  EXPECT_EQ(choose_files(ggufs, "", "o/r")->files[0].path, "m-q4_k_m.gguf");
  EXPECT_EQ(choose_files(ggufs, "Q4_K", "o/r")->files[0].path, "m-q4_k.gguf");
  EXPECT_EQ(choose_files(ggufs, "m-q2_k.gguf", "o/r")->files[0].path, "m-q2_k.gguf");
  EXPECT_THAT(choose_files(ggufs, "q3", "o/r").error().message,
              HasSubstr("o/r: expected one .gguf that 'q3' names, found m-q2_k.gguf"));
  EXPECT_EQ(choose_files(ggufs, "m-fp16-00001-of-00002.gguf", "o/r").error().code, Code::kUnsupported);
  EXPECT_EQ(choose_files(tree_of({"README.md"}), "", "o/r").error().code, Code::kNotFound);
  EXPECT_EQ(choose_files(tree_of({"README.md"}), "README.md", "o/r").error().code, Code::kInvalidArgument);
}

TEST(WheelTest, ReadsStoredAndDeflatedMembers) {
  const Scratch scratch;
  const std::string path = scratch / "x.whl";
  const std::string bytes = some_bytes(3'000'000) + std::string(100'000, 'z');
  for (const int level : {0, 6}) {
    write_all(path, make_wheel(scratch, "data/a.bin", bytes, level));
    std::string got;
    const auto keep = [&](std::string_view piece) {
      got += piece;
      return base::Status();
    };
    ASSERT_TRUE(read_member(path, "data/a.bin", keep));
    EXPECT_EQ(got, bytes);
    EXPECT_EQ(read_member(path, "data/A.bin", keep).error().code, Code::kNotFound);
  }
}

TEST(WheelTest, BrokenFilesAreErrors) {
  const Scratch scratch;
  const std::string path = scratch / "x.whl";
  const std::string whole = make_wheel(scratch, "a.bin", some_bytes(5000), 6);
  const auto read = [&](const std::string& bytes) {
    write_all(path, bytes);
    return read_member(path, "a.bin", [](std::string_view) { return base::Status(); });
  };
  ASSERT_TRUE(read(whole));
  for (size_t i = 0; i < whole.size(); i += 97) EXPECT_FALSE(read(whole.substr(0, i))) << i;
  size_t refused = 0;
  for (size_t i = 0; i < whole.size(); i += 13) {  // a flip may hit what nobody reads, but does no harm
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
    refused += read(bytes) ? 0 : 1;
  }
  EXPECT_GT(refused, whole.size() / 13 / 2);
}

}  // namespace
}  // namespace concerto::fetch
