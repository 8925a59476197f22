// Ages go on, and times are shown in UTC or in the reader's own time of day, as they chose last. The words of an age are those
// of `src/http/views/moment.rs`.
const CHOICE = "times";
const own = () => Intl.DateTimeFormat().resolvedOptions().timeZone;
let chosen = null;

function isLocal() {
  try {
    return (chosen ?? localStorage.getItem(CHOICE)) === "local";
  } catch {
    // Where nothing may be stored it holds for this page.
    return chosen === "local";
  }
}

function choose(zone) {
  chosen = zone;
  try {
    localStorage.setItem(CHOICE, zone);
  } catch {
    // As above.
  }
}

function age(from) {
  const minutes = Math.max(0, Math.floor((Date.now() - from) / 60000));
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60), minutes % 60];
  if (days) return days === 1 ? "1 day" : `${days} days`;
  if (hours) return rest ? `${hours} h ${rest} min` : `${hours} h`;
  return rest ? `${rest} min` : "under 1 min";
}

function pieces(at, timeZone) {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
    hourCycle: "h23", timeZoneName: "short",
  });
  const { year, month, day, hour, minute, second, timeZoneName } = Object.fromEntries(format.formatToParts(at).map((part) => [part.type, part.value]));
  return { day: `${year}-${month}-${day}`, clock: `${hour}:${minute}:${second}`, zone: timeZoneName };
}

// The same with as much said as in UTC: the day where that says it or is another, the zone where that says it.
function local(at, utc) {
  const [here, there] = [pieces(at), pieces(at, "UTC")];
  const day = /^\d{4}-/.test(utc) || here.day !== there.day ? `${here.day} ` : "";
  return `${day}${here.clock}${utc.endsWith(" UTC") ? ` ${here.zone}` : ""}`;
}

function show(time, at) {
  // As it came, in UTC.
  const utc = (time.dataset.utc ??= time.textContent);
  let says = isLocal() ? local(at, utc) : utc;
  if (!isLocal() && "local" in time.dataset && at.getTimezoneOffset()) {
    says += ` (${at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" })} here)`;
  }
  const other = pieces(at, isLocal() ? "UTC" : undefined);
  const title = `${other.day} ${other.clock} ${other.zone}`;
  if (time.textContent !== says) time.textContent = says;
  if (time.title !== title) time.title = title;
}

function tick() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    if (!("age" in time.dataset)) {
      show(time, at);
      continue;
    }
    const says = age(at.getTime());
    if (time.textContent !== says) time.textContent = says;
  }
}

const zone = document.getElementById("zone");

function label() {
  zone.hidden = false;
  zone.textContent = isLocal() ? "Local" : "UTC";
  zone.setAttribute("aria-label", isLocal() ? `Local: times are shown in ${own()}. Show them in UTC` : `UTC: times are shown in UTC. Show them in ${own()}`);
}

function all() {
  label();
  tick();
}

zone.addEventListener("click", () => {
  choose(isLocal() ? "utc" : "local");
  all();
});
// Chosen in another tab.
addEventListener("storage", (event) => {
  if (event.key !== CHOICE) return;
  chosen = null;
  all();
});
all();
setInterval(tick, 5000);
document.addEventListener("fresh", tick);
