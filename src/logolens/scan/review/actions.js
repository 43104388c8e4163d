// What keys and buttons do, the two dialogs, printing, and the first look.

function choose(position) {
  if (!items.length) return;
  chosen = Math.min(items.length - 1, Math.max(0, position));
  reveal();
  paint();
  show();
}

function act(kind, label = null) {
  const item = items[chosen];
  if (!item) return;
  const { row } = item;
  if (kind !== "skip" && row.verdict === "error") return tell("It could not be read, so there is nothing to accept or reject; S skips it.");
  // That the answer "none" is wrong does not say what is right.
  if (kind === "reject" && label === null && (row.label ?? facts.background) === facts.background) return askLabel();
  const done = decide(item.rows, row, kind, label);
  const state = stateOf(row);
  tell(`${state.kind === "skip" ? "Skipped" : state.kind === "accept" ? "Accepted" : `Rejected: ${named(state.label)}`}: ${shown(cut(row.name)[1] || row.name)}${done > 1 ? ` and ${done - 1} alike` : ""}. U undoes it.`);
  const next = items.findIndex((other, position) => position > chosen && !tag(other));
  if (next >= 0) choose(next);
  refresh();
}

function takeBack() {
  if (!past.length) return tell("There is nothing to undo.");
  const row = undo();
  const position = row ? items.findIndex((item) => item.rows.includes(row)) : -1;
  if (position >= 0) choose(position);
  tell(row ? `Undone: ${shown(cut(row.name)[1] || row.name)}.` : "Undone: what was loaded.");
  refresh();
}

function unfold() {
  const { fold, row } = items[chosen] ?? {};
  if (!fold) return;
  if (!unfolded.delete(fold)) unfolded.add(fold);
  select();
  tell(unfolded.has(fold) ? "Unfolded: each is judged by itself." : `Folded with ${shown(cut(row.name)[1])}.`);
}

function stand() {
  const row = items[chosen]?.row;
  const link = row && (row.places.map((index) => linkOf(places[index])).find(Boolean) ?? linkOf(row.name) ?? fileOf(row.name));
  if (link) window.open(link, "_blank", "noopener,noreferrer");
  else tell("There is no page or file to open for this image.");
}

function askLabel() {
  const item = items[chosen];
  if (!item || item.row.verdict === "error") return;
  byId("label-search").value = "";
  listLabels();
  byId("labels").showModal();
  byId("label-search").focus();
}

function listLabels() {
  const typed = byId("label-search").value.trim().toLowerCase();
  const names = [...facts.labels, facts.background].filter((label) => named(label).toLowerCase().includes(typed));
  byId("label-list").replaceChildren(...names.slice(0, 200).map((label) => {
    const position = facts.labels.indexOf(label);
    const digit = label === facts.background ? "0" : position < 9 ? String(position + 1) : "";
    const pick = make("button", { type: "button" }, named(label), digit ? make("kbd", {}, digit) : "");
    pick.addEventListener("click", () => {
      byId("labels").close();
      act("reject", label);
    });
    return make("li", {}, pick);
  }));
}

function listPages() {
  const most = 1000;
  const areas = found();
  byId("pages-count").textContent = areas.length > most
    ? `The first ${most.toLocaleString("en")} of ${count(areas.length, "place")}.` : `${count(areas.length, "place")}; choose one to see only what stands there.`;
  byId("page-list").replaceChildren(...areas.slice(0, most).map((area) => {
    const pick = make("button", { type: "button" }, shown(area.stand) || "(the folder itself)");
    pick.addEventListener("click", () => {
      byId("pages").close();
      byId("where").value = area.stand;
      filters.where = area.stand;
      select();
    });
    return make("tr", {}, make("th", { scope: "row" }, pick), ...[area.match, area.unsure, area.open].map((n) => make("td", {}, n.toLocaleString("en"))));
  }));
  byId("pages").showModal();
}

byId("label-search").addEventListener("input", listLabels);
byId("label-search").addEventListener("keydown", (event) => {
  const first = byId("label-list").querySelector("button");
  if (event.key === "Enter" && first) {
    event.preventDefault();
    first.click();
  } else if (event.key === "ArrowDown" && first) {
    event.preventDefault();
    first.focus();
  }
});
byId("label-list").addEventListener("keydown", (event) => {
  const at = event.target.closest("li");
  const to = event.key === "ArrowDown" ? at?.nextElementSibling : event.key === "ArrowUp" ? at?.previousElementSibling : null;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") event.preventDefault();
  if (to) to.firstElementChild.focus();
  else if (event.key === "ArrowUp") byId("label-search").focus();
});
for (const closer of document.querySelectorAll("dialog .close")) closer.addEventListener("click", () => closer.closest("dialog").close());
for (const dialog of document.querySelectorAll("dialog")) dialog.addEventListener("close", () => grid.focus({ preventScroll: true }));

