// What both walks share: a browser that notes every fault, the accessibility rules, screenshots, claiming and coming in.
// PAGE is the page's address, PIN_FILE where root reads the PIN, SHOTS the folder of the screenshots.
import { chromium } from "playwright-core";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

export const { PAGE, PIN_FILE, SHOTS } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const findings = [];
export const check = (right, what) => { if (!right) findings.push(what); };
export const pin = () => readFileSync(PIN_FILE, "utf8").split("\n")[0];

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-quic"] });

export async function open(name, options = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("request", (r) => check(r.url().startsWith(PAGE) || r.url().startsWith("data:"), `${name}: a request to ${new URL(r.url()).origin}`));
  page.on("dialog", (d) => { findings.push(`${name}: a dialog opened`); d.dismiss(); });
  page.on("pageerror", (e) => findings.push(`${name}: script error ${e.message}`));
  page.on("console", (m) => { if (m.type() === "error" && /Content Security Policy/.test(m.text())) findings.push(`${name}: ${m.text()}`); });
  return page;
}

// A browser's reach beyond the page's own policy is needed to run axe; it is evaluated from outside the page.
export async function accessible(page, name) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"] }));
  for (const v of violations) findings.push(`${name}: axe ${v.id} on ${v.nodes.map((n) => n.target.join(" ")).slice(0, 3).join(", ")}`);
}

export async function shot(page, name) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(wide <= 0, `${name}: scrolls sideways by ${wide} px`);
  check(/Anti-Hate Node \d+\.\d+\.\d+/.test(await page.textContent("footer")), `${name}: no version`);
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

export const NAME = "ada";
export const PASS = "four tall birds whistle";

// Claims the node with the PIN, as its owner would, up to the first screen of the setup; returns the recovery codes.
export async function claim(page, name = "claim") {
  await page.goto(`${PAGE}/unlock`);
  // Who has typed the PIN before is led on.
  if (page.url().endsWith("/unlock")) {
    await page.fill("#pin", pin());
    await page.click("button.primary");
  }
  await page.waitForSelector("#again");
  await accessible(page, `${name} owner`);
  await shot(page, `${name}-owner`);
  await page.fill("#name", NAME);
  await page.fill("#pass", PASS);
  await page.fill("#again", PASS);
  await page.click("text=Claim this node");
  await page.waitForSelector("#codes");
  await accessible(page, `${name} codes`);
  const codes = await page.locator("#codes code").allTextContents();
  check(codes.length === 8, `${name}: ${codes.length} recovery codes`);
  await page.evaluate(() => document.querySelectorAll("#codes code").forEach((c) => { c.textContent = "XXXX-XXXX-XXXX"; }));
  await shot(page, `${name}-codes`);
  await page.check("#kept");
  await page.click("text=Go on");
  await page.waitForSelector("#screen[data-screen=welcome]");
  return codes;
}

export async function logIn(page, name = NAME, pass = PASS) {
  await page.goto(`${PAGE}/login`);
  await page.fill("#name", name);
  await page.fill("#pass", pass);
  await page.click("button.primary");
}

export async function unlock(page) {
  await logIn(page);
  await page.waitForSelector("#working");
}

export async function finish() {
  await browser.close();
  for (const finding of new Set(findings)) console.error(`finding: ${finding}`);
  process.exit(findings.length === 0 ? 0 : 1);
}
