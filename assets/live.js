// Shows changes as they come: of a run, whose stream brings what is shown; of the list, which is asked for again at each change.
// Says so where the connection is lost, with the time of what is shown.
import { keepingFocus, merge, remember } from "./parts.js";

const root = document.querySelector("[data-live]");
const lost = document.getElementById("lost");
const live = document.getElementById("live");
// A stream ends by itself after a while and is opened again: only what lasts longer is a loss.
const PATIENCE = 4000;
const LONGEST = 60000;
// Each stream says something every 15 s. One that has been silent for so long is dead, whatever the browser believes.
const SILENT = 40000;
// The list is asked for again at once, then no oftener than this, and no more than a fifth of the time.
const PACE = 300;
const SHARE = 4;
const ANSWER = 10000;
// What no run's change tells of, such as what the last self-check found.
const OTHERS = 60000;
const isList = root && "list" in root.dataset;

function take(fresh) {
  keepingFocus(root, () => merge(root, fresh));
  const head = document.getElementById("head");
  tab(head?.dataset.tab && `${head.dataset.tab} · se-responder`, head?.dataset.icon);
  document.dispatchEvent(new Event("fresh"));
}

function tab(title, picture) {
  if (title) document.title = title;
  const icon = document.querySelector("link[rel=icon]");
  if (picture && icon.getAttribute("href") !== picture) icon.href = picture;
}

let heard = Date.now();
let seen = null;
let waits = null;
let changes = null;

function isLost(why = "Connection lost.", then = "Trying again.") {
  if (ended && then) return;
  seen ??= new Date();
  const clock = (options) => seen.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", ...options });
  lost.textContent = `${why} This is as of ${clock({ timeZone: "UTC" })} UTC (${clock()} here). ${then}`;
  lost.hidden = false;
  live.hidden = true;
}

function isThere() {
  clearTimeout(waits);
  waits = null;
  lost.hidden = true;
  live.hidden = changes?.readyState !== EventSource.OPEN;
  seen = null;
}

function alive() {
  heard = Date.now();
  // What the list shows is true only once it was asked for again.
  if (!isList) isThere();
}

let asking = false;
let again = false;
let ended = false;

// Who is signed out sees nothing more, however often it is asked.
function signedOut() {
  ended = true;
  changes?.close();
  clearTimeout(waits);
  isLost("You are signed out.", "");
  const link = document.createElement("a");
  link.href = `/sign-in?next=${encodeURIComponent(location.pathname)}`;
  link.textContent = "Sign in";
  lost.append(link);
}

const ask = () => fetch(location.href, {
  headers: { accept: "text/html" }, cache: "no-store", signal: AbortSignal.timeout(ANSWER),
});

// The stream was refused, and does not say why.
async function whyRefused() {
  const answer = await ask().catch(() => null);
  if (answer?.status === 401) signedOut();
}

async function refresh() {
  again = asking;
  if (asking || ended) return;
  asking = true;
  const began = Date.now();
  try {
    const answer = await ask();
    if (answer.status === 401) return signedOut();
    if (!answer.ok) throw new Error();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    take(page.getElementById(root.id));
    tab(page.title, page.querySelector("link[rel=icon]").getAttribute("href"));
    isThere();
  } catch {
    seen ??= new Date(began);
    isLost();
    again = true;
  }
  const pause = Math.max(again && !lost.hidden ? PATIENCE : PACE, SHARE * (Date.now() - began));
  setTimeout(() => {
    asking = false;
    if (again) refresh();
  }, pause);
}

function connect(pause) {
  if (ended) return;
  changes?.close();
  heard = Date.now();
  changes = new EventSource(root.dataset.live);
  changes.addEventListener("open", () => {
    pause = 0;
    alive();
    // What changed before the stream began is in no event.
    if (isList) refresh();
  });
  changes.addEventListener("alive", alive);
  changes.addEventListener("run", (event) => {
    alive();
    if (isList) return refresh();
    const fresh = document.createElement("template");
    fresh.innerHTML = event.data;
    take(fresh.content);
  });
  changes.addEventListener("error", async () => {
    // Until now it was shown as it is.
    seen ??= new Date();
    waits ??= setTimeout(isLost, PATIENCE);
    if (changes?.readyState !== EventSource.CLOSED) return;
    // Refused: the browser won't try again by itself.
    await whyRefused();
    const next = Math.min(LONGEST, Math.max(2000, pause * 2));
    setTimeout(() => connect(next), next);
  });
}

function look() {
  if (ended || Date.now() - heard < SILENT) return;
  seen ??= new Date(heard);
  isLost();
  connect(0);
}

if (root) {
  for (const part of root.children) remember(part);
  addEventListener("offline", () => isLost());
  addEventListener("online", () => connect(0));
  // Back from where the browser had put it aside.
  addEventListener("pageshow", (event) => event.persisted && connect(0));
  setInterval(look, 5000);
  if (isList) setInterval(refresh, OTHERS);
  connect(0);
}
