// The wall: a floor at a glance, from five metres. Read-only; the node pushes a view twice a second, this page draws it.
//
// The shape that it reads stands in docs/protocol.md (Wall). It keeps ten minutes of waiting counts for its line, one a second,
// and says when it has had no news: an old figure must never look like a new one.

import { html, render } from "./htm-preact.js";
import { visibleName } from "./text.js";
import { chosen, clockText, firstLanguage, language, speak, t } from "./words.js";

const KEPT = "tidegate.wall.token";
const QUEUES_SHOWN = 8;
const WRAPS_SHOWN = 6;
const LOST_MS = 5_000;
/** Points of the line: one a second, ten minutes. */
const POINTS = 600;
const AGENTS = ["ready", "busy", "wrap_up", "paused", "not_responding", "signed_out"];

const known = (value) => ![undefined, null, false].includes(value);
/** What the node does not count is not shown as nought. */
const UNKNOWN = "–";

const state = { link: "connecting", view: null, line: [], heard: 0, drawn: 0 };
let events;

function take(event) {
  const view = JSON.parse(event.data);
  const waiting = view.queues.reduce((sum, queue) => sum + queue.waiting, 0);
  const second = Math.floor(performance.now() / 1000);
  // The newest of each second; seconds without news are drawn as they were left.
  const passed = state.line.length ? Math.min(POINTS, second - state.drawn) : 1;
  const kept = passed === 0 ? state.line.slice(0, -1) : state.line;
  const still = Array(Math.max(0, passed - 1)).fill(state.line.at(-1) ?? waiting);
  Object.assign(state, { line: [...kept, ...still, waiting].slice(-POINTS), drawn: second });
  Object.assign(state, { view, link: "live", heard: performance.now() });
  draw();
}

