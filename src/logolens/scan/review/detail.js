// The chosen image, large, with all that is known about it and what can be done with it.

const detail = byId("detail");
const FEW = 20; // places shown until more are asked for
const MANY = 1000; // and at most: more is no list to read, and the search finds each of them
let all = false; // whether all places of the chosen image are shown
let detailed = null;

function button(text, key, act, properties = {}) {
  const element = make("button", { type: "button", ...properties }, text, " ", make("kbd", {}, key));
  element.addEventListener("click", act);
  return element;
}

function line(text, href) {
  const words = make("bdi", {}, shown(text));
  return href ? make("a", { href, target: "_blank", rel: "noopener noreferrer" }, words) : words;
}

function place(text) {
  const area = areaOf(text);
  const only = make("button", { type: "button", className: "only", title: `Show only what stands ${linkOf(text) ? "on this page" : "in this folder"}`, "aria-label": `Show only what stands in ${shown(area)}` }, "only");
  only.addEventListener("click", () => {
    byId("where").value = filters.where = area;
    select();
  });
  return make("li", {}, line(text, linkOf(text) ?? fileOf(text)), " ", ...(area ? [only] : []));
}

function scoreRows(row) {
  return row.scores.map(([label, share]) => {
    const level = make("i");
    level.style.width = `${100 * share}%`;
    return make("tr", {}, make("th", { scope: "row" }, said(facts.words[label])), make("td", {}, make("span", { className: "level" }, level)),
      make("td", { className: "figure" }, percent(share)));
  });
}

// Few other labels are buttons of their own; many are behind one.
function others(answer) {
  const rest = facts.labels.filter((label) => label !== answer);
  if (!rest.length) return [];
  if (rest.length > 3) return [button("Another label…", "L", askLabel, { className: "other" })];
  return rest.map((label) => button(`It shows ${said(label)}`, String(facts.labels.indexOf(label) + 1), () => act("reject", label), { className: "other" }));
}

function choices(row) {
  const answer = row.label ?? facts.background;
  if (row.verdict === "error") return make("div", { className: "choices" }, button("Skip", "S", () => act("skip")), button("Undo", "U", takeBack, { disabled: !past.length }));
  const list = make("div", { className: "choices" },
    button(`✓ Accept: ${said(answer)}`, "A", () => act("accept"), { className: "accept" }),
    answer === facts.background ? button("✕ Reject: choose the label…", "R", () => act("reject"), { className: "reject" })
      : button(make("span", {}, "✕ Reject: none", make("span", { className: "word" }, " of the labels")), "R", () => act("reject"), { className: "reject" }),
    button("→ Skip", "S", () => act("skip"), { className: "skip" }), button("Undo", "U", takeBack, { className: "undo", disabled: !past.length }),
    ...others(answer));
  return list;
}

function alikes(item) {
  if (item.rows.length < 2) return [];
  const strip = item.rows.slice(1, 13).map((row) => {
    const frame = make("span", { className: "mini", title: shown(row.name) });
    frame.append(photo(row, 56, 44));
    return frame;
  });
  const more = item.rows.length - 1 - strip.length;
  return [make("h3", {}, `${item.rows.length} alike: what you decide goes for all of them`),
    make("div", { className: "strip" }, ...strip, more > 0 ? `and ${more} more` : ""), button("Unfold them", "E", unfold)];
}

// When what is seen in a video: a bar for each label, and the times themselves.
function timeline(row) {
  const { video } = row;
  if (!video) return [];
  const labels = [...new Set(video.times.map(([label]) => label))];
  const bars = labels.map((label) => {
    const own = video.times.filter(([its]) => its === label);
    const bar = make("div", { className: "bar", role: "img" });
    for (const [, start, end, sure, verdict] of own) {
      const part = make("i", { className: VERDICTS[verdict], title: `${clock(start)} to ${clock(end)}, ${percent(sure)}` });
      part.style.left = `${(100 * start) / Math.max(video.seconds, 0.1)}%`;
      part.style.width = `${(100 * (end - start)) / Math.max(video.seconds, 0.1)}%`;
      bar.append(part);
    }
    const total = own.reduce((sum, [, start, end]) => sum + end - start, 0);
    bar.setAttribute("aria-label", `${named(facts.words[label])}: ${count(own.length, "time")}, ${total.toFixed(1)} s of ${clock(video.seconds)}`);
    return make("div", { className: "track" }, make("p", {}, make("b", {}, said(facts.words[label])), ` ${total.toFixed(1)} s`), bar);
  });
  const times = video.times.slice(0, MANY).map(([label, start, end, sure, verdict, at, share]) => make("li", {},
    `${clock(start)} to ${clock(end)} `, make("b", { className: VERDICTS[verdict] }, said(facts.words[label])), ` ${percent(sure)}, surest at ${clock(at)}`,
    share === null ? "" : `, ${percent(share)} of the frame`));
  const more = video.count - times.length;
  return [make("h3", {}, video.times.length ? `When it is seen, of ${clock(video.seconds)}` : `A video of ${clock(video.seconds)}`),
    make("div", { className: "timeline" }, ...bars), make("ul", { className: "times" }, ...times),
    ...(more > 0 ? [make("p", { className: "soft" }, `and ${more.toLocaleString("en")} more times`)] : []),
    make("p", { className: "soft" }, `${count(video.frames, "frame")} looked at; shown is the surest one.`),
    ...(video.note ? [make("p", { className: "why" }, shown(video.note))] : [])];
}

