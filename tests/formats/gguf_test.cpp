#include "formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "formats/gguf_writer.h"
#include "formats/safetensors_writer.h"

namespace concerto::formats {
namespace {

using base::Code;
using base::TensorType;
using test::GgufWriter;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

base::Error error_of(const std::vector<std::byte>& bytes) {
  const auto file = Gguf::from_memory(bytes, "m.gguf");
  EXPECT_FALSE(file.has_value());
  return file ? base::Error{} : file.error();
}

void expect_error(const GgufWriter& writer, Code code, const std::vector<std::string>& parts) {
  const auto error = error_of(writer.bytes());
  EXPECT_EQ(error.code, code) << error.message;
  EXPECT_THAT(error.message, StartsWith("m.gguf: "));
  for (const auto& part : parts) EXPECT_THAT(error.message, HasSubstr(part));
}

class GgufVersions : public ::testing::TestWithParam<uint32_t> {};

TEST_P(GgufVersions, ReadsMetadataAndTensors) {
  const auto bytes = test::sample_gguf(GetParam()).bytes();
  const auto opened = Gguf::from_memory(bytes, "m.gguf");
  ASSERT_TRUE(opened) << opened.error().message;
  const Gguf& file = **opened;
  EXPECT_EQ(file.version(), GetParam());
  EXPECT_EQ(file.path(), "m.gguf");
  EXPECT_EQ(file.keys().size(), 16U);
  EXPECT_EQ(file.keys().front(), "general.architecture");
  EXPECT_EQ(file.get_string("general.name").value(), "a small 模型");
  EXPECT_EQ(file.get_uint("qwen2.block_count").value(), 2U);
  EXPECT_EQ(file.get_uint("u8").value(), 200U);
  EXPECT_EQ(file.get_uint("u16").value(), 65535U);
  EXPECT_EQ(file.get_uint("u64").value(), 1ULL << 40);
  EXPECT_EQ(file.get_float("f32").value(), 1.5);
  EXPECT_EQ(file.get_float("f64").value(), 0.1);
  EXPECT_EQ(file.get_float("i16").value(), -300.0);  // integers convert
  EXPECT_TRUE(file.get_bool("yes").value());
  EXPECT_THAT(file.get_strings("tokenizer.ggml.tokens").value(), ElementsAre("a", "", "好"));
  EXPECT_THAT(file.get_ints("tokenizer.ggml.token_type").value(), ElementsAre(1, 3, -1));
  EXPECT_THAT(file.get_floats("tokenizer.ggml.scores").value(), ElementsAre(0.5F, -1.0F));

  ASSERT_EQ(file.tensors().size(), 4U);
  const TensorInfo* q = file.find("blk.0.attn_q.weight");
  ASSERT_NE(q, nullptr);
  EXPECT_EQ(q->type, TensorType::kQ4_0);
  EXPECT_THAT(q->shape, ElementsAre(2, 64));  // rows first
  EXPECT_EQ(q->bytes.size(), 2U * 2 * 18);
  EXPECT_EQ(static_cast<int>(q->bytes[0]), 64);  // behind 48 bytes, aligned to 32
  EXPECT_EQ(file.find("output_norm.weight")->bytes.size(), 10U);
  EXPECT_EQ(file.find("output.weight"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Both, GgufVersions, ::testing::Values(2U, 3U));

TEST(Gguf, TypedReadsSayWhatIsWrong) {
  const auto bytes = test::sample_gguf().bytes();
  const auto file = Gguf::from_memory(bytes, "m.gguf").value();
  EXPECT_EQ(file->get_uint("absent").error().code, Code::kNotFound);
  EXPECT_THAT(file->get_uint("absent").error().message, HasSubstr("m.gguf: absent: "));
  EXPECT_THAT(file->get_uint("i8").error().message, HasSubstr("i8: expected a number >= 0, found -5"));
  EXPECT_THAT(file->get_uint("general.name").error().message, HasSubstr("expected an integer, found string"));
  EXPECT_THAT(file->get_string("u8").error().message, HasSubstr("u8: expected string, found uint8"));
  EXPECT_THAT(file->get_bool("u8").error().message, HasSubstr("u8: expected bool"));
  EXPECT_THAT(file->get_strings("tokenizer.ggml.scores").error().message, HasSubstr("array of string"));
  EXPECT_THAT(file->get_floats("tokenizer.ggml.tokens").error().message, HasSubstr("array of float32"));
  EXPECT_THAT(file->get_ints("tokenizer.ggml.scores").error().message, HasSubstr("an integer"));
  EXPECT_THAT(file->get_ints("u8").error().message, HasSubstr("array"));
  for (const auto& error : {file->get_uint("i8").error(), file->get_string("u8").error()})
    EXPECT_EQ(error.code, Code::kCorrupt);

  const auto odd = GgufWriter()
                       .key("nan", test::kF32, std::numeric_limits<float>::quiet_NaN())
                       .key("two", test::kBool, uint8_t{2})
                       .key("huge", test::kU64, ~uint64_t{0})
                       .bytes();
  const auto odd_file = Gguf::from_memory(odd, "m.gguf").value();
  EXPECT_THAT(odd_file->get_float("nan").error().message, HasSubstr("finite"));
  EXPECT_THAT(odd_file->get_bool("two").error().message, HasSubstr("two: expected 0 or 1, found 2"));
  EXPECT_THAT(odd_file->get_uint("huge").error().message, HasSubstr("2^63"));
}

TEST(Gguf, TakesEmptyFilesNestedArraysAndOtherAlignments) {
  EXPECT_TRUE(Gguf::from_memory(GgufWriter().bytes(), "m"));
  std::string inner;  // an array of two arrays of uint8
  for (int i = 0; i < 2; ++i) {
    GgufWriter::put(&inner, uint32_t{test::kU8});
    GgufWriter::put(&inner, uint64_t{3});
    inner += "abc";
  }
  const auto nested =
      GgufWriter().raw_array("nested", test::kArray, 2, inner).key("after", test::kU8, uint8_t{7}).bytes();
  EXPECT_EQ(Gguf::from_memory(nested, "m").value()->get_uint("after").value(), 7U);
  const auto aligned = GgufWriter()
                           .key("general.alignment", test::kU32, uint32_t{128})
                           .align(128)
                           .tensor("a", TensorType::kF32, {3})
                           .tensor("b", TensorType::kF32, {3})
                           .bytes();
  const auto file = Gguf::from_memory(aligned, "m");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->find("b")->bytes.data() - (*file)->find("a")->bytes.data(), 128);
}

TEST(Gguf, RefusesOtherFilesAndVersions) {
  EXPECT_THAT(error_of(test::as_bytes("PK\3\4 a zip file")).message, HasSubstr("expected \"GGUF\""));
  for (const uint32_t version : {0U, 1U, 4U, 0x03000000U})
    expect_error(GgufWriter(version), Code::kUnsupported, {"version: expected 2 or 3"});
}

TEST(Gguf, RefusesLyingCounts) {
  for (const uint64_t n : {uint64_t{1}, uint64_t{1000}, uint64_t{1} << 32, uint64_t{1} << 61, ~uint64_t{0}}) {
    expect_error(GgufWriter().counts(n, 0), Code::kCorrupt, {"count", "found " + std::to_string(n)});
    expect_error(GgufWriter().counts(0, n), Code::kCorrupt, {"count", "found " + std::to_string(n)});
  }
  // A count that the bytes might hold, but do not.
  expect_error(test::sample_gguf().counts(5, 16), Code::kCorrupt, {});
  expect_error(test::sample_gguf().counts(4, 17), Code::kCorrupt, {});
}

TEST(Gguf, RefusesHostileStringsAndArrays) {
  for (const uint64_t length : {uint64_t{100}, uint64_t{1} << 40, ~uint64_t{0}, ~uint64_t{0} - 7}) {
    std::string raw;
    GgufWriter::put(&raw, length);
    raw += "abc";
    expect_error(GgufWriter().raw_key("k", test::kString, raw), Code::kCorrupt, {"k: ", "truncated"});
    // 12 bytes of padding follow.
    expect_error(GgufWriter().raw_array("k", test::kU64, length), Code::kCorrupt, {"k: expected at most 1 elements"});
    expect_error(GgufWriter().raw_array("k", test::kString, length), Code::kCorrupt, {"k: "});
    expect_error(GgufWriter().raw_array("k", test::kArray, length), Code::kCorrupt, {"k: "});
  }
  expect_error(GgufWriter().raw_key("k", 13, "xxxxxxxx"), Code::kCorrupt, {"k: ", "found 13"});
  expect_error(GgufWriter().raw_array("k", 99, 0), Code::kCorrupt, {"k: ", "element type", "99"});
  std::string deep;
  for (int i = 0; i < 1000; ++i) {
    GgufWriter::put(&deep, uint32_t{test::kArray});
    GgufWriter::put(&deep, uint64_t{1});
  }
  expect_error(GgufWriter().raw_array("k", test::kArray, 1, deep), Code::kCorrupt, {"k: ", "deep"});
  expect_error(GgufWriter().text("", "x"), Code::kCorrupt, {"metadata key 0"});
  expect_error(GgufWriter().text("k", "x").text("k", "y"), Code::kCorrupt, {"k: expected once"});
}

TEST(Gguf, RefusesBadAlignments) {
  for (const uint32_t alignment : {0U, 3U, 48U, 0x80000000U, 0xFFFFFFFFU})
    expect_error(GgufWriter().key("general.alignment", test::kU32, alignment), Code::kCorrupt,
                 {"general.alignment: expected a power of two", std::to_string(alignment)});
  expect_error(GgufWriter().text("general.alignment", "32"), Code::kCorrupt, {"general.alignment", "found string"});
  expect_error(GgufWriter().key("general.alignment", test::kI32, int32_t{-32}), Code::kCorrupt, {"general.alignment"});
}

TEST(Gguf, RefusesBadTensors) {
  const auto f32 = static_cast<uint32_t>(TensorType::kF32);
  const auto q4_k = static_cast<uint32_t>(TensorType::kQ4_K);
  const auto one = [](uint32_t type, const std::vector<uint64_t>& dims, uint64_t offset) {
    return GgufWriter().raw_tensor("blk.3.attn_q.weight", type, dims, offset).data(64);
  };
  const std::string name = "blk.3.attn_q.weight: ";
  EXPECT_TRUE(Gguf::from_memory(one(f32, {16}, 0).bytes(), "m"));
  expect_error(one(f32, {17}, 0), Code::kCorrupt, {name, "68 bytes", "truncated"});
  expect_error(one(f32, {16}, 32), Code::kCorrupt, {name, "offset 32"});
  expect_error(one(f32, {16}, 1), Code::kCorrupt, {name, "multiple of 32, found 1"});
  expect_error(one(f32, {16}, uint64_t{1} << 62), Code::kCorrupt, {name});
  expect_error(one(f32, {16}, ~uint64_t{31}), Code::kCorrupt, {name});  // offset + size wraps around
  expect_error(one(f32, {}, 0), Code::kCorrupt, {name, "1 to 4 dimensions, found 0"});
  expect_error(one(f32, {1, 1, 1, 1, 1}, 0), Code::kCorrupt, {name, "found 5"});
  expect_error(one(f32, {16, 0}, 0), Code::kCorrupt, {name, "dimension 1"});
  expect_error(one(f32, {uint64_t{1} << 31}, 0), Code::kCorrupt, {name, "2^31-1"});
  expect_error(one(f32, {1U << 30, 1U << 30, 16}, 0), Code::kCorrupt, {name});         // 2^64 weights
  expect_error(one(f32, {1U << 30, 1U << 30, 4}, 0), Code::kCorrupt, {name, "2^64"});  // 2^64 bytes
  expect_error(one(f32, {1U << 30, 1U << 30}, 0), Code::kCorrupt, {name});
  expect_error(one(q4_k, {128}, 0), Code::kCorrupt, {name, "multiple of 256", "Q4_K", "128"});
  expect_error(one(10, {256}, 0), Code::kUnsupported, {name, "Q4_K", "found Q2_K (10)"});
  expect_error(one(4, {256}, 0), Code::kUnsupported, {name, "found 4"});
  expect_error(one(0xFFFFFFFF, {256}, 0), Code::kUnsupported, {name, "found 4294967295"});
  expect_error(GgufWriter().raw_tensor("", f32, {1}, 0).data(64), Code::kCorrupt, {"name of tensor 0"});
  expect_error(GgufWriter().raw_tensor(std::string(300, 'x'), f32, {1}, 0).data(64), Code::kCorrupt, {"found 300"});
  expect_error(GgufWriter().tensor("a", TensorType::kF32, {1}).tensor("a", TensorType::kF32, {1}), Code::kCorrupt,
               {"a: expected once, found twice"});
  expect_error(GgufWriter().raw_tensor("a", f32, {16}, 0).raw_tensor("b", f32, {8}, 32).data(64), Code::kCorrupt,
               {"b: ", "overlap with a"});
}

TEST(Gguf, ErrorsCanBeShown) {
  const auto error = error_of(GgufWriter().raw_key(std::string("k\xff\n") + std::string(500, 'x'), 99, "").bytes());
  EXPECT_THAT(error.message, StartsWith("m.gguf: k\xEF\xBF\xBD\xEF\xBF\xBDxxx"));
  EXPECT_LT(error.message.size(), 300U);
}

TEST(Gguf, OpensFilesAndReleasesPages) {
  const test::TempFolder folder;
  EXPECT_EQ(Gguf::open(folder.path() + "/none.gguf").error().code, Code::kNotFound);
  EXPECT_EQ(Gguf::open(folder.path()).error().code, Code::kInvalidArgument);
  const auto empty = Gguf::open(folder.write("empty.gguf", ""));
  EXPECT_EQ(empty.error().code, Code::kCorrupt);
  EXPECT_THAT(empty.error().message, HasSubstr("empty"));
  const auto bytes = GgufWriter().tensor("w", TensorType::kF32, {4096, 8}).bytes();
  const auto file = Gguf::open(folder.write("m.gguf", bytes));
  ASSERT_TRUE(file) << file.error().message;
  const TensorInfo* w = (*file)->find("w");
  const std::vector<std::byte> before(w->bytes.begin(), w->bytes.end());
  (*file)->release(w->bytes);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), w->bytes.begin()));  // read again from the file
}

