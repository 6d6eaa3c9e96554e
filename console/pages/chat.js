// A customer's page: writes, waits with a place and an honest time, comes back after any cut, loses and repeats nothing.
//
// What was written stands in the browser's storage until the node has answered for it, under an id of its own: it may be sent
// again on any path, and counts once. What the node tells is numbered without gaps; the newest number is where a new
// connection goes on. It knows nothing of agents but what they write. State first, then what is sent, then what is shown.

import { html, render } from "./htm-preact.js";
import { Link } from "./link.js";
import { bytesText, composing, fitting, freshId, limited, NAME_BYTES_MAX, TEXT_BYTES_MAX, visible, visibleName, waitWords } from "./text.js";
import { chosen, clockText, firstLanguage, known, language, speak, store, stored, t } from "./words.js";

const asked = new URLSearchParams(location.search);
const inbox = asked.get("inbox") ?? "shop";
const mine = `chat.${inbox}`;
const api = (path) => new URL(`../v1/web/${path}`, location);
/** Every so many attempts in a row without success, one takes events and posts instead of a WebSocket. */
const OTHER_PATH_EVERY = 3;
const TYPING_EVERY_MS = 2_000;
const TYPING_SHOWN_MS = 5_000;
/** Most items in the page at once; earlier ones come back with a button's press. */
const ITEMS_SHOWN = 300;

const state = {
  items: [],
  n: 0,
  outbox: [],
  standing: null,
  facts: {},
  elder: (asked.get("elder") ?? stored("elder")) === "1",
  shown: ITEMS_SHOWN,
};

// --- What is to be sent.

function keep(entry) {
  store(`${mine}.out.${entry.order}.${entry.id}`, entry.done ? null : JSON.stringify(entry));
}

function recall() {
  const prefix = `tidegate.${mine}.out.`;
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
    state.outbox = keys.map((key) => JSON.parse(localStorage.getItem(key))).sort((a, b) => a.order - b.order);
  } catch {
    state.outbox = [];
  }
  for (const entry of state.outbox) entry.sent = false;
}

function say(path, body = {}) {
  const order = Math.max(0, ...state.outbox.map((entry) => entry.order)) + 1;
  const entry = { id: freshId(), order, path, body };
  state.outbox.push(entry);
  keep(entry);
  flush();
  update();
}

/** Sends what was not sent on this connection; in order, because a chat has one. */
function flush() {
  if (state.polling) return void post();
  if (link.state !== "live") return;
  for (const entry of state.outbox) {
    if (entry.sent || entry.failed) continue;
    entry.sent = link.send({ type: entry.path, client_msg_id: entry.id, ...entry.body });
    entry.unsure = true;
  }
}

const bearer = (type = "application/json") => ({ authorization: `Bearer ${state.token}`, "content-type": type });
const PATHS = { message: "messages" };
let posting = false;
async function post() {
  if (posting) return;
  posting = true;
  for (let entry; state.polling && (entry = state.outbox.find((one) => !one.failed && !one.shown)); ) {
    try {
      const body = JSON.stringify({ client_msg_id: entry.id, ...entry.body });
      const answer = await fetch(api(PATHS[entry.path] ?? entry.path), { method: "POST", headers: bearer(), body });
      const said = await answer.json();
      if (answer.ok) settle(said);
      else if (answer.status === 429 || answer.status >= 500) await pause(said.retry_after_ms ?? 1_000);
      else refuse(entry.id, said);
    } catch {
      break;
    }
  }
  posting = false;
}
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function settle(ack) {
  const entry = state.outbox.find((one) => one.id === ack.client_msg_id);
  if (!entry) return;
  entry.done = true;
  keep(entry);
  // Shown from here until its item comes, and then from the transcript.
  entry.n = ack.n;
  entry.shown = entry.path !== "message" || !ack.n || ack.n <= state.n;
  state.outbox = state.outbox.filter((one) => !one.done || !one.shown);
  update();
}

function refuse(id, problem) {
  const entry = state.outbox.find((one) => one.id === id);
  if (!entry) return;
  const kind = problem.type?.split("/").pop();
  if (entry.path === "message") {
    entry.failed = ["busy", "too-long"].includes(kind) ? kind : "other";
  } else {
    // Already open, or gone already: what was wanted is so.
    entry.done = true;
    state.outbox = state.outbox.filter((one) => one !== entry);
  }
  keep(entry);
  update();
}

