// The walk: what a person does on the page, in a real Chromium, with and without scripts, light, dark and at 360 px.
// Findings are collected and printed together; the exit code says whether there were any.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { NAME, PAGE, PASS, accessible, check, claim, finish, findings, logIn, open, pin, shot, unlock } from "./browser.mjs";
import { setupWalk } from "./setup.mjs";

const { NODE_DIR, BATCHES } = process.env;
const tell = (file, text) => writeFileSync(join(NODE_DIR, file), text);
const TEXT = "The new tram line opens on Monday";

async function everyState(name, options) {
  const page = await open(name, options);
  for (const [place, form] of [["login", "#pass"], ["recover", "#code"]]) {
    await page.goto(`${PAGE}/${place}`);
    await page.waitForSelector(form);
    await accessible(page, `${name} ${place}`);
    await shot(page, `${name}-${place}`);
  }
  await unlock(page);
  for (const place of ["account", "users", "support", "check"]) {
    await page.goto(`${PAGE}/${place}`);
    if (place === "users") await page.locator("summary", { hasText: "Change" }).first().click();
    await accessible(page, `${name} ${place}`);
    await shot(page, `${name}-${place}`);
  }
  for (const state of ["preparing", "failed", "good"]) {
    tell("state", state);
    await page.goto(PAGE);
    await page.waitForSelector("#link[data-state=good]");
    check(!(await page.content()).includes("tram line"), `${name}: a text is shown unasked`);
    await accessible(page, `${name} ${state}`);
    await shot(page, `${name}-${state}`);
  }
  await page.goto(`${PAGE}/enroll`);
  await accessible(page, `${name} enroll`);
  await shot(page, `${name}-enroll`);
  await page.goto(`${PAGE}/logs?name=kubelet`);
  await accessible(page, `${name} log`);
  await shot(page, `${name}-log`);
  await page.context().close();
}

// The first walk: until it is done nobody can log in.
async function claimWalk() {
  for (const [name, options] of [["pin", {}], ["pin dark", { colorScheme: "dark" }], ["pin 320px", { viewport: { width: 320, height: 640 } }]]) {
    const page = await open(name, options);
    await page.goto(PAGE);
    check(page.url().endsWith("/unlock"), `${name}: an unclaimed node does not ask for the PIN`);
    await accessible(page, name);
    await shot(page, name.replace(" ", "-"));
    await page.context().close();
  }
  const page = await open("claim");
  await page.goto(`${PAGE}/unlock`);
  await page.fill("#pin", "0000-0000");
  await page.click("button.primary");
  check((await page.textContent(".problem")).includes("PAG-201"), "pin: a wrong PIN is not explained");
  await accessible(page, "pin wrong");
  await shot(page, "pin-wrong");
  await page.goto("about:blank");
  const seen = [];
  page.on("request", (r) => seen.push(r.url()));
  await page.goto(`${PAGE}/unlock#${pin()}`);
  check((await page.inputValue("#pin")) === pin(), "pin: the address does not fill the field");
  check(!page.url().includes("#"), "pin: it stays in the address");
  check(seen.every((url) => !url.includes(pin().slice(0, 4))), "pin: it left the browser in an address");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#again");
  await page.fill("#name", NAME);
  await page.fill("#pass", "short enough");
  await page.fill("#again", "short enouhg");
  await page.locator(".shown button").first().click();
  check((await page.getAttribute("#pass", "type")) === "text", "claim: what is typed cannot be looked at");
  await page.click("text=Claim this node");
  check((await page.textContent(".problem")).includes("USR-115"), "claim: two different pass phrases are not explained");
  check((await page.inputValue("#name")) === NAME, "claim: the name is lost");
  await shot(page, "claim-wrong");
  const codes = await claim(page);
  await page.goto(PAGE);
  check((await page.textContent("main")).includes("The setup is not finished"), "claim: the start page does not lead to the setup");
  await page.click("text=Log out");
  await page.waitForSelector("#pass");
  const gone = await page.goto(`${PAGE}/unlock`);
  check(gone.status() === 404, "claim: the PIN page is still there");
  await recoverWalk(page, codes);
  await page.context().close();
}

// A lost pass phrase, then the old one again by another code.
async function recoverWalk(page, codes) {
  for (const [code, pass] of [[codes[0], "three old boats creak"], [codes[1], PASS]]) {
    await page.goto(`${PAGE}/recover`);
    await page.fill("#name", NAME);
    await page.fill("#code", code.toLowerCase());
    await page.fill("#pass", pass);
    await page.fill("#again", pass);
    await page.click("text=Choose it and log in");
    await page.waitForSelector("#working");
    await page.click("text=Log out");
    await page.waitForSelector("#pass");
  }
  await logIn(page, NAME, "three old boats creak");
  check((await page.textContent(".problem")).includes("USR-111"), "login: a wrong pass phrase is not explained");
  await accessible(page, "login wrong");
  await shot(page, "login-wrong");
}

