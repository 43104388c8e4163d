// The first tab: images are taken, asked about a few at a time, and their answers shown as cards or as a table.

import { Cards, photo } from "./cards.js";
import { save, table as asTable } from "./csv.js";
import { close, open, refresh } from "./detail.js";
import { byId, count, cut, make, percent, shown, tell } from "./dom.js";
import { small } from "./files.js";
import { chosenBundle, model, options } from "./model.js";
import { Queue } from "./queue.js";
import { aboutWords, aloud, named, verdict, words } from "./said.js";
import { ask, Refused, whenBusy } from "./server.js";

const MOST = 1000; // images on the page: for more there is `logolens scan`
const entries = [];
const rows = new Map(); // entry -> its row of the table
const cards = new Cards(byId("cards"), opened);
const pictures = new Queue(2, draw);
const asked = new Queue(4, answer, progress);
let busyFor = 0;
let finished = true;

function opened(list, at) {
  open(list, at, (last) => (byId("table").hidden ? cards.focus(last) : rows.get(entries[last])?.querySelector("button").focus()));
}

export function take(found) {
  if (!found.length) return;
  const room = MOST - entries.length;
  const fresh = found.slice(0, Math.max(0, room)).map(({ file, name }) => entry(file, name));
  if (found.length > room) say(`The page holds ${count(MOST, "image")}; ${count(found.length - fresh.length, "was", "were")} left out. To sweep more, use \`logolens scan\`.`);
  entries.push(...fresh);
  cards.add(fresh);
  byId("asked").hidden = false;
  byId("drop").className = "slim";
  if (!byId("table").hidden) fresh.forEach(row);
  if (fresh.length > 1) tell(`Asking about ${count(fresh.length, "image")}.`);
  pictures.put(fresh);
  send(fresh);
}

function entry(file, name) {
  return {
    file, name, verdict: "waiting", label: null, own: true, url: undefined, looked: true,
    full: async () => URL.createObjectURL(file),
    heat: model()?.heat ? () => heated(file, name) : null,
  };
}

function send(list) {
  finished = false;
  for (const one of list) Object.assign(one, { verdict: "waiting", label: null, confidence: null, scores: null, boxes: null, logos: null, reason: null, stopped: false, heated: null, options: options() });
  const limit = model()?.limits?.max_bytes;
  const large = limit ? list.filter((one) => one.file.size > limit) : [];
  for (const one of large) refused(one, `It has ${megabytes(one.file.size)} and this server takes images up to ${megabytes(limit)}: make it smaller.`);
  list.forEach(changed);
  asked.put(list.filter((one) => !large.includes(one)));
}

const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;

async function draw(one) {
  const found = one.gone ? null : await small(one.file);
  one.url = found?.url ?? null;
  one.width = found?.width;
  one.height = found?.height;
  if (one.gone && one.url) URL.revokeObjectURL(one.url);
  else changed(one);
}

function body(file, name) {
  const form = new FormData();
  form.append("files", file, name);
  return { method: "POST", body: form };
}

async function answer(one) {
  one.ending = new AbortController();
  try {
    await one.file.slice(0, 1).arrayBuffer();
  } catch {
    return refused(one, "It cannot be read from this computer any longer: drop it again.");
  }
  const bundle = chosenBundle();
  try {
    const response = await ask(`v1/predict?${one.options}`, () => ({ ...body(one.file, one.name), signal: one.ending.signal }));
    const said = (await response.json()).results[0];
    if (said.error !== null) return refused(one, said.error);
    const boxes = said.logos?.length ? said.logos : said.box ? [{ label: said.label, box: said.box }] : [];
    Object.assign(one, { label: said.label, confidence: said.confidence, scores: said.scores, logos: said.logos, verdict: verdict(said), boxes: boxes.filter(({ box }) => box), bundle, read: aboutWords(said) });
    changed(one);
  } catch (error) {
    if (one.gone || one.ending.signal.aborted) return;
    // The first three say what is wrong with the image, the rest what is wrong with the service.
    if (error instanceof Refused && [413, 415, 422].includes(error.status)) refused(one, error.message);
    else refused(one, error instanceof Refused ? error.message : "The server's answer cannot be understood; load this page anew.", "failed");
  }
}

async function heated(file, name) {
  const asked = options();
  asked.set("heat", "true");
  return (await (await ask(`v1/predict?${asked}`, () => body(file, name))).json()).results[0].heat;
}

function refused(one, reason, kind = "error") {
  const text = reason.startsWith(`${one.name}: `) ? reason.slice(one.name.length + 2) : reason;
  Object.assign(one, { verdict: kind, reason: text });
  changed(one);
}

function changed(one) {
  if (one.gone) return;
  cards.update(one);
  if (rows.has(one)) row(one);
  refresh(one);
  progress();
}

