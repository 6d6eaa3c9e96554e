// What an agent sees: offers, chats by risk, the conversation, what to know of it. It draws and asks; it decides nothing.
//
// Every text of a customer passes `visible` and stands in a text node of its own isolate. Long conversations are drawn from
// their end; what is further up comes at a press.

import { html } from "./htm-preact.js";
import { KEYS, act, choices, close, current, first, label, nameOf, open, queueName, seat, signIn, submit, ui, update, wrote, toast } from "./desk.js";
import { bytesText, fitting, limited, TEXT_BYTES_MAX, visible, visibleName } from "./text.js";
import { clockText, language, t } from "./words.js";

const ITEMS_MORE = 200;

/** A span of time for people: m:ss. */
function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

export function SignIn() {
  const go = (event) => {
    event.preventDefault();
    const token = event.target.token.value.trim();
    if (token) signIn(token);
  };
  return html`<main class="gate"><form onSubmit=${go}>
    <h1><span class="mark"></span>${t("title")}</h1>
    <p>${t("sign-in-lead")}</p>
    <input name="token" type="password" autocomplete="off" aria-label=${t("token")} placeholder=${t("token")} autofocus />
    <button>${t("sign-in")}</button>
    ${ui.oidc && html`<a class="button" id="oidc" href=${ui.oidc}>${t("sign-in-company")}</a>`}
    <button type="button" class="plain" id="language" onClick=${act.language}>${t("language")}</button>
  </form></main>`;
}

export function Desk() {
  const state = seat.link.state;
  if (state === "replaced" || state === "refused") return html`<${Gone} state=${state} />`;
  return html`<main class="desk" data-link=${state} data-presence=${seat.presence} data-chats=${seat.chats.size}>
    <${Top} state=${state} />
    ${["reconnecting", "offline", "stale"].includes(state) && html`<div class="banner" data-state=${state} role="alert">${t(`banner-${state}`)}</div>`}
    <${Chats} />
    <section class="middle">
      <${Offers} />
      <${Chat} chat=${current()} />
    </section>
    <${Context} chat=${current()} />
    <${Sheet} />
    <div class="toasts" aria-live="polite">${ui.toasts.map((one) => html`<div key=${one.id}>${one.text}</div>`)}</div>
  </main>`;
}

function Gone({ state }) {
  const back = () => signIn(seat.token);
  return html`<main class="gate" data-link=${state}><div class="card">
    <h1><span class="mark"></span>${t(`state-${state}`)}</h1>
    <p>${state === "replaced" ? t("replaced") : t("refused", { why: visible(seat.refusal?.title ?? "") })}</p>
    ${state === "replaced" && html`<button id="back" onClick=${back}>${t("replaced-back")}</button>`}
    ${state === "refused" && html`<form onSubmit=${(event) => (event.preventDefault(), signIn(event.target.token.value.trim()))}>
      <input name="token" type="password" autocomplete="off" aria-label=${t("token")} placeholder=${t("token")} /><button>${t("sign-in")}</button></form>`}
    <button type="button" class="plain" id="language" onClick=${act.language}>${t("language")}</button>
  </div></main>`;
}

function Top({ state }) {
  const why = seat.catalogue.pause.find((one) => one.code === seat.reason) ?? { code: seat.reason };
  const pausing = seat.presence === "paused" && seat.reason ? `: ${label(why, "pause")}` : "";
  return html`<header>
    <b class="brand"><span class="mark"></span>${seat.catalogue.agent ? visibleName(seat.catalogue.agent) : t("title")}</b>
    <span class="pill link" data-state=${state}>${t(`state-${state}`)}</span>
    <span class="pill presence" data-state=${seat.presence}>${t(`presence-${seat.presence}`)}${pausing}</span>
    ${seat.presence === "not_responding" && html`<span class="hint">${t("not-responding")}</span>`}
    <span class="grow"></span>
    ${seat.presence !== "ready" && html`<button id="ready" onClick=${act.ready}>${t("go-ready")} <kbd>Alt R</kbd></button>`}
    <button id="pause" class="quiet" onClick=${() => open("pause")}>${t("pause")} <kbd>Alt P</kbd></button>
    <button class="quiet" onClick=${act.sound} aria-pressed=${ui.sound}>${ui.sound ? t("sound-on") : t("sound-off")}</button>
    ${globalThis.Notification?.permission !== "granted" && html`<button class="quiet" onClick=${act.notify}>${t("notify")}</button>`}
    <button id="language" class="quiet" onClick=${act.language}>${t("language")}</button>
    <button class="quiet" onClick=${() => open("palette")}><kbd>Ctrl K</kbd></button>
    <button class="quiet" onClick=${() => open("help")}><kbd>?</kbd></button>
  </header>`;
}