// --- What is heard.

let tries = 0;
async function hello() {
  if (!state.token || performance.now() > state.tokenUntil) {
    const visitor = stored(`${mine}.visitor`) ?? undefined;
    const answer = await fetch(api("sessions"), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inbox, visitor }),
    });
    const said = await answer.json();
    if (!answer.ok) throw { final: answer.status < 500 && answer.status !== 429 };
    if (said.visitor) store(`${mine}.visitor`, said.visitor);
    state.token = said.token;
    state.tokenUntil = performance.now() + said.expires_in_s * 800;
  }
  for (const entry of state.outbox) entry.sent = false;
  tries += 1;
  if (tries % OTHER_PATH_EVERY === 0) return void listen();
  return { type: "hello", token: state.token, after: state.n };
}

/** The other path: server-sent events down, posts up. */
function listen() {
  const url = api("events");
  url.search = new URLSearchParams({ token: state.token, after: state.n });
  const events = new EventSource(url);
  const take = (event) => frame(JSON.parse(event.data));
  events.onopen = () => {
    state.polling = true;
    link.live();
    flush();
  };
  events.addEventListener("item", take);
  events.addEventListener("frame", take);
  const over = () => {
    events.close();
    state.polling = false;
    link.again();
  };
  events.onerror = over;
  events.addEventListener("close", over);
}

function frame(said) {
  switch (said.type) {
    case "welcome":
      tries = 0;
      state.conversation = said.conversation;
      link.live();
      flush();
      break;
    case "item":
      return item(said);
    case "ack":
      return settle(said);
    case "standing":
      state.standing = said;
      break;
    case "typing":
      state.typing = performance.now();
      setTimeout(update, TYPING_SHOWN_MS + 50);
      break;
    case "busy":
      setTimeout(() => {
        for (const entry of state.outbox) entry.sent = false;
        flush();
      }, said.retry_after_ms);
      break;
    case "error":
      if (said.problem.type?.endsWith("resume-ahead")) Object.assign(state, { items: [], n: 0 });
      refuse(said.client_msg_id, said.problem);
  }
  update();
}

function item(said) {
  if (said.n <= state.n) return;
  state.n = said.n;
  state.items.push(said);
  if (said.kind === "agent" || said.kind === "ai") state.typing = 0;
  if (said.kind === "customer") {
    // Ours, most likely: its acknowledgement may come later, or was lost with the last connection.
    const same = (one) => one.path === "message" && !one.shown && (one.n === said.n || (one.unsure && same_body(one.body, said)));
    const entry = state.outbox.find(same);
    if (entry) entry.shown = true;
    state.outbox = state.outbox.filter((one) => !one.done || !one.shown);
  }
  if (["assigned", "ended", "transferred", "began"].includes(said.kind)) state.standing = null;
  update();
}

const same_body = (body, said) => (body.file ? body.file === said.file?.file : body.text === said.text);

/** Where the contact stands: none, bot, waiting, serving, ended. */
function stage() {
  const stages = { began: "bot", queued: "waiting", assigned: "serving", transferred: "waiting", ended: "ended" };
  const last = state.items.findLast((one) => stages[one.kind]);
  if (state.outbox.some((one) => one.path === "begin")) return "waiting";
  return last ? stages[last.kind] : "none";
}

// --- Files.

async function attach(input) {
  const file = input.files[0];
  input.value = "";
  if (!file) return;
  const name = visibleName(file.name);
  if (file.size > state.facts.file_bytes_max) {
    return note(t("file-big", { name, most: bytesText(state.facts.file_bytes_max) }));
  }
  if (link.state !== "live") return note(t("file-offline"));
  note(t("uploading", { name }));
  try {
    const url = api("files");
    url.searchParams.set("name", fitting(file.name, NAME_BYTES_MAX).text);
    const answer = await fetch(url, { method: "POST", headers: bearer(file.type || "application/octet-stream"), body: file });
    const said = await answer.json();
    if (!answer.ok) throw new Error(said.title ?? answer.status);
    note(null);
    say("message", { file: said.file, name: said.name });
  } catch (error) {
    note(t("file-failed", { name, why: visible(error.message) }));
  }
}

