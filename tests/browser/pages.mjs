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

// No serious accessibility finding, nothing wider than the screen, nothing odd.
async function sound({ page, odd }, name, expected = []) {
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
  const found = await page.evaluate(`${axe}; axe.run()`);
  const grave = found.violations.filter((v) => ["serious", "critical"].includes(v.impact));
  check(grave.length === 0, `${name}: ${grave.map((v) => `${v.id}: ${v.nodes[0].html}`).join("; ")}`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(wide <= 0, `${name}: the page is ${wide} px wider than the screen`);
  const left = odd.filter((line) => !expected.some((part) => line.includes(part)));
  check(left.length === 0, `${name}: ${left.join("; ")}`);
}

const DESKTOP = { viewport: { width: 1280, height: 900 }, colorScheme: "light" };
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true, isMobile: true };

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
    const head = await phone.page.locator(".was-paged").boundingBox();
    check(head.y + head.height < PHONE.viewport.height, "verdict, what to do and whether paged fit the first screen");
    await phone.context.close();
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
    await page.click("summary:has-text('Page Cloud Service Endpoint')");
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
    check((await page.locator("#health .chip:text('trouble')").count()) === 1, "the clusters are in trouble, and nothing else");
    await page.click("#health summary");
    await sound(seen, "list-health-phone-dark");
    await page.goto(it.link.split("?")[0]);
    await page.waitForSelector("h1:has-text('Probably REGISTRY')");
    check(!(await page.locator("summary:has-text('Page Cloud')").count()), "a viewer can't page");
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