function Chats() {
  const chats = seat.ordered();
  const late = chats.filter((chat) => seat.risk(chat) === "breach").length;
  return html`<nav aria-label=${t("chats")}>
    <h2>${t("chats")} <small>${chats.length}</small>
      ${late > 0 && html`<button class="late" onClick=${act.overdue}>${t("overdue", { count: late })} <kbd>Alt J</kbd></button>`}</h2>
    ${chats.length === 0 && html`<p class="empty">${t("chats-none")}<br /><small>${seat.presence === "ready" ? t("chats-none-ready") : t("chats-none-lead")}</small></p>`}
    <ul>${chats.map((chat, at) => html`<${Row} key=${chat.claim} chat=${chat} at=${at} />`)}</ul>
  </nav>`;
}

function Row({ chat, at }) {
  const last = chat.items.findLast((item) => item.text || item.file);
  const waited = seat.unanswered(chat);
  const risk = seat.risk(chat);
  const state = chat.wrapUntil ? t("in-wrap-up") : waited ? t("unanswered", { time: span(waited) }) : last ? t("answered") : "";
  return html`<li><button class="row" data-claim=${chat.claim} data-conversation=${chat.conversation} data-risk=${risk} data-n=${chat.n}
      aria-current=${chat.claim === ui.active} onClick=${() => act.go(chat)}>
    <span class="name"><bdi>${nameOf(chat)}</bdi>${chat.unread > 0 && html`<em>${chat.unread}</em>`}</span>
    <span class="when" data-wrap=${Boolean(chat.wrapUntil)}>${state}</span>
    <span class="last"><bdi>${seat.isTyping(chat) ? t("typing") : visibleName(last?.text ?? last?.file?.name ?? "").slice(0, 60)}</bdi></span>
    ${at < 9 && html`<kbd>${at + 1}</kbd>`}
  </button></li>`;
}

function Offers() {
  return html`<div class="offers" role="region" aria-live="assertive">${[...seat.offers.values()].map((offer) => html`<${Offer} key=${offer.offer} offer=${offer} />`)}</div>`;
}

function Offer({ offer }) {
  const left = Math.max(0, offer.until - performance.now());
  const asked = seat.asked("accept", "offer", offer.offer);
  return html`<article class="offer" data-offer=${offer.offer} data-left=${Math.round(left)}>
    <div class="left" style=${{ width: `${(100 * left) / offer.total}%` }}></div>
    <div class="what"><b>${t("offer")}</b>
      <span>${offer.queue && html`<bdi class="tag">${queueName(offer.queue)}</bdi>`}
        ${offer.channel && html`<bdi class="tag">${visibleName(offer.channel)}</bdi>`}${offer.class && html`<bdi class="tag">${visibleName(offer.class)}</bdi>`}
        ${offer.returned && html`<span class="tag warm">${t("offer-returned")}</span>`}
        ${offer.customer && html`<bdi class="tag">${visibleName(offer.customer)}</bdi>`}
        <span class="soft">${t("offer-waited", { time: span(offer.waited_ms ?? offer.now - offer.waiting_since) })}</span></span></div>
    <strong class="count">${left > 0 ? Math.ceil(left / 1000) : "0"}</strong>
    <button class="accept" disabled=${asked || left === 0} onClick=${() => act.accept(offer)}>${left === 0 ? t("offer-expiring") : asked ? t("offer-accepting") : t("accept")} <kbd>Enter</kbd></button>
    <button class="quiet decline" onClick=${() => open("decline")}>${t("decline")} <kbd>Esc</kbd></button>
  </article>`;
}