async function save(file) {
  const answer = await fetch(api(`files/${file.file}`), { headers: bearer() });
  if (!answer.ok) return note(t("file-failed", { name: visibleName(file.name), why: `${answer.status}` }));
  const a = document.createElement("a");
  // Octets whatever the sender called them: saved, never opened here.
  a.href = URL.createObjectURL(new Blob([await answer.arrayBuffer()], { type: "application/octet-stream" }));
  a.download = visibleName(file.name);
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
}

// --- What is shown.

let noting;
function note(text) {
  state.note = text;
  clearTimeout(noting);
  noting = setTimeout(() => ((state.note = null), update()), 8_000);
  update();
}

function Message({ said, own, status, onRetry }) {
  const ai = said.kind === "ai" || said.ai;
  return html`<li class=${own ? "own" : ai ? "ai" : "other"} data-n=${said.n} data-kind=${said.kind}>
    <span class="who">${own ? t("you") : ai ? t("ai") : t("agent")}${said.at && html` <time>${clockText(said.at)}</time>`}</span>
    ${said.file
      ? html`<button class="file" onClick=${() => save(said.file)}><bdi>${visibleName(said.file.name)}</bdi>
          <small>${bytesText(said.file.bytes)} · ${t("save")}</small></button>`
      : html`<p><bdi>${visible(said.text)}</bdi></p>`}
    ${status && html`<small class="status">${status} ${onRetry && html`<button class="plain" onClick=${onRetry}>${t("retry")}</button>`}</small>`}
  </li>`;
}

function eventText(said) {
  if (said.kind === "began") return t("began", { at: clockText(said.at) });
  if (said.kind === "ended") return t(said.exit === "served" ? "ended-served" : /left|abandoned/.test(said.exit) ? "ended-left" : "ended-other");
  return known(said.kind) ? t(said.kind) : null;
}

function Item({ said }) {
  if (["customer", "agent", "ai"].includes(said.kind)) return html`<${Message} said=${said} own=${said.kind === "customer"} />`;
  const text = eventText(said);
  return html`<li class="event" data-n=${said.n} data-kind=${said.kind}>${text}</li>`;
}

function Pending({ entry }) {
  const again = () => {
    // A refused id stays refused: what is sent again is a new message.
    entry.done = true;
    keep(entry);
    state.outbox = state.outbox.filter((one) => one !== entry);
    say(entry.path, entry.body);
  };
  const status = entry.failed ? t("failed", { why: t(`failure-${entry.failed}`) }) : entry.sent ? t("sending") : t("pending");
  const said = { kind: "customer", text: entry.body.text ?? entry.body.name };
  return html`<${Message} said=${said} own status=${status} onRetry=${entry.failed && again} />`;
}

function Page() {
  const at = stage();
  const open = ["bot", "waiting", "serving"].includes(at);
  const typing = state.typing > 0 && performance.now() - state.typing < TYPING_SHOWN_MS;
  const title = state.facts.title?.[language()];
  const greeting = state.facts.greeting?.[language()];
  const link_state = link.state === "live" && state.polling ? "polling" : link.state;
  const pending = state.outbox.filter((one) => one.path === "message" && !one.shown);
  const human = !open || at === "bot";
  const call = () => say(at === "bot" ? "request_agent" : "begin", {});
  const items = state.items.slice(-state.shown);
  const first = state.elder || state.facts.human_first;
  const human_button = human && html`<button class="human" onClick=${call} title=${t("human-hint")}>${t("human")}</button>`;
  return html`<main class=${state.elder ? "elder" : ""} data-stage=${at} data-link=${link_state} data-n=${state.n}>
    ${first && human_button}
    <header>
      <h1><bdi>${title ? visibleName(title) : t("title")}</bdi></h1>
      <button class="plain" id="elder" aria-pressed=${state.elder} onClick=${elder}>${state.elder ? t("elder-off") : t("elder")}</button>
      <button class="plain" id="language" onClick=${() => speakNow(language() === "zh" ? "en" : "zh")}>${t("language")}</button>
      ${open && html`<button class="plain" id="leave" onClick=${() => ((state.leaving = true), update())}>${t("leave")}</button>`}
    </header>
    <div class="link" data-state=${link_state} role="status">${t(`state-${link_state}`)}</div>
    ${at === "waiting" && html`<section class="standing" aria-live="polite">
      <strong>${state.standing ? t("waiting-position", { position: state.standing.position, waiting: state.standing.waiting }) : t("waiting")}</strong>
      <span>${t(...waitWords(state.standing?.wait_ms))}</span><small>${t("wait-kept")}</small>
    </section>`}
    <ol role="log" aria-live="polite" aria-label=${t("log")} tabindex="0">
      ${state.items.length > state.shown && html`<li class="event"><button class="plain" onClick=${() => ((state.shown += ITEMS_SHOWN), update())}>↑</button></li>`}
      <li class="event greeting">${greeting ? visible(greeting) : t("greeting")}</li>
      ${items.map((said) => html`<${Item} key=${said.n} said=${said} />`)}
      ${pending.map((entry) => html`<${Pending} key=${entry.id} entry=${entry} />`)}
      ${typing && html`<li class="event typing"><i></i><i></i><i></i> ${t("agent")} ${t("typing")}</li>`}
      ${at === "ended" && html`<li class="event">${t("again")}</li>`}
    </ol>
    ${state.leaving && html`<div class="sure" role="alertdialog" aria-label=${t("leave-sure")}><b>${t("leave-sure")}</b>
      <button onClick=${() => ((state.leaving = false), say("leave"))}>${t("yes")}</button>
      <button class="plain" onClick=${() => ((state.leaving = false), update())}>${t("no")}</button></div>`}
    ${state.note && html`<div class="note" role="alert">${state.note}</div>`}
    <form onSubmit=${(event) => event.preventDefault()}>
      ${!first && human_button}
      ${state.facts.file_bytes_max > 0 && html`<label class="attach" title=${t("attach")}>＋<input type="file" aria-label=${t("attach")} onChange=${(event) => attach(event.target)} /></label>`}
      <textarea id="field" ref=${bind} rows="1" placeholder=${t("placeholder")} aria-label=${t("field")} onKeyDown=${key} onInput=${input}></textarea>
      <button id="send" onClick=${submit}>${t("send")}</button>
      ${state.left < 500 && html`<small class="left">${t("left", { bytes: state.left })}</small>`}
    </form>
  </main>`;
}

