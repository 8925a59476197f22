// Ages go on, and times are shown in the reader's own time of day too. The words are those of `src/http/views/moment.rs`.
function age(from) {
  const minutes = Math.max(0, Math.floor((Date.now() - from) / 60000));
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60), minutes % 60];
  if (days) return days === 1 ? "1 day" : `${days} days`;
  if (hours) return rest ? `${hours} h ${rest} min` : `${hours} h`;
  return rest ? `${rest} min` : "under 1 min";
}

function tick() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    if ("age" in time.dataset) {
      const says = age(at.getTime());
      if (time.textContent !== says) time.textContent = says;
    } else if (!time.title) {
      time.title = `${at.toLocaleString()} here`;
      if ("local" in time.dataset && at.getTimezoneOffset()) {
        time.textContent += ` (${at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" })} here)`;
      }
    }
  }
}

tick();
setInterval(tick, 5000);
document.addEventListener("fresh", tick);
