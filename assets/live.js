// Shows a run's changes as they come: each section whose text differs is put in place of the old one, so that what
// somebody has opened elsewhere on the page stays open.
const run = document.getElementById("run");

function take(text) {
  const fresh = document.createElement("template");
  fresh.innerHTML = text;
  let place = null;
  for (const part of [...fresh.content.children]) {
    const old = part.id ? document.getElementById(part.id) : run.querySelector(":scope > .run-id");
    if (!old) {
      place ? place.after(part) : run.prepend(part);
      place = part;
    } else {
      if (old.outerHTML !== part.outerHTML) {
        const opened = [...old.querySelectorAll("details[open]")].map((d) => d.id);
        old.replaceWith(part);
        for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
        place = part;
      } else {
        place = old;
      }
    }
  }
}

if (run && run.dataset.live) {
  const changes = new EventSource(run.dataset.live);
  changes.addEventListener("run", (event) => take(event.data));
}
