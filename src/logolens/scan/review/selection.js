// Which results are listed, in which order, and what is folded into one.

const filters = { verdicts: new Set(["match", "unsure"]), search: "", where: "", label: "", review: "", change: "", order: "sure", fold: true };
const unfolded = new Set();
let items = []; // {row, rows, fold, part, of}: what one card stands for
let chosen = 0;

function isWanted(row, words, where) {
  if (!filters.verdicts.has(row.verdict)) return false;
  if (filters.change ? row.change !== filters.change : row.change === "gone") return false;
  if (filters.label && row.label !== filters.label) return false;
  if (filters.review) {
    const state = stateOf(row);
    if (filters.review === "open" ? state : !state || state.kind !== filters.review) return false;
  }
  if (!words.length && !where) return true;
  row.hay ??= [row.name, row.label, row.error, ...[...row.others, ...row.places].map((place) => places[place])].join("\n").toLowerCase();
  if (!words.every((word) => row.hay.includes(word))) return false;
  return !where || cut(row.name)[0].toLowerCase().includes(where) || row.places.some((place) => places[place].toLowerCase().includes(where));
}

const ORDERS = {
  sure: (a, b) => (b.confidence ?? -1) - (a.confidence ?? -1) || (a.name < b.name ? -1 : 1),
  unsure: (a, b) => (a.confidence ?? 2) - (b.confidence ?? 2) || (a.name < b.name ? -1 : 1),
  name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
};

function select() {
  const before = items[chosen]?.row;
  const words = filters.search.toLowerCase().split(/\s+/).filter(Boolean);
  const where = filters.where.trim().toLowerCase();
  const wanted = rows.filter((row) => isWanted(row, words, where)).sort(ORDERS[filters.order]);
  items = [];
  if (!filters.fold) {
    for (const row of wanted) items.push({ row, rows: [row], fold: null });
  } else {
    const folds = new Map();
    for (const row of wanted) {
      // Alike in looks is not enough: what got another answer is judged by itself.
      const alike = row.group !== null ? `group ${row.group}` : row.key;
      const fold = `${alike} ${row.verdict} ${row.label}`;
      const there = folds.get(fold);
      if (there) there.rows.push(row);
      else {
        folds.set(fold, { row, rows: [row], fold });
        items.push(folds.get(fold));
      }
    }
    items = items.flatMap((item) => {
      if (item.rows.length === 1) return [{ ...item, fold: null }];
      if (!unfolded.has(item.fold)) return [item];
      return item.rows.map((row, part) => ({ row, rows: [row], fold: item.fold, part, of: item.rows.length }));
    });
  }
  const again = before ? items.findIndex((item) => item.rows.includes(before)) : -1;
  chosen = Math.max(0, again);
  const images = items.reduce((sum, item) => sum + item.rows.length, 0);
  const folded = images - items.length;
  byId("count").textContent = images
    ? `${count(images, "image")}${folded ? `, ${folded.toLocaleString("en")} folded` : ""}`
    : "No image passes these filters.";
  resized();
  reveal();
  refresh();
}

// A page is its own area; of a file it is the folder.
const areaOf = (place) => (linkOf(place) ? place : cut(place)[0]);

// Folders and pages to choose from, those with most finds first.
function wheres() {
  const found = new Map();
  for (const row of rows) {
    const weight = row.verdict === "match" ? 1000 : row.verdict === "unsure" ? 100 : 1;
    const stands = row.places.length ? row.places.map((place) => areaOf(places[place])) : [areaOf(row.name)];
    for (const stand of stands) if (stand) found.set(stand, (found.get(stand) ?? 0) + weight);
  }
  return [...found].sort((a, b) => b[1] - a[1]).slice(0, 300).map(([stand]) => stand);
}

// What was found by page or folder, those with most matches first; what was judged to be none of it is not counted.
function found() {
  const areas = new Map();
  for (const row of reviewable) {
    const state = stateOf(row);
    if (state && state.kind === "reject" && state.label === facts.background) continue;
    const stands = row.places.length ? row.places.map((place) => areaOf(places[place])) : [areaOf(row.name)];
    for (const stand of new Set(stands)) {
      const area = areas.get(stand) ?? { stand, match: 0, unsure: 0, open: 0 };
      area[row.verdict] += 1;
      area.open += state ? 0 : 1;
      areas.set(stand, area);
    }
  }
  return [...areas.values()].sort((a, b) => b.match - a.match || b.unsure - a.unsure || (a.stand < b.stand ? -1 : 1));
}
