// Asking the server: with the token it wants, again when it is busy, and its refusals as sentences.

import { byId, wait } from "./dom.js";

const KEPT = "logolens-token"; // in the tab's own storage
const PATIENCE = 600; // seconds in which a busy server is asked again
const LOST = 3; // times that a broken connection is tried again

export class Refused extends Error {
  constructor(status, sentence, after = null) {
    super(sentence);
    this.status = status;
    this.after = after;
  }
}

let token = recalled();
let asking = null; // while the person is asked for the token, all requests wait for this
let paused = 0; // until when the server wants to be left alone, for all requests alike
const listeners = new Set();

function recalled() {
  try {
    return sessionStorage.getItem(KEPT) ?? "";
  } catch {
    return "";
  }
}

function keep(value) {
  token = value;
  try {
    if (value) sessionStorage.setItem(KEPT, value);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Where the browser keeps nothing, it is known until the page is left.
  }
}

// The form stays until a token is given; what was wrong with the last one is said beside it.
function wanted(tried) {
  asking ??= new Promise((done) => {
    const form = byId("token-form");
    byId("token-wrong").textContent = tried ? "This token is not the one. Check it, and try again." : "";
    form.hidden = false;
    byId("token").value = "";
    byId("token").focus();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      // A header holds printable ASCII alone, as the server's token is; anything else cannot be right.
      keep(byId("token").value.trim().replace(/[^\x21-\x7e]/g, ""));
      form.hidden = true;
      asking = null;
      byId("main").focus();
      done();
    }, { once: true });
  });
  return asking;
}

// Called with the seconds that the server wants to be left alone, and with 0 when it answers again.
export const whenBusy = (listener) => listeners.add(listener);
const busy = (seconds) => listeners.forEach((listener) => listener(seconds));

async function refusal(response) {
  let sentence = `The server answered with status ${response.status} and gave no reason; its log may.`;
  try {
    const said = (await response.json()).error;
    if (typeof said === "string" && said) sentence = said;
  } catch {
    // No JSON: something between this page and the server has answered.
  }
  const after = Number.parseFloat(response.headers.get("retry-after"));
  return new Refused(response.status, sentence, Number.isFinite(after) ? Math.max(0, after) : null);
}

async function once(path, options) {
  for (;;) {
    const used = token;
    const headers = used ? { authorization: `Bearer ${used}` } : {};
    const response = await fetch(path, { ...options, headers, credentials: "same-origin", redirect: "error" });
    if (response.status !== 401) {
      if (!response.ok) throw await refusal(response);
      return response;
    }
    // Another request may have brought a newer one meanwhile.
    if (used === token) await wanted(used !== "");
  }
}

// `fresh` makes the options anew for each attempt: a body that was sent is spent.
export async function ask(path, fresh = () => ({})) {
  const end = performance.now() + 1000 * PATIENCE;
  for (let lost = 0, pause = 1; ; pause = Math.min(30, pause * 2)) {
    const options = fresh();
    while (performance.now() < paused) {
      options.signal?.throwIfAborted();
      await wait(Math.min(0.5, (paused - performance.now()) / 1000));
    }
    try {
      const response = await once(path, options);
      busy(0);
      return response;
    } catch (error) {
      if (options.signal?.aborted) throw error;
      let seconds = pause / 2;
      if (error instanceof Refused) {
        if (error.status !== 429 && error.status !== 503) throw error;
        seconds = Math.max(0.2, error.after ?? pause);
      } else if (++lost > LOST) {
        throw new Refused(0, "The server cannot be reached. Check that it runs and that you are connected, then ask again.");
      }
      if (performance.now() + 1000 * seconds > end) throw error;
      paused = Math.max(paused, performance.now() + 1000 * seconds);
      if (error instanceof Refused) busy(seconds);
    }
  }
}

export async function json(path, fresh) {
  return (await ask(path, fresh)).json();
}

export async function picture(path) {
  return URL.createObjectURL(await (await ask(path)).blob());
}
