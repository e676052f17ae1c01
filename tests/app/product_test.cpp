// The product as clients see it: real HTTP, real cascade, desk and store; scripted models.
#include "app/product.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <nlohmann/json.hpp>

#include "api/server.h"
#include "app/paths.h"
#include "base/log.h"
#include "cascade/confidence.h"
#include "cascade/scripted.h"
#include "net/http_client.h"
#include "net/sse_parser.h"
#include "store/database.h"

namespace concerto::app {
namespace {

using base::Code;
using cascade::ScriptedBackend;
using nlohmann::json;
using ::testing::HasSubstr;

constexpr const char* kUserKey = "user-key-0123456789";
constexpr const char* kAdminKey = "admin-key-0123456789";

[[maybe_unused]] const bool kQuiet = (base::set_log_level(base::LogLevel::kOff), true);

// What a scripted model says, token by token: sure of each, or in doubt about each.
std::vector<cascade::TokenInfo> tokens_of(const std::string& tier, bool sure) {
  std::vector<cascade::TokenInfo> out;
  for (const std::string& text : {std::string("from "), tier, std::string(".")}) {
    out.push_back(cascade::signal(text, sure ? 0.95F : 0.3F));
    out.back().logprob = sure ? -0.05F : -6.0F;
  }
  return out;
}

double confidence_of(const std::string& tier, bool sure) {
  return cascade::confidence(cascade::features_of(tokens_of(tier, sure), 0, true)).value();
}

// The small model is sure of greetings, the big one of everything but riddles.
void answer(const std::string& tier, ScriptedBackend::Call& call) {
  const std::string question = call.request.messages.back().content;
  const bool greeting = question.find("你好") != std::string::npos;
  const bool riddle = question.find("riddle") != std::string::npos;
  for (const auto& token : tokens_of(tier, tier == "small" ? greeting : !riddle)) {
    call.sink(cascade::Delta{token.bytes, "", {token}});
  }
  call.sink(cascade::end_of(7, 3));
}

class ProductTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_path = (std::filesystem::temp_directory_path() /
                  ("concerto_product_" + std::to_string(::getpid()) + "_" +
                   ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".db"))
                     .string();
    config.store_path = store_path;
    TierConfig small;
    small.name = "small";
    TierConfig big;
    big.name = "big";
    TierConfig people;
    people.name = "people";
    people.kind = TierKind::kPeople;
    config.tiers = {small, big, people};
    client = std::move(*net::HttpClient::open());
  }
  void TearDown() override {
    if (server) server->stop(0);
    server.reset();
    product.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(store_path + suffix);
  }
  void start() {
    auto made = Product::create(config, maker());
    ASSERT_TRUE(made) << made.error().message;
    product = std::move(*made);
    api::ApiOptions options;
    options.port = 0;
    options.api_keys = {kUserKey};
    options.admin_keys = {kAdminKey};
    auto started = api::ApiServer::start(std::move(options), product.get());
    ASSERT_TRUE(started) << started.error().message;
    server = std::move(*started);
    product->load();
  }
  void start_ready() {
    start();
    const auto loaded = product->wait_loaded(5000);
    ASSERT_TRUE(loaded.has_value());
    ASSERT_TRUE(*loaded) << loaded->error().message;
  }
  TierMaker maker() {
    return [this](const TierConfig& tier, const TierContext& context,
                  const std::function<void(double)>& progress) -> base::Result<LoadedTier> {
      if (on_load) {
        TRY_STATUS(on_load(tier, progress));
      }
      if (tier.kind == TierKind::kPeople) return make_tier(tier, context, progress);
      auto backend = std::make_shared<ScriptedBackend>(tier.name);
      backend->on_start = [this, name = tier.name](ScriptedBackend::Call& call) {
        on_start ? on_start(name, call) : answer(name, call);
      };
      return LoadedTier{backend, nullptr};
    };
  }
  net::ClientResponse call(const std::string& method, const std::string& path, const json& body = {},
                           const char* key = kUserKey) {
    net::ClientRequest request;
    request.method = method;
    request.url = "http://127.0.0.1:" + std::to_string(server->port()) + path;
    request.headers = {{"Content-Type", "application/json"}};
    if (*key != '\0') request.headers.add("Authorization", std::string("Bearer ") + key);
    if (!body.is_null()) request.body = body.dump();
    auto response = client->fetch(std::move(request));
    EXPECT_TRUE(response) << response.error().message;
    return response ? *response : net::ClientResponse{};
  }
  net::ClientResponse ask(const std::string& question, const std::string& model = "concerto", bool stream = false) {
    return call("POST", "/v1/chat/completions",
                {{"model", model}, {"stream", stream}, {"messages", {{{"role", "user"}, {"content", question}}}}});
  }
  static std::string header(const net::ClientResponse& response, const char* name) {
    const std::string* value = response.headers.find(name);
    return value == nullptr ? "(none)" : *value;
  }
  static std::string content(const net::ClientResponse& response) {
    const json body = json::parse(response.body, nullptr, false);
    if (response.status != 200 || !body.contains("choices")) return "error: " + response.body;
    return body["choices"][0]["message"]["content"];
  }

