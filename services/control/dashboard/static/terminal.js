// The terminal on the page of a job: watch the run, type under a grant, replay what was recorded.

import { openScreen } from "./screen.js";
import { Player } from "./player.js";

const card = document.getElementById("terminal");
const box = document.getElementById("screen");
const state = document.getElementById("terminal-state");
const buttons = Object.fromEntries([...card.querySelectorAll("button")].map((each) => [each.name, each]));
const minutes = card.querySelector("select[name=minutes]");
const recording = card.querySelector("select[name=recording]");
const run = `/api/task-runs/${card.dataset.run}`;
let screen = null;
let socket = null;
let session = null;
let again = 0;
let player = null;

function say(text) { state.textContent = text; }

async function ready() {
  box.hidden = false;
  screen ??= await openScreen(box, card.dataset);
  return screen;
}

// Whoever opens the screen means to look at it; xterm.js draws nothing on one that is below the window's edge.
function look() {
  box.scrollIntoView({ block: "nearest" });
}

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  const csrf = document.querySelector("input[name=csrf]");
  if (csrf) headers["X-CSRF-Token"] = csrf.value;
  const answer = await fetch(run + path, body && { method: "POST", headers, body: JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.detail ?? answer.statusText);
  return said;
}

async function watch() {
  stopReplay();
  await ready();
  clearTimeout(again);
  const url = new URL(`${run}/terminal`, location);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const opened = (socket = new WebSocket(url));
  opened.binaryType = "arraybuffer";
  let open = false;
  opened.onopen = () => { open = true; screen.reset(); say("Watching"); show(); look(); };
  opened.onmessage = (event) => (typeof event.data === "string" ? obey(JSON.parse(event.data)) : screen.write(new Uint8Array(event.data)));
  opened.onclose = async (event) => {
    if (socket !== opened) return;
    session = null;
    socket = null;
    keyboard();
    if (open && event.code !== 1000 && event.code !== 1008 && event.code !== 4003) {
      say("Connecting again");
      again = setTimeout(watch, 1000);
    } else if (open) say(event.reason || "Not watching");
    else say(await call("/live-session").then((said) => `The terminal cannot be opened: the session is ${said.session.status}`, (error) => error.message));
    show();
  };
  say("Connecting");
  show();
}

function unwatch() {
  const closing = socket;
  socket = null;
  session = null;
  clearTimeout(again);
  closing?.close();
  keyboard();
  say("Not watching");
  show();
}

function obey(message) {
  if (message.type === "size") screen.resize(message.columns, message.rows);
  else if (message.type === "attempt") screen.reset();
  else if (message.type === "error") say(message.detail);
  else if (message.type === "session") {
    const mine = Boolean(session?.yours);
    session = message;
    if (message.yours !== mine) keyboard();
    tick();
    show();
  }
}

function keyboard() {
  const on = Boolean(session?.yours);
  card.classList.toggle("typing", on);
  screen?.keyboard?.(on, type, () => buttons.back.focus());
  if (on) fit();
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function type(data) {
  for (let at = 0; at < data.length; at += 4000) send({ type: "input", data: data.slice(at, at + 4000) });
}

function fit() {
  const size = session?.yours && screen.wanted?.();
  if (size) send({ type: "resize", ...size });
}

async function ask() {
  try {
    await call("/live-session/grant-write", { ttlMinutes: Number(minutes.value) });
  } catch (error) {
    say(error.message);
  }
}

function tick() {
  if (!session || !socket) return;
  const left = session.writer ? Math.max(0, Math.round((Date.parse(session.grantedUntil) - Date.now() + Number(card.dataset.skew)) / 1000)) : 0;
  const clock = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  if (session.yours) say(`The keyboard is yours for ${clock}. Ctrl-] leaves it.`);
  else if (session.writer) say(`Watching; ${session.writer} types for ${clock}`);
  else if (!state.textContent.startsWith("typing")) say(session.status === "ready" ? "Watching" : `Watching; the session is ${session.status}`);
}

function show() {
  const watching = Boolean(socket) || Boolean(again && state.textContent === "Connecting again");
  buttons.watch.hidden = watching;
  buttons.stop.hidden = !watching;
  buttons.ask.hidden = minutes.parentElement.hidden = !(socket && session?.status === "ready" && !session.yours && screen?.keyboard);
  buttons.back.hidden = !session?.yours;
}

async function replay() {
  unwatch();
  stopReplay();
  try {
    const answer = await fetch(recording.value);
    if (!answer.ok) throw new Error("the recording cannot be had");
    player = new Player(await ready(), card.querySelector(".player"), await answer.text());
    say("Replaying");
    look();
    player.play();
  } catch (error) {
    say(error.message);
  }
}

function stopReplay() {
  player?.close();
  player = null;
}

card.dataset.skew = Date.now() - Number(document.body.dataset.now);
buttons.watch.onclick = watch;
buttons.stop.onclick = unwatch;
buttons.ask.onclick = ask;
buttons.back.onclick = () => send({ type: "give_back" });
if (buttons.replay) buttons.replay.onclick = replay;
let resizing = 0;
addEventListener("resize", () => { clearTimeout(resizing); resizing = setTimeout(fit, 200); });
setInterval(tick, 1000);
card.hidden = false;
