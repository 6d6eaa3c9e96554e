// Text of strangers, made safe to look at, and sizes as the node counts them.
//
// Nothing here interprets anything: what comes out goes into text nodes only. Characters that would reorder, hide or fake
// text become visible symbols; joiners stay where a script or an emoji needs them.

/** Most bytes of one message, in UTF-8: the node's own limit. */
export const TEXT_BYTES_MAX = 4096;
/** Most bytes of a file's name; the room below holds either. */
export const NAME_BYTES_MAX = 255;

// Written as escapes: this file must not hold what it looks for.
const TRICKS = new RegExp(
  "[\\u0000-\\u0008\\u000B-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180E\\u200B\\u200E\\u200F" +
    "\\u2028-\\u202E\\u2060-\\u206F\\u3164\\uFEFF\\uFFA0\\uFFF9-\\uFFFB\\u{E0000}-\\u{E007F}]" +
    "|(?<!\\p{Script=Arabic})\\u200C|\\u200C(?!\\p{Script=Arabic})" +
    "|(?<![\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\uFE0F])\\u200D|\\u200D(?!\\p{Extended_Pictographic})",
  "gu",
);
const PILES = /(\p{M}{4})\p{M}+/gu;

function symbol(trick) {
  const code = trick.codePointAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return `[U+${code.toString(16).toUpperCase().padStart(4, "0")}]`;
}

/** The text as it may be shown: tricks as symbols, piled-up marks cut to four. */
export function visible(text) {
  return String(text ?? "").replace(/\r\n/g, "\n").replace(TRICKS, symbol).replace(PILES, "$1…");
}

/** As `visible`, on one line: for names of people, files and queues. */
export function visibleName(text) {
  return visible(text).replace(/\s+/g, " ").slice(0, 200);
}

const encoder = new TextEncoder();
const room = new Uint8Array(TEXT_BYTES_MAX + 4);

/** The longest beginning of `text` that fits into `limit` bytes, and its bytes. Never reads more than it needs. */
export function fitting(text, limit = TEXT_BYTES_MAX) {
  const { read, written } = encoder.encodeInto(text, room.subarray(0, Math.max(0, limit)));
  return { text: text.slice(0, read), bytes: written, whole: read === text.length };
}

/** A number of bytes for people. */
export function bytesText(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1048576 ? `${(bytes / 1024).toFixed(0)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`;
}

/** The words for a remaining wait, with their minutes: an interval, rounded outwards, or that nothing can be said. */
export function waitWords(wait) {
  if (!wait) return ["wait-unknown"];
  const [from, to] = [Math.floor(wait.p50 / 60_000), Math.ceil(wait.p90 / 60_000)];
  if (to <= 1) return ["wait-soon"];
  return from === 0 ? ["wait-within", { to }] : ["wait-between", { from, to: Math.max(to, from + 1) }];
}

/** An id that no other page will draw. */
export function freshId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Whether a key event belongs to an input method: then it is nobody's key. 229 is what some browsers send instead of the flag. */
export const composing = (event) => event.isComposing || event.keyCode === 229;

/** Keeps a message within the limit while it is written or pasted; tells `cut` when something was left out. */
export function limited(field, cut) {
  field.addEventListener("paste", (event) => {
    const pasted = event.clipboardData?.getData("text/plain") ?? "";
    const kept = field.value.slice(0, field.selectionStart) + field.value.slice(field.selectionEnd);
    const part = fitting(pasted, TEXT_BYTES_MAX - fitting(kept).bytes);
    if (part.whole) return;
    // Only what fits ever reaches the field: a megabyte in a text area would freeze the page.
    event.preventDefault();
    field.setRangeText(part.text, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    cut();
  });
  field.addEventListener("input", () => {
    const part = fitting(field.value);
    if (part.whole) return;
    field.value = part.text;
    cut();
  });
}
