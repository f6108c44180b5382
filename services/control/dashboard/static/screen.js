// A screen for terminal output: xterm.js where it was brought in at set-up, else plain text.

const LINES = 3000;
const ESCAPES = /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]|[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]/g;
const THEME = {
  background: "#0c1a1f", foreground: "#d9e6e9", cursor: "#6cc4d8", cursorAccent: "#0c1a1f", selectionBackground: "#2d5a68",
  black: "#1d2f36", red: "#ff938b", green: "#77cc94", yellow: "#f0b252", blue: "#93b4ea", magenta: "#f09ac6", cyan: "#6cc4d8", white: "#d9e6e9",
  brightBlack: "#7d949c", brightRed: "#ffb3ad", brightGreen: "#9fe0b5", brightYellow: "#f7cd8b", brightBlue: "#b9cff3", brightMagenta: "#f6bfda", brightCyan: "#9fd9e6", brightWhite: "#ffffff",
};

// xterm.js makes style elements and style attributes. The page's policy forbids both, but for elements with its
// nonce; what an attribute would say is said through the element's style instead, which the policy allows.
function allowStyles(nonce) {
  const create = document.createElement.bind(document);
  document.createElement = (name, options) => {
    const made = create(name, options);
    if (String(name).toLowerCase() === "style") made.nonce = nonce;
    return made;
  };
  const set = HTMLElement.prototype.setAttribute;
  HTMLElement.prototype.setAttribute = function (name, value) {
    if (name === "style") this.style.cssText = value;
    else set.call(this, name, value);
  };
}

class Plain {
  constructor(box) {
    this.box = document.createElement("pre");
    this.box.className = "output";
    this.box.tabIndex = 0;
    box.append(this.box);
    this.reset();
  }

  reset() {
    this.decoder = new TextDecoder();
    this.lines = [""];
    this.column = 0;
    this.rest = "";
    this.box.textContent = "";
  }

  resize() {}

  write(data) {
    let text = this.rest + (typeof data === "string" ? data : this.decoder.decode(data, { stream: true }));
    const open = text.lastIndexOf("\x1b");
    this.rest = open >= 0 && text.length - open < 64 && !text.slice(open).match(/^\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07|[@-Z\\^_])/) ? text.slice(open) : "";
    if (this.rest) text = text.slice(0, open);
    for (const part of text.replace(ESCAPES, "").split(/([\r\n\b])/)) this.#put(part);
    if (this.lines.length > LINES) this.lines.splice(0, this.lines.length - LINES);
    this.#drawSoon();
  }

  #put(part) {
    const last = this.lines.length - 1;
    if (part === "\n") this.lines.push("");
    else if (part === "\b") this.column = Math.max(0, this.column - 1);
    else if (part && part !== "\r") {
      const line = this.lines[last].padEnd(this.column);
      this.lines[last] = line.slice(0, this.column) + part + line.slice(this.column + part.length);
      this.column += part.length;
    }
    if (part === "\r" || part === "\n") this.column = 0;
  }

  #drawSoon() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.box.textContent = this.lines.join("\n");
      this.box.scrollTop = this.box.scrollHeight;
    });
  }
}

class Xterm {
  constructor(box, { Terminal }, { FitAddon }) {
    this.box = box;
    this.terminal = new Terminal({
      cols: 120, rows: 40, scrollback: 5000, disableStdin: true, fontSize: 13, lineHeight: 1.2, theme: THEME,
      fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
      screenReaderMode: matchMedia("(prefers-reduced-motion: reduce)").matches,
    });
    this.fitter = new FitAddon();
    this.terminal.loadAddon(this.fitter);
    this.terminal.open(box);
  }

  reset() { this.terminal.reset(); }
  resize(columns, rows) { this.terminal.resize(columns, rows); }
  write(data) { this.terminal.write(data); }
  wanted() { const size = this.fitter.proposeDimensions(); return size && { columns: size.cols, rows: Math.max(size.rows, 10) }; }

  keyboard(on, typed, leave) {
    this.terminal.options.disableStdin = !on;
    this.terminal.options.cursorBlink = on;
    this.listening?.dispose();
    this.listening = on ? this.terminal.onData(typed) : null;
    // Tab belongs to the terminal: Ctrl-] is the way out for who has no mouse.
    this.terminal.attachCustomKeyEventHandler((event) => {
      if (!(on && event.ctrlKey && event.key === "]")) return true;
      if (event.type === "keydown") leave();
      return false;
    });
    if (on) this.terminal.focus();
  }
}

export async function openScreen(box, data) {
  if (!data.xterm) return new Plain(box);
  allowStyles(document.querySelector("script[nonce]").nonce);
  const [core, fit] = await Promise.all([import(data.xterm), import(data.fit)]);
  return new Xterm(box, core, fit);
}
