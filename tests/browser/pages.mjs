// The views in a real browser: node pages.mjs <the binary> <folder for screenshots>. Prints `ok …` or `FAIL …` a test.
import {
  DESKTOP, NARROW, OPERATOR, PATIENCE, PHONE, browser, check, demo, firstScreen, open, showsInTime, signIn, sound, weight, ZOOMED,
} from "./stage.mjs";

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
    console.log(`     a view weighs ${sent} bytes`);
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
    for (const [name, options] of [["narrow", NARROW], ["zoomed", ZOOMED]]) {
      const small = await open(it.base, options);
      await small.page.goto(it.link);
      await sound(small, `run-${name}-light`);
      await small.page.evaluate(() => document.querySelectorAll("main details:not(.ask)").forEach((fold) => (fold.open = true)));
      await sound(small, `run-${name}-light-all-open`);
      await small.context.close();
    }
    it.end();
  },

  async "the list moves by itself, and what somebody does there stays"() {
    const it = await demo("service-endpoint-suggested");
    const seen = await open(it.base, { ...DESKTOP, viewport: { width: 1280, height: 400 } });
    const { page } = seen;
    await signIn(page, it.base, OPERATOR);
    const id = it.link.match(/runs\/([^?]+)/)[1];
    await page.waitForSelector(`#now-rows #run-${id}`);
    await page.waitForSelector("#live");
    await page.waitForLoadState("load");
    let loads = 0;
    page.on("load", () => loads++);
    await page.fill("#filter input", "prod-eu");
    const place = () => page.evaluate(() => document.querySelector("#filter").getBoundingClientRect().top);
    await page.evaluate(() => {
      document.querySelector("#recent").marked = true;
      document.querySelector("#recent").scrollIntoView();
    });
    const before = await place();
    const state = async (of) => (await it.ask(`/api/runs/${of}`)).state;
    await showsInTime(page, `#needs :text('Not paged: needs approval')`, async () => (await state(id)) === "done");
    await page.waitForSelector(`#recent-rows #run-${id}`);
    check((await page.title()).startsWith("(1) Runs"), `the tab says ${await page.title()}`);
    check((await page.inputValue("#filter input")) === "prod-eu", "what was typed is lost");
    check(await page.evaluate(() => document.activeElement === document.querySelector("#filter input")), "the focus is lost");
    check(await page.evaluate(() => document.querySelector("#recent").marked), "what has not changed was put anew");
    check((await page.evaluate(() => scrollY)) > 0 && Math.abs((await place()) - before) < 2, `it scrolled from ${before} to ${await place()}`);
    const { run_id: other } = await it.ask("/rerun", { region: "prod-eu-de" });
    await showsInTime(page, `#run-${other}`, async () => true);
    await showsInTime(page, `#recent-rows #run-${other}`, async () => !["queued", "running"].includes(await state(other)));
    await page.focus(`#run-${id}`);
    await it.ask("/escalate", { incident_id: (await it.ask(`/api/runs/${id}`)).incident.id });
    await page.waitForSelector("#needs :text('Page not acknowledged')");
    check((await page.evaluate(() => document.activeElement.id)) === `run-${id}`, "the focus moved");
    check(loads === 0, "the list was loaded again");
    await sound(seen, "list-live-desktop-light");
    // A filter stays one.
    await page.goto(`${it.base}/?region=prod-eu-de`);
    const { run_id: hidden } = await it.ask("/rerun", { region: "prod-us-south" });
    const { run_id: third } = await it.ask("/rerun", { region: "prod-eu-de" });
    await page.waitForSelector(`#run-${third}`);
    check((await page.locator(`#run-${hidden}`).count()) === 0, "another region is shown");
    await seen.context.close();
    it.end();
  },

  async "a lost connection shows in the list, also one that nobody closes"() {
    const it = await demo("mixed");
    const seen = await open(it.base, NARROW);
    const { page } = seen;
    await signIn(page, it.base, OPERATOR);
    await page.waitForSelector("#live:not([hidden])", { state: "attached" });
    await page.waitForSelector("#recent-rows .row");
    await sound(seen, "list-narrow-light");
    const sent = await weight(page);
    console.log(`     the list weighs ${sent} bytes`);
    check(sent > 1000 && sent < 60 * 1024, `the list weighs ${sent} bytes`);
    await seen.context.setOffline(true);
    await page.waitForSelector("#lost:has-text('Connection lost. This is as of ')");
    check(!(await page.isVisible("#live")), "it is not live");
    await seen.context.setOffline(false);
    await page.waitForSelector("#lost", { state: "hidden" });
    await page.clock.install();
    await page.reload();
    await page.waitForSelector("#live:not([hidden])", { state: "attached" });
    it.signal("SIGSTOP");
    await page.clock.fastForward(60_000);
    await page.waitForSelector("#lost:has-text('Connection lost. This is as of ')");
    it.signal("SIGCONT");
    await page.waitForSelector("#lost", { state: "hidden" });
    await seen.context.close();
    it.end();
  },

  async "times are in UTC or the reader's own, in every view, as they chose last"() {
    const it = await demo("mixed");
    const seen = await open(it.base, { ...PHONE, timezoneId: "Asia/Tokyo", locale: "en-GB" });
    const { page } = seen;
    await signIn(page, it.base, OPERATOR);
    const time = page.locator("#recent-rows .row time[datetime]").first();
    await time.waitFor();
    const zone = async (says) => check(says.test(await time.textContent()), `it says ${await time.textContent()}, not ${says}`);
    await zone(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
    const utc = new Date((await time.textContent()).replace(" UTC", "Z").replace(" ", "T"));
    await page.click("#zone");
    await zone(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (JST|GMT\+9)$/);
    const [day, clock] = (await time.textContent()).split(" ");
    check(new Date(`${day}T${clock}+09:00`).getTime() === utc.getTime(), "it is another time");
    await sound(seen, "list-local-phone-dark");
    // An update keeps it.
    const { run_id: other } = await it.ask("/rerun", { region: "prod-eu-de" });
    await page.waitForSelector(`#run-${other} time:has-text('GMT+9'), #run-${other} time:has-text('JST')`);
    await page.reload();
    await zone(/(JST|GMT\+9)$/);
    await page.click(`#run-${it.link.match(/runs\/([^?]+)/)[1]}`);
    await page.waitForSelector("#reach");
    const bar = await page.locator("#reach").boundingBox();
    check(bar.height < 80, `what is at hand takes ${bar.height} px`);
    await page.waitForSelector("#path h2 time:has-text('GMT+9'), #path h2 time:has-text('JST')");
    await page.click("#zone");
    await page.waitForSelector("#path h2 time:has-text('UTC (')");
    for (const path of ["/", await page.getAttribute("#links a[href$=timeline]", "href")]) {
      await page.goto(it.base + path);
      check((await page.textContent("#zone")) === "UTC", `${path} has forgotten it`);
    }
    const bare = await open(it.base, { ...PHONE, javaScriptEnabled: false });
    await bare.page.goto(it.link);
    check(!(await bare.page.isVisible("#zone")), "there is nothing to choose without a script");
    await bare.context.close();
    await seen.context.close();
    it.end();
  },

  async "after an update the keyboard stands where it stood, never on a button that acts"() {
    const it = await demo("service-endpoint-suggested");
    const seen = await open(it.base, DESKTOP);
    const { page } = seen;
    await signIn(page, it.base, OPERATOR);
    await page.goto(it.link.split("?")[0]);
    await page.waitForSelector("#reach button[data-copy=ids]");
    await page.click("#escalate > summary");
    // What is shown changes in `of`, by `change`.
    const update = (change) => page.evaluate(async (change) => {
      const { keepingFocus, merge } = await import("/assets/parts.js");
      const root = document.getElementById("run");
      const fresh = root.cloneNode(true);
      const bar = fresh.querySelector("#reach");
      if (change === "gone") bar.querySelector("[data-copy=ids]").remove();
      if (change === "paged") bar.querySelector("#escalate").remove();
      bar.append("changed");
      keepingFocus(root, () => merge(root, fresh));
      const at = document.activeElement;
      return { name: at.localName, says: at.getAttribute("aria-label") ?? at.textContent.trim(), open: Boolean(document.querySelector("#escalate[open]")) };
    }, change);
    await page.focus("#reach button[data-copy=ids]");
    const same = await update("same");
    check(same.says === "Copy all Magic Box IDs" && same.open, `the focus is on ${same.name}, ${same.says}`);
    const gone = await update("gone");
    check(gone.name === "nav", `the focus is on ${gone.name}, ${gone.says}`);
    await page.focus("#escalate button.danger");
    check((await update("same")).says === "Yes, page them now", "who is about to page is sent elsewhere");
    const paged = await update("paged");
    check(paged.name === "nav", `the focus is on ${paged.name}, ${paged.says}`);
    // A link that has a time in it, shown in the reader's own zone: what comes has it in UTC.
    const link = await page.evaluate(async () => {
      const { keepingFocus, merge } = await import("/assets/parts.js");
      const [root, fresh] = [1, 2].map(() => document.createElement("div"));
      const past = (says) => `<section id="past-one"><a href="/runs/a"><time datetime="2026-11-20T03:00:00Z">${says}</time></a></section>`;
      root.innerHTML = past("2026-11-20 12:00:00 JST");
      fresh.innerHTML = past("2026-11-20 03:00:00 UTC").replace("<section", "<section data-new");
      document.body.append(root);
      root.querySelector("a").focus();
      keepingFocus(root, () => merge(root, fresh));
      return document.activeElement.localName;
    });
    check(link === "a", `the focus is on ${link}`);
    await seen.context.close();
    it.end();
  },

  async "who has no script asks before they page, by keys alone, and can go back"() {
    const it = await demo("service-endpoint-suggested");
    const seen = await open(it.base, { ...PHONE, javaScriptEnabled: false });
    const { page } = seen;
    const run = it.link.split("?")[0];
    await signIn(page, it.base, OPERATOR);
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
    await signIn(page, it.base, "simulated-viewer-token");
    await page.waitForSelector("#at-once:has-text('healthcheck cluster')");
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
    for (const [name, options] of [["desktop-light", DESKTOP], ["phone-dark", PHONE], ["narrow-light", NARROW], ["zoomed-light", ZOOMED]]) {
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
    await page.waitForSelector("[role=alert]:has-text('Unknown token')");
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
    const others = [];
    await page.click("a:text('Timeline of this alert')");
    await page.waitForSelector(".timeline li:has-text('Jenkins')");
    await seen.context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: it.base });
    await page.click("button:text('Copy as Markdown')");
    await page.waitForSelector("button:text('Copied')");
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    check(copied.startsWith("# All SE endpoints down in "), `it copied ${copied.slice(0, 80)}`);
    await sound(seen, "timeline-desktop-light", ["401"]);
    for (const [view, shown] of [["/", ".row"], [it.link.split("?")[0], "#reach"]]) {
      const other = await seen.context.newPage();
      await other.goto(new URL(view, it.base).href);
      await other.waitForSelector(shown);
      await other.waitForSelector("#live:not([hidden])", { state: "attached" });
      others.push(other);
    }
    await page.click("button:text('Sign out')");
    await page.waitForSelector("#token");
    for (const other of others) {
      await other.waitForSelector("#lost:has-text('You are signed out.') a[href^='/sign-in?next=%2F']");
      check(!(await other.textContent("#lost")).includes("Trying again"), "who is signed out is not told to wait");
    }
    await page.goto(`${it.base}/`);
    check((await page.textContent("h1")) === "Unauthorized", "signed out is signed out");
    await seen.context.close();
    it.end();
  },

  async "the list and errors on a phone, in the dark"() {
    const it = await demo("clusters-closed");
    const seen = await open(it.base, PHONE);
    const { page } = seen;
    await signIn(page, it.base, "simulated-viewer-token");
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
    check((await page.locator("#list details:not([id])").count()) === 0, "what has no id is shut at each update");
    for (const [name, options] of [["narrow", NARROW], ["zoomed", ZOOMED]]) {
      const small = await open(it.base, options);
      await signIn(small.page, it.base, "simulated-viewer-token");
      await small.page.waitForSelector(".row");
      await sound(small, `list-${name}-light`);
      await small.context.close();
    }
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
