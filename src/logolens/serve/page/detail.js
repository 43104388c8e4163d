// One answer, large: the box, what speaks for it, all labels, and where it stands.

import { bars, photo } from "./cards.js";
import { byId, count, linkOf, make, percent, shown } from "./dom.js";
import { named, words } from "./said.js";

const FEW = 8; // labels and places shown until more are asked for
const MANY = 1000; // and at most: more is no list to read
const dialog = byId("detail");
const large = byId("large");
let entries = [];
let at = 0;
let closed = () => {};
let own = null; // the address of the picture shown, which is let go of with it
let turn = 0;

export function open(list, position, whenClosed) {
  entries = list;
  at = position;
  closed = whenClosed;
  show();
  if (!dialog.open) dialog.showModal();
  byId("close").focus();
}

// What is known of an entry has changed while it is looked at.
export function refresh(entry) {
  if (dialog.open && entries[at] === entry) show();
}

export function close() {
  if (dialog.open) dialog.close();
}

function go(step) {
  if (at + step < 0 || at + step >= entries.length) return;
  at += step;
  show();
}

function link(text) {
  const href = linkOf(text);
  const words = make("bdi", {}, shown(text));
  return href ? make("a", { href, target: "_blank", rel: "noopener noreferrer" }, words) : words;
}

// A list of which the first few are shown.
function some(things, item) {
  const list = make("ul", { className: "places" }, ...things.slice(0, FEW).map(item));
  if (things.length <= FEW) return [list];
  const more = make("button", { type: "button" }, `Show ${things.length > MANY ? `${MANY.toLocaleString("en")} of ` : "all "}${things.length.toLocaleString("en")}`);
  more.addEventListener("click", () => {
    list.replaceChildren(...things.slice(0, MANY).map(item));
    more.remove();
    byId("close").focus();
  });
  return [list, more];
}

function facts(entry) {
  const { head, line } = words(entry);
  const parts = [make("h2", { id: "detail-title" }, head), make("p", { className: `said ${entry.verdict}` }, line)];
  if (entry.reason) parts.push(make("p", { className: "bad" }, shown(entry.reason)));
  if (entry.read) parts.push(make("p", { className: "said" }, entry.read));
  const scores = Object.keys(entry.scores ?? {}).length;
  if (scores) {
    const list = make("div", { className: "scores" }, ...bars(entry, FEW));
    parts.push(make("h3", {}, "How sure of each"), list);
    if (scores > FEW) {
      const more = make("button", { type: "button" }, `Show all ${scores}`);
      more.addEventListener("click", () => {
        list.replaceChildren(...bars(entry, scores));
        more.remove();
        byId("close").focus();
      });
      parts.push(more);
    }
  }
  if (entry.logos) {
    parts.push(make("h3", {}, "Every logo in it"));
    if (entry.logos.length) parts.push(make("ul", { className: "places" }, ...entry.logos.map((logo) => make("li", {}, `${named(logo.label)}, ${percent(logo.confidence)}`))));
    else parts.push(make("p", {}, "None is likelier there than not."));
  }
  const about = [entry.width ? `${entry.width} × ${entry.height} pixels` : "", entry.change ? `${entry.change} since the last scan` : "", entry.bundle ? `asked of ${shown(entry.bundle)}` : ""].filter(Boolean);
  if (about.length) parts.push(make("p", { className: "soft" }, about.join(", ")));
  if (entry.places?.length) parts.push(make("h3", {}, `Stands in ${count(entry.places.length, "place")}`), ...some(entry.places, (place) => make("li", {}, link(place))));
  if (!entry.places?.includes(entry.name)) parts.push(make("p", { className: "full" }, make("bdi", {}, shown(entry.name))));
  return parts;
}

async function show() {
  const entry = entries[at];
  const mine = ++turn;
  byId("previous").disabled = at === 0;
  byId("next").disabled = at === entries.length - 1;
  byId("position").textContent = `${(at + 1).toLocaleString("en")} of ${entries.length.toLocaleString("en")}`;
  byId("detail-facts").replaceChildren(...facts(entry));
  byId("show-box-field").hidden = !entry.boxes?.length;
  byId("show-heat-field").hidden = !entry.heat || entry.verdict === "waiting" || Boolean(entry.reason);
  large.replaceChildren();
  large.classList.toggle("kept", !entry.own); // A small picture, shown somewhat larger.
  const url = entry.verdict === "error" ? null : await entry.full();
  if (mine !== turn) return entry.own && url && URL.revokeObjectURL(url);
  if (own) URL.revokeObjectURL(own);
  own = entry.own ? url : null;
  if (url) large.replaceChildren(photo(url, entry.boxes, "This browser cannot show it.", true));
  else large.replaceChildren(make("span", { className: "blank" }, entry.verdict === "error" ? "No picture: it cannot be read." : entry.blank ?? "This browser cannot show it."));
  layers();
}

async function layers() {
  const entry = entries[at];
  const mine = turn;
  large.classList.toggle("unboxed", !byId("show-box").checked);
  large.querySelectorAll(".heat, .note").forEach((element) => element.remove());
  if (!byId("show-heat").checked || byId("show-heat-field").hidden || !entry.heat) return;
  const note = make("p", { className: "note", role: "status" }, "Looking what speaks for it…");
  large.append(note);
  try {
    entry.heated ??= await entry.heat();
  } catch (error) {
    note.textContent = shown(error.message);
    return;
  }
  note.remove();
  if (mine !== turn || !byId("show-heat").checked || !entry.heated) return;
  large.querySelectorAll(".heat, .note").forEach((element) => element.remove());
  large.querySelector(".photo")?.append(heat(entry.heated.cells));
  large.append(make("p", { className: "note" }, `The redder, the more speaks for ${named(entry.heated.label)}`));
}

// One pixel a cell, which the browser blends as it draws it as large as the photo.
function heat(cells) {
  const canvas = make("canvas", { className: "heat", width: cells[0].length, height: cells.length });
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(canvas.width, canvas.height);
  const values = cells.flat();
  const top = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const low = Math.min(Math.max(0, values.reduce((a, b) => Math.min(a, b), Infinity)), top);
  values.forEach((value, place) => {
    const share = top > low ? Math.min(1, Math.max(0, (value - low) / (top - low))) : 0;
    pixels.data.set([255, Math.round(210 * (1 - share)), Math.round(60 * (1 - share)), Math.round(170 * share)], 4 * place);
  });
  pen.putImageData(pixels, 0, 0);
  return canvas;
}

byId("previous").addEventListener("click", () => go(-1));
byId("next").addEventListener("click", () => go(1));
byId("close").addEventListener("click", close);
byId("show-box").addEventListener("change", layers);
byId("show-heat").addEventListener("change", layers);
dialog.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "ArrowLeft") go(-1);
  else if (event.key === "ArrowRight") go(1);
});
dialog.addEventListener("click", (event) => event.target === dialog && close());
dialog.addEventListener("close", () => {
  turn++;
  if (own) URL.revokeObjectURL(own);
  own = null;
  large.replaceChildren();
  closed(at);
});