function Chat({ chat }) {
  if (!chat) return html`<div class="nothing"><span class="mark big"></span><p>${seat.presence === "ready" ? t("chats-none-ready") : t("chats-none-lead")}</p></div>`;
  const items = chat.items.slice(-ui.shown);
  const left = TEXT_BYTES_MAX - fitting(chat.draft ?? "").bytes;
  return html`<div class="chat" data-conversation=${chat.conversation}>
    <div class="bar"><h2><bdi>${nameOf(chat)}</bdi></h2><span class="grow"></span>
      ${!chat.wrapUntil && html`<button class="quiet" id="transfer" onClick=${() => open("transfer")}>${t("transfer")} <kbd>Alt T</kbd></button>
        <button class="quiet" id="end" disabled=${seat.asked("end", "claim", chat.claim)} onClick=${act.end}>${t("end")} <kbd>Alt E</kbd></button>`}</div>
    <ol class="log" role="log" aria-live="polite" tabindex="0">
      ${chat.items.length > ui.shown && html`<li class="event"><button class="quiet" onClick=${() => ((ui.shown += ITEMS_MORE), update())}>${t("earlier")}</button></li>`}
      ${items.map((item) => html`<${Item} key=${item.n} item=${item} />`)}
      ${seat.pending(chat).map((one) => html`<li class="mine pending" key=${one.id}><span class="who">${t("me")} · ${t("pending")}</span><p><bdi>${visible(one.frame.text ?? one.frame.name)}</bdi></p></li>`)}
      ${seat.isTyping(chat) && html`<li class="event typing">${t("customer")} ${t("typing")}</li>`}
    </ol>
    ${chat.wrapUntil ? html`<${WrapUp} chat=${chat} />` : html`<form class="compose" onSubmit=${(event) => event.preventDefault()}>
      ${seat.catalogue.file_bytes_max > 0 && html`<label class="attach" title=${t("attach")}>＋<input type="file" aria-label=${t("attach")} onChange=${(event) => act.attach(event.target)} /></label>`}
      <textarea id="field" rows="2" ref=${bind} placeholder=${t("placeholder")} aria-label=${t("field")} onInput=${(event) => wrote(event.target)}></textarea>
      <button id="send" onClick=${() => submit(document.getElementById("field"))}>${t("send")} <kbd>Enter</kbd></button>
      ${left < 500 && html`<small class="soft">${t("left", { bytes: left })}</small>`}
    </form>`}
  </div>`;
}

function bind(field) {
  if (!field || field.bound) return;
  field.bound = true;
  limited(field, () => toast(t("cut")));
}

function Item({ item }) {
  const own = item.kind === "agent" && item.seat === seat.seat?.replace(/^0+/, "");
  if (["customer", "agent", "ai"].includes(item.kind)) {
    const who = item.kind === "customer" ? t("customer") : item.kind === "ai" || item.ai ? t("ai") : own || !item.seat ? t("me") : t("agent-other");
    return html`<li class=${item.kind === "customer" ? "theirs" : "mine"} data-n=${item.n} data-kind=${item.kind}>
      <span class="who">${who} <time>${clockText(item.at)}</time></span>
      ${item.file
        ? html`<button class="file" onClick=${() => act.save(item.file)}><bdi>${visibleName(item.file.name)}</bdi> <small>${bytesText(item.file.bytes)} · ${t("save")}</small></button>`
        : html`<p><bdi>${visible(item.text)}</bdi></p>`}</li>`;
  }
  const words = ["began", "queued", "assigned", "transferred", "ended"].includes(item.kind) ? t(`item-${item.kind}`) : "";
  return html`<li class="event" data-n=${item.n} data-kind=${item.kind}>${words} <time>${clockText(item.at)}</time></li>`;
}

