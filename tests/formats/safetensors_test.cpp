#include "formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/safetensors_writer.h"

namespace concerto::formats {
namespace {

using base::Code;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kTwo = R"({"__metadata__":{"format":"pt"},)"
                                  R"("b":{"dtype":"BF16","shape":[2,3],"data_offsets":[16,28]},)"
                                  R"("a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}   )";

base::Error error_of(std::string_view header, size_t data_bytes, int64_t length = -1) {
  const auto bytes = test::safetensors_bytes(header, data_bytes, length);
  const auto file = Safetensors::from_memory(bytes, "m.safetensors");
  EXPECT_FALSE(file.has_value()) << header;
  return file ? base::Error{} : file.error();
}

TEST(Safetensors, ReadsNamesTypesShapesAndBytes) {
  const auto bytes = test::safetensors_bytes(kTwo, 28);
  const auto file = Safetensors::from_memory(bytes, "m.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->tensors().size(), 2U);
  const TensorInfo* a = (*file)->find("a");
  const TensorInfo* b = (*file)->find("b");
  ASSERT_NE(a, nullptr);
  ASSERT_NE(b, nullptr);
  EXPECT_EQ((*file)->find("c"), nullptr);
  EXPECT_EQ(a->type, base::TensorType::kF32);
  EXPECT_THAT(a->shape, ElementsAre(4));
  EXPECT_EQ(b->type, base::TensorType::kBF16);
  EXPECT_THAT(b->shape, ElementsAre(2, 3));
  EXPECT_EQ(a->bytes.size(), 16U);
  EXPECT_EQ(b->bytes.size(), 12U);
  EXPECT_EQ(static_cast<int>(b->bytes[0]), 16);
  (*file)->release(b->bytes);  // nothing is mapped: nothing happens
}

TEST(Safetensors, TakesScalarsAndEmptyTensors) {
  const auto bytes = test::safetensors_bytes(
      R"({"s":{"dtype":"F16","shape":[],"data_offsets":[0,2]},"e":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}})",
      2);
  const auto file = Safetensors::from_memory(bytes, "m");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ((*file)->find("s")->bytes.size(), 2U);
  EXPECT_TRUE((*file)->find("e")->bytes.empty());
  const auto none = test::safetensors_bytes("{}", 0);
  EXPECT_TRUE(Safetensors::from_memory(none, "m"));
}

TEST(Safetensors, RefusesWhatBreaksTheFormat) {
  const struct {
    std::string_view header;
    size_t data;
    Code code;
    std::vector<std::string> parts;
  } cases[] = {
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,12]}})", 12, Code::kCorrupt, {"a", "16 bytes", "12"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 12, Code::kCorrupt, {"a", "16", "truncated"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 20, Code::kCorrupt, {"data", "16 bytes", "20"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[4,20]}})", 20, Code::kCorrupt, {"a", "gap"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}})", 16, Code::kCorrupt, {"a", "16"}},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12,
       Code::kCorrupt,
       {"b", "overlap"}},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
       16,
       Code::kCorrupt,
       {"a", "once", "twice"}},
      {R"({"w":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}})", 16, Code::kUnsupported, {"w", "BF16", "I64"}},
      {R"({"w":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}})", 2, Code::kUnsupported, {"w", "F8_E4M3"}},
      {R"({"a":{"dtype":"F32","shape":[2147483647,2147483647,2147483647],"data_offsets":[0,16]}})",
       16,
       Code::kCorrupt,
       {"a", "2^64"}},
      {R"({"a":{"dtype":"F32","shape":[2147483648],"data_offsets":[0,16]}})",
       16,
       Code::kCorrupt,
       {"a.shape", "2^31-1"}},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4, Code::kCorrupt, {"a.shape"}},
      {R"({"a":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})", 16, Code::kCorrupt, {"a.shape", "-4"}},
      {R"({"a":{"dtype":"F32","shape":[4.0],"data_offsets":[0,16]}})", 16, Code::kCorrupt, {"a.shape", "4.0"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0]}})", 16, Code::kCorrupt, {"a.data_offsets", "1 numbers"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16,32]}})", 16, Code::kCorrupt, {"a.data_offsets"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[18446744073709551615,18446744073709551615]}})",
       16,
       Code::kCorrupt,
       {"a", "gap"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,18446744073709551616]}})",
       16,
       Code::kCorrupt,
       {"a.data_offsets", "2^64"}},
      {R"({"a":{"shape":[4],"data_offsets":[0,16]}})", 16, Code::kCorrupt, {"a", "no dtype"}},
      {R"({"a":{"dtype":"F32","data_offsets":[0,16]}})", 16, Code::kCorrupt, {"a", "no shape"}},
      {R"({"a":{"dtype":"F32","shape":[4]}})", 16, Code::kCorrupt, {"a", "no data_offsets"}},
      {R"({"a":{"dtype":"F32","dtype":"F16","shape":[4],"data_offsets":[0,16]}})", 16, Code::kCorrupt, {"a.dtype"}},
      {R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1}})", 16, Code::kCorrupt, {"a.x"}},
      {R"({"a":{"dtype":7,"shape":[4],"data_offsets":[0,16]}})",
       16,
       Code::kCorrupt,
       {"a.dtype", "a string", "a number"}},
      {R"({"a":[]})", 0, Code::kCorrupt, {"a", "an object", "an array"}},
      {R"({"":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", 16, Code::kCorrupt, {"tensor name"}},
      {R"({"__metadata__":{"n":1}})", 0, Code::kCorrupt, {"__metadata__.n", "a string"}},
      {R"({"__metadata__":{},"__metadata__":{}})", 0, Code::kCorrupt, {"__metadata__", "twice"}},
      {R"({} x)", 0, Code::kCorrupt, {"end of the file"}},
      {R"( {})", 0, Code::kCorrupt, {"header"}},
      {R"([])", 0, Code::kCorrupt, {"header"}},
      {R"()", 0, Code::kCorrupt, {"header", "nothing"}},
  };
  for (const auto& c : cases) {
    const auto error = error_of(c.header, c.data);
    EXPECT_EQ(error.code, c.code) << c.header << "\n" << error.message;
    EXPECT_THAT(error.message, HasSubstr("m.safetensors: ")) << c.header;
    for (const auto& part : c.parts) EXPECT_THAT(error.message, HasSubstr(part)) << c.header;
  }
}

