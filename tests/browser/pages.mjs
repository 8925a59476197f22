// The views in a real browser: node pages.mjs <the binary> <folder for screenshots>. Prints `ok …` or `FAIL …` a test.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [, , binary, folder] = process.argv;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PATIENCE = 60_000;
const OPERATOR = "simulated-operator-token";
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});

// `demo` of a scenario; gives the link of its run's view as soon as there is one.
async function demo(scenario) {
  const child = spawn(binary, ["demo", "--scenario", scenario], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const link = await new Promise((found, failed) => {
    const look = (chunk) => {
      said += chunk;
      const match = said.match(/http:\/\/127\S+\/runs\/\S+key=\S+/);
      if (match) found(match[0]);
    };
    child.stdout.on("data", look);
    child.stderr.on("data", look);
    child.on("exit", (code) => failed(new Error(`demo ended with ${code}:\n${said}`)));
    setTimeout(() => failed(new Error(`demo gave no link:\n${said}`)), PATIENCE).unref();
  });
  return { link, base: new URL(link).origin, end: () => child.kill("SIGTERM") };
}

// A page that keeps what should not be: console errors, requests to other hosts.
async function open(base, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const odd = [];
  page.on("console", (m) => m.type() === "error" && odd.push(`console: ${m.text()}`));
  page.on("pageerror", (e) => odd.push(`error: ${e.message}`));
  page.on("request", (r) => r.url().startsWith(base) || odd.push(`another host: ${r.url()}`));
  return { page, odd, context };
}

function check(holds, what) {
  if (!holds) throw new Error(what);
}

// No accessibility finding, nothing wider than the screen, nothing odd.
async function sound({ page, odd }, name, expected = []) {
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  const found = await page.evaluate(`${axe}; axe.run()`);
  check(found.violations.length === 0, `${name}: ${found.violations.map((v) => `${v.id}: ${v.nodes[0].html}`).join("; ")}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(wide <= 0, `${name}: the page is ${wide} px wider than the screen`);
  const left = odd.filter((line) => !expected.some((part) => line.includes(part)));
  check(left.length === 0, `${name}: ${left.join("; ")}`);
}

// What a phone shows at once, above the bar.
const FIRST_SCREEN = [
  "#head .word", "#head h1 .region", "#head .alert time", "#head .do-now", "#head .was-paged", "#head .standing", "#path h2 time",
  "#path .lane:nth-of-type(2)", "#path .lane:last-child",
];

async function firstScreen(page, screen) {
  const bar = await page.locator("#reach").boundingBox();
  check(bar.y + bar.height <= screen.height, `the bar ends at ${bar.y + bar.height} of ${screen.height}`);
  for (const what of FIRST_SCREEN) {
    const box = await page.locator(what).first().boundingBox();
    check(box && box.height > 0 && box.y >= 0 && box.y + box.height <= bar.y, `${what} is not on the first screen: ${JSON.stringify(box)}`);
  }
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  check(height <= 4 * screen.height, `the run's view is ${height / screen.height} screens high`);
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  const still = await page.locator("#reach").boundingBox();
  check(Math.abs(still.y - bar.y) < 2, "the bar stays in reach");
  await page.evaluate(() => scrollTo(0, 0));
}

// What a view weighs as it is sent.
async function weight(page) {
  return page.evaluate(() =>
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .map((e) => e.encodedBodySize).reduce((a, b) => a + b, 0));
}

const DESKTOP = { viewport: { width: 1280, height: 900 }, colorScheme: "light" };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true, isMobile: true };

const NARROW = { viewport: { width: 320, height: 640 }, colorScheme: "light", hasTouch: true, isMobile: true };

const tests = {
  async "a note's link shows a run live, from its beginning to its page"() {
    const it = await demo("service-endpoint");
    const seen = await open(it.base, DESKTOP);
    const { page } = seen;
    await page.goto(it.link);
    let loads = 0;
    page.on("load", () => loads++);
    const before = await page.textContent("h1");
    check(/Diagnosing|queued/.test(before), `it began with ${before}`);
    check(await page.isVisible("progress"), "no progress is shown");
    await page.waitForSelector("h1:has-text('SERVICE ENDPOINT problem in prod-us-south')");
    await page.waitForSelector(".was-paged:has-text('Paged: Cloud Service Endpoint')");
    await page.waitForSelector(".crumbs :text('done')");
    check(loads === 0, "the page was loaded again");
    check((await page.locator(".zone").count()) === 3, "three zones are drawn");
    check((await page.locator("svg.path circle.broken").count()) === 3, "each is broken at its Magic Box");
    check((await page.locator("form").count()) === 0, "a link only reads");
    await sound(seen, "run-desktop-light");
    await seen.context.close();
    const phone = await open(it.base, PHONE);
    await phone.page.goto(it.link);
    await sound(phone, "run-phone-dark");
    await firstScreen(phone.page, PHONE.viewport);
    const sent = await weight(phone.page);
    check(sent > 1000 && sent < 60 * 1024, `a view weighs ${sent} bytes`);
    check((await phone.page.title()).startsWith("Service Endpoint · prod-us-south"), `the tab says ${await phone.page.title()}`);
    check((await phone.page.getAttribute("link[rel=icon]", "href")) === "/assets/icon-se.svg", "the icon carries the verdict");
    check(!(await phone.page.isVisible("#note pre")), "the raw note is folded");
    check((await phone.page.locator(".zone:first-child h2:has-text('start here')").count()) === 1, "the first zone is where to start");
    await phone.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: it.base });
    const copied = async (button) => {
      await phone.page.click(button);
      await phone.page.waitForSelector(`${button}:has-text('Copied')`);
      return phone.page.evaluate(() => navigator.clipboard.readText());
    };
    const ids = await copied("#reach button[data-copy=ids]");
    check(ids.split("\n").length === 3 && ids.startsWith("us-south-"), `it copied ${ids}`);
    const handed = await copied("#reach button[data-copy=hand-over]");
    check(handed.startsWith("SERVICE ENDPOINT problem in prod-us-south") && handed.includes(ids.split("\n")[0]), `it copied ${handed}`);
    check((await copied(".zone:first-child dd.id button")) === ids.split("\n")[0], "one tap copies an ID");
    await phone.page.click(".zone:first-child details[id^=commands] summary");
    const command = await copied(".zone:first-child details[id^=commands] li:first-child button");
    check(command.startsWith("kubectl --context registry-prod-us-south-az"), `it copied ${command}`);
    await phone.context.setOffline(true);
    await phone.page.waitForSelector("#lost:has-text('Connection lost. This is as of ')");
    await phone.context.setOffline(false);
    await phone.page.waitForSelector("#lost", { state: "hidden" });
    await phone.context.close();
    const narrow = await open(it.base, NARROW);
    await narrow.page.goto(it.link);
    await sound(narrow, "run-narrow-light");
    await narrow.context.close();
    it.end();
  },

  async "who has no script asks before they page, by keys alone, and can go back"() {
    const it = await demo("service-endpoint-suggested");
    const seen = await open(it.base, { ...PHONE, javaScriptEnabled: false });
    const { page } = seen;
    const run = it.link.split("?")[0];
    await page.goto(`${it.base}/sign-in`);
    await page.fill("#token", OPERATOR);
    await page.click("main button");
    await page.waitForSelector("h1:has-text('Runs')");
    const until = async (selector) => {
      for (const end = Date.now() + PATIENCE; !(await page.locator(selector).count()); await page.goto(run)) {
        check(Date.now() < end, `waited in vain for ${selector}`);
        await new Promise((go) => setTimeout(go, 300));
      }
    };
    await until(".crumbs :text('done')");
    check((await page.locator("#escalate.wanted").count()) === 1, "the verdict asks for the page");
    check((await page.locator("button.copy:visible").count()) === 0, "nothing can be copied without a script");
    const panel = page.locator("#escalate .panel");
    check(!(await panel.isVisible()), "it asks first");
    await page.focus("#escalate > summary");
    await page.keyboard.press("Enter");
    check(await panel.isVisible(), "by a key");
    check((await panel.textContent()).includes("All SE endpoints are down in registry region prod-us-south"), "what will be sent");
    await panel.getByText("Back", { exact: true }).click();
    await page.waitForSelector("#escalate .panel", { state: "hidden" });
    await page.goto(`${it.base}/`);
    const need = page.locator("#needs .need").first();
    check((await need.textContent()).includes("Not paged: needs approval"), "the list says first what needs somebody");
    check((await need.boundingBox()).y < PHONE.viewport.height / 2, "it is the first of all");
    await need.click();
    await page.focus("#escalate > summary");
    await page.keyboard.press("Enter");
    const yes = page.locator("button:text('Yes, page them now')");
    for (let keys = 0; keys < 6 && !(await yes.evaluate((button) => button === document.activeElement)); keys++) {
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("Enter");
    await until(".was-paged:has-text('asked for by olivia')");
    await seen.context.close();
    it.end();
  },

  async "regions that alert at once are one banner, which names the healthcheck cluster where all suspect it"() {
    const it = await demo("all-regions");
    const seen = await open(it.base, PHONE);
    const { page } = seen;
    await page.goto(`${it.base}/sign-in`);
    await page.fill("#token", "simulated-viewer-token");
    await page.click("main button");
    for (const end = Date.now() + PATIENCE; !(await page.locator("#at-once:has-text('healthcheck cluster')").count()); await page.reload()) {
      check(Date.now() < end, `no banner: ${await page.textContent("main")}`);
      await page.waitForTimeout(300);
    }
    check((await page.textContent("#at-once")).includes("Likely one cause."), "it says why they are one");
    await sound(seen, "list-at-once-phone-dark");
    await seen.context.close();
    it.end();
  },

  async "regions over time are read on a phone, at 320 px, and by keys alone without a script"() {
    const it = await demo("all-regions");
    const signedIn = async (options) => {
      const seen = await open(it.base, options);
      await seen.page.goto(`${it.base}/sign-in`);
      await seen.page.fill("#token", "simulated-viewer-token");
      await seen.page.click("main button");
      await seen.page.waitForSelector("h1:has-text('Runs')");
      return seen;
    };
    for (const [name, options] of [["desktop-light", DESKTOP], ["phone-dark", PHONE], ["narrow-light", NARROW]]) {
      const seen = await signedIn(options);
      const { page } = seen;
      for (const end = Date.now() + PATIENCE; (await page.locator(".mark[href^='/runs/']").count()) < 3; await page.goto(`${it.base}/regions`)) {
        check(Date.now() < end, `no marks: ${await page.textContent("main")}`);
        await page.waitForTimeout(300);
      }
      await sound(seen, `regions-${name}`);
      const mark = await page.locator(".mark[href^='/runs/']").first().boundingBox();
      check(mark.width >= 24 && mark.height >= 24, `a mark is ${mark.width} by ${mark.height} px`);
      check(mark.x >= 0 && mark.x + mark.width <= options.viewport.width, `the newest is not in sight: ${JSON.stringify(mark)}`);
      check((await page.locator(".chip:text('Failing')").count()) >= 3, "health in words");
      const sent = await weight(page);
      check(sent > 1000 && sent < 60 * 1024, `the regions weigh ${sent} bytes`);
      await seen.context.close();
    }
    const seen = await signedIn({ ...PHONE, javaScriptEnabled: false });
    const { page } = seen;
    await page.click("a[href='/regions']");
    await page.waitForSelector("h1:has-text('Regions, 90 days')");
    const mark = page.locator("a.mark:focus");
    for (let keys = 0; keys < 12 && !(await mark.count()); keys++) await page.keyboard.press("Tab");
    const said = await mark.getAttribute("aria-label");
    check(/^prod-[a-z-]+, \d+ [A-Z][a-z]+ \d\d:\d\d UTC: .+, open for .+/.test(said), `a mark says ${said}`);
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/runs\/.+/);
    await seen.context.close();
    it.end();
  },

  async "an operator signs in, finds the run, and pages after a confirmation"() {
    const it = await demo("mixed");
    const seen = await open(it.base, DESKTOP);
    const { page } = seen;
    await page.goto(`${it.base}/`);
    check((await page.textContent("h1")) === "Unauthorized", "nobody reads without a sign-in");
    await sound(seen, "unauthorized", ["401"]);
    await page.click("a.button:text('Sign in')");
    await page.fill("#token", "a wrong token");
    await page.click("main button");
    await page.waitForSelector("[role=alert]:has-text('not known')");
    await sound(seen, "sign-in", ["401"]);
    await page.fill("#token", OPERATOR);
    await page.click("main button");
    await page.waitForSelector(".row");
    await sound(seen, "list-desktop-light", ["401"]);
    await page.click(".row");
    await page.waitForSelector("h1:has-text('MIXED')");
    const yes = page.locator("button:text('Yes, page them now')");
    check(!(await yes.isVisible()), "it asks first");
    check((await page.locator("#escalate.wanted").count()) === 0, "the verdict does not ask for it");
    await page.click("#escalate > summary:has-text('Page anyway')");
    check((await page.textContent("#escalate .panel")).includes("The zones differ"), "what speaks against it");
    await page.click("#escalate .panel a:text('Back')");
    check(!(await yes.isVisible()), "there is a way back");
    await page.click("#escalate > summary");
    await sound(seen, "asked-before-a-page", ["401"]);
    await yes.click();
    await page.waitForSelector(".was-paged:has-text('asked for by olivia')");
    await sound(seen, "paged-by-a-person", ["401"]);
    await page.click("a:text('Timeline of this alert')");
    await page.waitForSelector(".timeline li:has-text('Jenkins')");
    await seen.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: it.base });
    await page.click("button:text('Copy as Markdown')");
    await page.waitForSelector("button:text('Copied')");
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    check(copied.startsWith("# All SE endpoints down in "), `it copied ${copied.slice(0, 80)}`);
    await sound(seen, "timeline-desktop-light", ["401"]);
    await page.click("button:text('Sign out')");
    await page.waitForSelector("#token");
    await page.goto(`${it.base}/`);
    check((await page.textContent("h1")) === "Unauthorized", "signed out is signed out");
    await seen.context.close();
    it.end();
  },

  async "the list and errors on a phone, in the dark"() {
    const it = await demo("clusters-closed");
    const seen = await open(it.base, PHONE);
    const { page } = seen;
    await page.goto(`${it.base}/sign-in`);
    await page.fill("#token", "simulated-viewer-token");
    await page.click("main button");
    await page.waitForSelector(".row");
    await sound(seen, "list-phone-dark");
    // The self-check begins some seconds after the start.
    while (!(await page.locator("#health .chip.broken").count())) {
      await page.waitForTimeout(500);
      await page.reload();
    }
    check((await page.locator("#health .chip:text('Failing')").count()) === 1, "the clusters fail, and nothing else");
    await page.click("#health summary");
    await sound(seen, "list-health-phone-dark");
    await page.goto(it.link.split("?")[0]);
    await page.waitForSelector("h1:has-text('Probably REGISTRY')");
    check(!(await page.locator("button:text('Yes, page them now')").count()), "a viewer can't page");
    await page.click("a:text('Timeline of this alert')");
    await page.waitForSelector(".timeline li:has-text('Jenkins')");
    await sound(seen, "timeline-phone-dark");
    await page.goto(`${it.base}/runs/none`);
    await sound(seen, "not-found", ["404"]);
    await seen.context.close();
    it.end();
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    await test();
    console.log(`ok   ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}: ${error.stack}`);
  }
}
await browser.close();
process.exit(failed ? 1 : 0);
