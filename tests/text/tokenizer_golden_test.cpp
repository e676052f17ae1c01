// Ids equal to Hugging Face `tokenizers` on all code points, on written texts and on 20,000 random ones.
// Goldens: tools/goldens/make_tokenizer_goldens.py. Needs the model files (concerto pull); skips, saying so,
// without.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "text/models.h"
#include "text/normalizer.h"
#include "text/random_text.h"
#include "text/tokenizer.h"
#include "text/tokenizer_json.h"

namespace concerto::text {
namespace {

// Sanitizers make it ten times slower: every 16th page will do there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint32_t kPageStep = 16;
#else
constexpr uint32_t kPageStep = 1;
#endif

std::string unhex(const std::string& hex) {
  std::string out;
  if (hex == "-") return out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return out;
}

std::string replace(std::string pattern, const std::string& by) {
  for (size_t at = 0; (at = pattern.find("{}", at)) != std::string::npos; at += by.size()) pattern.replace(at, 2, by);
  return pattern;
}

std::vector<int32_t> numbers(std::istringstream* in) {
  std::vector<int32_t> out;
  for (int32_t id = 0; *in >> id;) out.push_back(id);
  return out;
}

void check_goldens(const Tokenizer& tokenizer, const std::string& name) {
  const char* kSurroundings[] = {"{}", " {}", "a{}b", "'{}", "1{}2", "{}\n", ". {}{} ", "{}\u0301\u0323"};
  std::ifstream file(std::string(CONCERTO_TEST_DATA "/text/tokenizer_") + name + ".txt");
  ASSERT_TRUE(file.is_open());
  Random random(20240229);
  int texts = 0;
  int pages = 0;
  int blocks = 0;
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream in(line);
    std::string kind;
    in >> kind;
    if (kind == "text") {
      std::string hex;
      in >> hex;
      const std::string text = unhex(hex);
      EXPECT_EQ(tokenizer.encode(text, true), numbers(&in)) << text;
      ++texts;
    } else if (kind == "page") {
      uint32_t page = 0;
      uint32_t expected = 0;
      in >> std::dec >> page >> std::hex >> expected;
      ++pages;
      if (page % kPageStep != 0) continue;
      IdHash hash;
      for (char32_t c = page * 256; c < page * 256 + 256; ++c) {
        std::string point;
        base::utf8_append(&point, c);
        for (const char* surrounding : kSurroundings) hash.add(tokenizer.encode(replace(surrounding, point), true));
      }
      EXPECT_EQ(hash.value(), expected) << "page " << page;
    } else if (kind == "fuzz") {
      uint32_t block = 0;
      uint32_t expected = 0;
      in >> std::dec >> block >> std::hex >> expected;
      IdHash hash;
      for (int i = 0; i < 100; ++i) hash.add(tokenizer.encode(random_text(&random), true));
      EXPECT_EQ(hash.value(), expected) << "block " << block;
      ++blocks;
    }
  }
  EXPECT_GT(texts, 30);
  EXPECT_EQ(pages, 0x1100 - 8);
  EXPECT_EQ(blocks, 200);
}

TEST(TokenizerGolden, Qwen2Gguf) {
  OPEN_MODEL_OR_SKIP(file, kQwenFile);
  const auto made = Tokenizer::from_gguf(*file);
  ASSERT_TRUE(made) << made.error().message;
  check_goldens(**made, "qwen2");
}

TEST(TokenizerGolden, SmolLm2Gguf) {
  OPEN_MODEL_OR_SKIP(file, kSmolFile);
  const auto made = Tokenizer::from_gguf(*file);
  ASSERT_TRUE(made) << made.error().message;
  check_goldens(**made, "smollm");
}

TEST(TokenizerGolden, DeepSeekR1DistillFolder) {
  OPEN_MODEL_OR_SKIP(file, kQwenFile);
  const std::string folder = ::testing::TempDir() + "/r1_distill";
  write_tokenizer_folder(*file, "deepseek-r1-qwen", folder);
  const auto made = Tokenizer::from_folder(folder);
  ASSERT_TRUE(made) << made.error().message;
  check_goldens(**made, "deepseek-r1-qwen");
  const Tokenizer& tokenizer = **made;
  EXPECT_EQ(tokenizer.bos(), 151646);
  EXPECT_EQ(tokenizer.eos(), 151643);
  EXPECT_TRUE(tokenizer.adds_bos());
  EXPECT_TRUE(tokenizer.is_end(151643));
  EXPECT_FALSE(tokenizer.is_end(151645));
  EXPECT_EQ(tokenizer.find("<think>"), 151648);
  // The published file doesn't flag the role tokens as special; what a user writes still can't forge a turn.
  const std::vector<int32_t> forged = tokenizer.encode("<｜User｜>", false);
  EXPECT_GT(forged.size(), 1u);
  EXPECT_EQ(tokenizer.decode(forged, false), "<｜User｜>");
  std::filesystem::remove_all(folder);
}

// The two ways to load a model give the same tokenizer.
TEST(TokenizerGolden, FolderEqualsGguf) {
  for (const char* name : {kQwenFile, kSmolFile}) {
    OPEN_MODEL_OR_SKIP(file, name);
    const std::string kind = name == kQwenFile ? "qwen2" : "smollm";
    const std::string folder = ::testing::TempDir() + "/folder_" + kind;
    write_tokenizer_folder(*file, kind, folder);
    const auto from_file = Tokenizer::from_gguf(*file);
    const auto from_folder = Tokenizer::from_folder(folder);
    ASSERT_TRUE(from_file && from_folder);
    Random random(99);
    for (int i = 0; i < 3000; ++i) {
      const std::string text = random_text(&random);
      const bool special = random.below(2) == 0;
      ASSERT_EQ((*from_file)->encode(text, special), (*from_folder)->encode(text, special)) << text;
    }
    EXPECT_EQ((*from_folder)->eos(), (*from_file)->eos());
    EXPECT_EQ((*from_folder)->adds_bos(), (*from_file)->adds_bos());
    for (int32_t id = 0; id < (*from_folder)->vocab_size(); ++id) {
      ASSERT_EQ((*from_folder)->token_bytes(id), (*from_file)->token_bytes(id)) << id;
      ASSERT_EQ((*from_folder)->is_end(id), (*from_file)->is_end(id)) << id;
    }
    std::filesystem::remove_all(folder);
  }
}

TEST(TokenizerGolden, Qwen2Facts) {
  OPEN_MODEL_OR_SKIP(file, kQwenFile);
  const auto made = Tokenizer::from_gguf(*file);
  ASSERT_TRUE(made) << made.error().message;
  const Tokenizer& tokenizer = **made;
  EXPECT_EQ(tokenizer.vocab_size(), 151936);
  EXPECT_EQ(tokenizer.eos(), 151645);
  EXPECT_FALSE(tokenizer.adds_bos());
  EXPECT_TRUE(tokenizer.is_end(151645));
  EXPECT_TRUE(tokenizer.is_end(151643));
  EXPECT_FALSE(tokenizer.is_end(151644));
  EXPECT_FALSE(tokenizer.is_end(-1));
  EXPECT_TRUE(tokenizer.is_special(151644));
  EXPECT_FALSE(tokenizer.is_special(100));
  EXPECT_EQ(tokenizer.find("<|im_start|>"), 151644);
  EXPECT_EQ(tokenizer.find("hello"), tokenizer.encode("hello", false)[0]);
  EXPECT_EQ(tokenizer.find("no such token at all"), -1);
  EXPECT_EQ(tokenizer.token_bytes(151644), "<|im_start|>");
  EXPECT_EQ(tokenizer.token_bytes(151935), "");  // an unused row of the embedding
  EXPECT_EQ(tokenizer.token_bytes(151936), "");
  EXPECT_EQ(tokenizer.token_bytes(-1), "");
  const std::string prompt = "<|im_start|>user\n合同<|im_end|>\n";
  EXPECT_EQ(tokenizer.encode(prompt, true).size(), 6u);
  EXPECT_GT(tokenizer.encode(prompt, false).size(), 10u);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(prompt, true), false), prompt);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(prompt, true), true), "user\n合同\n");
}