TEST(Safetensors, RefusesLyingHeaderLengths) {
  EXPECT_THAT(error_of("{}", 0, 3).message, AllOf(HasSubstr("header length"), HasSubstr("truncated")));
  EXPECT_THAT(error_of("{}", 0, 100'000'001).message, HasSubstr("at most 100000000"));
  EXPECT_THAT(error_of("{}", 0, INT64_MAX).message, HasSubstr("header length"));
  const auto seven = test::as_bytes("1234567");
  EXPECT_THAT(Safetensors::from_memory(seven, "m").error().message, HasSubstr("8 bytes"));
}

TEST(Safetensors, OpensAFolderWithOneFile) {
  const test::TempFolder folder;
  EXPECT_EQ(Safetensors::open(folder.path()).error().code, Code::kNotFound);
  folder.write("pytorch_model.bin", "x");
  const auto pickled = Safetensors::open(folder.path());
  EXPECT_EQ(pickled.error().code, Code::kUnsupported);
  EXPECT_THAT(pickled.error().message, HasSubstr("pytorch_model.bin"));
  const auto path = folder.write("model.safetensors", test::safetensors_bytes(kTwo, 28));
  for (const auto& given : {folder.path(), path}) {
    const auto file = Safetensors::open(given);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ((*file)->path(), path);
    EXPECT_EQ((*file)->find("b")->bytes.size(), 12U);
    (*file)->release((*file)->find("a")->bytes);
  }
}

