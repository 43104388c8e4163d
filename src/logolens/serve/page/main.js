// What ties the page together: its tabs, and images that are dropped, pasted or chosen.

import { offerAgain, say, start, take } from "./asking.js";
import { close } from "./detail.js";
import { byId, shown } from "./dom.js";
import { chosen, dropped, fromClipboard } from "./files.js";
import * as model from "./model.js";
import * as results from "./results.js";

const TABS = ["ask", "results"];

function turn(name, focus = false) {
  for (const one of TABS) {
    const tab = byId(`tab-${one}`);
    tab.setAttribute("aria-selected", one === name);
    tab.tabIndex = one === name ? 0 : -1;
    byId(`panel-${one}`).hidden = one !== name;
  }
  if (focus) byId(`tab-${name}`).focus();
  // No element has such a name, so that the browser does not go there.
  history.replaceState(null, "", name === TABS[0] ? location.pathname + location.search : `#${name}`);
  if (name === "results") results.show();
}

byId("tabs").addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) turn(tab.id.slice(4));
});
byId("tabs").addEventListener("keydown", (event) => {
  const now = TABS.findIndex((name) => byId(`tab-${name}`).tabIndex === 0);
  const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: TABS.length - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  turn(TABS[(to + TABS.length) % TABS.length], true);
});
addEventListener("hashchange", () => TABS.includes(location.hash.slice(1)) && turn(location.hash.slice(1)));

function taken(found) {
  if (!found.length) return;
  close();
  if (byId("panel-ask").hidden) turn("ask");
  take(found);
}

byId("files").addEventListener("change", (event) => {
  taken(chosen(event.target.files));
  event.target.value = ""; // The same file may be chosen again.
});

document.addEventListener("paste", (event) => {
  const found = fromClipboard(event.clipboardData);
  if (!found.length) return;
  event.preventDefault();
  taken(found);
});

// Wherever on the page something is let go, it is taken; else the browser would leave the page to show it.
let inside = 0;
const carries = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
const over = (is) => (byId("over").hidden = !is);
document.addEventListener("dragenter", (event) => carries(event) && over(++inside > 0));
document.addEventListener("dragleave", (event) => carries(event) && over((inside = Math.max(0, inside - 1)) > 0));
document.addEventListener("dragover", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
});
document.addEventListener("drop", async (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  over((inside = 0) > 0);
  try {
    const found = await dropped(event.dataTransfer);
    if (found.length) taken(found);
    else say("There is no image in what was dropped.");
  } catch {
    say("What was dropped cannot be read; choose the images instead.");
  }
});

start();
turn(TABS.includes(location.hash.slice(1)) ? location.hash.slice(1) : "ask");
model.start(offerAgain).catch((error) => say(shown(error.message)));