async function usersWalk() {
  const page = await open("users");
  await unlock(page);
  await page.click("nav >> text=Users");
  await page.fill("#name", "bo");
  await page.check("#add-viewer");
  await page.click("button:text-is('Add')");
  const phrase = await page.textContent("#phrase");
  await accessible(page, "users told");
  await page.evaluate(() => { document.querySelector("#phrase").textContent = "XXXX-XXXX-XXXX-XXXX"; });
  await shot(page, "users-told");
  await page.click("text=It is handed on");
  check((await page.locator("#phrase").count()) === 0, "users: the pass phrase stays on the page");
  const other = await open("viewer", { javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
  await logIn(other, "bo", phrase);
  await other.waitForSelector("#again");
  await shot(other, "viewer-choose");
  await other.fill("#pass", "small grey stones roll");
  await other.fill("#again", "small grey stones roll");
  await other.click("text=Choose it");
  await other.waitForSelector("#codes");
  await other.check("#kept");
  await other.click("text=Go on");
  await other.waitForSelector("#working");
  check((await other.locator("article.post").count()) > 0, "viewer: no posts");
  check((await other.locator("text=Reveal text").count()) === 0, "viewer: a text can be revealed");
  check((await other.locator("nav >> text=Users").count()) === 0, "viewer: sees the users");
  await shot(other, "viewer-home");
  await page.goto(`${PAGE}/users`);
  await page.locator("summary", { hasText: "Change bo" }).click();
  await page.click("text=Remove bo for good");
  await page.waitForSelector("main:not(:has-text('Change bo'))");
  await other.goto(PAGE);
  check(other.url().endsWith("/login"), "users: who was removed is still in");
  await other.context().close();
  await page.context().close();
}

// The bundle is made and fetched without scripts, as a file; it is shown no more once its reader has it.
async function supportWalk() {
  for (const [name, options] of [["support", {}], ["support narrow", { javaScriptEnabled: false, colorScheme: "dark", viewport: { width: 320, height: 640 } }]]) {
    const page = await open(name, options);
    await unlock(page);
    await page.click("nav >> text=Support");
    await page.click("button:text-is('Make the bundle')");
    const phrase = await page.textContent("#phrase");
    check(/^([0-9A-Z]{4}-){5}[0-9A-Z]{4}$/.test(phrase), `${name}: no phrase`);
    if (options.javaScriptEnabled !== false) await accessible(page, `${name} made`);
    await shot(page, `${name.replace(" ", "-")}-made`);
    const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Download")]);
    check(file.suggestedFilename().endsWith(".tar.zst.age"), `${name}: the file is called ${file.suggestedFilename()}`);
    await page.click("text=I have both");
    check((await page.locator("#phrase").count()) === 0, `${name}: the phrase stays on the page`);
    await page.context().close();
  }
}

async function revealWalk() {
  const page = await open("reveal");
  await unlock(page);
  await page.waitForSelector("#link[data-state=good]");
  const first = page.locator("article").first();
  const address = page.url();
  await first.locator("button").focus();
  await page.keyboard.press("Enter");
  await first.locator(".text").waitFor();
  check((await first.textContent()).includes(TEXT), "reveal: the text does not appear");
  check(page.url() === address, "reveal: the page was left");
  check(await first.locator("button").evaluate((b) => b === document.activeElement), "reveal: the focus is lost");
  check((await page.locator(".text").count()) === 1, "reveal: more than one text is shown");
  await accessible(page, "reveal");
  await shot(page, "reveal");
  await page.locator("#part-kubelet summary").click();
  await page.locator("#part-kubelet .log").waitFor();
  // The next live event must keep what the reader has opened.
  const stamp = await page.getAttribute(".verdict time", "datetime");
  await page.waitForSelector(`.verdict time:not([datetime="${stamp}"])`);
  check(await page.locator("#part-kubelet details").evaluate((d) => d.open), "live: an event closes open details");
  check((await page.locator(".text").count()) === 1, "live: an event hides a revealed text");
  await first.locator("button").click();
  await first.locator(".masked").waitFor();
  check(!(await page.content()).includes("tram line"), "reveal: the text stays after masking");
  tell("state", "failed");
  await page.waitForSelector(".verdict-bad");
  tell("state", "good");
  await page.waitForSelector(".verdict-good");
  await page.context().close();
}

async function keyboardWalk() {
  const page = await open("keyboard");
  await unlock(page);
  const reached = new Set();
  for (let n = 0; n < 80; n += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      const style = getComputedStyle(e);
      if (e === document.body) return { what: "BODY" };
      return { what: (e.innerText || e.id || e.tagName).trim().slice(0, 24), seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 };
    });
    if (at.what && at.what !== "BODY") check(at.seen, `keyboard: no focus mark on ${at.what}`);
    reached.add(at.what);
  }
  for (const wanted of ["Skip to the content", "Log out", "Users", "Reveal text", "token", "Read the token"]) check(reached.has(wanted), `keyboard: ${wanted} is not reached`);
  const small = await page.$$eval("button, summary, nav a, input:not([type=hidden]), textarea", (all) => all.filter((e) => e.offsetParent && (e.offsetHeight < 24 || e.offsetWidth < 24)).map((e) => e.innerText || e.id));
  check(small.length === 0, `targets under 24 px: ${small.join(", ")}`);
  await page.context().close();
}

