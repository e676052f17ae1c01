#include "cascade/word_traps.h"

#include <algorithm>

#include "base/utf8.h"

namespace concerto::cascade {
namespace {

// Separated by spaces. Words whose subject is the keyword's own (律师, 律条, 理赔, 偿还) are left out on purpose: a
// question about them belongs to the same tier.
constexpr std::string_view kWords =
    "合同 法律 赔偿 "
    // ... ending in 合
    "集合 符合 综合 结合 联合 配合 场合 组合 混合 适合 整合 融合 聚合 复合 百合 吻合 汇合 契合 迎合 切合 撮合 缝合 "
    "磨合 "
    "耦合 贴合 拟合 愈合 闭合 弥合 会合 凑合 竞合 回合 糅合 粘合 黏合 投合 巧合 离合 化合 啮合 咬合 拼合 接合 重合 "
    "熔合 "
    "调合 掺合 胶合 叠合 围合 媾合 苟合 暗合 掺合 装合 咬合 三合 六合 不符合 相结合 不适合 不谋而合 一拍即合 志同道合 "
    "情投意合 里应外合 悲欢离合 天作之合 珠联璧合 前仰后合 貌合神离 乌合 总合 统合 揉合 "
    // 同 ...
    "同步 同一 同样 同时 同学 同事 同意 同类 同名 同等 同期 同理 同行 同型 同义 同源 同城 同比 同龄 同年 同月 同日 "
    "同盟 "
    "同伴 同胞 同情 同感 同志 同居 同桌 同窗 同乡 同族 同心 同化 同构 同态 同余 同位 同轴 同屏 同台 同框 同款 同班 "
    "同级 "
    "同层 同组 同省 同市 同国 同区 同校 同住 同房 同性 同工 同业 同质 同向 同色 同时期 同位素 同义词 同类型 同类别 "
    "同时间 同行业 同等级 同名称 同性质 同级别 同一个 同一种 同一天 同一方 同样的 同样式 同日期 同学们 "
    "同事们 同意见 同系列 同品牌 同规格 同尺寸 同颜色 同价位 同方向 同频率 同比例 同维度 同长度 同大小 同格式 同版本 "
    "同批次 同批 同频 同路 同游 同属 同归 同根 同宗 同姓 同岁 同辈 同好 同僚 同仁 同人 同门 同在 同上 同前 同右 "
    // ... ending in 法
    "方法 办法 无法 算法 语法 说法 做法 想法 看法 用法 写法 书法 疗法 技法 手法 打法 玩法 拼法 读法 枪法 魔法 戏法 "
    "指法 "
    "针法 刀法 剑法 拳法 兵法 笔法 句法 章法 加法 减法 乘法 除法 解法 设法 没法 作法 教法 学法 吃法 画法 唱法 跳法 "
    "种法 养法 活法 走法 叫法 提法 佛法 礼法 阵法 心法 功法 身法 步法 球法 练法 睡法 穿法 搭法 讲法 问法 答法 查法 "
    "找法 "
    // 律 ... that have nothing to do with law
    "律动 律己 律诗 律绝 律吕 律感 "
    // words that claim the first character of those above: ...场|合同, ...整|合同
    "现场 市场 商场 广场 农场 工场 立场 登场 机场 操场 车场 球场 卖场 会场 牧场 剧场 战场 出场 入场 全场 当场 "
    "采集 收集 募集 征集 召集 搜集 密集 诗集 文集 全集 影集 筹集 "
    "总结 缔结 团结 冻结 集结 了结 终结 终结 冰结 勾结 凝结 完结 小结 办结 连结 "
    "互联 关联 物联 串联 并联 蝉联 "
    "分配 匹配 装配 搭配 支配 标配 调配 婚配 适配 选配 发配 高配 "
    "音符 字符 不符 相符 护符 "
    "小组 改组 项目组 分组 词组 重组 课题组 数组 专案组 班组 机组 剧组 "
    "舒适 合适 不适 "
    "调整 完整 平整 修整 工整 齐整 规整 "
    "金融 "
    "恢复 答复 修复 回复 重复 批复 反复 "
    "外汇 词汇 电汇 结汇 购汇 "
    "土地契 地契 房契 默契 "
    "补贴 津贴 张贴 体贴 "
    "模拟 虚拟 草拟 起草拟 "
    "封闭 关闭 倒闭 "
    "协会 委员会 工会 学会 理事会 董事会 股东会 年会 开会 社会 商会 机会 大会 省会 展会 总会 公会 分会 基金会 "
    "收回 撤回 召回 退回 取回 返回 驳回 追回 挽回 "
    "文化 绿化 变化 简化 电子化 标准化 数字化 信息化 优化 消化 美化 国有化 "
    "承接 直接 连接 对接 间接 迎接 嫁接 焊接 转接 链接 外接 "
    "严重 慎重 双重 多重 尊重 体重 隆重 多重 注重 "
    "分离 脱离 隔离 距离 撤离 "
    "投标 "
    "安装 包装 服装 组装 改装 封装 精装 "
    "范围 周围 外围 包围 "
    "协调 空调 强调 单调 "
    "第三 "
    "汇总 老总 "
    "系统 传统 总统 "
    // ... and the last: 合同|样本, 合同|类型
    "样本 样式 样品 样板 样张 样例 样稿 时间 时效 时限 时期 事项 事务 事宜 事实 事件 期限 期间 期满 期内 类型 类别 "
    "名称 名字 名义 字段 等级 等等 等待 意向 意见 意思 行为 行使 步骤 一方 一份 一个 一式 一事 一样 一年 一经 一直 "
    "一起 "
    "一定 "
    "一旦 一共 一般 业务 业主 业绩 性质 理由 理解 学习 学校 情况 情形 年限 年度 年份 月份 日期 日子 上述 上面 上写 "
    "前后 "
    "级别 位置 质量 质保 比例 比较 在先 在线 在手 在此 在哪 工期 工程 工作 房屋 房产 房租 市场 区域 区别 国际 款项 "
    "款式 "
    "批准 批次 批量 "
    "居住 居间 型号 源头 城市 龄期 伴随 感情 心得 化解 台账 层级 组成 省份 校验 住房 向对方 色差 属于 归档 归属 根据 "
    "姓名 "
    "人员 人数 人民 门店 右下角 路线 频繁 好坏 "
    "动态 动作 动向 动机 诗歌 己方 "
    // ... 无|法律, 方|法律
    "甲方 乙方 双方 对方 我方 官方 地方 一方 第三方 买方 卖方 各方 警方 校方 院方 他方 "
    "依据 依法 顾问 援助 咨询 责任 规定 法规 问题 效力 后果 程序 文书 条文 条款 保护 约束 风险 纠纷 诉讼 途径 手段 "
    "关系 "
    "教学 入学 文学 科学 化学 数学 大学 上学 "
    "传说 小说 听说 据说 学说 解说 "
    "预算 计算 结算 清算 核算 "
    "汉语 英语 外语 "
    "证书 文书 图书 "
    "假设 建设 开设 ";

constexpr size_t kContext = 5;  // characters looked at on each side

std::u32string decode(std::string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) out.push_back(base::utf8_next(text, &i));
  return out;
}

}  // namespace