function bind(field) {
  if (!field || field.bound) return;
  field.bound = true;
  limited(field, () => note(t("cut")));
}

let typed = -TYPING_EVERY_MS;
function input(event) {
  const field = event.target;
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 160)}px`;
  state.left = TEXT_BYTES_MAX - fitting(field.value).bytes;
  if (stage() === "serving" && field.value && performance.now() - typed > TYPING_EVERY_MS) {
    typed = performance.now();
    if (state.polling) fetch(api("typing"), { method: "POST", headers: bearer(), body: "{}" }).catch(() => {});
    else link.send({ type: "typing" });
  }
  update();
}

function key(event) {
  if (event.key !== "Enter" || event.shiftKey || composing(event)) return;
  event.preventDefault();
  submit();
}

function submit() {
  const field = document.getElementById("field");
  const text = field.value.trim();
  field.focus();
  if (!text) return;
  field.value = "";
  field.style.height = "auto";
  state.left = TEXT_BYTES_MAX;
  say("message", { text });
}

function elder() {
  state.elder = !state.elder;
  store("elder", state.elder ? "1" : "0");
  update();
}

async function speakNow(to) {
  await speak("chat", to);
  chosen(to);
  document.title = t("title");
  update();
}

let drawing = null;
function update() {
  // A hidden page gets no frames, and must be true when it is looked at: whichever comes first draws, once.
  drawing ??= { frame: requestAnimationFrame(draw), timer: setTimeout(draw, 200) };
}

function draw() {
  cancelAnimationFrame(drawing?.frame);
  clearTimeout(drawing?.timer);
  drawing = null;
  const log = document.querySelector("ol");
  const low = !log || log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  render(html`<${Page} />`, document.getElementById("page"));
  if (low) document.querySelector("ol").scrollTop = 1e9;
  told();
}

/** Tells the node what the customer has seen. */
function told() {
  if (document.visibilityState !== "visible" || link.state !== "live" || state.polling || state.told === state.n) return;
  state.told = state.n;
  link.send({ type: "ack", n: state.n });
}

async function facts() {
  try {
    const url = api("inbox");
    url.searchParams.set("inbox", inbox);
    const answer = await fetch(url);
    if (answer.ok) state.facts = await answer.json();
  } catch {
    // Without them the page has its own words.
  }
  update();
}

const link = new Link("../v1/web/ws", {
  hello,
  frame,
  change: update,
  closed: (event) => {
    if (event.code === 1008) state.token = null;
  },
});
recall();
await speakNow(firstLanguage());
facts();
link.start();
