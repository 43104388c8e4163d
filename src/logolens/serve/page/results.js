// The second tab: what a scan found, a page at a time, as its store has it.

import { Cards } from "./cards.js";
import { open } from "./detail.js";
import { byId, count, make, shown, tell } from "./dom.js";
import { said } from "./said.js";
import { json, picture, Refused } from "./server.js";

const PAGE = 60;
const VERDICTS = ["match", "unsure", "clear", "error"];
const wanted = new Set(["match", "unsure"]);
const cards = new Cards(byId("scanned"), (list, at) => open(list, at, (last) => cards.focus(last)));
let offset = 0;
let total = 0;
let running = null;
let typed;
let begun = false;

// Small pictures come one at a time through here: they may want the token, which no image element sends.
async function thumb(row) {
  try {
    return await picture(`v1/results/${row.sha256}/thumbnail`);
  } catch {
    return null;
  }
}

function entry(row, rescanned) {
  const kept = row.sha256 !== null && row.thumbnail;
  const found = {
    name: row.image, verdict: row.verdict, label: row.label, confidence: row.confidence, scores: row.scores,
    boxes: row.box ? [{ label: row.label, box: row.box }] : [], reason: row.error?.startsWith(`${row.image}: `) ? row.error.slice(row.image.length + 2) : row.error,
    places: [...new Set([...row.places, ...row.names])], width: row.width, height: row.height,
    read: row.word ? said(row.word, row.word.read) : "", change: rescanned && row.change !== "same" ? row.change : "", heat: null, own: false,
    blank: "The scan kept no small picture.", url: kept ? undefined : null,
  };
  found.thumb = () => (found.asked ??= thumb(row));
  found.full = async () => (kept ? (found.url ??= await found.thumb()) : null);
  return found;
}

function about(scan) {
  const parts = [`${count(scan.pictures, "picture")} looked at with ${shown(scan.bundle)}`];
  parts.push(scan.find.length ? `for ${scan.find.map(shown).join(", ")}` : "for any label");
  parts.push(`a match from ${Math.round(100 * scan.threshold)} % on`);
  const ended = scan.finished ? `ended ${new Date(scan.finished).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" })}` : "it has not come to its end yet";
  byId("scan-about").textContent = `${parts.join(", ")}; ${ended}.`;
  for (const verdict of VERDICTS) byId(`count-${verdict}`).textContent = scan.verdicts[verdict].toLocaleString("en");
  const select = byId("label");
  const labels = ["", ...Object.keys(scan.labelled)];
  if (select.options.length !== labels.length) {
    const value = select.value;
    select.replaceChildren(...labels.map((label) => make("option", { value: label }, label === "" ? "any" : shown(label))));
    select.value = labels.includes(value) ? value : "";
  }
}

function asked() {
  const found = new URLSearchParams({ order: byId("order").value, offset, limit: PAGE });
  for (const verdict of wanted) found.append("verdict", verdict);
  if (byId("label").value) found.set("label", byId("label").value);
  if (byId("change").value) found.set("change", byId("change").value);
  if (byId("search").value.trim()) found.set("text", byId("search").value.trim());
  return found;
}

function forget() {
  for (const one of cards.entries) if (one.url) URL.revokeObjectURL(one.url);
}

async function load(focus = false) {
  running?.abort();
  const mine = (running = new AbortController());
  try {
    const listed = await json(`v1/results?${asked()}`, () => ({ signal: mine.signal }));
    if (mine !== running) return;
    byId("filters").hidden = false;
    byId("no-results").hidden = true;
    total = listed.total;
    about(listed.scan);
    const { changes } = listed.scan;
    const rescanned = changes.changed + changes.same + changes.gone > 0;
    forget();
    cards.fill(listed.results.map((row) => entry(row, rescanned)));
    const last = offset + listed.results.length;
    const text = total === 0 ? "No picture passes these filters." : total > PAGE ? `${(offset + 1).toLocaleString("en")} to ${last.toLocaleString("en")} of ${count(total, "picture")}` : count(total, "picture");
    byId("count").textContent = text;
    document.querySelector(".pager").hidden = total <= PAGE;
    byId("earlier").disabled = offset === 0;
    byId("later").disabled = last >= total;
    tell(text);
    if (focus) cards.focus(0);
  } catch (error) {
    if (mine.signal.aborted) return;
    nothing(error instanceof Refused ? shown(error.message) : "The server's answer cannot be understood; load this page anew.");
  }
}

function nothing(text) {
  byId("no-results").textContent = text;
  byId("no-results").hidden = false;
}

function filtered() {
  offset = 0;
  load();
}

function turn(step) {
  offset = Math.max(0, offset + step * PAGE);
  load(true);
  scrollTo({ top: 0 });
}

export function show() {
  if (document.documentElement.dataset.browsed !== "yes") {
    return nothing("This server was not given a scan to browse. Make one with `logolens scan BUNDLE FOLDER --store results.db`, and start the server with `logolens serve BUNDLE --store results.db`.");
  }
  if (begun) return load();
  begun = true;
  for (const verdict of VERDICTS) {
    const box = make("input", { type: "checkbox", value: verdict, checked: wanted.has(verdict) });
    box.addEventListener("change", () => {
      if (box.checked) wanted.add(verdict);
      else wanted.delete(verdict);
      filtered();
    });
    byId("verdicts").append(make("label", { className: `chip ${verdict}` }, box, make("span", {}, `${verdict} `, make("b", { id: `count-${verdict}` }))));
  }
  for (const name of ["label", "change", "order"]) byId(name).addEventListener("change", filtered);
  byId("search").addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(filtered, 250);
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("earlier").addEventListener("click", () => turn(-1));
  byId("later").addEventListener("click", () => turn(1));
  return load();
}
