import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { chooseLanguage, languages, translator } from "../src/i18n/index.js";
import { errorStem } from "../src/text/error_words.js";
import { confidenceWords, outcomeWords, reasonWords, roleOf } from "../src/text/route_words.js";

const { zh, en } = languages;
const [tz, te] = [translator(zh), translator(en)];
const source = join(dirname(fileURLToPath(import.meta.url)), "..", "src");
const sources = readdirSync(source, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !["style", "i18n"].includes(entry.name))
  .flatMap((entry) => readdirSync(join(source, entry.name)).map((file) => readFileSync(join(source, entry.name, file), "utf8")))
  .join("\n");

test("both languages have the same keys and the same values in them", () => {
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  const places = (text) => [...text.matchAll(/\{\w+\}/g)].map(([one]) => one).sort();
  for (const key of Object.keys(zh)) {
    assert.deepEqual(places(zh[key]), places(en[key]), key);
    assert.notEqual(zh[key].trim(), "", key);
    assert.notEqual(en[key].trim(), "", key);
  }
});

test("Chinese is in Chinese, English is not", () => {
  for (const [key, words] of Object.entries(zh)) {
    if (key !== "settings.language" && !key.startsWith("model.")) assert.match(words, /\p{Script=Han}/u, key);
  }
  for (const [key, words] of Object.entries(en)) {
    if (key !== "settings.language") assert.doesNotMatch(words, /\p{Script=Han}/u, key);
  }
});

test("every key that the page names exists", () => {
  const named = [...sources.matchAll(/\bt\("([\w.]+)"/g)].map(([, key]) => key);
  assert.ok(named.length > 40);
  for (const key of named) assert.ok(key in en, key);
});

test("every key is named, whole or by its beginning", () => {
  const beginnings = [...sources.matchAll(/`([\w.]+[._])\$\{/g)].map(([, start]) => start);
  beginnings.push("reason.", "outcome."); // route_words.js: `${space}.${...}`
  for (const key of Object.keys(en)) {
    const used = sources.includes(`"${key}"`) || beginnings.some((start) => key.startsWith(start));
    assert.ok(used, key);
  }
});

test("words take values, and keep what they are not given", () => {
  assert.equal(te("case.id", { id: "case_1" }), "Case case_1");
  assert.equal(te("case.id"), "Case {id}");
  assert.equal(te("no.such"), "no.such");
});

test("the browser's first language that the page speaks", () => {
  assert.equal(chooseLanguage(["zh-CN", "en"]), "zh");
  assert.equal(chooseLanguage(["en-US", "zh"]), "en");
  assert.equal(chooseLanguage(["de", "zh-TW"]), "zh");
  assert.equal(chooseLanguage(["de"]), "en");
  assert.equal(chooseLanguage(undefined), "en");
});

const models = (...kinds) => [
  { id: "concerto", concerto: { kind: "cascade" } },
  ...kinds.map((kind, i) => ({ id: `t${i}`, concerto: { kind } })),
];

test("the role of a tier is its place among the models", () => {
  const all = models("local", "upstream", "people");
  assert.equal(roleOf("t0", all), "small");
  assert.equal(roleOf("t1", all), "big");
  assert.equal(roleOf("t2", all), "person");
  assert.equal(roleOf("t9", all), "unknown");
  assert.equal(roleOf("", []), "unknown");
  assert.equal(roleOf("t0", models("local", "people")), "only");
  assert.equal(roleOf("t9", [], "case_1"), "person");
});

test("reasons in words", () => {
  assert.equal(reasonWords("confident", tz), "有把握");
  assert.equal(reasonWords("confident", te), "confident");
  assert.equal(reasonWords("keyword:合同", tz), "关键词：合同");
  assert.equal(reasonWords("keyword:a:b_c", te), "keyword: a:b_c");
  assert.equal(reasonWords("low_confidence", tz, "big"), "小模型低置信度");
  assert.equal(reasonWords("low_confidence", te, "person"), "models were unsure");
  assert.equal(reasonWords("error:timeout", tz), "前一级出错：超时");
  assert.equal(reasonWords("needs:context", te), "the tier before can't: a longer context");
  assert.equal(reasonWords("", te), "");
});

test("a reason that the page does not know yet is shown, not lost", () => {
  assert.equal(reasonWords("moon_phase", te), "moon phase");
  assert.equal(reasonWords("weather:rain", te), "weather:rain");
  assert.equal(reasonWords("error:new_kind", te), "the tier before failed: new kind");
});

test("outcomes in words", () => {
  assert.equal(outcomeWords("answered", tz), "已回答");
  assert.equal(outcomeWords("skipped:keyword", tz), "跳过：关键词");
  assert.equal(outcomeWords("error:upstream", te), "failed: upstream error");
  assert.equal(outcomeWords("low_confidence", te), "low confidence");
});

test("a confidence says that it is uncalibrated unless the server says otherwise", () => {
  assert.equal(confidenceWords({ confidence: 0.9 }, te), "confidence 0.90 (uncalibrated)");
  assert.equal(confidenceWords({ confidence: 0.9, calibrated: false }, tz), "置信度 0.90（未校准）");
  assert.equal(confidenceWords({ confidence: 0.9, calibrated: true }, te), "confidence 0.90");
  assert.equal(confidenceWords({ confidence: null }, te), "");
  assert.equal(confidenceWords(null, te), "");
});

test("every error has a title and a hint", () => {
  assert.equal(errorStem({ code: "rate_limit_exceeded", status: 429 }), "busy");
  assert.equal(errorStem({ code: "network", status: 0 }), "network");
  assert.equal(errorStem({ code: "invalid_api_key", status: 401 }), "key");
  assert.equal(errorStem({ code: "invalid_value", status: 400 }), "refused");
  assert.equal(errorStem({ code: "internal_error", status: 500 }), "server");
  assert.equal(errorStem({ code: "internal_error", status: 0 }), "server"); // in the middle of a stream
  for (const status of [0, 400, 401, 403, 404, 409, 413, 415, 429, 500, 502, 503, 504]) {
    for (const code of ["", "network", "cut", "context_length_exceeded", "model_not_found", "timeout", "unavailable"]) {
      const stem = errorStem({ code, status });
      assert.ok(`error.title.${stem}` in en, stem);
      assert.ok(`error.hint.${stem}` in en, stem);
    }
  }
});
