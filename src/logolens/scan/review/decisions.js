// What the reviewer decided. Each decision is kept in the browser at once, under its picture's own key.

const decisions = new Map(); // key -> {kind: "accept" | "reject" | "skip", label, when}
const past = []; // for undo: [{changed: [[key, decision before]], row}]
// Short, for a browser keeps a few million letters and no more.
const STORE = `logolens:${facts.id.slice(0, 12)}:`;
const KINDS = { accept: ["✓", "accepted"], reject: ["✕", "rejected"], skip: ["→", "skipped"] };
let unsaved = 0;
let keeps = true;

function warn(text) {
  byId("banner").textContent = text;
  byId("banner").hidden = false;
}

function isDecision(value) {
  return value !== null && typeof value === "object" && Object.hasOwn(KINDS, value.kind)
    && (typeof value.label === "string" || (value.label === null && value.kind === "skip"));
}

function remember() {
  try {
    for (const name of Object.keys(localStorage)) {
      if (!name.startsWith(STORE)) continue;
      try {
        const value = JSON.parse(localStorage.getItem(name));
        if (isDecision(value)) decisions.set(name.slice(STORE.length), value);
      } catch {
        continue; // Not ours, or damaged: as if it were not there.
      }
    }
  } catch {
    keeps = false;
    warn("This browser keeps nothing for this page: save the decisions to a file before it is closed.");
  }
}

function put(key, decision) {
  if (decision) decisions.set(key, decision);
  else decisions.delete(key);
  if (!keeps) return;
  try {
    if (decision) localStorage.setItem(STORE + key, JSON.stringify(decision));
    else localStorage.removeItem(STORE + key);
  } catch {
    keeps = false;
    warn("The browser has no room for more decisions: save them to a file before this page is closed.");
  }
}

// The same label as the answer accepts it; what is accepted or rejected is always written down as a label.
function decide(targets, row, kind, label = null) {
  const when = new Date().toISOString();
  const changed = new Map();
  for (const target of targets) {
    if (changed.has(target.key) || (target.verdict === "error" && kind !== "skip")) continue;
    const answer = target.label ?? facts.background;
    const truth = kind === "accept" ? answer : kind === "skip" ? null : (label ?? facts.background);
    changed.set(target.key, decisions.get(target.key));
    put(target.key, { kind: kind === "skip" ? kind : truth === answer ? "accept" : "reject", label: truth, when });
  }
  if (!changed.size) return 0;
  past.push({ changed: [...changed], row });
  unsaved += changed.size;
  return changed.size;
}

function undo() {
  const last = past.pop();
  if (!last) return null;
  for (const [key, before] of last.changed) put(key, before);
  unsaved += last.changed.length;
  return last.row;
}

// A decision as it stands for this row: a new model may answer otherwise than the one that was judged.
function stateOf(row) {
  const decision = decisions.get(row.key);
  if (!decision) return null;
  if (decision.kind === "skip") return decision;
  return { ...decision, kind: decision.label === (row.label ?? facts.background) ? "accept" : "reject" };
}

// A line each, so that rows have numbers and versions can be compared.
function written() {
  const lines = [];
  for (const row of rows) {
    const state = stateOf(row);
    if (!state) continue;
    const { kind, label, when } = state;
    lines.push(JSON.stringify({
      name: row.name, names: [row.name, ...row.others.map((other) => places[other])], sha256: row.sha256, answer: row.label, confidence: row.confidence, decision: kind, label, when,
    }));
  }
  const head = { format: "logolens decisions", version: 1, scan: facts.id, base: facts.base, bundle: facts.bundle, saved: new Date().toISOString() };
  return `{\n${Object.entries(head).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)},\n`).join("")}"decisions": [\n${lines.join(",\n")}\n]}\n`;
}

function save() {
  if (!decisions.size) return tell("There is nothing to save yet: accept, reject or skip an image first.");
  const link = make("a", { href: URL.createObjectURL(new Blob([written()], { type: "application/json" })), download: "decisions.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  unsaved = 0;
  tell(`Saved ${count(decisions.size, "decision")} as decisions.json.`);
  refresh();
}

async function load(file) {
  let found;
  try {
    found = JSON.parse(await file.text());
  } catch {
    return tell(`${shown(file.name)} is not a file of decisions: it is not JSON.`);
  }
  if (found === null || found.format !== "logolens decisions" || !Array.isArray(found.decisions)) {
    return tell(`${shown(file.name)} is not a file of decisions that this page saved.`);
  }
  if (found.version !== 1) return tell(`${shown(file.name)} was saved by a newer logolens. Write this report with that one.`);
  const changed = new Map();
  let strange = 0;
  for (const entry of found.decisions) {
    const decision = entry && { kind: entry.decision, label: entry.label ?? null, when: String(entry.when ?? "") };
    const key = entry && (typeof entry.sha256 === "string" ? entry.sha256.slice(0, 16) : "name " + entry.name);
    if (!isDecision(decision) || !rowsOf.has(key)) {
      strange += 1;
      continue;
    }
    if (!changed.has(key)) changed.set(key, decisions.get(key));
    put(key, decision);
  }
  if (changed.size) past.push({ changed: [...changed], row: null });
  tell(`Loaded ${count(changed.size, "decision")}${strange ? `; ${strange.toLocaleString("en")} of images that are not in this report were left out` : ""}.`);
  refresh();
}