async function withoutScripts() {
  const page = await open("no script", { javaScriptEnabled: false });
  await unlock(page);
  check((await page.locator("noscript meta[http-equiv=refresh]").count()) === 1 || (await page.content()).includes("http-equiv=\"refresh\""), "no script: it does not refresh itself");
  await page.click("noscript a"); // pauses the refresh
  await shot(page, "no-script");
  await page.locator("article button").first().click();
  await page.waitForSelector(".text");
  check((await page.textContent(".text")).includes(TEXT), "no script: a text cannot be revealed");
  await page.locator("#part-kubelet summary").click();
  check((await page.textContent("#part-kubelet .log")).includes("round"), "no script: no log lines");
  await page.context().close();
}

async function enrollWalk() {
  const page = await open("enroll");
  await unlock(page);
  await page.fill("#token", "sample-token-01234");
  await page.click("text=Read the token");
  check((await page.textContent(".problem")).includes("ENR-101"), "enroll: a wrong token is not explained");
  await shot(page, "enroll-wrong");
  await page.fill("#token", "sample-token-\n0123456789");
  await page.click("text=Read the token");
  check((await page.textContent("main")).includes("amber birch cedar dune"), "enroll: the token's words are not shown");
  check(!(await page.content()).includes("0123456789"), "enroll: the token comes back in the page");
  await accessible(page, "enroll facts");
  await shot(page, "enroll-facts");
  await page.click("text=Enroll with this hub");
  await page.waitForSelector("#working");
  check((await page.textContent("#upstream")).includes("Connected to its hub"), "enroll: the page does not say that it is enrolled");
  await shot(page, "enrolled");
  tell("state", "good");
  await page.context().close();
}

// Every payload is revealed; nothing may run, load or leave.
async function hostileWalk() {
  const page = await open("hostile");
  await unlock(page);
  let shown = 0;
  for (let batch = 1; batch <= Number(BATCHES); batch += 1) {
    tell("batch", String(batch));
    await page.goto(PAGE);
    const posts = await page.locator("article.post").count();
    for (let n = 0; n < posts; n += 1) {
      await page.locator("article.post").nth(n).locator("button").click();
      await page.locator("article.post").nth(n).locator(".text").waitFor();
      shown += 1;
    }
    await page.reload();
    check((await page.locator("article.post .text").count()) === posts, `hostile: batch ${batch} is not shown whole`);
    const strange = await page.$$eval("article.post *", (all) => all.map((e) => e.tagName.toLowerCase()).filter((t) => !["header", "span", "svg", "circle", "path", "rect", "p", "time", "bdi", "div", "dl", "dt", "dd", "form", "input", "button"].includes(t)));
    check(strange.length === 0, `hostile: batch ${batch} made elements ${[...new Set(strange)].join(", ")}`);
    check((await page.title()).includes("Anti-Hate Node"), `hostile: batch ${batch} changed the title`);
  }
  tell("batch", "0");
  console.error(`${shown} hostile texts were shown`);
  check(shown > 200, "hostile: too few were shown");
  await page.context().close();
}

async function weight() {
  const page = await open("weight");
  let bytes = 0;
  page.on("response", async (r) => { if (!r.url().endsWith("/events")) bytes += (await r.body().catch(() => Buffer.alloc(0))).length; });
  await unlock(page);
  await page.waitForTimeout(500);
  console.error(`login and home together: ${Math.round(bytes / 1024)} KiB before compression`);
  check(bytes < 150 * 1024, `weight: ${bytes} bytes`);
  await page.context().close();
}

const walks = {
  claimWalk, setupWalk: () => setupWalk(open),
  light: () => everyState("light", { colorScheme: "light" }),
  dark: () => everyState("dark", { colorScheme: "dark" }),
  narrow: () => everyState("360px", { viewport: { width: 360, height: 740 } }),
  smallest: () => everyState("320px", { viewport: { width: 320, height: 640 }, colorScheme: "dark" }),
  usersWalk, supportWalk, revealWalk, keyboardWalk, withoutScripts, weight, enrollWalk, hostileWalk,
};
const only = process.env.ONLY?.split(",");
for (const [name, walk] of Object.entries(walks)) {
  if (only && !only.includes(name) && !["claimWalk", "setupWalk"].includes(name)) continue;
  console.error(`walk: ${name}`);
  tell("state", "good");
  tell("batch", "0");
  await walk().catch((e) => findings.push(`${name}: ${e.message.split("\n").slice(0, 3).join(" | ")}`));
}
await finish();
