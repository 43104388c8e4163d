// What the page holds: the scan's facts, its results, and their thumbnails. All of it is text that was never trusted.

const VERDICTS = ["match", "unsure", "clear", "error"];
const CHANGES = ["new", "changed", "same", "gone"];
const byId = (id) => document.getElementById(id);
const facts = JSON.parse(byId("facts").textContent);
const places = [];
const rows = [];
const rowsOf = new Map(); // a picture's key -> its rows

for (const element of document.querySelectorAll("script.rows")) {
  const part = JSON.parse(element.textContent);
  for (const place of part.places) places.push(place);
  for (const [name, sha256, label, confidence, verdict, change, group, width, height, box, error, stands, scores, thumb, others, read, video] of part.rows) {
    const row = {
      name, sha256, label: label < 0 ? null : facts.words[label], confidence, verdict: VERDICTS[verdict],
      change: CHANGES[change] || null, group, width, height, box, error, places: stands, scores, thumb, others, read, hay: null,
      video: video && { seconds: video[0], frames: video[1], note: video[2], times: video[3], count: video[4] },
    };
    // The picture is what is judged, not its name: copies share one decision, and a later report of the same scan knows it.
    row.key = sha256 ? sha256.slice(0, 16) : "name " + name;
    rows.push(row);
    const same = rowsOf.get(row.key);
    if (same) same.push(row);
    else rowsOf.set(row.key, [row]);
  }
  element.remove(); // Its text is not needed again.
}

// After a first scan all is new, which is worth no word.
const rescanned = rows.some((row) => row.change !== null && row.change !== "new");
const reviewable = rows.filter((row) => (row.verdict === "match" || row.verdict === "unsure") && row.change !== "gone");

function news(row) {
  return rescanned && row.change !== "same" && row.change !== null ? row.change : "";
}

// Thumbnails stand in this page where they are few, else in files beside it, which the browser loads and forgets by itself.
const inlined = new Map();

function thumbnail(row) {
  if (row.thumb === null) return null;
  if (row.thumb < 0) return `thumbnails/${row.sha256.slice(0, 2)}/${row.sha256}.jpg`;
  const chunk = Math.floor(row.thumb / facts.chunk);
  if (!inlined.has(chunk)) inlined.set(chunk, byId(`thumbs-${chunk}`).textContent.split("\n"));
  return "data:image/jpeg;base64," + inlined.get(chunk)[row.thumb % facts.chunk];
}

// Characters that would hide or turn what stands around them are shown by their numbers.
const SLY = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function shown(text) {
  return String(text).replace(SLY, (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0"));
}

// A time in a video: 0:03.2, 1:02:03.0.
function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  const rest = String(Math.floor((tenths % 600) / 10)).padStart(2, "0") + "." + (tenths % 10);
  const minutes = Math.floor(tenths / 600);
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

// An error that opens with the image's name, which stands beside it already.
function reason(row) {
  const text = row.error ?? "It cannot be read.";
  return shown(text.startsWith(`${row.name}: `) ? text.slice(row.name.length + 2) : text);
}

function cut(name) {
  const at = Math.max(name.lastIndexOf("/", name.length - 2), name.lastIndexOf("\\", name.length - 2));
  return [name.slice(0, at + 1), name.slice(at + 1)];
}

// Only these two schemes ever become links; javascript:, data: and the rest stay text.
function linkOf(text) {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

// A file's own address, where the page itself was opened from a disk: elsewhere browsers refuse it.
function fileOf(name) {
  if (location.protocol !== "file:" || !facts.base || /^[a-z][a-z0-9+.-]+:\/\//i.test(name) || name.includes("!/")) return null;
  try {
    const path = /^([a-z]:)?[\\/]/i.test(name) ? name : facts.base + "/" + name;
    const parts = path.replace(/\\/g, "/").split("/").map((part) => encodeURIComponent(part).replace(/^([a-z])%3A$/i, "$1:"));
    return "file://" + (parts[0] === "" ? "" : "/") + parts.join("/");
  } catch {
    return null; // The name is not text that a URL can hold.
  }
}

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const percent = (share) => (share === null ? "" : `${(100 * share).toFixed(share > 0.995 && share < 1 ? 1 : 0)}\u00a0%`);
const named = (label) => (label === facts.background ? "none of the labels" : shown(label));

let quiet;
function tell(text) {
  byId("status").textContent = text;
  clearTimeout(quiet);
  quiet = setTimeout(() => (byId("status").textContent = ""), 6000);
}
