// A connection that comes back: WebSocket with back-off, a pulse, and honest states.
//
// It knows nothing of what is said over it. `hooks.hello()` gives the first frame, `hooks.frame(frame)` takes what comes,
// `hooks.change()` is told that the state changed. States: connecting, live, reconnecting, offline, stale, replaced, refused.

const PULSE_MS = 12_000;
const SILENCE_MS = 25_000;
const RETRY_FIRST_MS = 150;
const RETRY_MOST_MS = 8_000;

export class Link {
  state = "connecting";
  /** Connections in a row that ended before they were live. */
  failures = 0;

  /** `staleAfter`: milliseconds without a live connection after which what is shown may be wrong. */
  constructor(path, hooks, staleAfter = 30_000) {
    Object.assign(this, { path, hooks, staleAfter });
    addEventListener("online", () => this.now());
    addEventListener("offline", () => this.socket?.close());
    addEventListener("pagehide", () => this.stop());
    addEventListener("pageshow", (event) => event.persisted && this.start());
  }

  /** Begins, and goes on until `stop`. */
  async start() {
    this.stopped = false;
    clearTimeout(this.timer);
    const turn = (this.turn = {});
    let hello;
    try {
      hello = await this.hooks.hello();
    } catch (problem) {
      if (turn === this.turn) problem?.final ? this.finish("refused") : this.again();
      return;
    }
    if (turn !== this.turn || this.stopped) return;
    if (!hello) return;
    const url = new URL(this.path, location);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = (this.socket = new WebSocket(url));
    socket.onopen = () => this.send(hello);
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.heard = performance.now();
      const frame = JSON.parse(event.data);
      if (frame.type === "bye") this.retryAt = frame.retry_after_ms;
      this.hooks.frame(frame);
    };
    socket.onclose = (event) => {
      if (socket === this.socket) this.closed(event);
    };
    this.heard = performance.now();
    clearInterval(this.pulse);
    this.pulse = setInterval(() => {
      const silent = performance.now() - this.heard;
      if (silent > SILENCE_MS) {
        // A half-open connection may take minutes to close by itself.
        this.socket = null;
        socket.close();
        this.closed({});
      } else if (silent > PULSE_MS && this.state === "live") this.send({ type: "ping" });
    }, 3_000);
  }

  /** The other side has welcomed us. */
  live() {
    this.failures = 0;
    this.since = null;
    this.become("live");
  }

  /** Sends a frame if the connection is open. */
  send(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(frame));
    return true;
  }

  closed(event) {
    clearInterval(this.pulse);
    this.socket = null;
    if (this.stopped) return;
    if (event.code === 4001) return this.finish("replaced");
    this.hooks.closed?.(event);
    if (!this.stopped) this.again();
  }

  again() {
    this.failures += 1;
    this.since ??= performance.now();
    const stale = performance.now() - this.since > this.staleAfter;
    this.become(navigator.onLine === false ? "offline" : stale ? "stale" : "reconnecting");
    const wait = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(this.failures - 1, 10));
    // Half of it at random: a thousand pages that were cut together must not come back together.
    const pause = this.retryAt ?? wait * (0.5 + Math.random() / 2);
    this.retryAt = undefined;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.start(), pause);
  }

  /** Tries at once. */
  now() {
    if (!this.stopped && !this.socket) this.start();
  }

  /** Ends for good, in a state that says why. */
  finish(state) {
    this.stop();
    this.become(state);
  }

  stop() {
    this.stopped = true;
    this.turn = null;
    clearTimeout(this.timer);
    clearInterval(this.pulse);
    this.socket?.close();
    this.socket = null;
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.hooks.change();
  }
}
