// A job's form, checked while it is filled in: the server is asked, by whose rules it will be accepted or refused. What
// is wrong is shown at fields that somebody has been to; the others only count. Steps are added and moved by the
// server too, and put in place without loading the page.

const form = document.querySelector("form.new");
const verdict = document.getElementById("verdict");
const curl = document.getElementById("curl");
const been = new Set([...form.querySelectorAll("[aria-invalid]")].map((field) => field.name));
const named = (field) => [...form.elements].find((element) => element.name === field && element.type !== "hidden");
let asked = 0;
let soon = 0;

function mark(field, message) {
  const name = field.name;
  const old = document.getElementById(`wrong-${name}`);
  if (old?.textContent === message) return;
  old?.remove();
  field.toggleAttribute("aria-invalid", Boolean(message));
  const hint = document.getElementById(`hint-${name}`);
  if (message) {
    const words = Object.assign(document.createElement("p"), { className: "wrong", id: `wrong-${name}`, textContent: message });
    field.after(words);
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", words.id);
  } else if (hint) field.setAttribute("aria-describedby", hint.id);
  else field.removeAttribute("aria-describedby");
}

async function send(address, button) {
  const fields = new URLSearchParams(new FormData(form));
  if (button) fields.set("do", button);
  const answer = await fetch(address, { method: "POST", body: fields });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer;
}

async function check() {
  const number = ++asked;
  let found;
  try {
    found = await (await send("/jobs/new/check")).json();
  } catch { // it will be checked when it is sent
    verdict.textContent = "It cannot be checked now.";
    return;
  }
  if (number !== asked) return; // something was typed meanwhile
  const errors = found.errors ?? {};
  for (const field of form.elements) {
    if (field.name && field.matches("input:not([type=hidden]), textarea, select")) mark(field, been.has(field.name) ? errors[field.name] ?? "" : "");
  }
  const elsewhere = Object.keys(errors).filter((name) => !named(name) && !Object.keys(errors).some((other) => other.startsWith(`${name}[`)));
  const left = Object.keys(errors).filter((name) => named(name)).length;
  verdict.textContent = found.curl ? "It would be accepted."
    : elsewhere.length ? `Not yet: ${errors[elsewhere[0]]}`
    : left ? `Not yet: ${left} ${left === 1 ? "field is" : "fields are"} missing or wrong.` : `Not yet: ${found.refusal}`;
  document.getElementById("curl-part").hidden = !found.curl;
  curl.textContent = found.curl ?? "";
}

function later() {
  clearTimeout(soon);
  soon = setTimeout(check, 300);
}

async function arrange(button) {
  const page = new DOMParser().parseFromString(await (await send("/jobs/new", button.value)).text(), "text/html");
  const steps = document.getElementById("steps");
  steps.replaceWith(page.getElementById("steps"));
  const [verb, at] = button.value.split(" ");
  const all = document.querySelectorAll("#steps .step");
  const place = { add: all.length - 1, up: at - 1, down: Number(at) + 1, remove: Math.min(at, all.length - 1) }[verb];
  const same = verb === "add" ? null : all[place].querySelector(`button[value^="${verb} "]:not(:disabled)`);
  (same ?? all[place].querySelector("input")).focus();
  check();
}

form.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.closest("#steps")) return;
  event.preventDefault();
  arrange(button).catch(() => { verdict.textContent = "The steps cannot be changed now."; });
});
form.addEventListener("input", (event) => {
  been.add(event.target.name);
  later();
});
form.addEventListener("focusout", (event) => {
  if (!event.target.value || been.has(event.target.name)) return;
  been.add(event.target.name);
  later();
});
