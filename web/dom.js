// Small helpers around the document: finding, making, telling. Text only ever goes in as text.

export const $ = (id) => document.getElementById(id);

/** make("li", {class: "row", onclick: f, "aria-label": "x"}, "text", node): an element. Properties whose name
 *  begins with "on" are listeners; null and false are left out; true is an empty attribute. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Shows text in element, or hides it where there is none. */
export function tell(element, text) {
  element.textContent = text || "";
  element.hidden = !text;
}

/** For screen readers only: said once, politely. */
export function announce(text) {
  const region = $("announce");
  region.textContent = "";
  // A region that gets the same text twice is not read twice; a moment of emptiness between helps.
  setTimeout(() => { region.textContent = text; }, 60);
}

/** A message in the corner that goes by itself. kind: "", "warn" or "bad". */
export function toast(text, kind = "") {
  const node = make("p", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, text);
  $("toasts").append(node);
  setTimeout(() => node.remove(), kind === "bad" ? 9000 : 5000);
}

/** Replaces the options of a select and keeps what was chosen, also where it is not among them any more.
 *  rows: [{value, text, group}]. */
export function fillSelect(select, rows, chosen = select.value) {
  const groups = new Map();
  select.replaceChildren();
  for (const row of rows) {
    const option = make("option", { value: row.value }, row.text ?? row.value);
    if (!row.group) {
      select.append(option);
      continue;
    }
    if (!groups.has(row.group)) {
      groups.set(row.group, make("optgroup", { label: row.group }));
      select.append(groups.get(row.group));
    }
    groups.get(row.group).append(option);
  }
  setSelect(select, chosen);
}

/** Chooses value; a value that is not offered becomes an option of its own, so that nothing changes silently. */
export function setSelect(select, value) {
  if (value === undefined || value === null) return;
  const text = String(value);
  if (![...select.options].some((option) => option.value === text)) {
    if (!text) return;
    // An empty list is one that has not come yet.
    select.append(make("option", { value: text }, select.options.length ? `${text} (not here)` : text));
  }
  select.value = text;
}

/** Calls f once, ms after the last of many calls. */
export function debounce(f, ms) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => f(...values), ms);
  };
}

/** A listener for a button that asks to be pressed twice. */
export function twice(button, words, act) {
  const before = button.textContent;
  let timer = 0;
  const calm = () => {
    clearTimeout(timer);
    button.textContent = before;
    button.classList.remove("sure");
  };
  button.addEventListener("blur", calm);
  button.addEventListener("click", () => {
    if (button.classList.contains("sure")) {
      calm();
      act();
      return;
    }
    button.textContent = words;
    button.classList.add("sure");
    timer = setTimeout(calm, 4000);
  });
}

export const calmMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
