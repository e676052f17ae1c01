#include "app/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "app/default_config.h"
#include "app/nearest.h"
#include "app/paths.h"

namespace concerto::app {
namespace {

using base::Code;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kPeople = "[[tier]]\nname = \"people\"\nkind = \"people\"\n";

// Sets a variable for one test.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name), old_(environment(name)) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (old_.empty()) {
      ::unsetenv(name_);
    } else {
      ::setenv(name_, old_.c_str(), 1);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string old_;
};

class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("concerto_app_" + std::to_string(::getpid()) + "_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).string(); }
  std::string write(const char* name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

TEST(Config, ReadsEveryKey) {
  const auto config = parse_config(R"(
[server]
bind = "0.0.0.0"
port = 9000
api_keys_file = "api.keys"
admin_keys_file = "/etc/admin.keys"
allowed_origins = ["https://chat.example"]
allowed_hosts = ["llm.example"]
worker_threads = 3
max_connections = 10
max_body_mb = 4
memory_mb = 3000
drain_ms = 5
[[tier]]
name = "small"
kind = "local"
model = "models/../m.gguf"
threads = 2
context = 4096
kv_mb = 300
itl_target_ms = 99.5
quantize = "q8_0"
max_running = 4
speculation = "lookup"
max_waiting = 9
timeout_ms = 1000
first_event_ms = 500
[[tier]]
name = "cluster"
kind = "upstream"
base_url = "https://cluster.example/v1"
model = "Qwen2-7B-Instruct"
api_key_env = "CLUSTER_KEY"
logprobs = true
[[tier]]
name = "people"
kind = "people"
[cascade]
threshold = 1
window_tokens = 0
keywords = ["退款"]
keyword_exceptions = ["不退款"]
[store]
path = "~/cases.db"
)",
                                   "/etc/concerto/concerto.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server.bind, "0.0.0.0");
  EXPECT_EQ(config->server.port, 9000);
  EXPECT_EQ(config->server.api_keys_file, "/etc/concerto/api.keys") << "relative to the file";
  EXPECT_EQ(config->server.admin_keys_file, "/etc/admin.keys");
  EXPECT_THAT(config->server.allowed_origins, ElementsAre("https://chat.example"));
  EXPECT_THAT(config->server.allowed_hosts, ElementsAre("llm.example"));
  EXPECT_EQ(config->server.worker_threads, 3);
  EXPECT_EQ(config->server.max_connections, 10);
  EXPECT_EQ(config->server.max_body_mb, 4);
  EXPECT_EQ(config->server.memory_mb, 3000);
  EXPECT_EQ(config->server.drain_ms, 5);
  ASSERT_EQ(config->tiers.size(), 3U);
  const TierConfig& small = config->tiers[0];
  EXPECT_EQ(small.kind, TierKind::kLocal);
  EXPECT_EQ(small.model, "/etc/concerto/m.gguf");
  EXPECT_EQ(small.threads, 2);
  EXPECT_EQ(small.context, 4096);
  EXPECT_EQ(small.kv_mb, 300);
  EXPECT_EQ(small.itl_target_ms, 99.5);
  EXPECT_EQ(small.quantize, "q8_0");
  EXPECT_EQ(small.max_running, 4);
  EXPECT_EQ(small.speculation, engine::Speculation::kLookup);
  EXPECT_EQ(small.max_waiting, 9);
  EXPECT_EQ(small.timeout_ms, 1000);
  EXPECT_EQ(small.first_event_ms, 500);
  const TierConfig& cluster = config->tiers[1];
  EXPECT_EQ(cluster.kind, TierKind::kUpstream);
  EXPECT_EQ(cluster.base_url, "https://cluster.example/v1");
  EXPECT_EQ(cluster.model, "Qwen2-7B-Instruct");
  EXPECT_EQ(cluster.api_key_env, "CLUSTER_KEY");
  EXPECT_TRUE(cluster.logprobs);
  EXPECT_GT(cluster.timeout_ms, 0) << "an upstream may not hang for ever by default";
  EXPECT_GT(cluster.first_event_ms, 0);
  EXPECT_EQ(config->tiers[2].kind, TierKind::kPeople);
  EXPECT_EQ(config->cascade.threshold, 1);
  EXPECT_EQ(config->cascade.window_tokens, 0);
  EXPECT_THAT(config->cascade.keywords, ElementsAre("退款"));
  EXPECT_THAT(config->cascade.keyword_exceptions, ElementsAre("不退款"));
  EXPECT_EQ(config->store_path, environment("HOME") + "/cases.db");
}

TEST(Config, HasDefaults) {
  const Variable data("XDG_DATA_HOME", "/data");
  const auto config = parse_config(kPeople, "concerto.toml");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->server.bind, "127.0.0.1");
  EXPECT_EQ(config->server.port, 8080);
  EXPECT_EQ(config->cascade.threshold, 0.85);
  EXPECT_THAT(config->cascade.keywords, ElementsAre("合同", "法律", "赔偿"));
  EXPECT_EQ(config->store_path, "/data/concerto/concerto.db");
}

struct Bad {
  const char* text;
  const char* message;  // a part of it
};

class BadConfig : public ::testing::TestWithParam<Bad> {};

TEST_P(BadConfig, NamesPlaceExpectedAndFound) {
  const auto config = parse_config(GetParam().text, "c.toml");
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().code, Code::kInvalidArgument);
  EXPECT_THAT(config.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadConfig,
    ::testing::Values(
        Bad{"[server\n", "c.toml:1:8:"},  //
        Bad{"[server]\nport = 1\nport = 2\n", "c.toml:3:"}, Bad{"", "tier: expected at least one [[tier]], found none"},
        Bad{"[server]\nprot = 1\n", "c.toml:2: server.prot: unknown key (did you mean port?)"},
        Bad{"[sever]\nport = 1\n", "c.toml:1: sever: unknown key (did you mean server?)"},
        Bad{"[server]\nport = \"80\"\n", "c.toml:2: server.port: expected an integer from 0 to 65535, found \"80\""},
        Bad{"[server]\nport = 65536\n", "found 65536"}, Bad{"[server]\nport = -1\n", "found -1"},
        Bad{"[server]\nport = 80.0\n", "expected an integer"},
        Bad{"[server]\nbind = \"\"\n", "isn't empty, found \"\""},
        Bad{"[server]\nbind = 1979-05-27\n", "found a date or time"},
        Bad{"[server]\nallowed_origins = \"x\"\n", "server.allowed_origins: expected an array of texts"},
        Bad{"[server]\nallowed_origins = [\"x\", 1]\n", "server.allowed_origins[1]: expected a text"},
        Bad{"server = 1\n", "c.toml:1: server: expected a table: [server], found 1"},
        Bad{"[tier]\nname = \"a\"\n", "tier: expected [[tier]] (with two brackets), found a table"},
        Bad{"tier = [1]\n", "tier[0]: expected a table, found 1"},
        Bad{"[[tier]]\nkind = \"people\"\n", "tier[0].name: expected the tier's name, found none"},
        Bad{"[[tier]]\nname = \"concerto\"\nkind = \"people\"\n", "not \"concerto\""},
        Bad{"[[tier]]\nname = \"a b\"\nkind = \"people\"\n", "tier[0].name: expected letters"},
        Bad{"[[tier]]\nname = \"a\"\n", "tier[0].kind: expected \"local\", \"upstream\" or \"people\", found none"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"remote\"\nfoo = 1\n", "c.toml:3: tier[0].kind: expected"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"local\"\n", "tier[0].model: expected the path"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"local\"\nmodel = \"m\"\nbase_url = \"x\"\n", "base_url: unknown key"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"local\"\nmodel = \"m\"\nquantize = \"q3\"\n", "expected \"q8_0\" or"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"upstream\"\nmodel = \"m\"\n", "tier[0].base_url: expected the address"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"upstream\"\nmodel = \"m\"\nbase_url = \"ftp://x\"\n",
            "found \"ftp://x\""},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"upstream\"\nbase_url = \"http://x\"\n", "tier[0].model: expected"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"upstream\"\nbase_url = \"http://x\"\nmodel = \"m\"\napi_key = \"k\"\n",
            "tier[0].api_key: unknown key (did you mean api_key"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"upstream\"\nbase_url = \"http://x\"\nmodel = \"m\"\napi_key_file = "
            "\"k\"\n"
            "api_key_env = \"K\"\n",
            "not both"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"people\"\n[[tier]]\nname = \"a\"\nkind = \"people\"\n",
            "c.toml:4: tier[1].name: expected a name of its own"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"people\"\n[[tier]]\nname = \"b\"\nkind = \"people\"\n",
            "tier[0].kind: expected \"people\" in the last tier only"},
        Bad{"[[tier]]\nname = \"a\"\nkind = \"people\"\ntimeout_ms = 1\n", "tier[0].timeout_ms: unknown key"},
        Bad{"[cascade]\nthreshold = 1.01\n", "cascade.threshold: expected a number from 0 to 1, found 1.01"},
        Bad{"[cascade]\nthreshold = nan\n", "found nan"}, Bad{"[cascade]\nkeywords = [\"\"]\n", "cascade.keywords[0]"},
        Bad{"[store]\npath = 3\n", "c.toml:2: store.path: expected a text"}));

TEST(Config, ReportsAllErrorsInTheOrderOfTheirLines) {
  const auto config = parse_config("[cascade]\nthreshold = 2\n[server]\nport = true\nfoo = 1\n", "c.toml");
  ASSERT_FALSE(config);
  const std::string& text = config.error().message;
  const size_t first = text.find("c.toml:2:");
  const size_t second = text.find("c.toml:4: server.port: expected an integer from 0 to 65535, found true");
  const size_t third = text.find("c.toml:5: server.foo");
  ASSERT_NE(first, std::string::npos) << text;
  ASSERT_NE(second, std::string::npos) << text;
  ASSERT_NE(third, std::string::npos) << text;
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
}

TEST(Config, FlagGoesOverEnvironmentOverFile) {
  const Folder folder;
  Overrides flags;
  flags.config = folder.write("c.toml", std::string("[server]\nport = 1111\n") + kPeople);
  EXPECT_EQ(load_config(flags)->server.port, 1111);
  const Variable port("CONCERTO_PORT", "2222");
  EXPECT_EQ(load_config(flags)->server.port, 2222);
  flags.port = 3333;
  EXPECT_EQ(load_config(flags)->server.port, 3333);
  const Variable threads("CONCERTO_THREADS", "two");
  const auto config = load_config(flags);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().message, "environment CONCERTO_THREADS: expected a number from 1 to 1024, found 'two'");
}

