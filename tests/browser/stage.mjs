// What the tests of views go by: the service that `demo` starts, a browser in front of it, and what holds for any view.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [, , binary, folder] = process.argv;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const PATIENCE = 60_000;
export const OPERATOR = "simulated-operator-token";
export const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});

// `demo` of a scenario; gives the link of its run's view as soon as there is one.
export async function demo(scenario) {
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
  const base = new URL(link).origin;
  const ask = async (path, body) => {
    const headers = { authorization: `Bearer ${OPERATOR}`, "content-type": "application/json" };
    const answer = await fetch(base + path, { headers, ...(body && { method: "POST", body: JSON.stringify(body) }) });
    check(answer.ok, `${path}: ${answer.status}`);
    return answer.json();
  };
  return { link, base, ask, signal: (name) => child.kill(name), end: () => child.kill("SIGTERM") };
}

export async function signIn(page, base, token) {
  await page.goto(`${base}/sign-in`);
  await page.fill("#token", token);
  await page.click("main button");
  await page.waitForSelector("h1:has-text('Runs')");
}

// A change must show within a second; the machine does something else too.
const SHOWS_WITHIN = 3 * 1000;

// How long after it is true what it is true of shows.
export async function showsInTime(page, selector, isTrue) {
  const shown = page.waitForSelector(selector).then(() => Date.now());
  for (const end = Date.now() + PATIENCE; !(await isTrue()); await new Promise((go) => setTimeout(go, 20))) {
    check(Date.now() < end, `it never became true: ${selector}`);
  }
  const since = Date.now();
  const late = (await shown) - since;
  console.log(`     ${selector}: shown after ${late} ms`);
  check(late < SHOWS_WITHIN, `${selector} shows after ${late} ms`);
}

// A page that keeps what should not be: console errors, requests to other hosts.
export async function open(base, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const odd = [];
  page.on("console", (m) => m.type() === "error" && odd.push(`console: ${m.text()}`));
  page.on("pageerror", (e) => odd.push(`error: ${e.message}`));
  page.on("request", (r) => r.url().startsWith(base) || odd.push(`another host: ${r.url()}`));
  return { page, odd, context };
}

export function check(holds, what) {
  if (!holds) throw new Error(what);
}

// No accessibility finding, nothing wider than the screen, nothing odd.
export async function sound({ page, odd }, name, expected = []) {
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

export async function firstScreen(page, screen) {
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
export async function weight(page) {
  return page.evaluate(() =>
    [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
      .map((e) => e.encodedBodySize).reduce((a, b) => a + b, 0));
}

export const DESKTOP = { viewport: { width: 1280, height: 900 }, colorScheme: "light" };
export const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: "dark", hasTouch: true, isMobile: true };

// What is left of a desktop at 200 %.
export const ZOOMED = { viewport: { width: 640, height: 450 }, deviceScaleFactor: 2, colorScheme: "light" };
export const NARROW = { viewport: { width: 320, height: 640 }, colorScheme: "light", hasTouch: true, isMobile: true };