class ShardedTest : public ::testing::Test {
 protected:
  void write_shards() const {
    folder_.write("model-00001-of-00002.safetensors",
                  test::safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4));
    folder_.write("model-00002-of-00002.safetensors",
                  test::safetensors_bytes(R"({"b":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},)"
                                          R"("a":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}})",
                                          8));
  }
  [[nodiscard]] base::Result<std::unique_ptr<Safetensors>> open_with(std::string_view index) const {
    folder_.write("model.safetensors.index.json", index);
    return Safetensors::open(folder_.path());
  }
  test::TempFolder folder_;
};

TEST_F(ShardedTest, TheIndexSaysWhereATensorIs) {
  write_shards();
  const auto file = open_with(R"({"metadata":{"total_size":8},"weight_map":{)"
                              R"("b":"model-00002-of-00002.safetensors","a":"model-00001-of-00002.safetensors"}})");
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_EQ((*file)->tensors().size(), 2U);
  EXPECT_EQ((*file)->find("a")->type, base::TensorType::kF32);  // the one of shard 1
  EXPECT_EQ((*file)->find("b")->type, base::TensorType::kF16);
}

TEST_F(ShardedTest, MissingShardsAndTensorsAreNamed) {
  const std::string_view index = R"({"weight_map":{"a":"model-00001-of-00002.safetensors",)"
                                 R"("c":"model-00002-of-00002.safetensors"}})";
  auto file = open_with(index);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kNotFound);
  EXPECT_THAT(file.error().message, AllOf(HasSubstr("model-00001-of-00002"), HasSubstr("2 of 2")));
  write_shards();
  file = open_with(index);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kCorrupt);
  EXPECT_THAT(file.error().message,
              AllOf(HasSubstr("c: expected in model-00002-of-00002"), HasSubstr("found nothing")));
}

TEST_F(ShardedTest, ABrokenShardIsNamed) {
  write_shards();
  folder_.write("model-00001-of-00002.safetensors", "short");
  const auto file = open_with(R"({"weight_map":{"a":"model-00001-of-00002.safetensors"}})");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("model-00001-of-00002.safetensors: header length"));
}

TEST(SafetensorsIndex, NamesOnlyFilesOfItsFolder) {
  for (const char* file : {"../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "..\\\\x.safetensors",
                           ".x.safetensors", "..safetensors/../x.safetensors", "x.bin", ".safetensors", "",
                           "x\\u0000.safetensors", "c:x.safetensors", "../../../../etc/passwd"}) {
    const std::string index = std::string(R"({"weight_map":{"a":")") + file + "\"}}";
    const auto parsed = parse_safetensors_index(index, "i.json");
    ASSERT_FALSE(parsed) << file;
    EXPECT_EQ(parsed.error().code, Code::kCorrupt);
    EXPECT_THAT(parsed.error().message, HasSubstr("i.json: weight_map.a: expected a file of this folder")) << file;
  }
}

TEST(SafetensorsIndex, RefusesWhatIsNoIndex) {
  for (const char* index :
       {"", "{}", "[]", "null", R"({"weight_map":[]})", R"({"weight_map":{}})", R"({"weight_map":{"a":1}})",
        R"({"weight_map":{"a":"m.safetensors"},"weight_map":{"a":"m.safetensors"}})",
        R"({"weight_map":{"a":"m.safetensors","a":"n.safetensors"}})", R"({"weight_map":{"a":"m.safetensors"}} {})",
        R"({"weight_map":{"a":"m.safetensors"},})"}) {
    const auto parsed = parse_safetensors_index(index, "i.json");
    ASSERT_FALSE(parsed) << index;
    EXPECT_EQ(parsed.error().code, Code::kCorrupt) << index;
  }
  const auto deep = parse_safetensors_index(R"({"metadata":)" + std::string(100'000, '['), "i.json");
  EXPECT_THAT(deep.error().message, HasSubstr("nested"));
}

}  // namespace
}  // namespace concerto::formats
