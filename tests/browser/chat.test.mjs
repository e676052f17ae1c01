// The chat page in a real browser against the real program and real weights (see run.sh).
// CONCERTO_PROGRAM, CONCERTO_MODEL, CHROMIUM: paths.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openPage, startBrowser } from "./lib/browser.mjs";
import { kAdminKey, kUserKey, startConcerto } from "./lib/concerto.mjs";
import { startUpstream } from "./lib/upstream.mjs";

const { CONCERTO_PROGRAM: program, CONCERTO_MODEL: model, CHROMIUM: chromium } = process.env;
let upstream;
let server;
let browser;

before(async () => {
  upstream = await startUpstream();
  server = await startConcerto({ program, model, upstreamUrl: upstream.baseUrl });
  browser = await startBrowser(chromium);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  upstream?.close();
});

// Runs `steps` on a page of its own and then holds the page to its promises.
async function onPage(options, steps) {
  const opened = await openPage(browser, options.url ?? server.url, options);
  try {
    await steps(opened.page);
    assert.deepEqual(opened.faults, []);
  } catch (error) {
    error.message += `\nThe page: ${(await opened.page.locator("#app").innerText().catch(() => "")).slice(0, 1500)}\nThe server: ${server.output().slice(-1500)}`;
    throw error;
  } finally {
    await opened.context.close();
  }
}

async function ask(page, text) {
  await page.fill("#message", text);
  await page.press("#message", "Enter");
}

const lastAnswer = (page) => page.locator(".answer").last();
const finished = (page) => page.waitForSelector("#send");
const choose = (page, id) => page.selectOption("#model", id);

test("a question, a streamed answer, who gave it and why", () =>
  onPage({}, async (page) => {
    await page.waitForSelector('#model option[value="fast"]', { state: "attached" });
    await ask(page, "Write ten long sentences about the sea.");
    const lengths = new Set();
    while ((await page.locator("#stop").count()) > 0) {
      lengths.add((await page.locator(".answer .markdown").allInnerTexts()).join("").length);
      await page.waitForTimeout(40);
    }
    assert.ok(lengths.size >= 3, `the answer grew in ${[...lengths]}`);
    const badge = await lastAnswer(page).locator(".badge").innerText();
    assert.match(badge, /^Small model\s+fast/);
    assert.match(badge, /confident/);
    assert.match(badge, /confidence [01]\.\d\d \(uncalibrated\)/);
    await lastAnswer(page).locator(".badge").click();
    const details = await lastAnswer(page).locator(".route-details").innerText();
    assert.match(details, /fast\s+answered/);
    assert.match(details, /\d+ tokens, [\d.]+ tokens\/s/);
    assert.match(details, /model \w+/);
    assert.equal(await page.locator('[role="status"]').innerText(), "Answer complete");
  }));

test("examples ask; a chat is kept over a reload, and can be deleted", () =>
  onPage({}, async (page) => {
    await page.waitForSelector('#model option[value="scripted"]', { state: "attached" });
    await choose(page, "scripted");
    const example = await page.locator(".example").first().innerText();
    await page.locator(".example").first().click();
    await finished(page);
    await page.reload();
    assert.equal(await page.inputValue("#model"), "scripted");
    await page.locator(".row-open").first().click();
    assert.equal(await page.locator(".bubble").innerText(), example);
    assert.match(await lastAnswer(page).locator(".markdown").innerText(), /^Heard: /);
    await page.locator(".row-delete").click();
    await page.locator(".row-delete.sure").click();
    assert.equal(await page.locator(".row").count(), 0);
    await page.reload();
    assert.equal(await page.locator(".row").count(), 0);
  }));

test("thinking shows while it lasts and folds away, with its duration", () =>
  onPage({}, async (page) => {
    await choose(page, "scripted");
    await ask(page, "think about it");
    await page.waitForSelector(".thinking-text");
    assert.match(await page.locator(".thinking-title").innerText(), /^Thinking… \d+ s$/);
    await finished(page);
    assert.equal(await page.locator(".thinking-text").count(), 0);
    assert.match(await page.locator(".thinking-title").innerText(), /^Thought for \d+\.\d s$/);
    assert.equal(await lastAnswer(page).locator(".markdown strong").innerText(), "42");
    await page.locator(".thinking-title").click();
    assert.match(await page.locator(".thinking-text").innerText(), /First weigh the one side\. Then the other\./);
    assert.match(await lastAnswer(page).locator(".badge").innerText(), /^Bigger model\s+scripted\s+you chose it/);
  }));

test("Stop keeps what is there and frees the tier; Esc stops too", () =>
  onPage({}, async (page) => {
    await choose(page, "scripted");
    for (const stop of [() => page.click("#stop"), () => page.keyboard.press("Escape")]) {
      await ask(page, "a slow answer please");
      await page.waitForFunction(() => [...document.querySelectorAll(".answer")].at(-1)?.innerText.includes("part3"));
      assert.equal(upstream.openStreams(), 1);
      await stop();
      await finished(page);
      assert.match(await lastAnswer(page).locator(".markdown").innerText(), /^part0 /);
      assert.equal(await lastAnswer(page).locator(".end-note").innerText(), "Stopped");
      for (let i = 0; i < 50 && upstream.openStreams() > 0; ++i) await page.waitForTimeout(20);
      assert.equal(upstream.openStreams(), 0);
    }
  }));

