#include "net/router.h"

#include <gtest/gtest.h>

#include "net/percent.h"

namespace concerto::net {
namespace {

TEST(Router, PrefersLiteralsAndTakesTails) {
  Router router;
  const auto none = [](HttpRequest&&, const Writer&) {};
  router.add({"GET", "/v1/models", none});
  router.add({"GET", "/v1/models/{id*}", none});
  router.add({"GET", "/v1/cases/{id}", none});
  router.add({"POST", "/v1/cases/{id}/answer", none});
  router.add({"GET", "/v1/cases/open", none});
  router.add({"GET", "/", none});
  EXPECT_EQ(router.match("GET", "/v1/models").route->pattern, "/v1/models");
  EXPECT_EQ(router.match("GET", "/v1/models/Qwen%2FQwen2/x").params.at(0), "Qwen/Qwen2/x");
  EXPECT_EQ(router.match("GET", "/v1/models/").route, nullptr);
  EXPECT_EQ(router.match("GET", "/v1/cases/open").route->pattern, "/v1/cases/open");
  EXPECT_EQ(router.match("HEAD", "/v1/cases/7").params.at(0), "7");
  EXPECT_EQ(router.match("POST", "/v1/cases/7/answer").params.at(0), "7");
  EXPECT_EQ(router.match("GET", "/v1/cases/7/answer").route, nullptr);
  EXPECT_EQ(router.match("GET", "/v1/cases/7/answer").allow, "POST, OPTIONS");
  EXPECT_EQ(router.match("GET", "/").route->pattern, "/");
  EXPECT_EQ(router.match("GET", "//").route, nullptr);
  EXPECT_EQ(router.match("GET", "").route, nullptr);
  EXPECT_TRUE(router.match("GET", "/v1/cases/%2").bad_encoding);
}

TEST(Percent, EncodesForHeadersAndBack) {
  EXPECT_EQ(percent_encode_header("keyword:合同 100%\r\n"), "keyword:%E5%90%88%E5%90%8C 100%25%0D%0A");
  EXPECT_EQ(percent_decode(percent_encode_header("keyword:合同 100%\r\n")), "keyword:合同 100%\r\n");
  EXPECT_FALSE(percent_decode("%"));
  EXPECT_FALSE(percent_decode("%4"));
  EXPECT_FALSE(percent_decode("%g0"));
}

}  // namespace
}  // namespace concerto::net
