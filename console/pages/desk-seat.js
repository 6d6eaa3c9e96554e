// An agent's seat as a page knows it: what the node told, what is still to be told to the node, and when things are due.
//
// It draws nothing. Every command has an id of its own and stays in the outbox, over cuts and reloads, until it is answered: the
// node takes it once. Time is the node's: log time is carried on by the browser's monotonic clock, never by its date.

import { Link } from "./link.js";
import { freshId } from "./text.js";

const KEPT = "tidegate.desk";
/** What the node uses when it has no catalogue of its own yet. Codes have words in the Fluent files. */
const PLAIN = {
  agent: "",
  pause: ["break", "lunch", "meeting", "training"].map((code) => ({ code })),
  decline: ["busy", "not-mine", "technical"].map((code) => ({ code })),
  queues: [],
  channels: [],
  warn_ms: 100_000,
  breach_ms: 180_000,
};
const PLAIN_WRAP_UP = ["solved", "follow-up", "no-answer", "spam", "other"].map((code) => ({ code }));
const TYPING_SHOWN_MS = 5_000;
const LEASE_MS = 30_000;

export class Seat {
  presence = "signed_out";
  reason = null;
  catalogue = PLAIN;
  offers = new Map();
  chats = new Map();
  told = new Map();
  outbox = [];
  resume = null;

  constructor(token, hooks) {
    this.token = token;
    this.hooks = hooks;
    this.outbox = JSON.parse(sessionStorage.getItem(`${KEPT}.out`) ?? "[]");
    this.link = new Link(
      "../v1/desk/ws",
      {
        hello: () => this.hello(),
        frame: (frame) => this.frame(frame),
        change: () => hooks.change(),
        closed: (event) => {
          // A desk that was never let in: the token is wrong or has ended.
          if (event.code === 1008 && this.unwelcome) this.link.finish("refused");
        },
      },
      LEASE_MS,
    );
  }

  hello() {
    this.unwelcome = true;
    for (const entry of this.outbox) entry.sent = false;
    const hello = { type: "sign_in", token: this.token };
    if (this.resume) {
      hello.resume = this.resume;
      hello.after = {};
      for (const chat of [...this.chats.values()].slice(0, 64)) hello.after[chat.conversation] = chat.n;
    }
    return hello;
  }

  /** Log time now. */
  now() {
    return this.clock ? this.clock.at + (performance.now() - this.clock.heard) : 0;
  }

  /** A log time as milliseconds of this browser's monotonic clock. */
  due(at, now) {
    return performance.now() + (at - now);
  }

  heardTime(at) {
    if (!this.clock || at > this.now()) this.clock = { at, heard: performance.now() };
  }

  // --- Commands.

  command(type, fields = {}) {
    const entry = { id: freshId(), frame: { type, ...fields } };
    this.outbox.push(entry);
    this.keep();
    this.flush();
    this.hooks.change();
    return entry;
  }

  flush() {
    if (this.link.state !== "live") return;
    for (const entry of this.outbox) {
      if (!entry.sent && !entry.done) entry.sent = this.link.send({ command_id: entry.id, ...entry.frame });
    }
  }

  keep() {
    sessionStorage.setItem(`${KEPT}.out`, JSON.stringify(this.outbox.filter((entry) => !entry.done)));
  }

  settle(id, problem, n) {
    const entry = this.outbox.find((one) => one.id === id);
    if (!entry) return;
    entry.done = true;
    entry.n = n;
    this.keep();
    if (problem) this.hooks.refused(entry, problem);
    const chat = this.chats.get(entry.frame.claim);
    // A message is shown from here until its item comes.
    entry.over = problem || entry.frame.type !== "send" || !chat || n <= chat.n;
    this.outbox = this.outbox.filter((one) => !one.over);
  }

  pending(chat) {
    return this.outbox.filter((one) => one.frame.type === "send" && one.frame.claim === chat.claim && !one.shown);
  }

  /** Whether a command of this kind about this claim or offer is on its way. */
  asked(type, key, id) {
    return this.outbox.some((one) => one.frame.type === type && one.frame[key] === id && !one.done);
  }

  typing(claim) {
    this.link.send({ type: "typing", claim });
  }

  // --- What comes.