  Config config;
  std::string store_path;
  std::function<base::Status(const TierConfig&, const std::function<void(double)>&)> on_load;
  std::function<void(const std::string&, ScriptedBackend::Call&)> on_start;
  std::unique_ptr<net::HttpClient> client;
  std::unique_ptr<Product> product;
  std::unique_ptr<api::ApiServer> server;
};

TEST_F(ProductTest, AnswersHealthWhileModelsLoad) {
  std::promise<void> reached;
  std::promise<void> go;
  on_load = [&](const TierConfig& tier, const std::function<void(double)>& progress) -> base::Status {
    if (tier.name != "big") return {};
    progress(0.43);
    reached.set_value();
    go.get_future().wait();
    return {};
  };
  start();
  reached.get_future().wait();
  EXPECT_EQ(call("GET", "/livez").status, 200);
  const auto loading = call("GET", "/readyz");
  EXPECT_EQ(loading.status, 503);
  EXPECT_THAT(loading.body, HasSubstr("loading big: 43%"));
  const auto refused = ask("你好");
  EXPECT_EQ(refused.status, 503);
  EXPECT_THAT(refused.body, HasSubstr("loading big: 43%"));
  EXPECT_NE(header(refused, "Retry-After"), "(none)");
  EXPECT_EQ(ask("你好", "nobody").status, 404) << "an unknown model stays unknown however long one waits";
  EXPECT_FALSE(product->wait_loaded(0));
  go.set_value();
  const auto loaded = product->wait_loaded(5000);
  ASSERT_TRUE(loaded && *loaded);
  EXPECT_EQ(call("GET", "/readyz").status, 200);
  EXPECT_EQ(content(ask("你好")), "from small.");
}

TEST_F(ProductTest, AModelThatFailsToLoadIsNamed) {
  on_load = [](const TierConfig& tier, const std::function<void(double)>&) -> base::Status {
    if (tier.name == "small") return {};
    return base::fail(Code::kCorrupt, "m.gguf: truncated");
  };
  start();
  const auto loaded = product->wait_loaded(5000);
  ASSERT_TRUE(loaded.has_value());
  ASSERT_FALSE(*loaded);
  EXPECT_EQ(loaded->error().message, "tier big: m.gguf: truncated");
  EXPECT_EQ(call("GET", "/readyz").status, 503);
  EXPECT_EQ(ask("你好").status, 503);
}

TEST_F(ProductTest, TheSmallModelAnswersWhatItIsSureOf) {
  start_ready();
  const auto response = ask("你好");
  EXPECT_EQ(content(response), "from small.");
  EXPECT_EQ(header(response, "x-concerto-tier"), "small");
  EXPECT_EQ(header(response, "x-concerto-reason"), "confident");
  EXPECT_EQ(header(response, "x-concerto-confidence"), fmt::format("{:.4f}", confidence_of("small", true)));
  EXPECT_EQ(header(response, "x-concerto-case"), "(none)");
}

TEST_F(ProductTest, TheBigModelAnswersTheRestAndWhatAKeywordSends) {
  start_ready();
  const auto harder = ask("What is a monad?");
  EXPECT_EQ(content(harder), "from big.");
  EXPECT_EQ(header(harder, "x-concerto-reason"), "low_confidence");
  const auto keyword = ask("你好，我的合同呢？");
  EXPECT_EQ(content(keyword), "from big.");
  EXPECT_EQ(header(keyword, "x-concerto-reason"), "keyword:%E5%90%88%E5%90%8C");
}

TEST_F(ProductTest, AStreamTakesTheSameRoute) {
  start_ready();
  const auto response = ask("What is a monad?", "concerto", true);
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(header(response, "x-concerto-tier"), "big");
  net::SseParser parser;
  std::vector<net::SseEvent> events;
  ASSERT_TRUE(parser.feed(response.body, &events));
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events.back().data, "[DONE]");
  std::string text;
  json last;
  for (const auto& event : events) {
    if (event.data == "[DONE]") break;
    last = json::parse(event.data);
    const json& delta = last["choices"].empty() ? json::object() : last["choices"][0]["delta"];
    text += delta.value("content", "");
  }
  EXPECT_EQ(text, "from big.");
  EXPECT_EQ(last["concerto"]["tier"], "big");
  EXPECT_EQ(last["concerto"]["attempts"].size(), 2U);
}

