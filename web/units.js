// Numbers as people read them. Bytes in powers of ten, as the program's own tables.

export function bytes(n) {
  if (!Number.isFinite(n)) return "?";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  let x = Math.abs(n);
  while (x >= 999.5 && i < units.length - 1) {
    x /= 1000;
    i++;
  }
  const digits = i < 2 || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2;
  return `${n < 0 ? "-" : ""}${x.toFixed(digits)} ${units[i]}`;
}

export function seconds(s) {
  if (!Number.isFinite(s) || s < 0) return "";
  if (s < 0.05) return "< 0.1 s";
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 99.5) return `${Math.round(s)} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${(s / 3600).toFixed(1)} h`;
}

/** "about 3.2 s", for sentences. */
export const about = (s) => (s < 0.05 ? "less than 0.1 s" : `about ${seconds(s)}`);

export const size = (s) => `${s.width}×${s.height}`;

export function when(unixSeconds) {
  if (!unixSeconds) return "";
  const date = new Date(unixSeconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], today ? { hour: "2-digit", minute: "2-digit" } : { dateStyle: "medium", timeStyle: "short" });
}

export const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** To a multiple of 8 and within what any server takes. */
export const round8 = (n) => Math.max(64, Math.round(n / 8) * 8);