  frame(said) {
    switch (said.type) {
      case "welcome":
        Object.assign(this, { seat: said.seat, resume: said.resume, resumed: said.resumed, unwelcome: false });
        this.link.live();
        this.flush();
        break;
      case "snapshot":
        this.snapshot(said);
        break;
      case "catalogue":
        this.catalogue = { ...PLAIN, ...said, pause: said.pause ?? said.pause_reasons ?? PLAIN.pause, decline: said.decline ?? said.decline_reasons ?? PLAIN.decline };
        break;
      case "presence":
        this.presence = said.presence;
        this.reason = said.reason ?? null;
        break;
      case "offered":
        this.offered(said);
        this.hooks.alert("offer");
        break;
      case "rescinded":
        this.offers.delete(said.offer);
        this.hooks.rescinded(said.why);
        break;
      case "assigned":
        this.offers.delete(said.claim);
        this.assigned(said);
        break;
      case "wrap_up": {
        const chat = this.chats.get(said.claim);
        if (chat) chat.wrapUntil = this.due(said.until, this.now());
        break;
      }
      case "released":
        this.chats.delete(said.claim);
        break;
      case "item":
        this.item(said);
        break;
      case "typing":
        for (const chat of this.chats.values()) if (chat.conversation === said.conversation) chat.typing = performance.now();
        setTimeout(this.hooks.change, TYPING_SHOWN_MS + 50);
        break;
      case "ack":
        this.settle(said.command_id, null, said.n);
        break;
      case "error":
        if (said.command_id) this.settle(said.command_id, said.problem, 0);
        else if (this.unwelcome) this.refusal = said.problem;
        break;
      case "busy":
        setTimeout(() => {
          for (const entry of this.outbox) entry.sent = false;
          this.flush();
        }, said.retry_after_ms);
        break;
      case "replaced":
        this.link.finish("replaced");
    }
    this.hooks.change();
  }

  snapshot(said) {
    this.clock = { at: said.at, heard: performance.now() };
    Object.assign(this, { presence: said.presence, reason: said.reason ?? null });
    this.offers.clear();
    for (const offer of said.offers) this.offered({ ...offer, now: said.at });
    const before = this.chats;
    this.chats = new Map();
    for (const claim of said.claims) {
      const same = [...before.values()].find((chat) => chat.conversation === claim.conversation);
      const chat = this.assigned(claim, same);
      chat.wrapUntil = claim.wrap_up_until ? this.due(claim.wrap_up_until, said.at) : null;
    }
  }

  offered(said) {
    this.heardTime(said.now);
    this.told.set(said.contact, said);
    // Contacts come and go all day; what was told of them need not stay.
    if (this.told.size > 500) this.told.delete(this.told.keys().next().value);
    this.offers.set(said.offer, { ...said, until: this.due(said.deadline, said.now), total: Math.max(1, said.timeout_ms), seen: performance.now() });
    const channel = this.catalogue.channels.find((one) => one.name === said.channel);
    if (channel?.auto_accept) this.command("accept", { offer: said.offer });
  }

  assigned(said, same) {
    const chat = same ?? this.chats.get(said.claim) ?? { items: [], n: 0, draft: "", unread: 0 };
    Object.assign(chat, { claim: said.claim, contact: said.contact, conversation: said.conversation, wrapUntil: null });
    this.chats.set(said.claim, chat);
    return chat;
  }

  item(said) {
    const chat = [...this.chats.values()].find((one) => one.conversation === said.conversation);
    if (!chat || said.n <= chat.n) return;
    if (said.n > chat.n + 1) return void this.link.send({ type: "follow", conversation: chat.conversation, after: chat.n });
    chat.n = said.n;
    chat.items.push(said);
    this.heardTime(said.at);
    if (said.kind === "customer" || said.kind === "ended") chat.typing = 0;
    if (said.kind === "customer") {
      chat.unread += 1;
      this.hooks.alert("message", chat);
    }
    if (said.kind === "agent") {
      const mine = (one) => one.frame.type === "send" && one.frame.claim === chat.claim && !one.shown;
      const entry = this.outbox.find((one) => mine(one) && (one.n ? one.n === said.n : one.frame.text === said.text && one.frame.file === said.file?.file));
      if (entry) entry.shown = true;
      this.outbox = this.outbox.filter((one) => !(one.done && one.shown));
    }
  }

  // --- Questions.

  /** How long the customer has been waiting for an answer, in milliseconds of log time; 0 when nobody waits. */
  unanswered(chat) {
    if (chat.wrapUntil) return 0;
    const answered = chat.items.findLastIndex((item) => item.kind === "agent");
    const oldest = chat.items.slice(answered + 1).find((item) => item.kind === "customer");
    return oldest ? Math.max(0, this.now() - oldest.at) : 0;
  }

  risk(chat) {
    const waited = this.unanswered(chat);
    return waited >= this.catalogue.breach_ms ? "breach" : waited >= this.catalogue.warn_ms ? "warn" : "calm";
  }

  /** Chats by risk of breach: the longest unanswered first, wrap-up last. */
  ordered() {
    const rank = (chat) => (chat.wrapUntil ? -1 : this.unanswered(chat));
    return [...this.chats.values()].sort((a, b) => rank(b) - rank(a) || (a.claim < b.claim ? -1 : 1));
  }

  isTyping = (chat) => chat.typing > 0 && performance.now() - chat.typing < TYPING_SHOWN_MS;

  about(chat) {
    return this.told.get(chat.contact) ?? {};
  }

  wrapUps(chat) {
    const queue = this.catalogue.queues.find((one) => one.name === this.about(chat).queue);
    return queue?.wrap_up ?? this.catalogue.wrap_up_codes ?? PLAIN_WRAP_UP;
  }
}
