// Keeps a page live: the server sends parts of it, rendered; each replaces the element with its id.
// Without this script the page reads the same, as of the moment it was loaded.

const page = document.body;
const light = document.getElementById("live");
const say = document.getElementById("say");
const skew = Date.now() - Number(page.dataset.now);
let source = null;
let retry = 0;

function show(text, on) {
  light.hidden = false;
  light.textContent = text;
  light.classList.toggle("on", on);
}

function put(html) {
  const parts = document.createElement("template");
  parts.innerHTML = html;
  const focused = document.activeElement?.id;
  for (const part of [...parts.content.children]) {
    const old = document.getElementById(part.id);
    const title = part.querySelector("h1, [data-say]")?.textContent;
    if (title && title !== old?.querySelector("h1, [data-say]")?.textContent) say.textContent = title;
    for (const details of [part, ...part.querySelectorAll("details[id]")]) {
      const known = details.matches("details") && document.getElementById(details.id);
      if (known) details.open = known.open;
    }
    old?.dispatchEvent(new CustomEvent("put", { bubbles: true, detail: part }));
    const scrolled = [...(old?.querySelectorAll("[data-scroll]") ?? [])].map((box) => [box.id, box.scrollTop]);
    old?.replaceWith(part);
    for (const [id, top] of scrolled) document.getElementById(id)?.scrollTo(0, top);
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
  tick();
}

function append(event) {
  const parts = document.createElement("template");
  parts.innerHTML = JSON.parse(event.data);
  for (const part of [...parts.content.children]) {
    const box = document.getElementById(part.dataset.into);
    box.append(...part.childNodes);
    box.dispatchEvent(new Event("grown"));
  }
  page.dataset.after = event.lastEventId;
  tick();
}

function tick() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    const seconds = Math.max(0, Math.floor((Date.now() - skew - Date.parse(time.dateTime)) / 1000));
    const [unit, name] = seconds < 60 ? [1, "s"] : seconds < 3600 ? [60, "min"] : seconds < 86400 ? [3600, "h"] : [86400, "d"];
    time.textContent = `${Math.floor(seconds / unit)} ${name}${time.dataset.age}`;
  }
  for (const time of document.querySelectorAll("time[data-seconds]")) {
    time.textContent = `${Math.max(0, Math.floor((Date.now() - skew - Date.parse(time.dateTime)) / 1000))} s`;
  }
  for (const time of document.querySelectorAll("time[data-left]")) {
    const seconds = Math.ceil((Date.parse(time.dateTime) - Date.now() + skew) / 1000);
    time.textContent = seconds > 0 ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left` : "over";
  }
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  } catch { // no clipboard here: then it is marked, to be copied by hand
    getSelection().selectAllChildren(text);
  }
}

function open() {
  const url = new URL(page.dataset.live, location);
  if (page.dataset.after) url.searchParams.set("after", page.dataset.after);
  source = new EventSource(url);
  source.onopen = () => show("Live", true);
  source.onerror = () => {
    show("Connecting again", false);
    if (source?.readyState === EventSource.CLOSED) retry = setTimeout(open, 3000); // an error status: the browser gives up
  };
  source.addEventListener("put", (event) => put(JSON.parse(event.data)));
  source.addEventListener("append", append);
  source.addEventListener("end", () => {
    source.close();
    source = null;
    delete page.dataset.live;
    show("Ended", true);
  });
}

// A hidden page gives its connection back: browsers allow only six to one host.
function follow() {
  clearTimeout(retry);
  if (document.hidden) {
    source?.close();
    source = null;
  } else if (!source && page.dataset.live) open();
}

// What is shown has changed: the one connection goes on with that.
function again() {
  source?.close();
  source = null;
  follow();
}

document.addEventListener("visibilitychange", follow);
document.addEventListener("shown-anew", again);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-copy]");
  if (button) copy(button);
});
page.classList.add("scripted");
setInterval(tick, 1000);
follow();