// Every published file at hand; how many there are depends on the machine.
class GgufModel : public ::testing::TestWithParam<const char*> {};

TEST_P(GgufModel, ParsesAsPublished) {
  const char* models = std::getenv("CONCERTO_MODELS");
  const char* home = std::getenv("HOME");
  const std::filesystem::path path =
      (models != nullptr ? std::filesystem::path(models)
                         : std::filesystem::path(home != nullptr ? home : ".") / ".cache/concerto/models") /
      GetParam();
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there; `concerto pull` brings it";
  const auto file = Gguf::open(path.string());
  ASSERT_TRUE(file) << file.error().message;
  const auto arch = std::string((*file)->get_string("general.architecture").value());
  EXPECT_THAT(arch, ::testing::AnyOf("qwen2", "llama"));
  EXPECT_GT((*file)->get_uint(arch + ".block_count").value(), 0U);
  const auto tokens = (*file)->get_strings("tokenizer.ggml.tokens");
  ASSERT_TRUE(tokens) << tokens.error().message;
  const TensorInfo* embeddings = (*file)->find("token_embd.weight");
  ASSERT_NE(embeddings, nullptr);
  EXPECT_EQ(embeddings->shape.size(), 2U);
  EXPECT_GE(embeddings->shape[0], tokens->size());
  EXPECT_EQ(embeddings->shape[1], (*file)->get_uint(arch + ".embedding_length").value());
}

INSTANTIATE_TEST_SUITE_P(Published, GgufModel,
                         ::testing::Values("smollm2-135m-instruct-q4_1.gguf", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                                           "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"));

}  // namespace
}  // namespace concerto::formats
