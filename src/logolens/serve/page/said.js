// What an answer means, in plain words, and how sure it is.

import { percent, shown } from "./dom.js";

export const NONE = "none"; // the label of images that show none of the labels
const { match: MATCH, unsure: UNSURE } = document.documentElement.dataset;

export function best(scores) {
  const [label, share] = Object.entries(scores ?? {}).find(([name]) => name !== NONE) ?? [null, 0];
  return { label, share };
}

// As of a scan: from which share of the best label on an image is a match, or unsure.
export function verdict(answer) {
  if (answer.label === null) return "error";
  const { share } = best(answer.scores);
  if (answer.label !== NONE) return share >= Number(MATCH) ? "match" : "unsure";
  return share >= Number(UNSURE) ? "unsure" : "clear";
}

// Heading and the line below it.
export function words(entry) {
  if (entry.verdict === "waiting") return { head: "Waiting…", line: "" };
  if (entry.verdict === "error") return { head: entry.stopped ? "Not asked" : "Cannot be read", line: "" };
  if (entry.verdict === "failed") return { head: "No answer", line: "" };
  const { label } = entry;
  if (entry.verdict === "match") return { head: shown(label), line: `${percent(entry.confidence)} sure` };
  const other = best(entry.scores);
  if (label === NONE) {
    const perhaps = entry.verdict === "unsure" && other.label !== null ? `unsure: perhaps ${shown(other.label)}, ${percent(other.share)}` : `${percent(entry.scores?.[NONE] ?? entry.confidence)} sure`;
    return { head: "None of these", line: perhaps };
  }
  return { head: `Unsure: perhaps ${shown(label)}`, line: `only ${percent(entry.confidence)} sure` };
}

// A word that was read, as `logolens predict` tells it.
export function said(word, read) {
  const like = word.similarity < 1 ? `, ${Math.round(100 * word.similarity)}% like “${shown(word.name)}”` : "";
  return `${read ? "Read, not seen: " : ""}“${shown(word.word)}” is written there${like}`;
}

export function aboutWords(answer) {
  const word = answer.words?.find(({ label }) => label === answer.label);
  return word ? said(word, answer.read) : "";
}

export const aloud = (entry) => {
  const { head, line } = words(entry);
  return [head, entry.reason ? shown(entry.reason) : line].filter(Boolean).join(", ");
};

export const named = (label) => (label === NONE ? "none of these" : shown(label));
