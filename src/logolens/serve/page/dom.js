// Small things that all parts of the page use. Whatever came from a file or the server becomes text, never markup.

export const byId = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Characters that would hide or turn what stands around them are shown by their numbers.
const SLY = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

export function shown(text) {
  return String(text).replace(SLY, (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0"));
}

export const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

export function percent(share) {
  if (share === null || share === undefined) return "";
  // Nothing that is less than certain is called so.
  const text = share > 0.995 && share < 1 ? Math.min(99.9, 100 * share).toFixed(1) : (100 * share).toFixed(0);
  return `${text}\u00a0%`;
}

// A file's last name, and the folders before it.
export function cut(name) {
  const at = Math.max(name.lastIndexOf("/", name.length - 2), name.lastIndexOf("\\", name.length - 2));
  return [name.slice(0, at + 1), name.slice(at + 1)];
}

// Only these two schemes ever become links; javascript:, data: and the rest stay text.
export function linkOf(text) {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

// What is read out, and seen by no one: the same stands on the page.
export function tell(text) {
  byId("status").textContent = text;
}

export const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
