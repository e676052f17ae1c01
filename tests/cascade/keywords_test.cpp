#include "cascade/keywords.h"

#include <gtest/gtest.h>

namespace concerto::cascade {
namespace {

KeywordMatcher matcher(std::vector<std::string> keywords = {"合同", "法律", "赔偿"},
                       std::vector<std::string> exceptions = {}) {
  auto made = KeywordMatcher::create(keywords, exceptions);
  EXPECT_TRUE(made) << made.error().message;
  return *std::move(made);
}

TEST(Keywords, Fire) {
  const auto one = matcher();
  const char* const texts[] = {
      "合同",
      "请帮我看一下这份合同",
      "合同什么时候到期？",
      "我想解除劳动合同",
      "买卖合同的违约责任",
      "租房合同模板",
      "现场合同样本在哪里",
      "市场合同时间表",
      "金融合同时效多久",
      "完整合同类型有哪些",
      "调整合同等级",
      "项目组合同事项",
      "关联合同意向书",
      "委员会合同名称",
      "签合同时要注意什么",
      "签合同之前",
      "合同一方违约怎么办",
      "合同格式有要求吗",
      "合同行业规范",
      "合同版本对不上",
      "没有合同能报销吗",
      "分配合同任务",
      "与合同无关",  // negation is out of scope: a rule may only tighten
      "不涉及法律",
      "法律",
      "法律咨询",
      "有没有法律依据",
      "无法律依据",
      "这无法律规定",
      "甲方法律顾问",
      "用法律保护自己",
      "合法律师",  // 律师 is about law: it may fire
      "这种做法律师怎么看",
      "你们的做法法律允许吗",
      "我要赔偿",
      "怎么赔偿损失",
      "理赔偿付标准",  // reads 理赔|偿付, about compensation all the same
      "請問合同怎麼簽",
      "我要求賠償",
      "賠償金額",
      "違反法律規定",
      "赔償",
      "合\xE2\x80\x8B同",  // zero-width space
      "合\xE2\x81\xA0同",  // word joiner
      "合\xC2\xAD同",      // soft hyphen
      "合\xEF\xBB\xBF同",  // byte-order mark
      "法\xE2\x80\x8D律",  // zero-width joiner
      "合\xEF\xB8\x80同",  // variation selector
      "合\xE2\x80\xAE同",  // bidi override
      "合\xCC\xB6同",      // a stroke through it
      "合 同",
      "签 合 同 书",
      "合\n同",
      "合\xE3\x80\x80同",  // ideographic space
      "\xE2\xBE\x95合同",  // a Kangxi radical before it
      "\xE3\x88\xB2合同",  // a parenthesised ideograph before it
      "符合合同要求",
      "集合同步后再签合同",
      "赔 偿",
      "精神损害赔偿",
      "国家赔偿法",
  };
  for (const char* text : texts) EXPECT_TRUE(one.find(text)) << text;
}

TEST(Keywords, WordTraps) {
  const auto one = matcher();
  const char* const texts[] = {
      "集合同步",
      "集合同步失败怎么办",
      "Java 集合同步方法",
      "符合同一标准",
      "是否符合同类产品的要求",
      "符合同类型产品标准",
      "综合同一时期的数据",
      "综合同学们的意见",
      "结合同学的建议",
      "结合同类案例分析",
      "联合同事一起完成",
      "联合同行业伙伴",
      "配合同事工作",
      "请配合同步更新",
      "这种场合同样适用",
      "该场合同时出现",
      "组合同时下单有优惠吗",
      "组合同款颜色",
      "混合同步模式",
      "适合同龄人玩",
      "适合同学聚会",
      "整合同类项目",
      "融合同源数据",
      "聚合同名字段",
      "复合同位素",
      "吻合同一曲线",
      "重合同步信号",
      "百合同样好看",
      "闭合同样的回路",
      "耦合同步电路",
      "拟合同一组点",
      "撮合同城交易",
      "迎合同龄人的口味",
      "汇合同学",
      "場合同樣適用",
      "結合同學的建議",
      "配合同\xE2\x80\x8B事",
      "集合 同步",
      "场合 同样",
      "集 合 同 步",
      "方法律动感十足",
      "无法律动起来",
      "这种玩法律动很强",
      "剑法律动",
      "没法律己",
      "写法律诗的规则",
      "作法律诗",
      "志同道合同学会",
      "不谋而合同样的想法",
      "回合同步制",
  };
  for (const char* text : texts) {
    const auto hit = one.find(text);
    EXPECT_FALSE(hit) << text << " fired " << (hit ? hit->keyword : "");
  }
}

TEST(Keywords, EverydayQuestionsDoNotFire) {
  const auto one = matcher();
  for (const char* text :
       {"", "你们几点开门？", "我同意", "大家集合", "合作愉快", "同时购买两件", "怎么退货", "这个方法好",
        "律师几点上班", "contract law", "偿还贷款", "语法和算法", "\xFF\xFE", "合", "同"}) {
    EXPECT_FALSE(one.find(text)) << text;
  }
}

TEST(Keywords, LettersMatchWholeWords) {
  const auto one = matcher({"contract", "force majeure", "GDPR", "Vertrag"});
  for (const char* text :
       {"contract", "The Contract.", "a CONTRACT,", "ＣＯＮＴＲＡＣＴ", "con\xE2\x80\x8Btract", "合contract同",
        "force   majeure", "force\nmajeure", "gdpr?", "der vertrag", "\"contract\"", "contract-based"}) {
    EXPECT_TRUE(one.find(text)) << text;
  }
  for (const char* text : {"contractor", "subcontract", "contracts", "contract_id", "contract2", "enforce majeure",
                           "Vertragsrecht", "forcemajeure", "con tract",
                           "\xC3\xA9"
                           "contract"}) {
    EXPECT_FALSE(one.find(text)) << text;
  }
}

TEST(Keywords, TraditionalKeywordsAreFoldedToo) {
  const auto one = matcher({"合約", "协议"});
  for (const char* text : {"合约", "合約", "簽訂合約", "協議書", "协议"}) EXPECT_TRUE(one.find(text)) << text;
  EXPECT_FALSE(one.find("合同")) << "a synonym is another word";
}

TEST(Keywords, TheHitNamesKeywordAndPlace) {
  const auto one = matcher();
  const std::string text = "看 ＡＢ 合\xE2\x80\x8B同！";
  const auto hit = one.find(text);
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->keyword, "合同");
  EXPECT_EQ(text.substr(hit->begin, hit->end - hit->begin), "合\xE2\x80\x8B同");
  const auto first = one.find("赔偿和合同");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->keyword, "赔偿");
}

