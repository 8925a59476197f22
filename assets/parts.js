// Puts what is new into a view: each part whose text differs from what came before is put in place of the old one, so that
// what somebody has opened, typed or scrolled to elsewhere stays as it is. Parts are known by their ids; where `data-parts`
// stands, the children are parts too.
// As they came, without what other scripts have written into them since.
const came = new WeakMap();

const named = (part) => part.id || part.localName;

export function remember(part) {
  came.set(part, part.outerHTML);
  if ("parts" in part.dataset) for (const child of part.children) remember(child);
}

function renewed(old, part) {
  const html = part.outerHTML;
  if (came.get(old) === html) return old;
  if ("parts" in old.dataset && "parts" in part.dataset) {
    merge(old, part);
    came.set(old, html);
    return old;
  }
  const folds = new Map([...old.querySelectorAll("details[id]")].map((fold) => [fold.id, fold.open]));
  for (const fresh of part.querySelectorAll("details[id]")) {
    if (folds.has(fresh.id)) fresh.open = folds.get(fresh.id);
  }
  came.set(part, html);
  old.replaceWith(part);
  return part;
}

// Whatever stays where it was is not touched: who reads or types there is not disturbed.
export function merge(root, fresh) {
  const parts = [...fresh.children];
  const wanted = new Set(parts.map(named));
  const old = new Map([...root.children].map((part) => [named(part), part]));
  for (const [name, part] of old) if (!wanted.has(name)) part.remove();
  let place = null;
  for (const part of parts) {
    const known = old.get(named(part));
    if (!known) remember(part);
    const now = known ? renewed(known, part) : part;
    if ((place ? place.nextElementSibling : root.firstElementChild) !== now) {
      place ? place.after(now) : root.prepend(now);
    }
    place = now;
  }
}

// A time by what it is, not by the zone in which it is shown.
function words(element) {
  const copy = element.cloneNode(true);
  for (const time of copy.querySelectorAll("time[datetime]")) time.textContent = time.dateTime;
  return copy.textContent.trim();
}

// What somebody calls it who goes there by the keyboard.
function called(element) {
  const says = element.getAttribute("aria-label") ?? element.dataset.says ?? words(element);
  return element.localName === "summary" ? "" : element.id || `${element.getAttribute("href") ?? ""} ${says}`;
}

function isSame(element, was) {
  return called(element) === was.called && element.closest("details[id]")?.id === was.fold;
}

// Calls `change`; who goes by the keyboard stays where they were. Where that is gone, they stand before what is there now,
// never on another button: the next key must not do what they did not mean.
export function keepingFocus(root, change) {
  const at = root.contains(document.activeElement) ? document.activeElement : null;
  const was = at && {
    called: called(at), fold: at.closest("details[id]")?.id, around: [...parents(at)].map((element) => element.id).filter(Boolean),
  };
  change();
  if (!at || document.activeElement === at) return;
  const same = [...root.querySelectorAll(at.localName)].find((element) => isSame(element, was));
  same?.focus({ preventScroll: true });
  if (same && document.activeElement === same) return;
  const around = was.around.map((id) => document.getElementById(id)).find(Boolean) ?? root;
  if (!around.hasAttribute("tabindex")) around.tabIndex = -1;
  around.focus({ preventScroll: true });
}

function* parents(element) {
  for (let at = element.parentElement; at; at = at.parentElement) yield at;
}