test("a keyword goes to the bigger model, and the page says which, in Chinese", () =>
  onPage({ locale: "zh-CN" }, async (page) => {
    assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
    await ask(page, "这份合同怎么写？");
    await finished(page);
    const badge = await lastAnswer(page).locator(".badge").innerText();
    assert.match(badge, /^大模型\s+scripted/);
    assert.match(badge, /关键词：合同/);
    await page.click("#language");
    assert.match(await lastAnswer(page).locator(".badge").innerText(), /keyword: 合同/);
    assert.equal(await page.getAttribute("html", "lang"), "en");
    assert.equal(await page.locator("#new-chat").innerText(), "New chat");
    await page.reload();
    assert.equal(await page.getAttribute("html", "lang"), "en");
  }));

test("what fails goes to a person, whose answer arrives in the conversation", () =>
  onPage({}, async (page) => {
    await ask(page, "合同: fail");
    await finished(page);
    const badge = await lastAnswer(page).locator(".badge").innerText();
    assert.match(badge, /^A person\s+desk/);
    const card = await page.locator(".case").innerText();
    assert.match(card, /waiting for the answer/);
    const [id] = /case_\w+/.exec(card);
    const answer = (key) =>
      fetch(`${server.url}/v1/cases/${id}/answer`, {
        method: "POST",
        headers: { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) },
        body: JSON.stringify({ answer: "By **hand**. <img src=x onerror=\"window.__xss=1\">", answered_by: "Li" }),
      });
    assert.notEqual((await answer(null)).status, 200);
    assert.equal((await answer(kAdminKey)).status, 200);
    await page.waitForSelector(".case.answered");
    assert.match(await page.locator(".case.answered").innerText(), /^Li answered/);
    assert.equal(await page.locator(".case.answered strong").last().innerText(), "hand");
    assert.equal(await page.locator(".case img").count(), 0);
    assert.equal(await page.locator('[role="status"]').innerText(), "A person's answer has arrived");
  }));

