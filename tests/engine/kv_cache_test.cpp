#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "engine/kv_pool.h"
#include "engine/memory_budget.h"

namespace concerto::engine {
namespace {

std::array<int32_t, 64> tokens(int32_t first) {
  std::array<int32_t, 64> t{};
  for (size_t i = 0; i < t.size(); ++i) t[i] = first + static_cast<int32_t>(i);
  return t;
}

TEST(KvCache, SharesABlockAndKeepsItWhenReleased) {
  KvCache cache(3);
  const int a = cache.allocate();
  cache.index(a, KvCache::kNone, "salt", tokens(0));
  EXPECT_EQ(cache.find(KvCache::kNone, "salt", tokens(0)), a);
  EXPECT_EQ(cache.find(KvCache::kNone, "other", tokens(0)), KvCache::kNone);
  EXPECT_EQ(cache.find(KvCache::kNone, "salt", tokens(1)), KvCache::kNone);
  EXPECT_EQ(cache.find(a, "salt", tokens(0)), KvCache::kNone);
  cache.acquire(a);
  cache.release(a);
  EXPECT_EQ(cache.kept(), 0);
  cache.release(a);
  EXPECT_EQ(cache.kept(), 1);
  EXPECT_EQ(cache.available(), 3);
  cache.acquire(a);
  EXPECT_EQ(cache.available(), 2);
  EXPECT_TRUE(cache.consistent());
}

TEST(KvCache, EvictsTheLeastRecentlyUsedLeafFirst) {
  KvCache cache(4);
  const auto chain = [&](int32_t first) {
    const int parent = cache.allocate();
    cache.index(parent, KvCache::kNone, "", tokens(first));
    const int child = cache.allocate();
    cache.index(child, parent, "", tokens(first + 1));
    cache.release(child);
    cache.release(parent);
    return std::pair(parent, child);
  };
  const auto [a, a2] = chain(0);
  const auto [b, b2] = chain(100);
  EXPECT_EQ(cache.free(), 0);
  // a is used again, without its child: b's child and b go before a, but a's own child is the oldest.
  cache.acquire(a);
  cache.release(a);
  EXPECT_EQ(cache.allocate(), a2);
  EXPECT_TRUE(cache.consistent());
  EXPECT_EQ(cache.allocate(), b2);
  EXPECT_EQ(cache.allocate(), b);
  EXPECT_EQ(cache.find(KvCache::kNone, "", tokens(0)), a);
  EXPECT_EQ(cache.find(KvCache::kNone, "", tokens(100)), KvCache::kNone);
  EXPECT_EQ(cache.allocate(), a);
  EXPECT_EQ(cache.available(), 0);
  EXPECT_TRUE(cache.consistent());
}

TEST(KvCache, KnowsTheBeginningsOfBlocks) {
  KvCache cache(5);
  const auto all = tokens(0);
  const int parent = cache.allocate();
  cache.index(parent, KvCache::kNone, "a", all);
  const int full = cache.allocate();
  cache.index(full, parent, "a", tokens(100));
  const std::array<int32_t, 4> similar = {100, 101, 102, 7};
  EXPECT_EQ(cache.find_part(parent, "a", similar).block, full);
  EXPECT_EQ(cache.find_part(parent, "a", similar).count, 3);
  EXPECT_EQ(cache.find_part(full, "a", similar).count, 0);
  EXPECT_EQ(cache.find_part(KvCache::kNone, "a", std::span(all).first(10)).count, 10);
  EXPECT_EQ(cache.find_part(KvCache::kNone, "b", all).count, 0);
  // A part of a block is found for its tokens, and only as a part.
  const int part = cache.allocate();
  cache.index_part(part, parent, "a", similar);
  EXPECT_EQ(cache.find_part(parent, "a", similar).block, part);
  EXPECT_EQ(cache.find_part(parent, "a", similar).count, 4);
  EXPECT_TRUE(cache.consistent());
  // No use to know the same twice.
  const int again = cache.allocate();
  cache.index_part(again, parent, "a", std::span(similar).first(2));
  cache.release(again);
  EXPECT_EQ(cache.free(), 2);
  cache.release(part);
  EXPECT_EQ(cache.kept(), 1);
  EXPECT_TRUE(cache.consistent());
  for (int i = 0; i < 3; ++i) cache.allocate();
  EXPECT_EQ(cache.find_part(parent, "a", similar).count, 3);  // its memory was needed
  EXPECT_TRUE(cache.consistent());
}

TEST(KvPool, TakesNoMemoryBeforeItIsWritten) {
  const kernels::KvLayout layout{28, 2, 128};
  const auto pool = KvPool::create(layout, 8192);  // 15 GB of addresses
  ASSERT_TRUE(pool) << pool.error().message;
  (*pool)->base()[layout.block_values() * 8191] = 7;
  EXPECT_EQ((*pool)->base()[layout.block_values() * 8191], 7);
  const auto impossible = KvPool::create(layout, 2000000000);
  ASSERT_FALSE(impossible);
  EXPECT_EQ(impossible.error().code, base::Code::kOutOfMemory);
}

class FakeRoot {
 public:
  FakeRoot() : path_(std::filesystem::path(testing::TempDir()) / "concerto_memory_root/") {
    std::filesystem::remove_all(path_);
  }
  ~FakeRoot() { std::filesystem::remove_all(path_); }
  void write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file) << text;
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(MemoryBudget, IsTheSmallestLimit) {
  const FakeRoot root;
  EXPECT_EQ(available_memory_below(root.path()), 0U);
  root.write("proc/meminfo", "MemTotal: 100 kB\nMemFree: 1 kB\nMemAvailable:    4000 kB\n");
  EXPECT_EQ(available_memory_below(root.path()), 4000U * 1024);
  root.write("proc/self/cgroup", "0::/a/b\n");
  root.write("sys/fs/cgroup/a/b/memory.max", "max\n");
  root.write("sys/fs/cgroup/a/b/memory.current", "100\n");
  EXPECT_EQ(available_memory_below(root.path()), 4000U * 1024);
  // The parent's limit counts, and file cache that can be dropped is no use.
  root.write("sys/fs/cgroup/a/memory.max", "2000000\n");
  root.write("sys/fs/cgroup/a/memory.current", "1500000\n");
  root.write("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 400000\n");
  EXPECT_EQ(available_memory_below(root.path()), 900000U);
  root.write("sys/fs/cgroup/a/b/memory.max", "50\n");
  EXPECT_EQ(available_memory_below(root.path()), 0U);  // more used than allowed
}

TEST(MemoryBudget, ReadsVersionOneControllers) {
  const FakeRoot root;
  root.write("proc/meminfo", "MemAvailable: 4000 kB\n");
  root.write("proc/self/cgroup", "5:devices:/x\n4:memory:/x\n0::/\n");
  root.write("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "300000\n");
  root.write("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "100000\n");
  EXPECT_EQ(available_memory_below(root.path()), 200000U);
}

}  // namespace
}  // namespace concerto::engine