TEST_F(ProductTest, WhatNoModelIsSureOfGoesToAPersonWhoAnswersOnce) {
  start_ready();
  const auto response = ask("A riddle: 谁是医生？");
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(header(response, "x-concerto-tier"), "people");
  const std::string id = header(response, "x-concerto-case");
  ASSERT_THAT(id, ::testing::StartsWith("case_"));
  EXPECT_THAT(content(response), HasSubstr("GET /v1/cases/" + id));
  EXPECT_THAT(content(response), HasSubstr("人工"));

  const std::string path = "/v1/cases/" + id;
  json state = json::parse(call("GET", path).body);
  EXPECT_EQ(state["state"], "open");
  EXPECT_EQ(state["label"], "蒸馏版未覆盖case");
  EXPECT_EQ(state["reason"], "low_confidence");
  EXPECT_EQ(state["question"], "A riddle: 谁是医生？");
  EXPECT_TRUE(state["answer"].is_null());
  EXPECT_THAT(call("GET", "/metrics").body, HasSubstr("\nconcerto_cases_open 1\n"));

  const json answered = {{"answer", "乙"}, {"answered_by", "li"}};
  EXPECT_EQ(call("POST", path + "/answer", answered, "").status, 401);
  EXPECT_EQ(call("POST", path + "/answer", answered, "not-a-known-key").status, 401);
  EXPECT_EQ(call("POST", path + "/answer", answered, kUserKey).status, 403);
  EXPECT_EQ(call("POST", path + "/answer", {{"answer", ""}}, kAdminKey).status, 400);
  EXPECT_EQ(call("POST", path + "/answer", answered, kAdminKey).status, 200);
  EXPECT_EQ(call("POST", path + "/answer", {{"answer", "丙"}}, kAdminKey).status, 409);
  state = json::parse(call("GET", path).body);
  EXPECT_EQ(state["state"], "answered");
  EXPECT_EQ(state["answer"], "乙");
  EXPECT_EQ(state["answered_by"], "li");
  EXPECT_GE(state["answered_ms"], state["created_ms"]);
  EXPECT_THAT(call("GET", "/metrics").body, HasSubstr("\nconcerto_cases_open 0\n"));
  EXPECT_EQ(call("GET", "/v1/cases/case_unknown").status, 404);
  EXPECT_EQ(call("POST", "/v1/cases/case_unknown/answer", answered, kAdminKey).status, 404);

  // What the desk will show: the conversation and what both models wrote.
  auto opened = store::open_sqlite({store_path});
  ASSERT_TRUE(opened);
  const auto record = (*opened)->find_case(id);
  ASSERT_TRUE(record);
  const json drafts = json::parse(record->drafts_json);
  ASSERT_EQ(drafts.size(), 2U);
  EXPECT_EQ(drafts[0]["tier"], "small");
  EXPECT_EQ(drafts[1]["content"], "from big.");
  EXPECT_NEAR(drafts[1]["confidence"].get<double>(), confidence_of("big", false), 1e-6);
  EXPECT_EQ(drafts[1]["model_id"], "sha256:big");
}

TEST_F(ProductTest, CasesAreThereAfterARestart) {
  start_ready();
  const std::string id = header(ask("riddle"), "x-concerto-case");
  server->stop(0);
  server.reset();
  product.reset();
  start_ready();
  EXPECT_EQ(json::parse(call("GET", "/v1/cases/" + id).body)["state"], "open");
}

TEST_F(ProductTest, AStoreThatFailsIsAnErrorNotAPromise) {
  start_ready();
  {
    auto other = store::Database::open(store_path, 1000);
    ASSERT_TRUE(other);
    ASSERT_TRUE((*other)->execute("DROP TABLE cases"));
  }
  const auto response = ask("riddle");
  EXPECT_GE(response.status, 500) << response.body;
  EXPECT_THAT(response.body, ::testing::Not(HasSubstr("case_")));
  EXPECT_THAT(response.body, ::testing::Not(HasSubstr(store_path)));
  const auto state = call("GET", "/v1/cases/case_x");
  EXPECT_EQ(state.status, 500);
  EXPECT_THAT(state.body, ::testing::Not(HasSubstr(store_path)));
  EXPECT_EQ(content(ask("你好")), "from small.") << "what models can answer goes on";
}

