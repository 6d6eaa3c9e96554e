// An agent's desk: what the agent does, by mouse, key or palette; each act is one function here, whatever asked for it.
//
// The seat (desk-seat.js) says what is so, the view (desk-view.js) draws it; this file holds what is open on the screen and
// what a key means at the moment. No key is taken while an input method is composing.

import { html, render } from "./htm-preact.js";
import { Seat } from "./desk-seat.js";
import { Desk, SignIn } from "./desk-view.js";
import { bytesText, composing, fitting, NAME_BYTES_MAX, visible, visibleName } from "./text.js";
import { chosen, firstLanguage, known, language, speak, store, stored, t } from "./words.js";

const TOKEN = "tidegate.desk.token";
/** An Enter that was meant for something else must not accept an offer that has just slid under it. */
const OFFER_SETTLES_MS = 400;
const TYPING_EVERY_MS = 2_000;
const ITEMS_SHOWN = 200;

/** What is open on the screen. */
export const ui = {
  active: null,
  /** help, palette, pause, canned, decline, transfer; one at a time. */
  open: null,
  picked: 0,
  search: "",
  shown: ITEMS_SHOWN,
  toasts: [],
  sound: stored("desk.sound") !== "0",
  /** Where people sign in, when the node has a provider. */
  oidc: null,
};
export let seat = null;

// --- Acts.

export const act = {
  accept: (offer = first()) => offer && !seat.asked("accept", "offer", offer.offer) && seat.command("accept", { offer: offer.offer }),
  decline(offer, code) {
    close();
    seat.command("decline", { offer: offer.offer, reason: code });
  },
  ready: () => (close(), seat.command("presence", { state: "ready" })),
  pause: (code) => (close(), seat.command("presence", { state: "paused", reason: code })),
  signOut() {
    seat.command("sign_out");
    leave();
  },
  go(chat) {
    const field = document.getElementById("field");
    const before = current();
    if (before && field) before.draft = field.value;
    ui.active = chat?.claim ?? null;
    ui.shown = ITEMS_SHOWN;
    if (chat) chat.unread = 0;
    close();
    after(() => {
      const next = document.getElementById("field");
      if (next) next.value = chat?.draft ?? "";
      next?.focus();
      scrollDown();
    });
  },
  step(by) {
    const chats = seat.ordered();
    if (!chats.length) return;
    const at = chats.findIndex((chat) => chat.claim === ui.active);
    act.go(chats[(at + by + chats.length) % chats.length]);
  },
  overdue: () => act.go(seat.ordered()[0]),
  send(text) {
    const chat = current();
    if (!chat || chat.wrapUntil || !text.trim()) return;
    chat.draft = "";
    seat.command("send", { claim: chat.claim, text: text.trim() });
    after(scrollDown);
  },
  end: () => current() && !current().wrapUntil && seat.command("end", { claim: current().claim }),
  wrapUp: (code) => current()?.wrapUntil && seat.command("wrap_up", { claim: current().claim, code }),
  transfer(to) {
    const chat = current();
    close();
    if (chat) seat.command("transfer", { claim: chat.claim, to });
  },
  sound() {
    ui.sound = !ui.sound;
    store("desk.sound", ui.sound ? "1" : "0");
    if (ui.sound) beep();
    update();
  },
  async notify() {
    if (globalThis.Notification) await Notification.requestPermission();
    update();
  },
  async language() {
    await use(language() === "zh" ? "en" : "zh");
  },
  async attach(input) {
    const file = input.files[0];
    const chat = current();
    input.value = "";
    if (!file || !chat) return;
    const name = visibleName(file.name);
    const most = seat.catalogue.file_bytes_max;
    if (file.size > most) return toast(t("file-big", { name, most: bytesText(most) }));
    const url = new URL("../v1/desk/files", location);
    url.searchParams.set("name", fitting(file.name, NAME_BYTES_MAX).text);
    url.searchParams.set("claim", chat.claim);
    try {
      const headers = { authorization: `Bearer ${seat.token}`, "content-type": file.type || "application/octet-stream" };
      const answer = await fetch(url, { method: "POST", headers, body: file });
      const said = await answer.json();
      if (!answer.ok) throw new Error(said.title ?? answer.status);
      seat.command("send", { claim: chat.claim, file: said.file, name: said.name });
    } catch (error) {
      toast(t("file-failed", { name, why: visible(error.message) }));
    }
  },
  async save(file) {
    const answer = await fetch(new URL(`../v1/desk/files/${file.file}`, location), { headers: { authorization: `Bearer ${seat.token}` } });
    if (!answer.ok) return toast(t("file-failed", { name: visibleName(file.name), why: `${answer.status}` }));
    const a = document.createElement("a");
    // Octets whatever the sender called them: saved, never opened here.
    a.href = URL.createObjectURL(new Blob([await answer.arrayBuffer()], { type: "application/octet-stream" }));
    a.download = visibleName(file.name);
    a.click();
    setTimeout(() => URL.revokeObjectURL(a.href), 60_000);
  },
  insert(text) {
    close();
    after(() => {
      const field = document.getElementById("field");
      if (!field) return;
      field.focus();
      field.setRangeText(text, field.value === "/" ? 0 : field.selectionStart, field.selectionEnd, "end");
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    });
  },
  keepReply() {
    const text = current()?.draft?.trim();
    close();
    if (text) store("desk.canned", JSON.stringify([...ownReplies(), text].slice(-20)));
  },
};

