#include "cascade/han_fold.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

#include "base/utf8.h"

namespace concerto::cascade {
namespace {

// Traditional and its simplified form, in pairs: what occurs in contracts, law, trade, service and everyday requests.
// One-to-one only: characters whose simplified form depends on the word (乾, 著, 藉 ...) stay as they are.
constexpr std::string_view kTraditional =
    "約约賠赔償偿協协議议談谈訂订簽签證证書书條条項项規规則则權权義义務务責责任任違违訴诉訟讼"
    "審审裁裁決决執执廳厅員员會会員员長长門门開开關关單单據据額额貨货買买賣卖購购銷销費费價价錢钱"
    "財财產产資资債债權权貸贷賬账帳帐戶户稅税務务發发票票報报業业營营執执照照註注冊册標标專专"
    "利利著著讓让轉转變变更更終终止止續续約约期期滿满損损失失害害傷伤醫医療疗藥药險险"
    "保保壽寿繼继承承遺遗囑嘱離离婚婚養养監监護护勞劳動动僱雇傭佣辭辞職职薪薪獎奖懲惩罰罚"
    "當当與与為为於于無无從从來来對对時时間间問问題题說说話话語语讀读寫写聽听見见覺觉認认識识"
    "請请謝谢應应該该給给個个們们這这裡里裏里麼么樣样還还沒没過过進进遠远運运遲迟選选擇择"
    "國国際际內内區区縣县鄉乡鎮镇號号樓楼層层處处東东車车馬马鐵铁機机場场廠厂廣广"
    "電电腦脑網网絡络線线線线軟软體体顯显視视頻频點点數数據据檔档案案錄录錯错誤误"
    "試试驗验測测設设計计劃划畫画圖图紙纸筆笔課课學学習习師师專专導导練练級级結结組组織织"
    "經经紀纪濟济貿贸運运輸输倉仓庫库儲储備备裝装載载卸卸遞递郵邮寄寄訊讯聯联繫系係系"
    "諮咨詢询訪访調调查查檢检驗验質质量量優优惠惠減减漲涨跌跌賺赚虧亏賭赌騙骗詐诈"
    "舉举報报揭揭發发侵侵犯犯擔担保保抵抵押押質质典典當当租租賃赁借借欠欠還还"
    "雙双甲甲乙乙丙丙條条款款細细則则附附件件補补充充聲声明明確确認认參参照照"
    "願愿意意願愿權权益益義义務务責责歸归屬属于于爭争議议紛纷糾纠解解調调仲仲"
    "達达成成維维護护修修復复複复製制退退換换貨货運运費费訂订單单購购物物車车"
    "儀仪僅仅價价億亿兩两幾几歲岁飛飞龍龙門门鳳凤愛爱憂忧慮虑懷怀態态總总戰战擁拥擊击"
    "據据敗败敵敌斷断舊旧曆历歷历殺杀氣气漢汉灣湾濕湿灑洒災灾熱热獨独獲获現现環环瑪玛"
    "畢毕異异療疗盜盗盡尽眾众碼码礎础禮礼禦御種种稱称積积穩稳窮穷競竞筆笔節节範范築筑"
    "簡简類类糧粮純纯紅红納纳級级紹绍絕绝統统絲丝維维綱纲緊紧線线編编緩缓縮缩績绩繳缴"
    "罷罢羅罗聖圣聞闻職职膽胆臨临興兴舉举藝艺蘇苏處处虛虚號号衛卫衝冲衡衡製制複复襲袭"
    "規规覽览觀观觸触訓训記记許许評评詞词誌志誠诚課课諾诺謀谋謹谨譯译譽誉讀读"
    "貝贝負负貢贡貧贫貪贪貫贯貴贵費费貼贴賀贺賓宾賞赏賢贤賴赖贈赠贊赞贏赢趨趋跡迹踐践"
    "軍军軌轨輕轻較较輔辅輛辆輩辈輪轮辦办農农邊边郵邮鄰邻釋释針针鈔钞銀银銅铜鋼钢錄录鍵键"
    "鎖锁鏡镜鐘钟閉闭閱阅關关闆板陣阵陰阴陳陈陸陆陽阳隊队階阶隨随險险隱隐雖虽難难雲云"
    "靈灵靜静響响頁页頂顶預预領领頭头頻频題题顏颜願愿類类風风飯饭飲饮館馆馮冯駐驻駕驾"
    "驅驱驚惊骯肮體体髮发鬥斗鬧闹魚鱼鮮鲜鳥鸟麗丽麥麦黃黄黨党齊齐齒齿龐庞幣币師师帶带幫帮"
    "廢废強强彈弹後后徵征徹彻恆恒惡恶惱恼愧愧慘惨慣惯慶庆憑凭應应戲戏掃扫掛挂採采揚扬換换"
    "損损搶抢摺折撥拨撤撤擬拟攔拦攜携敘叙斂敛暫暂書书條条極极構构樂乐樹树橋桥檢检櫃柜"
    "歡欢殘残毀毁沖冲決决況况淨净淚泪測测準准溝沟滅灭滯滞漁渔濫滥營营燈灯爐炉爾尔狀状"
    "獻献產产畝亩療疗監监盤盘睏困矯矫砲炮確确磚砖禍祸稅税穀谷竊窃筍笋簽签籌筹籤签";

const std::unordered_map<char32_t, char32_t>& simplified_map() {
  static const auto map = [] {
    std::unordered_map<char32_t, char32_t> out;
    for (size_t i = 0; i < kTraditional.size();) {
      const char32_t from = base::utf8_next(kTraditional, &i);
      const char32_t to = base::utf8_next(kTraditional, &i);
      if (from != to) out.emplace(from, to);
    }
    return out;
  }();
  return map;
}

bool is_invisible(utf8proc_category_t category) {
  return category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_ME;
}

bool is_space(char32_t c, utf8proc_category_t category) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
         category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

bool ends_line(char32_t c) { return (c >= '\n' && c <= '\r') || c == 0x85 || c == 0x2028 || c == 0x2029; }

// Appends folded characters, holding white space back until it is known what follows.
class Folder {
 public:
  explicit Folder(FoldedText* out) : out_(out) {}

