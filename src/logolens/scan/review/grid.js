// The cards. Only those near the visible part are in the document; they are used again as it is scrolled.

const grid = byId("grid");
const cards = byId("cards");
const live = new Map(); // position -> card
const spare = [];
const GAP = 10;
let columns = 1;
let cell = { width: 176, height: 210 };
let waiting = false;

// The picture as large as its frame allows; one of a few pixels is not blown up beyond recognition.
function photo(row, width, height) {
  const own = { width: row.width || 160, height: row.height || 160 };
  const scale = Math.min(width / own.width, height / own.height, Math.max(4, 160 / Math.max(own.width, own.height)));
  const holder = make("div", { className: "photo" });
  holder.style.width = `${Math.max(4, Math.round(own.width * scale))}px`;
  holder.style.height = `${Math.max(4, Math.round(own.height * scale))}px`;
  const source = thumbnail(row);
  if (source === null) {
    holder.className = "blank";
    holder.removeAttribute("style");
    holder.textContent = row.verdict === "error" ? "cannot be read" : "no thumbnail kept";
    return holder;
  }
  const image = make("img", { alt: "", decoding: "async", draggable: false });
  image.addEventListener("error", () => {
    holder.className = "blank";
    holder.removeAttribute("style");
    holder.replaceChildren("its thumbnail is missing");
  });
  image.src = source;
  holder.append(image);
  if (row.box) {
    const [x1, y1, x2, y2] = row.box.map((edge) => 100 * Math.min(1, Math.max(0, edge)));
    const box = make("i", { className: "box" });
    Object.assign(box.style, { left: `${x1}%`, top: `${y1}%`, width: `${x2 - x1}%`, height: `${y2 - y1}%` });
    holder.append(box);
  }
  return holder;
}

function card() {
  const parts = {
    frame: make("div", { className: "frame" }), fold: make("span", { className: "fold" }), video: make("span", { className: "video" }), news: make("span", { className: "news" }),
    mark: make("span", { className: "mark" }), label: make("b"), sure: make("span", { className: "sure" }),
    level: make("i"), name: make("span", { className: "name" }),
  };
  const element = make("div", { className: "card", role: "option" }, parts.frame,
    make("div", { className: "badges" }, parts.fold, parts.video, parts.news, parts.mark),
    make("div", { className: "answer" }, parts.label, parts.sure),
    make("div", { className: "level" }, parts.level), parts.name);
  element.parts = parts;
  return element;
}

function tag(item) {
  const states = new Set(item.rows.map((row) => stateOf(row)?.kind));
  return states.size === 1 ? stateOf(item.row) : null;
}

function fill(element, item, position) {
  const { row, rows: alike } = item;
  const { parts } = element;
  const state = tag(item);
  element.id = `card-${position}`;
  element.dataset.verdict = row.verdict;
  element.dataset.state = state ? state.kind : "";
  element.classList.toggle("pile", alike.length > 1);
  element.setAttribute("aria-selected", position === chosen);
  element.setAttribute("aria-posinset", position + 1);
  element.setAttribute("aria-setsize", items.length);
  if (element.row !== row || element.size !== cell.width) {
    parts.frame.replaceChildren(row.verdict === "error" ? make("p", { className: "reason" }, reason(row)) : photo(row, cell.width - 2, cell.height - 80));
    element.row = row;
    element.size = cell.width;
  }
  parts.fold.textContent = alike.length > 1 ? `${alike.length} alike` : item.of ? `${item.part + 1} of ${item.of}` : "";
  parts.video.textContent = row.video ? `▶ ${clock(row.video.seconds)}` : "";
  parts.news.textContent = news(row);
  parts.mark.textContent = state ? `${KINDS[state.kind][0]} ${state.kind === "reject" ? said(state.label) : KINDS[state.kind][1]}` : "";
  parts.label.textContent = row.verdict === "error" ? "error" : `${row.verdict === "match" ? "" : row.verdict + ": "}${said(row.label ?? facts.background)}`;
  parts.sure.textContent = percent(row.confidence);
  parts.level.style.width = `${100 * (row.confidence ?? 0)}%`;
  const name = shown(cut(row.name)[1] || row.name);
  parts.name.textContent = name;
  element.setAttribute("aria-label", [row.verdict, row.verdict === "error" ? reason(row) : named(row.label ?? facts.background),
    percent(row.confidence), name, alike.length > 1 ? `${alike.length} alike` : "", row.video ? `video of ${clock(row.video.seconds)}` : "", news(row),
    state ? KINDS[state.kind][1] : "to do"].filter(Boolean).join(", "));
}

const said = (label) => (label === facts.background ? "none" : shown(label));

function paint() {
  waiting = false;
  const step = cell.height + GAP;
  const first = Math.max(0, Math.floor(grid.scrollTop / step) - 2) * columns;
  const last = Math.min(items.length, (Math.ceil((grid.scrollTop + grid.clientHeight) / step) + 2) * columns);
  for (const [position, element] of live) {
    if (position < first || position >= last) {
      live.delete(position);
      element.remove();
      if (spare.length < 60) spare.push(element);
    }
  }
  for (let position = first; position < last; position++) {
    let element = live.get(position);
    if (!element) {
      element = spare.pop() ?? card();
      live.set(position, element);
      cards.append(element);
    }
    element.style.width = `${cell.width}px`;
    element.style.height = `${cell.height}px`;
    element.style.transform = `translate(${(position % columns) * (cell.width + GAP)}px, ${Math.floor(position / columns) * step}px)`;
    fill(element, items[position], position);
  }
  if (live.has(chosen)) grid.setAttribute("aria-activedescendant", `card-${chosen}`);
  else grid.removeAttribute("aria-activedescendant");
}

function resized() {
  const room = grid.clientWidth - 2 * GAP;
  if (room <= 0) return;
  const least = room < 520 ? 140 : 176;
  columns = Math.max(1, Math.floor((room + GAP) / (least + GAP)));
  const width = Math.floor((room - GAP * (columns - 1)) / columns);
  cell = { width, height: Math.round(width * 0.72) + 80 };
  cards.style.height = `${Math.ceil(items.length / columns) * (cell.height + GAP)}px`;
}

function reveal() {
  const top = Math.floor(chosen / columns) * (cell.height + GAP);
  if (top < grid.scrollTop) grid.scrollTop = top;
  else if (top + cell.height + 2 * GAP > grid.scrollTop + grid.clientHeight) grid.scrollTop = top + cell.height + 2 * GAP - grid.clientHeight;
}

grid.addEventListener("scroll", () => {
  if (!waiting) requestAnimationFrame(paint);
  waiting = true;
}, { passive: true });

new ResizeObserver(() => {
  resized();
  reveal();
  paint();
}).observe(grid);

cards.addEventListener("click", (event) => {
  const element = event.target.closest(".card");
  if (element) choose(Number(element.id.slice(5)));
});
cards.addEventListener("dblclick", () => unfold());
