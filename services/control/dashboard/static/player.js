// Replays a recording (asciicast, version 2) on a screen: play, pause, seek, speed, without long silences.

const LONGEST_SILENCE = 2;

export class Player {
  constructor(screen, controls, text) {
    this.screen = screen;
    this.controls = controls;
    const [head, ...events] = text.trim().split("\n").map((line) => JSON.parse(line));
    this.head = head;
    let now = 0;
    let before = 0;
    this.events = events.map(([time, kind, data]) => {
      now += Math.min(Math.max(0, time - before), LONGEST_SILENCE);
      before = time;
      return { time: now, kind, data };
    });
    this.length = now;
    this.pause = controls.querySelector("button[name=pause]");
    this.slider = controls.querySelector("input");
    this.speed = controls.querySelector("select");
    this.clock = controls.querySelector("output");
    this.slider.max = Math.max(0.1, this.length);
    this.pause.onclick = () => (this.timer ? this.stop() : this.play());
    this.slider.oninput = () => this.seek(Number(this.slider.value));
    controls.hidden = false;
    this.seek(0);
  }

  play() {
    if (this.now >= this.length) this.seek(0);
    let last = performance.now();
    this.pause.textContent = "Pause";
    clearInterval(this.timer);
    this.timer = setInterval(() => {
      const moment = performance.now();
      this.#go(Math.min(this.length, this.now + ((moment - last) / 1000) * Number(this.speed.value)));
      last = moment;
      if (this.now >= this.length) this.stop();
    }, 50);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.pause.textContent = "Play";
  }

  seek(time) {
    this.screen.reset();
    this.screen.resize(this.head.width, this.head.height);
    this.at = 0;
    this.#go(time);
  }

  close() {
    this.stop();
    this.controls.hidden = true;
    this.screen.reset();
  }

  #go(time) {
    this.now = time;
    let out = "";
    for (; this.at < this.events.length && this.events[this.at].time <= time; this.at++) {
      const { kind, data } = this.events[this.at];
      if (kind === "o") out += data;
      else if (kind === "r") {
        this.screen.write(out);
        out = "";
        this.screen.resize(...data.split("x").map(Number));
      }
    }
    if (out) this.screen.write(out);
    this.slider.value = time;
    this.clock.textContent = `${time.toFixed(1)} s of ${this.length.toFixed(1)} s`;
  }
}