test("a case that was open when the page closed is waited for when it opens again", () =>
  onPage({}, async (page) => {
    await choose(page, "desk");
    await ask(page, "for a person");
    await finished(page);
    const [id] = /case_\w+/.exec(await page.locator(".case").innerText());
    await page.goto("about:blank");
    const answered = await fetch(`${server.url}/v1/cases/${id}/answer`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${kAdminKey}` },
      body: JSON.stringify({ answer: "Done." }),
    });
    assert.equal(answered.status, 200);
    await page.goto(server.url);
    await page.locator(".row-open").first().click();
    await page.waitForSelector(".case.answered");
    assert.match(await page.locator(".case.answered").innerText(), /Done\./);
  }));

test("hostile Markdown is inert", () =>
  onPage({}, async (page) => {
    await choose(page, "scripted");
    await ask(page, "hostile");
    await finished(page);
    const answer = lastAnswer(page);
    await answer.locator("figure.code").waitFor();
    assert.match(await answer.innerText(), /<script>window\.__xss=1<\/script>/);
    assert.equal(await answer.locator(".markdown :is(img, script, svg:not(.icon), iframe)").count(), 0);
    assert.deepEqual(await answer.locator("a").evaluateAll((all) => all.map((a) => a.protocol)), ["http:"]);
    assert.equal(await page.evaluate(() => window.__xss), undefined);
  }));

test("the page's policy: no HTML from text, no foreign address, no style or script in place", () =>
  onPage({ allowed: ["Content Security Policy", "TrustedHTML"] }, async (page) => {
    const tried = await page.evaluate(async () => {
      const outcome = async (act) => {
        try {
          await act();
          return "done";
        } catch (error) {
          return error.name;
        }
      };
      const style = document.createElement("style");
      style.textContent = "body { outline: 3px solid red }";
      document.head.append(style);
      return {
        html: await outcome(() => (document.body.innerHTML = "<b>x</b>")),
        fetch: await outcome(() => fetch("http://127.0.0.1:9/")),
        outline: getComputedStyle(document.body).outlineStyle,
      };
    });
    assert.deepEqual(tried, { html: "TypeError", fetch: "TypeError", outline: "none" });
  }));

test("history that somebody tampered with is inert too", () =>
  onPage({}, async (page) => {
    await page.evaluate(() => {
      const content = '<img src=x onerror="window.__xss=1"> [x](javascript:window.__xss=1)';
      const messages = [
        { id: "a", role: "user", content },
        { id: "b", role: "assistant", status: "done", content, reasoning: content, route: { tier: content, reason: content } },
      ];
      localStorage.setItem("concerto.chat.t", JSON.stringify({ id: "t", title: content, updated: 1, messages }));
      localStorage.setItem("concerto.chat.broken", "{");
      localStorage.setItem("concerto.chat.odd", '{"id":"odd","messages":[null,1,{"role":"user"}]}');
    });
    await page.reload();
    await page.locator(".row-open", { hasText: "onerror" }).click();
    await page.locator(".thinking-title").click();
    assert.equal(await page.locator("main img").count(), 0);
    assert.equal(await page.locator("main a").count(), 0);
    assert.equal(await page.evaluate(() => window.__xss), undefined);
  }));

test("keys: Shift+Enter is a new line, an input method's Enter sends nothing", () =>
  onPage({}, async (page) => {
    await choose(page, "scripted");
    await page.fill("#message", "one");
    await page.press("#message", "Shift+Enter");
    await page.locator("#message").pressSequentially("two");
    await page.evaluate(() => {
      const field = document.getElementById("message");
      const press = (extra) => field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...extra }));
      press({ isComposing: true });
      press({ keyCode: 229 });
    });
    assert.equal(await page.locator(".question").count(), 0);
    await page.press("#message", "Enter");
    await finished(page);
    assert.equal(await page.locator(".bubble").innerText(), "one\ntwo");
  }));

test("edit and send again, regenerate", () =>
  onPage({}, async (page) => {
    await choose(page, "scripted");
    await ask(page, "first");
    await finished(page);
    await page.locator(".question").hover();
    await page.locator('.question [aria-label="Edit"]').click();
    await page.fill(".editor textarea", "second");
    await page.press(".editor textarea", "Enter");
    await page.waitForFunction(() => document.querySelector(".answer .markdown")?.innerText === "Heard: second");
    await finished(page);
    assert.equal(await page.locator(".question").count(), 1);
    await page.locator(".regenerate").click();
    await finished(page);
    await page.waitForFunction(() => document.querySelector(".answer .markdown")?.innerText === "Heard: second");
    assert.equal(await page.locator(".answer").count(), 1);
  }));

test("code is copied as it is", () =>
  onPage({ permissions: ["clipboard-read", "clipboard-write"] }, async (page) => {
    await choose(page, "scripted");
    await ask(page, "hostile");
    await finished(page);
    await page.locator("figure.code .copy").click();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), '<svg onload="window.__xss=1"></svg>');
    await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
    await page.locator(".bubble").hover();
    await page.locator(".question .copy").click();
    await page.waitForFunction(() => document.querySelector('.question [aria-label="Copied"]'));
    assert.equal(await page.locator("textarea").count(), 1);
  }));

test("light, dark, as the system: kept, and without a word of style in the page", () =>
  onPage({ colorScheme: "dark" }, async (page) => {
    const theme = () => page.getAttribute("html", "data-theme");
    assert.equal(await theme(), "dark");
    await page.click("#theme");
    assert.equal(await theme(), "light");
    await page.reload();
    assert.equal(await theme(), "light");
    assert.equal(await page.locator("style, script:not([src])").count(), 0);
  }));

test("a phone: nothing is wider than the screen, the sidebar is a drawer", () =>
  onPage({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, async (page) => {
    await choose(page, "scripted");
    await ask(page, `wide ${"x".repeat(300)}`);
    await finished(page);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
    assert.equal(await page.locator(".row-open").isVisible(), false);
    await page.click('[aria-label="Open the sidebar"]');
    await page.locator(".row-open").waitFor({ state: "visible" });
    await page.click("#new-chat");
    await page.locator(".empty").waitFor();
  }));

test("a server that wants a key is given one, and the question is not lost", async () => {
  const locked = await startConcerto({ program, model, upstreamUrl: upstream.baseUrl, needsKey: true });
  try {
    await onPage({ url: locked.url, allowed: ["401"] }, async (page) => {
      await page.waitForSelector("dialog[open]");
      await page.fill("#key", "wrong-key-0123456789");
      await page.press("#key", "Enter");
      await page.waitForSelector(".wrong");
      await page.fill("#key", kUserKey);
      await page.press("#key", "Enter");
      await page.waitForSelector('#model option[value="scripted"]', { state: "attached" });
      await choose(page, "scripted");
      await ask(page, "hello");
      await finished(page);
      assert.equal(await lastAnswer(page).locator(".markdown").innerText(), "Heard: hello");
    });
  } finally {
    await locked.stop();
  }
});

test("a server that is gone: said plainly, and Retry works when it is back", () =>
  onPage({ allowed: ["ERR_", "Failed to load"] }, async (page) => {
    await choose(page, "scripted");
    await page.route("**/v1/chat/completions", (route) => route.abort());
    await ask(page, "anybody there?");
    await page.waitForSelector(".error");
    assert.match(await page.locator(".error").innerText(), /Can't reach the server/);
    await page.unroute("**/v1/chat/completions");
    await page.click(".retry");
    await page.waitForFunction(() => document.querySelector(".answer .markdown")?.innerText === "Heard: anybody there?");
    assert.equal(await page.locator(".error").count(), 0);
  }));