TEST(Config, IsFoundWhereXdgSays) {
  const Folder folder;
  const Variable home("XDG_CONFIG_HOME", folder / "");
  const auto missing = load_config({});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("concerto init"));
  std::filesystem::create_directories(folder / "concerto");
  folder.write("concerto/concerto.toml", kPeople);
  const auto found = load_config({});
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(found->file, HasSubstr("concerto/concerto.toml"));
  Overrides flags;
  flags.config = folder / "none.toml";
  const auto named = load_config(flags);
  ASSERT_FALSE(named);
  EXPECT_THAT(named.error().message, HasSubstr("none.toml"));
}

TEST(DefaultConfig, IsOneThatParses) {
  for (const bool tiny : {false, true}) {
    const auto config = parse_config(default_config(tiny, "/models"), "/c/concerto.toml");
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->tiers.size(), tiny ? 2U : 3U);
    EXPECT_EQ(config->tiers.back().kind, TierKind::kPeople);
    EXPECT_EQ(config->server.admin_keys_file, "/c/admin.keys");
    EXPECT_EQ(config->cascade.threshold, CascadeConfig{}.threshold);
    EXPECT_EQ(config->cascade.keywords, CascadeConfig{}.keywords);
    EXPECT_EQ(config->server.drain_ms, ServerConfig{}.drain_ms);
    EXPECT_THAT(config->tiers[0].model, HasSubstr("/models/"));
  }
}