const ownReplies = () => JSON.parse(stored("desk.canned") ?? "[]");
export const replies = () => [1, 2, 3, 4, 5].map((n) => t(`canned-${n}`)).concat(ownReplies());
export const current = () => seat?.chats.get(ui.active);
export const first = () => [...seat.offers.values()][0];
/** A choice's words: the node's in the language spoken, else ours by its code, else the code. */
export const label = (choice, group) => visibleName(choice[language()] ?? (known(`${group}-${choice.code}`) ? t(`${group}-${choice.code}`) : choice.code));
/** A queue's name in the language spoken, as the policy says it. */
export const queueName = (name) => visibleName(seat.catalogue.queues.find((one) => one.name === name)?.[language()] ?? name);
export const nameOf = (chat) => {
  const name = seat.about(chat).customer;
  return name ? visibleName(name) : t("customer-n", { contact: chat.contact });
};

export function open(what) {
  Object.assign(ui, { open: what, picked: 0, search: "" });
  update();
  after(() => (document.querySelector(".sheet input[type=text]") ?? document.querySelector(".sheet .picked") ?? document.querySelector(".sheet button"))?.focus());
}

export function close() {
  ui.open = null;
  update();
  after(() => document.getElementById("field")?.focus());
}

/** Everything that can be done now, for the palette. */
export function acts() {
  const chat = current();
  const list = seat.ordered().map((one) => ({ text: t("go-to", { name: nameOf(one) }), run: () => act.go(one) }));
  if (first()) list.push({ text: t("accept"), key: "Enter", run: () => act.accept() }, { text: t("decline"), key: "Esc", run: () => open("decline") });
  if (seat.presence !== "ready") list.push({ text: t("go-ready"), key: "Alt R", run: act.ready });
  for (const choice of seat.catalogue.pause) list.push({ text: `${t("pause")}: ${label(choice, "pause")}`, run: () => act.pause(choice.code) });
  if (chat && !chat.wrapUntil) {
    list.push({ text: t("transfer"), key: "Alt T", run: () => open("transfer") }, { text: t("end"), key: "Alt E", run: act.end });
    list.push({ text: t("canned"), key: "/", run: () => open("canned") });
  }
  if (chat?.wrapUntil) for (const choice of seat.wrapUps(chat)) list.push({ text: `${t("in-wrap-up")}: ${label(choice, "wrap")}`, run: () => act.wrapUp(choice.code) });
  list.push(
    { text: t("jump"), key: "Alt J", run: act.overdue },
    { text: t("next-chat"), key: "Alt ↓", run: () => act.step(1) },
    { text: t("previous-chat"), key: "Alt ↑", run: () => act.step(-1) },
    { text: t("sound"), run: act.sound },
    { text: t("notify"), run: act.notify },
    { text: t("language"), run: act.language },
    { text: t("help"), key: "F1", run: () => open("help") },
    { text: t("sign-out"), run: act.signOut },
  );
  return list;
}

/** What the open sheet lists: words and what choosing does. */
export function choices() {
  const offer = first();
  switch (ui.open) {
    case "palette": {
      const wanted = ui.search.toLowerCase();
      return acts().filter((one) => one.text.toLowerCase().includes(wanted));
    }
    case "pause":
      return seat.catalogue.pause.map((one) => ({ text: label(one, "pause"), run: () => act.pause(one.code) }));
    case "decline":
      return offer ? seat.catalogue.decline.map((one) => ({ text: label(one, "decline"), run: () => act.decline(offer, one.code) })) : [];
    case "canned": {
      const list = replies().map((text) => ({ text: visible(text), run: () => act.insert(text) }));
      if (current()?.draft?.trim().length > 1) list.push({ text: t("canned-keep"), run: act.keepReply });
      return list;
    }
    case "transfer": {
      const queues = seat.catalogue.queues.filter((one) => one.transfer !== false).map((one) => (typeof one === "string" ? { name: one } : one));
      return queues.map((one) => ({ text: visibleName(one[language()] ?? one.name), run: () => act.transfer({ queue: one.name }) }));
    }
  }
  return [];
}