WordTraps::WordTraps(const std::vector<std::u32string>& keywords) {
  const auto add = [&](std::u32string word) {
    longest_ = std::max(longest_, word.size());
    words_.insert(std::move(word));
  };
  for (size_t i = 0; i < kWords.size();) {
    const size_t end = kWords.find(' ', i);
    if (end > i) {
      std::u32string word = decode(kWords.substr(i, end - i));
      // 同类型 is 同 and a word: alone, it may not outweigh 合同|类型.
      if (word.size() > 2 && (word.front() == U'同' || word.front() == U'律')) add(word.substr(1));
      add(std::move(word));
    }
    i = end + 1;
  }
  for (const auto& keyword : keywords) {
    if (std::all_of(keyword.begin(), keyword.end(), is_han)) add(keyword);
  }
}

bool WordTraps::is_trap(const FoldedText& text, size_t begin, size_t end) const {
  // The run of Han characters around the hit.
  size_t first = begin;
  while (first > 0 && begin - first < kContext && is_han(text.chars[first - 1])) --first;
  size_t last = end;
  while (last < text.chars.size() && last - end < kContext && is_han(text.chars[last])) ++last;

  // Text that is spaced out throughout means nothing by its spaces.
  bool spaced_out = true;
  for (size_t i = first + 1; i < last; ++i) spaced_out = spaced_out && text.gap[i] == Gap::kSpace;

  const auto spaced = [&](size_t from, size_t to) {  // a space inside of [from, to): no word of ours
    for (size_t i = from + 1; i < to && !spaced_out; ++i) {
      if (text.gap[i] == Gap::kSpace) return true;
    }
    return false;
  };
  constexpr int kNever = 1 << 20;
  // Fewest pieces of [first, i), apart for ways with the hit as a piece and without.
  std::vector<int> with(last - first + 1, kNever);
  std::vector<int> without(last - first + 1, kNever);
  without[0] = 0;
  for (size_t to = first + 1; to <= last; ++to) {
    for (size_t size = 1; size <= longest_ && first + size <= to; ++size) {
      const size_t from = to - size;
      if (from <= begin && to >= end) continue;  // the keyword itself, or a word that it is a part of
      if (size > 1 && (spaced(from, to) || !words_.contains(text.chars.substr(from, size)))) continue;
      with[to - first] = std::min(with[to - first], with[from - first] + 1);
      without[to - first] = std::min(without[to - first], without[from - first] + 1);
    }
    if (to == end) {
      // A writer's space inside of the word speaks against it.
      const int price = spaced(begin, end) ? 2 : 1;
      with[to - first] = std::min(with[to - first], without[begin - first] + price);
    }
  }
  return without[last - first] < with[last - first];
}

}  // namespace concerto::cascade