function listen(token) {
  sessionStorage.setItem(KEPT, token);
  events?.close();
  const url = new URL("../v1/wall/events", location);
  url.searchParams.set("token", token);
  events = new EventSource(url);
  events.addEventListener("wall", take);
  events.onmessage = take;
  events.onerror = () => {
    // A refused stream is closed for good; a lost one comes back by itself.
    if (events.readyState === EventSource.CLOSED) {
      state.link = "refused";
      setTimeout(() => state.link === "refused" && listen(token), 5_000);
    }
    draw();
  };
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

function Line() {
  const { line } = state;
  const most = Math.max(4, ...line);
  const [w, h] = [600, 100];
  const x = (at) => ((at + POINTS - line.length) / (POINTS - 1)) * w;
  const y = (value) => h - (value / most) * (h - 6) - 2;
  const points = line.map((value, at) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const area = line.length ? `${x(0).toFixed(1)},${h} ${points} ${w},${h}` : "";
  return html`<svg viewBox="0 0 ${w} ${h}" preserveAspectRatio="none" role="img" aria-label=${t("last-minutes", { minutes: 10 })}>
    <polygon points=${area} class="area" /><polyline points=${points} class="line" /></svg>`;
}

/** Served within X, of the offered: the variant that the wall shows, with its counts beside it. */
const share = (sl) => (sl?.offered > 0 ? Math.round((100 * sl.served_within) / sl.offered) : null);
const seconds = (ms) => (ms < 1000 ? ms / 1000 : Math.round(ms / 1000));
/** "80/20": percent and seconds. */
const target = (sl) => `${sl.target_percent}/${seconds(sl.within_ms)}`;

/** All queues' level together; `within_ms` only where it is everybody's. */
function together(queues) {
  const levels = queues.map((queue) => queue.service_level).filter(Boolean);
  const sum = (field) => levels.reduce((total, one) => total + one[field], 0);
  const same = (field) => levels.every((one) => one[field] === levels[0][field]) && levels[0]?.[field];
  const target_percent = Math.round(levels.reduce((total, one) => total + one.target_percent, 0) / Math.max(1, levels.length));
  return { offered: sum("offered"), served_within: sum("served_within"), within_ms: same("within_ms"), target_percent };
}
const grade = (percent, wanted = 80) => (percent === null ? "none" : percent >= wanted ? "good" : percent >= wanted - 20 ? "warn" : "late");
const called = (one) => visibleName(one[language()] ?? one.name ?? one.code);

function Wall() {
  const { view } = state;
  const lost = performance.now() - state.heard;
  const link = state.link === "live" && lost > LOST_MS ? "lost" : state.link;
  if (!view) return html`<main class="gate" data-link=${link}><form onSubmit=${(event) => (event.preventDefault(), listen(event.target.token.value.trim()))}>
    <h1>${t("title")}</h1><p>${t(`state-${link}`)}</p><input name="token" type="password" autocomplete="off" aria-label=${t("token")} placeholder=${t("token")} /><button>${t("open")}</button>
    <button type="button" class="plain" id="language" onClick=${other}>${t("language")}</button></form></main>`;
  const sum = (field) => view.totals?.[field] ?? view.queues.reduce((total, queue) => total + (queue[field] ?? 0), 0);
  const sl = together(view.queues);
  const percent = share(sl);
  // By queue, offers out included: a customer who is being offered still waits.
  const waiting = view.queues.reduce((total, queue) => total + queue.waiting, 0);
  const waits = view.queues.map((queue) => queue.oldest_wait_ms).filter((wait) => wait !== undefined);
  const there = AGENTS.filter((one) => view.agents[one] !== undefined);
  const free = view.agents.ready ?? 0;
  const mood = waiting > 3 * Math.max(1, free + (view.agents.busy ?? 0)) ? "storm" : waiting > free ? "busy-floor" : "calm";
  const all = Math.max(1, AGENTS.reduce((total, one) => total + (view.agents[one] ?? 0), 0));
  // A column stands where the node counts it for any queue.
  const columns = [
    [t("waiting"), (queue) => queue.waiting],
    // Its place is kept while nobody waits: a wall must not jump.
    [t("oldest"), (queue) => (queue.oldest_wait_ms !== undefined ? span(queue.oldest_wait_ms) : queue.service_level && UNKNOWN)],
    [t("level-column"), (queue) => queue.service_level && (share(queue.service_level) === null ? UNKNOWN : `${share(queue.service_level)}% · ${queue.service_level.served_within}/${queue.service_level.offered}`), true],
    [t("target"), (queue) => queue.service_level && target(queue.service_level)],
    [t("served"), (queue) => queue.served],
    [t("abandoned"), (queue) => queue.abandoned],
  ].filter(([, value]) => view.queues.some((queue) => known(value(queue))));
  const wraps = (view.wrap_ups ?? []).slice(0, WRAPS_SHOWN);
  const queues = [...view.queues].sort((a, b) => b.waiting - a.waiting).slice(0, QUEUES_SHOWN);
  return html`<main data-link=${link} data-mood=${mood}>
    <header><h1>${t("title")}</h1><span class="mood">${t(mood)}</span><span class="grow"></span>
      ${view.speed > 1 && html`<span class="soft">${t("speed", { speed: view.speed })}</span>`}
      ${view.log_time && html`<span class="soft">${t("log-time")} ${clockText(view.log_time)}</span>`}
      <span class="link">${t(`state-${link}`, { seconds: Math.round(lost / 1000) })}</span>
      <button class="plain" id="language" onClick=${other}>${t("language")}</button></header>
    <section class="figures">
      <div><b data-figure="waiting">${waiting}</b><span>${t("waiting")}</span></div>
      <div><b data-figure="oldest">${waits.length ? span(Math.max(...waits)) : UNKNOWN}</b><span>${t("oldest")}</span></div>
      ${sl.target_percent > 0 && html`<div data-grade=${grade(percent, sl.target_percent)}><b data-figure="level">${percent === null ? UNKNOWN : `${percent}%`}</b>
        <span>${sl.within_ms ? t("level", { seconds: seconds(sl.within_ms) }) : t("level-own")}<small>${sl.served_within} / ${sl.offered}</small></span></div>`}
      ${view.totals && html`<div><b data-figure="in-service">${view.totals.in_service}</b><span>${t("in-service")}</span></div>`}
      <div><b data-figure="served">${sum("served")}</b><span>${t("served")}</span></div>
      <div><b data-figure="abandoned">${sum("abandoned")}</b><span>${t("abandoned")}</span></div>
    </section>
    <section class="line"><h2>${t("last-minutes", { minutes: 10 })}
      <span class="soft">${t("rates", { came: view.rates?.in_per_min ?? 0, left: view.rates?.out_per_min ?? 0 })}</span></h2><${Line} /></section>
    <section class="queues"><table><thead><tr><th>${t("queue")}</th>${columns.map(([words]) => html`<th>${words}</th>`)}</tr></thead>
      <tbody>${queues.map((queue) => html`<tr key=${queue.name} data-queue=${queue.name}><td><bdi>${called(queue)}</bdi></td>
        ${columns.map(([, value, graded]) => html`<td data-grade=${graded ? grade(share(queue.service_level), queue.service_level?.target_percent) : ""}>${known(value(queue)) ? value(queue) : UNKNOWN}</td>`)}</tr>`)}</tbody></table>
      ${view.counted_since && html`<p class="soft">${t("counted", { since: clockText(view.counted_since), minutes: 60 })}</p>`}</section>
    <section class="agents"><h2>${t("agents")}</h2><div class="bars">${there.map((one) => html`<i class=${one} key=${one} style=${{ flexGrow: (view.agents[one] ?? 0) / all }}></i>`)}</div>
      <dl>${there.map((one) => html`<div key=${one}><dt><i class=${one}></i>${t(one)}</dt><dd data-agents=${one}>${view.agents[one] ?? 0}</dd></div>`)}</dl>
      ${wraps.length > 0 && html`<h2>${t("wrap-ups")}</h2><dl class="wraps">${wraps.map((one) => html`<div key=${`${one.tenant} ${one.code}`}><dt><bdi>${one.code ? called(one) : t("wrap-ups-other")}</bdi></dt>
        <dd data-code=${one.code}>${one.count}</dd></div>`)}</dl>`}</section>
  </main>`;
}

function draw() {
  render(html`<${Wall} />`, document.getElementById("page"));
}

const other = () => use(language() === "zh" ? "en" : "zh");
async function use(to) {
  await speak("wall", to);
  chosen(to);
  document.title = t("title");
  draw();
}

await use(firstLanguage());
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) history.replaceState(null, "", location.pathname + location.search);
const token = given ?? sessionStorage.getItem(KEPT);
if (token) listen(token);
setInterval(draw, 1_000);
