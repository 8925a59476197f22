// Shows a run's changes as they come: each section whose text differs is put in place of the old one, so that what
// somebody has opened elsewhere on the page stays as it is. Says so where the connection is lost, with the time of what is shown.
const run = document.getElementById("run");
const lost = document.getElementById("lost");
// As they came, without what other scripts have written into them since.
const came = new Map();
// A stream ends by itself after a while and is opened again: only what lasts longer is a loss.
const PATIENCE = 4000;
const LONGEST = 60000;

const named = (part) => part.id || part.className;

function put(old, part) {
  const folds = new Map([...old.querySelectorAll("details[id]")].map((fold) => [fold.id, fold.open]));
  const at = old.contains(document.activeElement) && document.activeElement;
  const [tag, fold] = at ? [at.tagName, at.closest("details")?.id] : [];
  old.replaceWith(part);
  for (const fresh of part.querySelectorAll("details[id]")) {
    if (folds.has(fresh.id)) fresh.open = folds.get(fresh.id);
  }
  // Who goes by the keyboard stays where they were.
  if (tag) (fold ? document.getElementById(fold)?.querySelector(tag) : part.querySelector(tag))?.focus();
}

function take(text) {
  const fresh = document.createElement("template");
  fresh.innerHTML = text;
  let place = null;
  const parts = [...fresh.content.children];
  for (const part of parts) {
    const html = part.outerHTML;
    const old = part.id ? document.getElementById(part.id) : run.querySelector(":scope > .run-id");
    if (!old) {
      place ? place.after(part) : run.prepend(part);
      place = part;
    } else if (came.get(named(part)) !== html) {
      put(old, part);
      place = part;
    } else {
      place = old;
    }
    came.set(named(part), html);
  }
  const head = document.getElementById("head");
  if (head?.dataset.tab) document.title = `${head.dataset.tab} · se-responder`;
  const icon = document.querySelector("link[rel=icon]");
  if (head?.dataset.icon && icon.getAttribute("href") !== head.dataset.icon) icon.href = head.dataset.icon;
  document.dispatchEvent(new Event("fresh"));
}

let seen = null;
let waits = null;
let changes = null;

function isLost() {
  seen ??= new Date();
  const clock = (options) => seen.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", ...options });
  lost.textContent = `Connection lost. This is as of ${clock({ timeZone: "UTC" })} UTC (${clock()} here). Trying again.`;
  lost.hidden = false;
}

function isThere() {
  clearTimeout(waits);
  waits = null;
  lost.hidden = true;
  seen = null;
}

function connect(pause) {
  changes?.close();
  changes = new EventSource(run.dataset.live);
  changes.addEventListener("open", () => { pause = 0; isThere(); });
  changes.addEventListener("run", (event) => { isThere(); take(event.data); });
  changes.addEventListener("error", () => {
    // Until now it was shown as it is.
    seen ??= new Date();
    waits ??= setTimeout(isLost, PATIENCE);
    if (changes?.readyState !== EventSource.CLOSED) return;
    // Refused: the browser won't try again by itself.
    const next = Math.min(LONGEST, Math.max(2000, pause * 2));
    setTimeout(() => connect(next), next);
  });
}

if (run && run.dataset.live) {
  for (const part of run.children) came.set(named(part), part.outerHTML);
  addEventListener("offline", isLost);
  addEventListener("online", () => connect(0));
  connect(0);
}
