// The setup screens: once through by hand, with and without scripts, in all languages, light, dark, at 360 and 320 px.
import { PAGE, accessible, check, logIn, shot } from "./browser.mjs";

export const SCREENS = ["welcome", "check", "network", "enroll", "sources", "review", "install", "done"];

// What a person does on each screen; the rest is as it stands.
const deeds = {
  welcome: (page) => page.fill("#site", "Library on the harbour"),
  check: async (page) => { if (await page.locator("#accept").count()) await page.check("#accept"); },
  network: (page) => page.check("#internet-yes"),
  enroll: (page) => page.check("#when-later"),
  done: (page) => page.check("#kept"),
};

export const on = (page, screen) => page.waitForSelector(`#screen[data-screen=${screen}]`);

async function answer(page, screen) {
  await deeds[screen]?.(page);
  await page.click("button.primary");
}

// From wherever the setup is to its end, the shortest way.
export async function setUp(page, look = async () => {}) {
  for (;;) {
    await page.waitForSelector("#screen, #working");
    if (await page.locator("#working").count()) return;
    const screen = await page.getAttribute("#screen", "data-screen");
    await look(screen);
    await answer(page, screen);
    await page.waitForSelector(`#working, #screen:not([data-screen=${screen}])`);
  }
}

// Looks at every screen that may be seen now, without answering anything.
async function lookAround(page, name) {
  for (const screen of SCREENS) {
    await page.goto(`${PAGE}/setup/${screen}`);
    await on(page, screen);
    await accessible(page, `${name} ${screen}`);
    const small = await page.$$eval("button, summary, nav a, .button, input:not([type=hidden]), textarea", (all) => all.filter((e) => e.offsetParent && (e.offsetHeight < 24 || e.offsetWidth < 24)).map((e) => e.innerText || e.id));
    check(small.length === 0, `${name} ${screen}: targets under 24 px: ${small.join(", ")}`);
    await shot(page, `${name}-${screen}`);
  }
}

// Without scripts and on a small screen, up to the last question; back, refreshed and in a second window on the way.
// The accessibility rules need timers, which such a page has not: they are asked of the same screens with scripts.
async function withoutScripts(open) {
  const page = await open("setup plain", { javaScriptEnabled: false, viewport: { width: 360, height: 740 } });
  await logIn(page);
  for (const screen of SCREENS.slice(0, -1)) {
    await on(page, screen);
    await shot(page, `setup-plain-${screen}`);
    if (screen === "check" && (await page.locator("#accept").count())) {
      await page.click("button.primary");
      check((await page.textContent(".problem")).includes("SET-104"), "setup: a missing tick is not explained");
      await shot(page, "setup-plain-check-refused");
    }
    if (screen === "network") {
      await page.goto(`${PAGE}/setup/sources`);
      check(page.url().endsWith("/setup/network"), "setup: a screen can be skipped");
      const second = await page.context().newPage();
      await second.goto(`${PAGE}/setup/welcome`);
      check((await second.inputValue("#site")) === "Library on the harbour", "setup: a second window shows another state");
      await second.close();
    }
    await answer(page, screen);
    if (screen === "welcome") {
      await on(page, "check");
      await page.goBack();
      await on(page, "welcome");
      check((await page.inputValue("#site")) === "Library on the harbour", "setup: going back loses an answer");
      await page.reload();
      check((await page.inputValue("#site")) === "Library on the harbour", "setup: a refresh loses an answer");
      await page.goto(`${PAGE}/setup`);
    }
  }
  await on(page, "done");
  await page.context().close();
}

async function hubWalk(open) {
  const page = await open("setup hub");
  await logIn(page);
  await page.goto(`${PAGE}/setup/enroll`);
  await page.check("#when-now");
  await page.fill("#token", "sample-token-01234");
  await page.click("button.primary");
  check((await page.textContent(".problem")).includes("ENR-101"), "setup: a wrong token is not explained");
  await page.check("#when-now");
  await page.fill("#token", "sample-token-\n0123456789");
  await page.click("button.primary");
  check((await page.textContent("main")).includes("amber birch cedar dune"), "setup: the token's words are not shown");
  check(!(await page.content()).includes("0123456789"), "setup: the token comes back in the page");
  await accessible(page, "setup hub facts");
  await shot(page, "setup-hub-facts");
  await page.click("button:text-is('Take another token')");
  await page.check("#when-later");
  await page.click("button.primary");
  await on(page, "done"); // the answer is the one that was given before: nothing has to be reviewed again
  await page.context().close();
}

// All of it; afterwards the screens are gone.
export async function setupWalk(open) {
  await withoutScripts(open);
  await hubWalk(open);
  for (const [name, options] of [
    ["setup-light", { locale: "en-GB" }],
    ["setup-dark", { colorScheme: "dark", viewport: { width: 360, height: 740 } }],
    ["setup-320", { viewport: { width: 320, height: 640 }, colorScheme: "dark" }],
  ]) {
    const page = await open(name, options);
    await logIn(page);
    await lookAround(page, name);
    await page.context().close();
  }
  for (const language of ["es", "de", "ar"]) {
    for (const [size, width] of [["", 1280], ["-320", 320]]) {
      const page = await open(`setup ${language}${size}`, { viewport: { width, height: 740 } });
      await logIn(page);
      await page.goto(`${PAGE}/setup/welcome`);
      await page.click(`button[lang=${language}]`);
      await page.waitForSelector(`html[lang=${language}]`);
      check((await page.getAttribute("html", "dir")) === (language === "ar" ? "rtl" : "ltr"), `setup ${language}: the direction is wrong`);
      await lookAround(page, `setup-${language}${size}`);
      await page.context().close();
    }
  }
  const page = await open("setup");
  await logIn(page);
  for (const screen of SCREENS) {
    await page.goto(`${PAGE}/setup/${screen}`);
    await on(page, screen);
    await answer(page, screen);
    await page.waitForSelector(`#working, #screen:not([data-screen=${screen}])`);
  }
  check((await page.textContent("header")).includes("Library on the harbour"), "setup: the name of the site is not shown");
  const gone = await page.goto(`${PAGE}/setup`);
  check(gone.status() === 404, "setup: its screens are still there");
  await page.context().close();
}