const KEYS = [
  ["A", "accept: the label is right", () => act("accept")],
  ["R", "reject: it shows none of the labels", () => act("reject")],
  ["S", "skip", () => act("skip")],
  ["U", "undo", takeBack],
  ["L", "choose another label", askLabel],
  ["1 to 9, 0", "it shows the first to ninth label, or none", null],
  ["J K", "next, previous (also the arrow keys, Page Up and Down, Home, End)", null],
  ["N", "next one to do", () => {
    const next = items.findIndex((item, position) => position > chosen && !tag(item));
    choose(next >= 0 ? next : items.findIndex((item) => !tag(item)));
  }],
  ["E", "unfold or fold those alike", unfold],
  ["O", "open the page or file where it stands", stand],
  ["/", "search", () => {
    unveil(true);
    byId("search").focus();
  }],
  ["?", "these keys", () => byId("help").showModal()],
  ["Esc", "back to the images", null],
];

function perPage() {
  return Math.max(1, Math.floor(grid.clientHeight / (cell.height + GAP))) * columns;
}

const MOVES = {
  ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: () => columns, ArrowUp: () => -columns, j: () => 1, k: () => -1,
  PageDown: perPage, PageUp: () => -perPage(), Home: () => -items.length, End: () => items.length,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
  const field = event.target.closest?.("input, select, textarea");
  if (event.key === "Escape" && (field || detail.contains(event.target))) return grid.focus();
  if (field && field.type !== "checkbox") return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key.length === 1 && key !== "?" && !byId("letters").checked) return;
  const inGrid = !event.target.closest?.("button, a, input, select");
  if (MOVES[key] && (key.length === 1 || inGrid)) {
    // Down from the last full row would else land on the last card, up from the first on the first: stay instead.
    const to = chosen + MOVES[key]();
    if (key.startsWith("Arrow") && (to < 0 || (to >= items.length && key === "ArrowRight"))) return event.preventDefault();
    event.preventDefault();
    return choose(to);
  }
  if (/^[0-9]$/.test(key)) {
    const label = key === "0" ? facts.background : facts.labels[Number(key) - 1];
    if (label !== undefined) act("reject", label);
    return undefined;
  }
  const [, , run] = KEYS.find(([name]) => name.toLowerCase() === key) ?? [];
  if (run) {
    event.preventDefault();
    run();
  }
  return undefined;
});

function refresh() {
  const done = reviewable.reduce((sum, row) => sum + (decisions.has(row.key) ? 1 : 0), 0);
  const bar = byId("bar");
  bar.setAttribute("aria-valuemax", Math.max(1, reviewable.length));
  bar.setAttribute("aria-valuenow", done);
  bar.firstElementChild.style.width = `${(100 * done) / Math.max(1, reviewable.length)}%`;
  const kinds = { accept: 0, reject: 0, skip: 0 };
  for (const decision of decisions.values()) kinds[decision.kind] += 1;
  const each = `: ${kinds.accept.toLocaleString("en")} accepted, ${kinds.reject.toLocaleString("en")} rejected, ${kinds.skip.toLocaleString("en")} skipped`;
  byId("progress").replaceChildren(`${done.toLocaleString("en")} of ${reviewable.length.toLocaleString("en")}`, make("span", { className: "word" }, " matches and unsure"),
    " reviewed", make("span", { className: "word" }, decisions.size ? each : ""));
  byId("save").replaceChildren("Save", make("span", { className: "word" }, " decisions"), unsaved ? ` (${unsaved.toLocaleString("en")} new)` : "");
  paint();
  show();
}

function unveil(open) {
  document.body.classList.toggle("filtering", open);
  byId("filter-button").setAttribute("aria-expanded", open);
}

function printable() {
  const most = 600;
  const figures = items.slice(0, most).map(({ row, rows: alike }) => {
    const state = stateOf(row);
    const frame = row.verdict === "error" ? make("p", { className: "reason" }, reason(row)) : photo(row, 150, 110);
    for (const image of frame.querySelectorAll("img")) image.decoding = "sync";
    const stands = row.places.length ? shown(places[row.places[0]]) + (row.places.length > 1 ? ` and ${row.places.length - 1} more` : "") : shown(cut(row.name)[0]);
    return make("figure", {}, make("div", { className: "frame" }, frame), make("figcaption", {},
      make("b", {}, row.verdict === "error" ? "error" : `${row.verdict}: ${said(row.label ?? facts.background)} ${percent(row.confidence)}`),
      alike.length > 1 ? ` (${alike.length} alike)` : "", make("br"), state ? `${KINDS[state.kind][0]} ${KINDS[state.kind][1]}` : "to do",
      make("br"), shown(cut(row.name)[1] || row.name), make("br"), make("small", {}, stands)));
  });
  const note = items.length > most ? [make("p", {}, `The first ${most} of ${items.length.toLocaleString("en")}; narrow the filters to print others.`)] : [];
  byId("printed").replaceChildren(make("p", {}, byId("count").textContent), ...note, make("div", { className: "figures" }, ...figures));
}

