// The list of jobs by keyboard, and what is ticked in it. The place is the focus itself: it is seen, read out and kept
// when a row is replaced. Without this script everything here is done with the mouse, or with Tab and Space.

const list = document.getElementById("found");
const keys = document.getElementById("keys");
const page = document.getElementById("tick-page");
const all = list?.querySelector("input[name=all]");
const boxes = () => [...(list?.querySelectorAll("input[name=ids]:not(:disabled)") ?? [])];
const links = () => [...(list?.querySelectorAll("td.job a") ?? [])];

function move(by) {
  const places = links();
  const row = document.activeElement.closest("tbody tr");
  const at = row ? places.indexOf(row.querySelector("td.job a")) : by > 0 ? -1 : places.length;
  const next = places[Math.max(0, Math.min(places.length - 1, at + by))];
  next?.focus({ preventScroll: true });
  next?.closest("tr").scrollIntoView({ block: "nearest" });
}

function count() {
  if (!page) return;
  const ticked = boxes().filter((box) => box.checked).length;
  page.checked = ticked > 0 && ticked === boxes().length;
  page.indeterminate = ticked > 0 && !page.checked;
  document.getElementById("ticked").textContent = all?.checked ? ", and all others that fit" : ` (${ticked})`;
  for (const button of list.querySelectorAll(".many button")) button.disabled = !ticked && !all?.checked;
}

function typing(element) {
  return element.isContentEditable || element.matches("textarea, select, input:not([type=checkbox], [type=radio])");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open || typing(event.target)) return;
  const row = event.target.closest("#found tbody tr");
  const box = row?.querySelector("input[name=ids]:not(:disabled)");
  const moves = { j: 1, k: -1, ...(row && { ArrowDown: 1, ArrowUp: -1 }) };
  if (event.key in moves) move(moves[event.key]);
  else if (box && (event.key === "x" || (event.key === " " && event.target !== box))) box.click();
  else if (event.key === "/") document.querySelector("[data-search]").focus();
  else if (event.key === "?") keys.showModal();
  else return;
  event.preventDefault();
});

document.getElementById("show-keys").addEventListener("click", () => keys.showModal());

list?.addEventListener("change", (event) => {
  if (event.target === page) for (const box of boxes()) box.checked = page.checked;
  count();
});

// A row that is replaced stays ticked.
list?.addEventListener("put", (event) => {
  const was = event.target.querySelector?.("input[name=ids]");
  const is = event.detail.querySelector("input[name=ids]:not(:disabled)");
  if (was && is) is.checked = was.checked;
  queueMicrotask(count);
});

// A page that was left and is come back to has its boxes ticked by the browser, after this script has run.
addEventListener("pageshow", count);
count();
