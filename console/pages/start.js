// The first page: where a newcomer goes from here. It knows nothing but addresses.

import { html, render } from "./htm-preact.js";
import { chosen, firstLanguage, language, speak, t } from "./words.js";

const DOORS = [
  ["chat", "chat/"],
  ["desk", "desk/"],
  ["wall", "wall/"],
  ["api", "docs/api"],
];

async function use(to) {
  await speak("start", to);
  chosen(to);
  document.title = t("title");
  const other = () => use(language() === "zh" ? "en" : "zh");
  const door = ([id, href]) => html`<a href=${href}><b>${t(id)}</b><span>${t(`${id}-lead`)}</span></a>`;
  render(
    html`<main><header><img src="console/icon.svg" alt="" width="56" height="56" /><h1>${t("title")}</h1><button id="language" onClick=${other}>${t("language")}</button></header>
      <p>${t("lead")}</p><nav>${DOORS.map(door)}</nav></main>`,
    document.getElementById("page"),
  );
}

use(firstLanguage());
