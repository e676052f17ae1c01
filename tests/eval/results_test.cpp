// The figures that follow from the runs, and that each report holds all of them.
#include "eval/bench/results.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "eval/bench/roofline_svg.h"

namespace concerto::eval {
namespace {

Row sample_row() {
  Row row;
  row.name = "prefill-512";
  row.unit = "tokens/s";
  row.pass = {512, 512 * 1.31e9, 0.98e9};
  row.columns = {{"concerto", "concerto bench m.gguf", {251.5, 262.25, 240.125, 255.75}, {}, ""},
                 {"slow peer", "slow <m>", {90.5, 91.25}, {2.75, 2.875}, ""},
                 {"fast peer", "fast", {144.5, 140.25}, {1.625, 1.84375}, ""},
                 {"broken peer", "broken", {}, {}, "exit code 134\nASSERT(a < b)"}};
  row.probes = {{{460e9, 29.5e9}, 0.5}, {{470e9, 28.5e9}, 1.25}};
  return row;
}

Results sample() {
  Results r;
  r.version = "0.1.0";
  r.date = "2026-01-02T03:04Z";
  r.command = "concerto bench m --vs-peers p";
  r.processor = "Some CPU";
  r.system = "Linux 6";
  r.kernels = "avx512";
  r.cores = 2;
  r.threads = 2;
  r.pairs = 2;
  r.memory_bytes = 25e9;
  r.peers = {{"fast", "7.7"}};
  r.missing = {"gone: left out"};
  Row memory;
  memory.name = "memory";
  memory.unit = "MB";
  memory.lower_is_better = true;
  memory.columns = {
      {"concerto", "", {981.5}, {}, ""}, {"big", "", {1963}, {2.0}, ""}, {"small", "", {1400}, {1.5}, ""}};
  ModelResults model;
  model.model.name = "m-1.5b";
  model.rows = {sample_row(), memory};
  r.models = {model};
  return r;
}

TEST(Json, ReadsBackWhatAnInterruptedRunNeeds) {
  Results before = sample();
  before.program = "2026-01-01T00:00:00Z";
  before.models[0].model.file_bytes = 12345;
  const auto after = read_results(results_json(before));
  ASSERT_TRUE(after) << after.error().message;
  EXPECT_EQ(after->program, before.program);
  EXPECT_FALSE(after->complete);
  EXPECT_EQ(after->processor, "Some CPU");
  EXPECT_EQ(after->pairs, 2);
  ASSERT_EQ(after->models.size(), 1U);
  EXPECT_EQ(after->models[0].model.file_bytes, 12345);
  // Every figure of every row follows from what was read.
  ASSERT_EQ(after->models[0].rows.size(), 2U);
  Results again = before;
  again.models[0].rows = after->models[0].rows;
  EXPECT_EQ(results_json(again), results_json(before));
  for (const char* bad : {"", "[]", "{}", R"({"models": 5})", R"({"models": [)"})
    EXPECT_FALSE(read_results(bad)) << bad;
  EXPECT_TRUE(
      read_results(R"({"models":[{"rows":[{"contenders":[5,{"value":{"samples":["x"]}}],"probes":[null]}]},7]})"));
}

TEST(Spread, MedianAndRange) {
  EXPECT_EQ(spread_of({}).median, 0);
  EXPECT_EQ(spread_of({3}).median, 3);
  EXPECT_EQ(spread_of({9, 1, 3}).median, 3);
  const Spread even = spread_of({8, 2, 4, 1});
  EXPECT_EQ(even.median, 3);
  EXPECT_EQ(even.low, 1);
  EXPECT_EQ(even.high, 8);
}

TEST(BestPeer, ByMedianInTheDirectionOfTheUnit) {
  EXPECT_EQ(best_peer(sample_row())->contender, "fast peer");
  EXPECT_EQ(best_peer(sample().models[0].rows[1])->contender, "small");
  Row alone = sample_row();
  alone.columns.resize(1);
  EXPECT_EQ(best_peer(alone), nullptr);
}

TEST(Ceiling, TheSlowerOfMemoryAndProducts) {
  // 470e9 / 1.31e9 products, the bytes of one pass being nothing beside 512 tokens.
  EXPECT_NEAR(ceiling_of(sample_row()), 470 / 1.31, 1e-6);
  const PassCost decode{1, 1.5e9, 1e9};
  EXPECT_NEAR(ceiling_of(decode, 470e9, 30e9), 30, 1e-9);
  EXPECT_NEAR(ceiling_of(PassCost{1000, 1.5e12, 1e9}, 300e9, 30e9), 200, 1e-9);
  EXPECT_EQ(ceiling_of(decode, 0, 30e9), 0);
  EXPECT_EQ(ceiling_of(PassCost{}, 470e9, 30e9), 0);
}

TEST(PassCost, GrowsWithContextAndStreams) {
  ModelCost model;
  model.layer_macs = 1000;
  model.head_macs = 100;
  model.layer_bytes = 500;
  model.head_bytes = 80;
  model.kv_token_bytes = 2;
  EXPECT_EQ(pass_of(model, {Work::kPrefill, 10}).macs, 10 * 1000 + 100);
  EXPECT_EQ(pass_of(model, {Work::kDecode, 0}).macs, 1100);
  EXPECT_EQ(pass_of(model, {Work::kDecode, 0}).bytes, 580 + kGenerated);
  EXPECT_EQ(pass_of(model, {Work::kDecode, 100}).bytes, 580 + kGenerated + 200);
  EXPECT_EQ(pass_of(model, {Work::kStreams, 4}).macs, 4 * 1100);
  EXPECT_EQ(pass_of(model, {Work::kStart, 0}).tokens, 0);
}

TEST(Figures, DigitsThatCount) {
  EXPECT_EQ(figure(1025.4), "1025");
  EXPECT_EQ(figure(144.55), "144.6");
  EXPECT_EQ(figure(28.049), "28.05");
  EXPECT_EQ(figure(0.0305), "0.030");
  EXPECT_EQ(figures({1.5, 1.25, 2}), "1.50 (1.25-2.00)");
  EXPECT_EQ(figures({1.5}), "1.50");
  EXPECT_EQ(figures({}), "");
}

// Every text that a report must not lose.
std::vector<std::string> all_facts(const Results& r) {
  std::vector<std::string> facts = {r.version, r.date,    r.command,    r.processor,
                                    r.system,  r.kernels, r.missing[0], r.peers[0].version};
  for (const ModelResults& model : r.models) {
    facts.push_back(model.model.name);
    for (const Row& row : model.rows) {
      facts.push_back(row.name);
      for (const Column& column : row.columns) {
        facts.push_back(column.contender);
        if (!column.values.empty()) facts.push_back(figures(column.values));
        if (!column.ratios.empty()) facts.push_back(figures(column.ratios));
      }
      if (ceiling_of(row) > 0) facts.push_back(figure(ceiling_of(row)));
    }
  }
  return facts;
}

TEST(Report, MarkdownHoldsEveryFigure) {
  const Results r = sample();
  const std::string text = results_markdown(r);
  for (const std::string& fact : all_facts(r)) EXPECT_NE(text.find(fact), std::string::npos) << fact;
  EXPECT_NE(
      text.find("| prefill-512 | tokens/s | 253.6 (240.1-262.2) | fast peer | 142.4 (140.2-144.5) | 1.73 (1.62-1.84) "
                "| 358.8 | 71% | 470 GMAC/s, 29.5 GB/s |"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("ASSERT(a < b)"), std::string::npos);
}

TEST(Report, HtmlHoldsEveryFigureSampleAndCommand) {
  const Results r = sample();
  const std::string page = results_html(r);
  for (const std::string& fact : all_facts(r)) EXPECT_NE(page.find(escape_html(fact)), std::string::npos) << fact;
  for (const Row& row : r.models[0].rows) {
    for (const Column& column : row.columns) {
      for (const double value : column.values) EXPECT_NE(page.find(figure(value)), std::string::npos) << value;
      for (const double value : column.ratios) EXPECT_NE(page.find(figure(value)), std::string::npos) << value;
    }
    for (const Probe& probe : row.probes) {
      EXPECT_NE(page.find(figure(probe.ceilings.int8_macs_per_s * 1e-9)), std::string::npos);
      EXPECT_NE(page.find(figure(probe.ceilings.bytes_per_s * 1e-9)), std::string::npos);
    }
  }
  EXPECT_NE(page.find("slow &lt;m&gt;"), std::string::npos);
  EXPECT_EQ(page.find("slow <m>"), std::string::npos);
  EXPECT_NE(page.find("<svg"), std::string::npos);
  for (const char* outside : {"http://", "https://", "<script", "src=", "@import"}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
}

TEST(Report, RooflineHasAPointForOursAndTheBestPeerOnly) {
  const std::string svg = roofline_svg(sample().models[0]);
  EXPECT_NE(svg.find("<title>concerto: prefill-512"), std::string::npos);
  EXPECT_NE(svg.find("<title>fast peer: prefill-512"), std::string::npos);
  EXPECT_EQ(svg.find("slow peer"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(roofline_svg(ModelResults{}), "");
}

TEST(Report, TextSaysWhatFailed) {
  const std::string text = results_text(sample());
  EXPECT_NE(text.find("broken peer: exit code 134"), std::string::npos) << text;
  EXPECT_NE(text.find("gone: left out"), std::string::npos);
}

TEST(Report, JsonCanBeReadBack) {
  Results r = sample();
  r.models[0].rows[0].columns[3].failure = "\xff not UTF-8";
  const auto json = nlohmann::json::parse(results_json(r));
  const auto& row = json["models"][0]["rows"][0];
  EXPECT_EQ(row["best_peer"], "fast peer");
  EXPECT_DOUBLE_EQ(row["ratio"]["median"].get<double>(), (1.625 + 1.84375) / 2);
  EXPECT_EQ(row["contenders"][0]["value"]["samples"].size(), 4U);
  EXPECT_EQ(row["probes"][1]["int8_macs_per_s"], 470e9);
  EXPECT_EQ(json["machine"]["processor"], "Some CPU");
}

}  // namespace
}  // namespace concerto::eval