TEST(CreateFile, NeverOverwritesAndKeepsKeysPrivate) {
  const Folder folder;
  const std::string path = folder / "a/b/admin.keys";
  const mode_t old = ::umask(0);
  ASSERT_TRUE(create_file(path, "one", 0600));
  ::umask(old);
  struct stat info{};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  const auto again = create_file(path, "two", 0600);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kConflict);
  EXPECT_THAT(*read_keys(path, ""), ElementsAre("one"));
  EXPECT_NE(new_key(), new_key());
}

TEST(Keys, OneALine) {
  const Folder folder;
  const std::string path = folder.write("k", "# staff\r\n  first-key-0123 \n\nsecond-key-0123 # Li\n");
  const auto keys = read_keys(path, "CONCERTO_TEST_KEY");
  ASSERT_TRUE(keys);
  EXPECT_THAT(*keys, ElementsAre("first-key-0123", "second-key-0123"));
  const Variable more("CONCERTO_TEST_KEY", "third-key-0123");
  EXPECT_THAT(*read_keys("", "CONCERTO_TEST_KEY"), ElementsAre("third-key-0123"));
  EXPECT_THAT(*read_keys("", ""), IsEmpty());
  const auto missing = read_keys(folder / "none", "");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("none"));
}

TEST(Nearest, FindsSlipsOnly) {
  const std::vector<std::string> names = {"serve", "doctor", "bench"};
  EXPECT_EQ(nearest("srve", names), "serve");
  EXPECT_EQ(nearest("docotr", names), "doctor");
  EXPECT_EQ(nearest("quantize", names), "");
  EXPECT_EQ(nearest(std::string(10'000, 'x'), names), "");
}

TEST(Paths, ExpandTheHomeFolder) {
  const Variable home("HOME", "/h/li");
  EXPECT_EQ(resolve_path("~", "/b"), "/h/li");
  EXPECT_EQ(resolve_path("~/x", "/b"), "/h/li/x");
  EXPECT_EQ(resolve_path("x/../y", "/b"), "/b/y");
  EXPECT_EQ(resolve_path("/x", "/b"), "/x");
  EXPECT_EQ(shorten_path("/h/li/x"), "~/x");
  EXPECT_EQ(shorten_path("/h/lily/x"), "/h/lily/x");
  const Variable relative("XDG_DATA_HOME", "not/absolute");
  EXPECT_EQ(data_folder(), "/h/li/.local/share/concerto");
}

}  // namespace
}  // namespace concerto::app
