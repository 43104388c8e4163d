// Which bundles are served, what the chosen one knows, and how it is to be asked.

import { byId, count, make, shown } from "./dom.js";
import { json } from "./server.js";

let known = null;
let bundle = "";

export const model = () => known;
export const chosenBundle = () => bundle;

// The parameters of a question.
export function options() {
  const asked = new URLSearchParams();
  if (bundle) asked.set("bundle", bundle);
  if (byId("views").value) asked.set("views", byId("views").value);
  if (known?.where) asked.set(byId("every").checked ? "all" : "where", "true");
  return asked;
}

function figures() {
  const measured = known.metrics?.test ?? known.metrics?.val;
  if (!measured?.n || typeof measured.top1 !== "number") return "";
  // As the model card says it, to the same place and by the same name.
  const kind = known.metrics.test ? "test photo" : "validation photo";
  const caution = known.metrics.test ? "" : ", which chose when training stopped, so that it is a little too kind";
  return ` Top-1 accuracy ${(100 * measured.top1).toFixed(1)} % on ${count(measured.n, kind)}${caution}.`;
}

function describe() {
  const none = known.background ? "It says so where an image shows none of them." : "It always names one of them: it was not trained to say none.";
  byId("about").textContent = `${shown(known.name)} knows ${count(known.labels.length, "label")}. ${none}${figures()}`;
  byId("knows").hidden = false;
  byId("knows").querySelector("summary").textContent = "Which labels?";
  byId("knows").querySelector("ul").replaceChildren(...known.labels.map((label) => make("li", {}, shown(label))));
  for (const option of byId("views").options) option.hidden = option.disabled = Boolean(option.value) && !known.views.includes(option.value);
  if (byId("views").selectedOptions[0]?.disabled) byId("views").value = "";
  byId("views-field").hidden = known.views.length < 2;
  byId("every-field").hidden = !known.where;
  const limit = known.limits?.max_bytes;
  byId("taken").textContent = `They go to this server and nowhere else${limit ? `; each may have ${Math.floor(limit / 1e6)} MB` : ""}.`;
}

export async function choose(name) {
  const found = await json(`v1/model?${new URLSearchParams(name ? { bundle: name } : {})}`);
  bundle = name;
  known = found;
  describe();
}

export async function start(changed) {
  const { models } = await json("v1/models");
  byId("bundle").replaceChildren(...models.map(({ name }) => make("option", { value: name }, shown(name))));
  byId("bundle-field").hidden = models.length < 2;
  const first = (models.find((one) => one.default) ?? models[0])?.name ?? "";
  byId("bundle").value = first;
  await choose(first);
  byId("bundle").addEventListener("change", async () => {
    await choose(byId("bundle").value);
    changed();
  });
  byId("views").addEventListener("change", changed);
  byId("every").addEventListener("change", changed);
}
