// The output of a job: follows its end until somebody scrolls up, stays bounded however much comes, and shows
// something else without leaving the page. Without this script the links and the form do the same.

const MOST_PARTS = 2000;
const MOST_CHARACTERS = 1_000_000;
const NEAR_THE_END = 40;
const TYPING_MS = 300;

const box = document.getElementById("output");
const button = document.getElementById("follow");
const search = document.getElementById("search");
let following = true;
let unseen = 0;
let asked = null;
let typing = 0;

function atEnd() {
  return box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_THE_END;
}

function toEnd() {
  box.scrollTop = box.scrollHeight;
  show(true);
}

function show(now) {
  following = now;
  if (now) unseen = 0;
  button.hidden = now || box.dataset.live === undefined;
  button.textContent = unseen ? `Follow (${unseen > 999 ? "999+" : unseen} new)` : "Follow";
}

// What goes was read long ago, or never: who reads elsewhere keeps the line before their eyes, and more of the rest.
function bound() {
  const room = following ? 1 : 2;
  let characters = box.textContent.length;
  let over = box.childNodes.length - room * MOST_PARTS;
  if (over <= 0 && characters <= room * MOST_CHARACTERS) return;
  const before = box.scrollHeight;
  for (let part = box.firstChild; part && (over > 0 || characters > room * MOST_CHARACTERS); part = box.firstChild) {
    over -= 1;
    characters -= part.textContent.length;
    part.remove();
  }
  if (!following) box.scrollTop -= before - box.scrollHeight;
}

let parts = box.childNodes.length;

function grown() {
  unseen += Math.max(0, box.childNodes.length - parts);
  bound();
  parts = box.childNodes.length;
  if (following) toEnd();
  else show(false);
}

async function load(address, keep) {
  asked?.abort();
  asked = new AbortController();
  let text;
  try {
    const answer = await fetch(address, { signal: asked.signal });
    if (!answer.ok) throw new Error(answer.status);
    text = await answer.text();
  } catch (error) {
    if (error.name !== "AbortError") location.assign(address); // what is wrong is a page
    return;
  }
  const other = new DOMParser().parseFromString(text, "text/html");
  if (keep) history[keep](null, "", address);
  const news = other.getElementById("output");
  box.replaceChildren(...news.childNodes);
  box.toggleAttribute("data-live", news.dataset.live !== undefined);
  parts = box.childNodes.length;
  document.querySelector(".shows").replaceWith(other.querySelector(".shows"));
  document.getElementById("output-note").replaceChildren(...other.getElementById("output-note").childNodes);
  const fresh = other.getElementById("search");
  search.querySelector("[type=hidden]")?.remove();
  const hidden = fresh.querySelector("[type=hidden]");
  if (hidden) search.prepend(hidden);
  if (document.activeElement !== search.elements.q) search.elements.q.value = fresh.elements.q.value;
  document.body.dataset.live = other.body.dataset.live;
  document.body.dataset.after = other.body.dataset.after;
  toEnd();
  document.dispatchEvent(new Event("shown-anew"));
}

function wanted() {
  const address = new URL(search.getAttribute("action"), location);
  for (const [name, value] of new FormData(search)) if (value.trim()) address.searchParams.set(name, value);
  address.hash = "";
  return address;
}

box.addEventListener("scroll", () => { if (following !== atEnd()) show(atEnd()); });
box.addEventListener("grown", grown);
button.addEventListener("click", () => {
  toEnd();
  box.focus({ preventScroll: true });
});
search.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  load(wanted(), "pushState");
});
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => load(wanted(), "replaceState"), TYPING_MS);
});
document.getElementById("history").addEventListener("click", async (event) => {
  const link = event.target.closest(".shows a, #output-note a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const address = new URL(link.href);
  address.hash = "";
  const id = link.id;
  await load(address, "pushState");
  (document.getElementById(id) ?? box).focus({ preventScroll: true });
});
addEventListener("popstate", () => load(new URL(location), null));
if (location.search.includes("before=")) show(true);
else toEnd();