// --- Keys. The list is also the help page's.

export const KEYS = [
  ["Enter · Alt Enter", "key-accept"],
  ["Esc", "key-decline"],
  ["Enter · Shift Enter", "key-send"],
  ["Alt 1–9 · Alt ↓ · Alt ↑", "key-chats"],
  ["Alt J", "key-overdue"],
  ["/", "key-canned"],
  ["Ctrl K", "key-palette"],
  ["Alt R", "key-ready"],
  ["Alt P", "key-pause"],
  ["Alt T", "key-transfer"],
  ["Alt E", "key-end"],
  ["1–9", "key-wrap"],
  ["F1 · ?", "key-help"],
  ["Esc", "key-close"],
];

const ALT = {
  KeyR: () => act.ready(),
  KeyP: () => open("pause"),
  KeyT: () => current() && !current().wrapUntil && open("transfer"),
  KeyE: () => act.end(),
  KeyJ: () => act.overdue(),
  ArrowDown: () => act.step(1),
  ArrowUp: () => act.step(-1),
};

/** What a key means now; nothing when it is not ours. */
function meaning(event) {
  const field = event.target.closest?.("textarea, input");
  const writing = Boolean(field?.value);
  const offer = first();
  const settled = offer && performance.now() - offer.seen > OFFER_SETTLES_MS;
  if ((event.ctrlKey || event.metaKey) && event.code === "KeyK") return () => (ui.open === "palette" ? close() : open("palette"));
  if (event.key === "F1") return () => (ui.open === "help" ? close() : open("help"));
  if (event.ctrlKey || event.metaKey) return null;
  if (ui.open) return inSheet(event, field);
  if (event.altKey) {
    if (event.key === "Enter") return offer && (() => act.accept(offer));
    const digit = event.code.match(/^Digit([1-9])$/)?.[1];
    const chat = digit && seat.ordered()[digit - 1];
    return chat ? () => act.go(chat) : ALT[event.code];
  }
  if (event.key === "Escape") return offer && (() => open("decline"));
  if (event.key === "Enter" && !event.shiftKey) {
    if (field?.id === "field" && writing) return () => submit(field);
    if (event.target.closest?.("button, a")) return null;
    return settled ? () => act.accept(offer) : field?.id === "field" ? () => {} : null;
  }
  if (writing) return null;
  const chat = current();
  if (event.key === "/" && chat && !chat.wrapUntil) return () => open("canned");
  if (field) return null;
  if (event.key === "?") return () => open("help");
  if (/^[1-9]$/.test(event.key) && chat?.wrapUntil) {
    const choice = seat.wrapUps(chat)[event.key - 1];
    return choice && (() => act.wrapUp(choice.code));
  }
  return null;
}

function inSheet(event, field) {
  const list = choices();
  const pick = (by) => () => {
    ui.picked = (ui.picked + by + list.length) % Math.max(1, list.length);
    update();
    // Where one types, one goes on typing; elsewhere the focus goes with the choice.
    after(() => {
      const picked = document.querySelector(".sheet .picked");
      picked?.scrollIntoView({ block: "nearest" });
      if (!field) picked?.focus();
    });
  };
  if (event.key === "Escape") return close;
  if (event.key === "ArrowDown") return pick(1);
  if (event.key === "ArrowUp") return pick(-1);
  if (event.key === "Enter" && field?.dataset.own === undefined) return () => (list[ui.picked] ? list[ui.picked].run() : close());
  if (/^[1-9]$/.test(event.key) && !field && list[event.key - 1]) return list[event.key - 1].run;
  return null;
}

function onKey(event) {
  if (composing(event) || !seat || event.defaultPrevented) return;
  const does = meaning(event);
  if (!does) return;
  event.preventDefault();
  does();
}

export function submit(field) {
  const text = field.value;
  field.value = "";
  act.send(text);
  update();
}

