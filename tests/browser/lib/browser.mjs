// Debian's Chromium, fresh each time, unable to resolve any name but the server's own address.
import { chromium } from "playwright-core";

export function startBrowser(executablePath) {
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      "--no-sandbox", // tests run as root in a container
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ],
  });
}

// A page in a profile of its own, and what it must never do: load from elsewhere, break its policy, throw, ask.
// `allowed`: console errors that the test brings about itself.
export async function openPage(browser, url, { locale = "en-US", allowed = [], ...options } = {}) {
  const context = await browser.newContext({ locale, viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const faults = [];
  const own = new URL(url).host;
  context.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== "data:" && host !== own) faults.push(`request to ${request.url()}`);
  });
  context.on("page", (other) => faults.push(`a new window: ${other.url()}`));
  page.on("pageerror", (error) => faults.push(`exception: ${error.stack ?? error.message}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    if (message.type() === "error" && !allowed.some((one) => message.text().includes(one))) faults.push(`console: ${message.text()}`);
  });
  page.setDefaultTimeout(30_000);
  await page.goto(url);
  await page.waitForSelector("#message");
  return { page, context, faults };
}