// The table

function row(one) {
  const { head } = words(one);
  const name = make("button", { type: "button", className: "plain", "aria-haspopup": "dialog" }, shown(cut(one.name)[1] || one.name));
  name.addEventListener("click", () => opened(entries, entries.indexOf(one)));
  const second = Object.entries(one.scores ?? {}).find(([label]) => label !== one.label);
  const thumb = make("td", { className: "thumb" }, one.url && one.verdict !== "error" ? photo(one.url, one.boxes, "") : null);
  const element = make("tr", {}, thumb, make("th", { scope: "row" }, name),
    make("td", { className: "answer" }, make("b", {}, head), one.reason ? make("span", { className: "bad" }, shown(one.reason)) : null),
    make("td", { className: "figure" }, percent(one.confidence)),
    make("td", { className: "next" }, second ? `${named(second[0])} ${percent(second[1])}` : ""));
  element.dataset.verdict = one.verdict;
  const old = rows.get(one);
  const focused = old?.contains(document.activeElement);
  if (old) old.replaceWith(element);
  else byId("table").querySelector("tbody").append(element);
  rows.set(one, element);
  if (focused) name.focus();
}

function shape(kind) {
  const tabular = kind === "table";
  byId("table").hidden = !tabular;
  byId("cards").hidden = tabular;
  rows.clear();
  byId("table").querySelector("tbody").replaceChildren();
  if (tabular) entries.forEach(row);
}

// How far it is

function tally() {
  const found = { match: 0, unsure: 0, clear: 0, error: 0, failed: 0, waiting: 0, stopped: 0 };
  for (const one of entries) found[one.stopped ? "stopped" : one.verdict]++;
  return found;
}

function summary() {
  const found = tally();
  const parts = [
    found.match && `${found.match} with a logo`, found.unsure && `${found.unsure} unsure`, found.clear && `${found.clear} none of these`,
    found.error && `${found.error} cannot be read`, found.failed && `${found.failed} without an answer`, found.stopped && `${found.stopped} not asked`,
  ].filter(Boolean);
  return `${count(entries.length, "image")}: ${parts.join(", ")}.`;
}

function progress() {
  const found = tally();
  const done = entries.length - found.waiting;
  const running = found.waiting > 0;
  byId("progress").hidden = byId("stop").hidden = !running;
  byId("progress").max = Math.max(1, entries.length);
  byId("progress").value = done;
  byId("summary").textContent = running ? `${done.toLocaleString("en")} of ${entries.length.toLocaleString("en")} answered${busyFor ? `; the server is busy, it is asked again in ${Math.ceil(busyFor)} s` : "…"}` : entries.length ? summary() : "";
  byId("csv").disabled = done === 0;
  const left = found.failed + found.stopped;
  byId("retry").hidden = running || !left;
  byId("retry").textContent = `Ask again about ${left}`;
  offerAgain();
  if (running || finished || !entries.length) return;
  finished = true;
  const last = entries[0];
  tell(entries.length === 1 ? `${shown(last.name)}: ${aloud(last)}` : summary());
}

// When what is asked for is not what was asked before.
export function offerAgain() {
  const now = String(options());
  const other = entries.some((one) => one.verdict !== "waiting" && one.options && String(one.options) !== now);
  byId("again").hidden = !other || entries.some((one) => one.verdict === "waiting");
}

export function say(text) {
  byId("banner").textContent = text;
  byId("banner").hidden = !text;
}

function stop() {
  for (const one of [...asked.drop(), ...entries.filter((each) => each.verdict === "waiting")]) {
    one.ending?.abort();
    Object.assign(one, { verdict: "error", stopped: true, reason: "It was not asked about." });
    changed(one);
  }
  byId("retry").focus();
}

function clear() {
  asked.drop();
  pictures.drop();
  close();
  for (const one of entries) {
    one.gone = true;
    one.ending?.abort();
    if (one.url) URL.revokeObjectURL(one.url);
  }
  entries.length = 0;
  rows.clear();
  cards.fill([]);
  byId("table").querySelector("tbody").replaceChildren();
  byId("asked").hidden = true;
  byId("drop").className = "";
  say("");
  progress();
  tell("Cleared.");
  byId("files").focus();
}

export function start() {
  byId("shape").addEventListener("change", (event) => shape(event.target.value));
  byId("stop").addEventListener("click", stop);
  byId("clear").addEventListener("click", clear);
  byId("csv").addEventListener("click", () => save("logolens.csv", asTable(entries.filter((one) => one.verdict !== "waiting"))));
  byId("retry").addEventListener("click", () => send(entries.filter((one) => one.verdict === "failed" || one.stopped)));
  byId("again").addEventListener("click", () => send([...entries]));
  whenBusy((seconds) => {
    busyFor = seconds;
    progress();
  });
}