function show() {
  const item = items[chosen];
  const row = item?.row;
  if (!row) return detail.replaceChildren(make("p", { className: "soft" }, "Nothing is chosen."));
  if (detailed !== row) {
    all = false;
    detail.scrollTop = 0;
    detailed = row;
  }
  const state = tag(item);
  const name = cut(row.name)[1];
  const narrow = detail.clientWidth < 1 || matchMedia("(max-width: 760px)").matches;
  const parts = [];
  const frame = make("div", { className: row.verdict === "error" ? "none" : "large" });
  if (row.verdict !== "error") frame.append(narrow ? photo(row, 92, 84) : photo(row, 318, 260));
  const verdict = row.verdict === "error" ? "cannot be read"
    : `${row.verdict}: ${said(row.label ?? facts.background)}${row.confidence === null ? "" : `, ${percent(row.confidence)}`}`;
  const head = make("div", { className: "who" }, make("p", { className: "verdict" }, make("b", { className: row.verdict }, verdict)),
    make("h2", {}, line(name || row.name, linkOf(row.name) ?? fileOf(row.name))));
  if (state) {
    const words = state.kind === "skip" ? "skipped" : `${KINDS[state.kind][1]}: it shows ${named(state.label)}`;
    head.append(make("p", { className: `state ${state.kind}` }, `${KINDS[state.kind][0]} ${words}`));
  } else head.append(make("p", { className: "state" }, "to do"));
  const opener = make("button", { type: "button", className: "more", "aria-expanded": detail.classList.contains("open") }, detail.classList.contains("open") ? "Less" : "More");
  opener.addEventListener("click", () => {
    detail.classList.toggle("open");
    show();
    detail.querySelector(".more").focus();
  });
  parts.push(make("div", { className: "top" }, frame, head, opener), choices(row));
  const rest = make("div", { className: "rest" });
  if (row.read) rest.append(make("p", { className: "read" }, shown(row.read)));
  if (row.error) rest.append(make("h3", {}, "Why"), make("p", { className: "why" }, reason(row)));
  rest.append(...timeline(row), ...alikes(item));
  const size = row.width ? `${row.width} × ${row.height} pixels` : "";
  const about = [size, news(row) && `${news(row)} since the last scan`].filter(Boolean).join(", ");
  if (about) rest.append(make("p", { className: "soft" }, about));
  const stands = [...new Set([...row.places, ...row.others].map((index) => places[index]))];
  if (!stands.length) stands.push(row.name);
  rest.append(make("h3", {}, `Stands in ${count(stands.length, "place")}`), make("ul", { className: "places" }, ...stands.slice(0, all ? MANY : FEW).map(place)));
  if (all && stands.length > MANY) rest.append(make("p", { className: "soft" }, `and ${(stands.length - MANY).toLocaleString("en")} more`));
  if (!all && stands.length > FEW) {
    const more = make("button", { type: "button", className: "all" }, `Show ${stands.length > MANY ? MANY.toLocaleString("en") + " of " : "all "}${stands.length.toLocaleString("en")}`);
    more.addEventListener("click", () => {
      all = true;
      show();
    });
    rest.append(more);
  }
  if (row.scores.length) rest.append(make("h3", {}, "How sure of each label"), make("table", { className: "scores" }, make("tbody", {}, ...scoreRows(row))));
  rest.append(make("p", { className: "full" }, make("bdi", {}, shown(row.name))));
  parts.push(rest);
  // A button that had the focus is made anew: the focus goes to its successor.
  const focused = detail.contains(document.activeElement) ? document.activeElement.className : null;
  detail.replaceChildren(...parts);
  if (focused !== null) (focused && detail.querySelector(`.${CSS.escape(focused)}`) || grid).focus();
}