let typed = -TYPING_EVERY_MS;
export function wrote(field) {
  const chat = current();
  if (!chat) return;
  chat.draft = field.value;
  if (field.value && performance.now() - typed > TYPING_EVERY_MS) {
    typed = performance.now();
    seat.typing(chat.claim);
  }
  update();
}

// --- What asks for attention.

let audio;
function beep(high = true) {
  if (!ui.sound) return;
  try {
    audio ??= new AudioContext();
    const tone = audio.createOscillator();
    const gain = audio.createGain();
    tone.frequency.value = high ? 880 : 587;
    gain.gain.setValueAtTime(0.08, audio.currentTime);
    gain.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + 0.35);
    tone.connect(gain).connect(audio.destination);
    tone.start();
    tone.stop(audio.currentTime + 0.4);
  } catch {
    // No sound device: the page shows all that it would say.
  }
}

function alertAgent(kind, chat) {
  const looking = document.visibilityState === "visible" && (kind === "offer" || chat?.claim === ui.active);
  if (chat && looking) chat.unread = 0;
  if (!looking || kind === "offer") beep(kind === "offer");
  // Never a customer's words in a notice: it shows on locked screens.
  if (!looking && globalThis.Notification?.permission === "granted") new Notification(t(`notice-${kind}`), { tag: `tidegate-${kind}` });
}

export function toast(text) {
  const one = { text, id: performance.now() };
  ui.toasts = [...ui.toasts.slice(-3), one];
  setTimeout(() => {
    ui.toasts = ui.toasts.filter((other) => other !== one);
    update();
  }, 6_000);
  update();
}

// --- Drawing.

let drawing = null;
let afters = [];
const after = (what) => (afters.push(what), update());

export function update() {
  // A hidden page gets no frames, and its title must still call: whichever comes first draws, once.
  drawing ??= { frame: requestAnimationFrame(draw), timer: setTimeout(draw, 200) };
}

function draw() {
  cancelAnimationFrame(drawing?.frame);
  clearTimeout(drawing?.timer);
  drawing = null;
  if (seat && (ui.active !== null || seat.chats.size) && !seat.chats.has(ui.active)) {
    ui.active = seat.ordered()[0]?.claim ?? null;
    const chat = current();
    if (chat) chat.unread = 0;
    after(() => {
      const field = document.getElementById("field");
      if (field) field.value = chat?.draft ?? "";
      scrollDown();
    });
  }
  if (ui.open === "decline" && !first()) ui.open = null;
  const log = document.querySelector(".log");
  const low = !log || log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  render(html`<${seat ? Desk : SignIn} />`, document.getElementById("page"));
  if (low) scrollDown();
  const due = afters;
  afters = [];
  for (const one of due) one();
  const waits = seat ? seat.offers.size + [...seat.chats.values()].filter((chat) => chat.unread).length : 0;
  document.title = waits ? `(${waits}) ${t("title")}` : t("title");
}

function scrollDown() {
  const log = document.querySelector(".log");
  if (log) log.scrollTop = log.scrollHeight;
}

// --- In and out.

export function signIn(token) {
  sessionStorage.setItem(TOKEN, token);
  seat?.link.stop();
  seat = new Seat(token, {
    change: update,
    alert: alertAgent,
    rescinded: (why) => known(`rescinded-${why}`) && toast(t(`rescinded-${why}`)),
    refused: (entry, problem) => toast(t("failed", { why: visible(problem.title ?? problem.type) })),
  });
  ui.active = null;
  seat.link.start();
  update();
}

function leave() {
  sessionStorage.removeItem(TOKEN);
  const old = seat;
  // Its last command must still go out.
  setTimeout(() => old.link.finish("refused"), 300);
  seat = null;
  update();
}

async function use(to) {
  await speak("desk", to);
  chosen(to);
  update();
}

async function methods() {
  try {
    const answer = await fetch(new URL("../v1/auth/methods", location));
    const said = answer.ok ? await answer.json() : {};
    // A path of this node, whatever stands before it: back here, and nowhere else, afterwards.
    ui.oidc = said.oidc && new URL(`..${said.oidc.start}?return=${encodeURIComponent(location.pathname)}`, location).href;
  } catch {
    // A token still works.
  }
  update();
}

await use(firstLanguage());
addEventListener("keydown", onKey);
setInterval(() => seat && update(), 500);
const given = new URLSearchParams(location.hash.slice(1)).get("token");
// At once: an address is copied, logged and looked at over shoulders.
if (given) history.replaceState(null, "", location.pathname + location.search);
const token = given ?? sessionStorage.getItem(TOKEN);
if (token) signIn(token);
else {
  methods();
  update();
}
