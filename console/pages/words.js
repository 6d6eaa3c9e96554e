// The words of a page, from the Fluent files that both languages share with the rest of the house.
//
// A page has one file a language; a change of it loses no state. The tests hold both to
// the same keys, and hold the pages to have no words of their own.

import { FluentBundle, FluentResource } from "./fluent-bundle.js";

const LOCALES = { en: "en", zh: "zh-CN" };
const bundles = {};
let spoken = "en";

/** The language to begin with: asked for in the address, chosen last time, or the browser's. */
export function firstLanguage() {
  const asked = new URLSearchParams(location.search).get("lang") ?? stored("lang") ?? navigator.language;
  return asked?.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** What this browser was told to remember; storage may be forbidden, and then nothing is remembered. */
export function stored(key) {
  try {
    return localStorage.getItem(`tidegate.${key}`);
  } catch {
    return null;
  }
}

/** Remembers; `null` forgets. */
export function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(`tidegate.${key}`);
    else localStorage.setItem(`tidegate.${key}`, value);
  } catch {
    // A private window: the page works, and a reload begins anew.
  }
}

/** Remembers a choice of language, in the address too where it named one: a reload must not undo it. */
export function chosen(language) {
  store("lang", language);
  const address = new URL(location);
  if (!address.searchParams.has("lang")) return;
  address.searchParams.set("lang", language);
  history.replaceState(null, "", address);
}

async function load(page, language) {
  if (bundles[language]) return;
  const answer = await fetch(new URL(`l10n/${language}/${page}.ftl`, import.meta.url));
  if (!answer.ok) throw new Error(`${answer.status}`);
  const bundle = new FluentBundle(LOCALES[language]);
  bundle.addResource(new FluentResource(await answer.text()));
  bundles[language] = bundle;
}

/** Speaks a language from now on. The other one is fetched behind it: whoever is cut off may still change it. */
export async function speak(page, language) {
  await load(page, language);
  spoken = language;
  document.documentElement.lang = LOCALES[language];
  for (const other of Object.keys(LOCALES)) load(page, other).catch(() => {});
}

/** The language spoken now. */
export const language = () => spoken;

/** A message in the language spoken now. */
export function t(id, args) {
  const bundle = bundles[spoken];
  const message = bundle?.getMessage(id);
  return message?.value ? bundle.formatPattern(message.value, args, []) : id;
}

/** Whether there are words for `id`. */
export const known = (id) => bundles[spoken]?.hasMessage(id) ?? false;

/** The time of day of a log time. */
export const clockText = (at) =>
  new Intl.DateTimeFormat(LOCALES[spoken], { hour: "2-digit", minute: "2-digit" }).format(at);