  void space(bool line, uint32_t at) {
    if (pending_ == Gap::kNone) space_at_ = at;
    if (pending_ != Gap::kLine) pending_ = line ? Gap::kLine : Gap::kSpace;
  }
  void character(char32_t c, uint32_t at) {
    Gap before = Gap::kNone;
    if (pending_ != Gap::kNone && !out_->chars.empty()) {
      if (is_han(c) && is_han(out_->chars.back())) {
        before = pending_;
      } else {
        put(U' ', space_at_, Gap::kNone);
      }
    }
    pending_ = Gap::kNone;
    put(c, at, before);
  }
  void finish(uint32_t at) {
    out_->source.push_back(at);
    out_->gap.push_back(pending_);
  }

 private:
  void put(char32_t c, uint32_t at, Gap before) {
    out_->chars.push_back(c);
    out_->source.push_back(at);
    out_->gap.push_back(before);
  }

  FoldedText* out_;
  Gap pending_ = Gap::kNone;
  uint32_t space_at_ = 0;
};

}  // namespace

bool is_han(char32_t c) noexcept {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x3FFFF) || c == 0x3007;
}

bool is_word_char(char32_t c) noexcept {
  if (c < 0x80) return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  // Han, kana, Thai and their like are written without spaces.
  if (is_han(c) || (c >= 0x0E00 && c <= 0x0EFF) || (c >= 0x1000 && c <= 0x109F) || (c >= 0x1780 && c <= 0x17FF) ||
      (c >= 0x3040 && c <= 0x30FF)) {
    return false;
  }
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
      return true;
    default:
      return false;
  }
}

FoldedText fold(std::string_view text) {
  constexpr auto kOptions =
      static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_IGNORE);
  constexpr size_t kLongest = 32;  // U+FDFA decomposes into 18
  text = text.substr(0, std::numeric_limits<uint32_t>::max());
  const auto& simplified = simplified_map();
  FoldedText out;
  out.chars.reserve(text.size());
  Folder folder(&out);
  std::array<utf8proc_int32_t, kLongest> parts{};
  for (size_t i = 0; i < text.size();) {
    const auto at = static_cast<uint32_t>(i);
    char32_t c = base::utf8_next(text, &i);
    if (c < 0x80) {  // nothing of ASCII decomposes
      if (is_space(c, UTF8PROC_CATEGORY_CN)) {
        folder.space(ends_line(c), at);
      } else if (c >= 0x20 && c != 0x7F) {
        folder.character(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c, at);
      }
      continue;
    }
    int boundclass = 0;
    const auto count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts.data(), parts.size(), kOptions, &boundclass);
    if (count < 0 || static_cast<size_t>(count) > parts.size()) {
      folder.character(c, at);
      continue;
    }
    for (auto k = 0; k < count; ++k) {
      c = static_cast<char32_t>(parts[static_cast<size_t>(k)]);
      const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
      if (is_space(c, category)) {
        folder.space(ends_line(c), at);
        continue;
      }
      if (is_invisible(category) || category == UTF8PROC_CATEGORY_CC) continue;
      const auto found = simplified.find(c);
      folder.character(found == simplified.end() ? c : found->second, at);
    }
  }
  folder.finish(static_cast<uint32_t>(text.size()));
  return out;
}

}  // namespace concerto::cascade
