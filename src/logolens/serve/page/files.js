// What was dropped, pasted or chosen, as files with names; and small pictures of them.

const SUFFIXES = new Set(document.documentElement.dataset.suffixes.split(","));
const SIDE = 400; // pixels of a small picture's longer side
let pasted = 0;

const suffix = (name) => name.slice(name.lastIndexOf(".")).toLowerCase();

// Files that were named are asked about whatever they are; of a folder those with an image's ending are.
export async function dropped(transfer) {
  const entries = [...transfer.items].filter((item) => item.kind === "file").map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile());
  const found = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ file: entry, name: entry.name });
    else if (entry?.isFile) found.push({ file: await fileOf(entry), name: entry.name });
    else if (entry?.isDirectory) await walk(entry, found);
  }
  return found;
}

const fileOf = (entry) => new Promise((done, failed) => entry.file(done, failed));

async function walk(folder, found) {
  const reader = folder.createReader();
  for (;;) {
    const part = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!part.length) return;
    for (const entry of part) {
      if (entry.isDirectory) await walk(entry, found);
      else if (SUFFIXES.has(suffix(entry.name))) found.push({ file: await fileOf(entry), name: entry.fullPath.replace(/^\//, "") });
    }
  }
}

// All browsers call what was copied from a page image.png.
export function fromClipboard(data) {
  return [...data.files].map((file) => ({ file, name: file.name === "image.png" ? `pasted-${++pasted}.png` : file.name }));
}

export const chosen = (list) => [...list].map((file) => ({ file, name: file.webkitRelativePath || file.name }));

// The address of a small picture and the size of the large one; null where the browser cannot show it.
export async function small(file) {
  if (file.type === "image/svg+xml") return { url: URL.createObjectURL(file) };
  try {
    const bitmap = await createImageBitmap(file);
    const { width, height } = bitmap;
    const scale = Math.min(1, SIDE / Math.max(width, height));
    const canvas = new OffscreenCanvas(Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
    const pen = canvas.getContext("2d");
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return { url: URL.createObjectURL(await canvas.convertToBlob({ type: "image/jpeg", quality: 0.85 })), width, height };
  } catch {
    return null;
  }
}