function begin() {
  byId("about").textContent = facts.about;
  if (facts.left) warn(facts.left);
  const totals = { match: facts.totals.match ?? 0, unsure: facts.totals.unsure ?? 0, clear: facts.totals.clear ?? 0, error: facts.totals.error ?? 0 };
  for (const verdict of VERDICTS) {
    const box = make("input", { type: "checkbox", value: verdict, checked: filters.verdicts.has(verdict) });
    box.addEventListener("change", () => {
      filters.verdicts[box.checked ? "add" : "delete"](verdict);
      select();
    });
    byId("verdicts").append(make("label", { className: `chip ${verdict}` }, box, make("span", {}, verdict, " ", make("b", {}, totals[verdict].toLocaleString("en")))));
  }
  const labels = [...new Set(rows.map((row) => row.label))].filter((label) => label !== null).sort();
  byId("label").append(make("option", { value: "" }, "any"), ...labels.map((label) => make("option", { value: label }, said(label))));
  if (!rescanned) byId("change").closest("label").hidden = true;
  byId("wheres").append(...wheres().map((stand) => make("option", { value: stand })));
  for (const name of ["search", "where"]) {
    let later;
    const apply = () => {
      clearTimeout(later);
      if (filters[name] === byId(name).value) return;
      filters[name] = byId(name).value;
      select();
    };
    byId(name).addEventListener("input", () => {
      clearTimeout(later);
      later = setTimeout(apply, 120);
    });
    // On leaving the field at once: the next key must never judge an image that the search has just put aside.
    byId(name).addEventListener("change", apply);
  }
  for (const name of ["label", "review", "change", "order"]) {
    byId(name).addEventListener("change", () => {
      filters[name] = byId(name).value;
      if (name === "order") chosen = -1; // Another order is looked through from its beginning.
      select();
    });
  }
  byId("fold").addEventListener("change", () => {
    filters.fold = byId("fold").checked;
    unfolded.clear();
    select();
  });
  byId("reset").addEventListener("click", () => {
    Object.assign(filters, { verdicts: new Set(["match", "unsure"]), search: "", where: "", label: "", review: "", change: "", order: "sure", fold: true });
    for (const box of byId("verdicts").querySelectorAll("input")) box.checked = filters.verdicts.has(box.value);
    for (const name of ["search", "where", "label", "review", "change", "order"]) byId(name).value = filters[name];
    byId("fold").checked = true;
    unfolded.clear();
    select();
  });
  byId("keys").firstElementChild.append(...KEYS.map(([key, meaning]) => make("tr", {},
    make("th", { scope: "row" }, ...key.split(" ").flatMap((part) => (/^(to)$/.test(part) ? [` ${part} `] : [make("kbd", {}, part.replace(",", "")), " "]))), make("td", {}, meaning))));
  byId("save").addEventListener("click", save);
  byId("load").addEventListener("click", () => byId("load-file").click());
  byId("load-file").addEventListener("change", async () => {
    const [file] = byId("load-file").files;
    if (file) await load(file);
    byId("load-file").value = "";
  });
  byId("print").addEventListener("click", async () => {
    printable();
    await Promise.allSettled([...byId("printed").querySelectorAll("img")].map((image) => image.decode()));
    window.print();
  });
  addEventListener("beforeprint", () => {
    if (!byId("printed").childElementCount) printable();
  });
  addEventListener("afterprint", () => byId("printed").replaceChildren());
  byId("pages-button").addEventListener("click", listPages);
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  byId("filter-button").addEventListener("click", () => unveil(!document.body.classList.contains("filtering")));
  addEventListener("beforeunload", (event) => {
    if (!keeps && unsaved) event.preventDefault();
  });
  // Another tab with this report shows the same decisions.
  addEventListener("storage", (event) => {
    if (!event.key?.startsWith(STORE)) return;
    let value = null;
    try {
      value = JSON.parse(event.newValue);
    } catch {
      return;
    }
    if (isDecision(value)) decisions.set(event.key.slice(STORE.length), value);
    else decisions.delete(event.key.slice(STORE.length));
    refresh();
  });
  remember();
  select();
  if (!items.length && rows.length && !facts.totals.match && !facts.totals.unsure) byId("count").textContent = "Nothing was found: no match, and nothing unsure.";
  grid.focus({ preventScroll: true });
}

begin();