TEST_F(ProductTest, EachTierAnswersAloneByItsName) {
  start_ready();
  EXPECT_EQ(content(ask("riddle", "small")), "from small.");
  EXPECT_EQ(content(ask("你好", "big")), "from big.");
  EXPECT_NE(header(ask("hello", "people"), "x-concerto-case"), "(none)");
  const auto unknown = ask("hello", "gpt-4");
  EXPECT_EQ(unknown.status, 404);
  const json error = json::parse(unknown.body)["error"];
  EXPECT_EQ(error["param"], "model");
  EXPECT_EQ(error["code"], "model_not_found");
  EXPECT_EQ(error["message"], "model: expected one of concerto, small, big, people, found 'gpt-4'");
}

TEST_F(ProductTest, ListsTheCascadeAndItsTiers) {
  start_ready();
  const auto models = product->models();
  ASSERT_EQ(models.size(), 4U);
  EXPECT_EQ(models[0].id, "concerto");
  EXPECT_EQ(models[0].kind, "cascade");
  EXPECT_EQ(models[0].context, 4096);
  EXPECT_EQ(models[1].model_id, "sha256:small");
  EXPECT_EQ(models[1].context, 4096);
  EXPECT_EQ(models[3].kind, "people");
  EXPECT_GT(models[0].created, 0);
  EXPECT_EQ(json::parse(call("GET", "/v1/models").body)["data"].size(), 4U);
}

TEST_F(ProductTest, SaysThatItDrains) {
  start_ready();
  product->drain();
  const auto ready = call("GET", "/readyz");
  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, HasSubstr("draining"));
  EXPECT_EQ(call("GET", "/livez").status, 200);
}

// An answer that never ends by itself must not keep the program from ending, nor be told to a product that is gone.
TEST_F(ProductTest, EndsWhileAnAnswerIsUnderWay) {
  std::promise<void> begun;
  std::thread worker;
  on_start = [&](const std::string&, ScriptedBackend::Call& call) {
    worker = std::thread([&begun, mine = std::move(call)]() mutable {
      begun.set_value();
      while (!mine.cancel.cancelled()) {
        mine.sink(cascade::word("x", 0.99F));
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      mine.sink(base::Error{Code::kCancelled, "stopped", {}});
      mine.sink = nullptr;
    });
  };
  start_ready();
  auto response = std::async(std::launch::async, [&] {
    net::ClientRequest request;
    request.url = "http://127.0.0.1:" + std::to_string(server->port()) + "/v1/chat/completions";
    request.headers = {{"Content-Type", "application/json"}, {"Authorization", std::string("Bearer ") + kUserKey}};
    request.body = R"({"model":"small","stream":true,"messages":[{"role":"user","content":"go on"}]})";
    return client->fetch(std::move(request));
  });
  begun.get_future().wait();
  const auto before = std::chrono::steady_clock::now();
  product->drain();
  server->stop(50);
  product.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  worker.join();
  response.wait();
}

// The whole line on real weights.
TEST_F(ProductTest, ServesRealWeights) {
  const std::string model = models_folder() + "/smollm2-135m-instruct-q4_1.gguf";
  if (!std::filesystem::exists(model)) {
    GTEST_SKIP() << model << " is missing: concerto pull smollm2-135m-instruct-q4_1";
  }
  config.tiers.erase(config.tiers.begin() + 1);
  config.tiers[0].model = model;
  config.tiers[0].context = 1024;
  config.cascade.threshold = 0;
  auto made = Product::create(config);
  ASSERT_TRUE(made) << made.error().message;
  product = std::move(*made);
  auto started = api::ApiServer::start({.port = 0}, product.get());
  ASSERT_TRUE(started);
  server = std::move(*started);
  product->load();
  const auto loaded = product->wait_loaded(60'000);
  ASSERT_TRUE(loaded.has_value());
  ASSERT_TRUE(*loaded) << loaded->error().message;
  EXPECT_GT(product->memory().weights, 50'000'000U);
  const json body = {{"model", "concerto"},
                     {"temperature", 0},
                     {"max_tokens", 24},
                     {"logprobs", true},
                     {"messages", {{{"role", "user"}, {"content", "What is the capital of France?"}}}}};
  const auto first = call("POST", "/v1/chat/completions", body);
  EXPECT_THAT(content(first), HasSubstr("Paris"));
  EXPECT_EQ(header(first, "x-concerto-tier"), "small");
  EXPECT_EQ(content(call("POST", "/v1/chat/completions", body)), content(first));
  EXPECT_THAT(call("GET", "/metrics").body, HasSubstr("tier=\"small\""));
}

}  // namespace
}  // namespace concerto::app