TEST(Keywords, TheLongestKeywordWins) {
  const auto hit = matcher({"合同", "合同纠纷"}).find("合同纠纷怎么处理");
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->keyword, "合同纠纷");
}

TEST(Keywords, Exceptions) {
  const auto one = matcher({"合同"}, {"合同机", "打印合同模板"});
  EXPECT_FALSE(one.find("合同机多少钱"));
  EXPECT_FALSE(one.find("怎么打印合同模板"));
  EXPECT_FALSE(one.find("怎麼打印合同模板"));
  EXPECT_TRUE(one.find("合同机和合同"));
  EXPECT_TRUE(one.find("打印合同"));
}

TEST(Keywords, RefusesEmptyAndForeignBytes) {
  for (const char* bad : {"", " ", "\xE2\x80\x8B", "\xFF"}) {
    const auto made = KeywordMatcher::create({bad}, {});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, base::Code::kInvalidArgument);
    EXPECT_FALSE(KeywordMatcher::create({"a"}, {bad}));
  }
  EXPECT_FALSE(matcher({}).find("合同"));
}

// Whatever stands around it, 合同 between punctuation is 合同; and no text may crash or read out of bounds.
TEST(Keywords, RandomSurroundings) {
  const auto one = matcher();
  const char* const pieces[] = {"合", "同",           "法",   "律", "集", "步",           "无",
                                "场", "现",           "样",   "本", " ",  "\n",           "a",
                                "，", "\xE2\x80\x8B", "\xFF", "類", "ｘ", "\xEF\xB7\xBA", "\xCC\x81"};
  uint32_t state = 1;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (int i = 0; i < 12; ++i) {
      state = state * 1664525U + 1013904223U;
      text += pieces[(state >> 16) % std::size(pieces)];
    }
    const auto hit = one.find(text);
    if (hit) {
      ASSERT_LT(hit->begin, hit->end);
      ASSERT_LE(hit->end, text.size());
    }
    ASSERT_TRUE(one.find(text + "，合同。" + text));
  }
}

}  // namespace
}  // namespace concerto::cascade