function WrapUp({ chat }) {
  const left = Math.max(0, Math.ceil((chat.wrapUntil - performance.now()) / 1000));
  return html`<div class="wrapup" role="group" aria-label=${t("wrap-up")}>
    <h3>${t("wrap-up")} <span class="count">${t("wrap-up-left", { seconds: left })}</span></h3>
    <div class="codes">${seat.wrapUps(chat).map((one, at) => html`<button class="quiet" data-code=${one.code} onClick=${() => act.wrapUp(one.code)}>${at < 9 && html`<kbd>${at + 1}</kbd>`} ${label(one, "wrap")}</button>`)}</div>
    <small class="soft">${t("wrap-up-lead")}</small>
  </div>`;
}

function Context({ chat }) {
  if (!chat) return html`<aside class="context"></aside>`;
  const about = seat.about(chat);
  const unknown = t("context-unknown");
  const began = chat.items.filter((item) => item.kind === "began").length;
  const rows = [
    ["context-customer", about.customer && visibleName(about.customer)],
    ["context-contact", chat.contact],
    ["context-queue", about.queue && queueName(about.queue)],
    ["context-channel", about.channel && visibleName(about.channel)],
    ["context-class", about.class && visibleName(about.class)],
    ["context-skills", about.skills && Object.entries(about.skills).map(([name, level]) => `${visibleName(name)} ${level}`).join(", ")],
    ["context-waited", about.waiting_since && span(about.waited_ms ?? about.now - about.waiting_since)],
    ["context-began", began > 1 ? began - 1 : t("kept-none")],
  ];
  return html`<aside class="context"><h2>${t("context")}</h2>
    <dl>${rows.filter(([, value]) => value !== undefined && value !== "" && value !== null).map(([id, value]) => html`<dt>${t(id)}</dt><dd><bdi>${value ?? unknown}</bdi></dd>`)}</dl>
    ${about.returned && html`<p class="tag warm">${t("context-returned")}</p>`}
    <h3>${t("canned")}</h3>
    <ul class="canned">${[1, 2, 3].map((n) => html`<li><button class="quiet" onClick=${() => act.insert(t(`canned-${n}`))}>${t(`canned-${n}`)}</button></li>`)}</ul>
  </aside>`;
}

const SHEETS = { palette: "palette", pause: "pause", decline: "decline-why", canned: "canned", transfer: "transfer-to", help: "help" };

function Sheet() {
  if (!ui.open) return null;
  const title = t(SHEETS[ui.open]);
  const search = (event) => (Object.assign(ui, { search: event.target.value, picked: 0 }), update());
  const toSeat = (event) => (event.preventDefault(), act.transfer({ seat: Number(event.target.seat.value).toString(16) }));
  return html`<div class="veil" onClick=${(event) => event.target === event.currentTarget && close()}>
    <div class="sheet" role="dialog" aria-modal="true" aria-label=${title} data-open=${ui.open} lang=${language() === "zh" ? "zh-CN" : "en"}>
      <h2>${title}<button class="quiet" onClick=${close}>${t("close")} <kbd>Esc</kbd></button></h2>
      ${ui.open === "help" ? html`<p class="soft">${t("help-lead")}</p><dl class="keys">${KEYS.map(([keys, id]) => html`<dt><kbd>${keys}</kbd></dt><dd>${t(id)}</dd>`)}</dl>` : null}
      ${ui.open === "palette" && html`<input type="text" value=${ui.search} onInput=${search} aria-label=${t("palette")} placeholder=${t("palette-hint")} />`}
      <ul class="choices">${choices().map((one, at) => html`<li><button class=${at === ui.picked ? "quiet picked" : "quiet"} onClick=${one.run}>
        ${ui.open !== "palette" && at < 9 && html`<kbd>${at + 1}</kbd>`} <span>${one.text}</span>${one.key && html`<kbd class="end">${one.key}</kbd>`}</button></li>`)}</ul>
      ${ui.open === "transfer" && html`<form class="inline" onSubmit=${toSeat}><input name="seat" type="number" min="1" data-own aria-label=${t("transfer-seat")} placeholder=${t("transfer-seat")} /><button>${t("transfer-go")}</button></form>`}
    </div></div>`;
}