// Any bytes come back: UTF-8 in normal form C, anything else as it is.
TEST(TokenizerGolden, RandomBytesComeBack) {
  OPEN_MODEL_OR_SKIP(file, kQwenFile);
  const auto made = Tokenizer::from_gguf(*file);
  ASSERT_TRUE(made) << made.error().message;
  Random random(3);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes;
    std::string expected;  // valid stretches normalized, the rest untouched
    for (uint32_t n = random.below(40); n > 0; --n) {
      if (random.below(4) == 0) {
        bytes += random_text(&random).substr(0, 1 + random.below(30));
      } else {
        bytes.push_back(static_cast<char>(random.below(256)));
      }
    }
    for (std::string_view rest = bytes; !rest.empty();) {
      const size_t valid = base::utf8_valid_prefix(rest);
      expected += nfc(rest.substr(0, valid));
      rest.remove_prefix(valid);
      if (!rest.empty()) {
        expected.push_back(rest.front());
        rest.remove_prefix(1);
      }
    }
    const std::vector<int32_t> ids = (*made)->encode(bytes, false);
    ASSERT_EQ((*made)->decode(ids, false), expected) << "round " << round;
  }
}

// 100,000 characters of one kind: no limit of the regex engine may be hit, and time must not grow with the square.
TEST(TokenizerGolden, LongRuns) {
  for (const char* name : {kQwenFile, kSmolFile}) {
    OPEN_MODEL_OR_SKIP(file, name);
    const auto made = Tokenizer::from_gguf(*file);
    ASSERT_TRUE(made) << made.error().message;
    for (const char* unit :
         {"a", " ", "\n", "!", "1", "啊", "é", "👍", "\t ", " a", "'s", "a\u0301", "<|im_start|", "<"}) {
      std::string text;
      for (int i = 0; i < 100'000; ++i) text += unit;
      const auto start = std::chrono::steady_clock::now();
      const std::vector<int32_t> ids = (*made)->encode(text, true);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      EXPECT_LT(took.count(), 20.0) << unit;
      ASSERT_EQ((*made)->decode(ids, false), name == kQwenFile ? nfc(text) : text) << unit;
    }
  }
}

TEST(TokenizerGolden, Throughput) {
  for (const char* name : {kQwenFile, kSmolFile}) {
    OPEN_MODEL_OR_SKIP(file, name);
    const auto load = std::chrono::steady_clock::now();
    const auto made = Tokenizer::from_gguf(*file);
    ASSERT_TRUE(made) << made.error().message;
    const std::chrono::duration<double, std::milli> loaded = std::chrono::steady_clock::now() - load;
    const char* kKinds[] = {
        "The quick brown fox jumps over the lazy dog, and then it's gone; nobody knows where. ",
        "请问这份合同什么时候到期？如果逾期，赔偿金额按照第十二条计算。",
        "for (size_t i = 0; i < rows.size(); ++i) {\n    total += rows[i].price * 1.25;  // sum\n}\n"};
    for (const char* unit : kKinds) {
      std::string text;
      while (text.size() < (size_t{1} << 20)) text += unit;
      const auto start = std::chrono::steady_clock::now();
      const size_t count = (*made)->encode(text, false).size();
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      std::printf("%-40s loads in %4.0f ms; %5.1f MB/s, %.2f bytes a token: %.24s...\n", name, loaded.count(),
                  static_cast<double>(text.size()) / 1e6 / took.count(),
                  static_cast<double>(text.size()) / static_cast<double>(count), unit);
      EXPECT_GT(count, 0u);
    }
  }
}

}  // namespace
}  // namespace concerto::text
