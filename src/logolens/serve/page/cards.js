// Cards of answers, in a list that is one stop of the Tab key: arrows move in it.

import { cut, make, percent, shown } from "./dom.js";
import { aloud, named, words } from "./said.js";

// The picture with its boxes: these are in fractions of its width and height, whatever size it has here.
export function photo(url, boxes, failed, labelled = false) {
  const image = make("img", { alt: "", decoding: "async", draggable: false });
  const holder = make("span", { className: "photo" }, image);
  image.addEventListener("error", () => holder.replaceWith(make("span", { className: "blank" }, failed)));
  image.src = url;
  for (const { label, box } of boxes ?? []) {
    const [x1, y1, x2, y2] = box.map((edge) => 100 * Math.min(1, Math.max(0, edge)));
    const frame = make("i", { className: y1 < 12 ? "box low" : "box" }, labelled ? make("b", {}, shown(label)) : null);
    Object.assign(frame.style, { left: `${x1}%`, top: `${y1}%`, width: `${x2 - x1}%`, height: `${y2 - y1}%` });
    holder.append(frame);
  }
  return holder;
}

export function bar(share) {
  const level = make("i");
  level.style.width = `${100 * Math.min(1, Math.max(0, share ?? 0))}%`;
  return make("span", { className: "level" }, level);
}

// The best few labels; none stands among them where it is one of these.
export function bars(entry, most) {
  return Object.entries(entry.scores ?? {}).slice(0, most).map(([label, share]) =>
    make("span", { className: label === entry.label ? "score chosen" : "score" }, make("span", { className: "what", title: named(label) }, shown(label)), bar(share), make("span", { className: "figure" }, percent(share))));
}

export class Cards {
  #entries = [];
  #elements = new Map(); // entry -> its list item
  #at = 0;
  #eye = new IntersectionObserver((seen) => seen.forEach((one) => one.isIntersecting && this.#look(one.target)), { rootMargin: "400px" });

  constructor(list, open) {
    this.list = list;
    this.open = open;
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("focusin", (event) => {
      const at = this.#entries.findIndex((entry) => this.#elements.get(entry)?.contains(event.target));
      if (at >= 0) this.#stop(at);
    });
  }

  get entries() {
    return this.#entries;
  }

  fill(entries) {
    this.#eye.disconnect();
    this.#elements.clear();
    this.list.replaceChildren();
    this.#entries = [];
    this.#at = 0;
    this.add(entries);
  }

  add(entries) {
    const first = this.#entries.length;
    this.#entries = [...this.#entries, ...entries];
    this.list.append(...entries.map((entry, at) => {
      const button = make("button", { type: "button", className: "card", tabIndex: first + at === this.#at ? 0 : -1, "aria-haspopup": "dialog" });
      button.addEventListener("click", () => this.open(this.#entries, this.#entries.indexOf(entry)));
      const item = make("li", {}, button);
      item.entry = entry;
      this.#elements.set(entry, item);
      this.#draw(entry, button);
      this.#eye.observe(item);
      return item;
    }));
  }

  // What is known of this entry has changed.
  update(entry) {
    const item = this.#elements.get(entry);
    if (!item) return;
    this.#draw(entry, item.firstChild);
    if (item.near) this.#look(item);
  }

  focus(at) {
    this.#stop(Math.min(this.#entries.length - 1, Math.max(0, at)));
    this.#elements.get(this.#entries[this.#at])?.firstChild.focus();
  }

  #stop(at) {
    const button = (place) => this.#elements.get(this.#entries[place])?.firstChild;
    if (button(this.#at)) button(this.#at).tabIndex = -1;
    this.#at = at;
    if (button(at)) button(at).tabIndex = 0;
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const tops = [...this.list.children].map((item) => item.offsetTop);
    const columns = Math.max(1, tops.filter((top) => top === tops[0]).length);
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -this.#at, End: this.#entries.length - 1 - this.#at }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const to = this.#at + step;
    if (to >= 0 && to < this.#entries.length) this.focus(to);
  }

  #draw(entry, button) {
    const { head, line } = words(entry);
    const name = shown(cut(entry.name)[1] || entry.name);
    button.dataset.verdict = entry.verdict;
    button.setAttribute("aria-label", `${name}: ${aloud(entry)}${entry.change ? `, ${entry.change}` : ""}`);
    const frame = make("span", { className: "frame" });
    if (entry.reason) frame.append(make("span", { className: "reason" }, shown(entry.reason)));
    else if (entry.url) frame.append(photo(entry.url, entry.boxes, "This browser cannot show it."));
    else if (entry.url === null) frame.append(make("span", { className: "blank" }, entry.blank ?? "This browser cannot show it."));
    button.replaceChildren(frame, make("span", { className: "head" }, head), make("span", { className: "line" }, line),
      make("span", { className: "scores" }, ...bars(entry, 3)), make("span", { className: "name" }, name),
      ...(entry.change ? [make("span", { className: "badge" }, entry.change)] : []));
  }

  async #look(item) {
    const { entry } = item;
    item.near = true;
    if (entry.reason || entry.url !== undefined || entry.looked) return;
    entry.looked = true;
    entry.url = await entry.thumb();
    if (this.#elements.get(entry) === item) this.#draw(entry, item.firstChild);
  }
}

