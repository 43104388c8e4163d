// The answers as a table for spreadsheets.



const COLUMNS = ["image", "verdict", "label", "confidence", "second", "second_confidence", "box", "bundle", "error"];
const FORMULA = /^[=+\-@\t\r]/; // as a scan's CSV has it: what begins so gets an apostrophe, and no spreadsheet runs it

export function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function record(entry) {
  const second = Object.entries(entry.scores ?? {}).find(([label]) => label !== entry.label);
  const confidence = entry.confidence ?? null;
  return [
    entry.name, entry.verdict, entry.label, confidence === null ? null : Number(confidence.toFixed(6)),
    second?.[0], second === undefined ? null : Number(second[1].toFixed(6)),
    entry.boxes?.length ? entry.boxes[0].box.map((edge) => edge.toFixed(4)).join(" ") : null, entry.bundle, entry.reason,
  ];
}

export function table(entries) {
  return [COLUMNS, ...entries.map(record)].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}


