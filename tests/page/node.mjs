// The walk on a real node, begun while it comes up: preparing, healthy, posts revealed, logs read, enrolled at a hub.
// TOKEN is an enrollment token of a hub that the node reaches; HUB the hub's address, which the page must show; KUBECONFIG where
// the owner's credentials are put.
import { PAGE, PASS, accessible, check, claim, findings, finish, open, shot, unlock } from "./browser.mjs";
import { setUp } from "./setup.mjs";

const { TOKEN, HUB, KUBECONFIG } = process.env;
// Guards against hanging forever; no promise about time.
const PATIENCE = { timeout: 600_000 };

async function comesUp() {
  const page = await open("node");
  await page.goto(PAGE);
  await accessible(page, "node unlock");
  await shot(page, "node-unlock");
  await claim(page, "node");
  await setUp(page, async (screen) => {
    await accessible(page, `node setup ${screen}`);
    await shot(page, `node-setup-${screen}`);
  });
  check((await page.textContent(".verdict")).trim() !== "", "node: no verdict while it is prepared");
  await accessible(page, "node preparing");
  await shot(page, "node-preparing");
  await page.waitForSelector(".verdict-good", PATIENCE);
  await page.waitForSelector("article.post", PATIENCE);
  check((await page.textContent("#tile-lost .value")).trim() === "0", "node: posts were lost");
  check((await page.textContent("#steps-done summary")).includes("steps are done"), "node: healthy with steps to do");
  await accessible(page, "node good");
  await shot(page, "node-good");
  return page;
}

async function revealsAndReads(page) {
  check((await page.locator("article.post .text").count()) === 0, "node: a text is shown unasked");
  await page.locator("article.post button").first().click();
  await page.locator("article.post .text").first().waitFor(PATIENCE);
  check((await page.textContent("article.post .text")).trim().length > 3, "node: a revealed text is empty");
  await page.locator("article.post:has(.text) button").first().click();
  for (const part of ["kubelet", "antihate-storage/postgres", "antihate-analyzers/analyzer-text"]) {
    await page.goto(`${PAGE}/logs?name=${encodeURIComponent(part)}`);
    check((await page.locator("pre.log").count()) === 1, `node: no log lines of ${part}`);
  }
  await shot(page, "node-log");
}

// The file is fetched in the page's own session; what it holds goes to the test, which asks the API server with it.
async function takesCredentials(page) {
  await page.goto(`${PAGE}/account`);
  await page.fill("#now-kube", PASS);
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("text=Download the kubeconfig")]);
  await file.saveAs(KUBECONFIG);
  await shot(page, "node-account");
}

async function enrolls(page) {
  await page.goto(`${PAGE}/enroll`);
  await page.fill("#token", TOKEN);
  await page.click("text=Read the token");
  check((await page.textContent("main")).includes(HUB), "node: the hub in the token is not shown");
  await shot(page, "node-enroll-facts");
  await page.click("text=Enroll with this hub");
  await page.waitForSelector("#upstream:has-text('Connected to its hub')", PATIENCE);
  await accessible(page, "node enrolled");
  await shot(page, "node-enrolled");
}

async function narrowDarkAndWithoutScripts() {
  const page = await open("node narrow", { javaScriptEnabled: false, colorScheme: "dark", viewport: { width: 360, height: 740 } });
  await unlock(page);
  check((await page.textContent("#working")).includes("Yes, it is working"), "node narrow: the verdict is not told");
  await page.click("noscript a"); // pauses the refresh
  await shot(page, "node-narrow-dark");
  await page.context().close();
}

try {
  const page = await comesUp();
  await revealsAndReads(page);
  await takesCredentials(page);
  await enrolls(page);
  await narrowDarkAndWithoutScripts();
} catch (e) {
  findings.push(e.message.split("\n").slice(0, 3).join(" | "));
}
await finish();
