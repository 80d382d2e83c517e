// The form: its values as one flat object of settings, remembered between visits, and the request they make.

import { $, debounce, make, setSelect } from "./dom.js";
import { round8 } from "./units.js";

const STORE = "diffusionapi.form";

/** Names are those of the form's elements. A null is left to the server. */
export const DEFAULTS = Object.freeze({
  prompt: "", negative_prompt: "", model: "", sampler_name: "DPM++ 2M", scheduler_type: "Karras",
  steps: 25, cfg_scale: 7, width: 512, height: 512, seed: "", batch_size: 1, loras: [],
  hires_enabled: false, hires_scale: 2, hires_upscaler: "Latent", hires_steps: 15, hires_denoising_strength: 0.6,
  denoising_strength: 0.75, resize_mode: "1", mask_blur: 4, mask_fill: "1", mask_full_res: false, mask_invert: false,
  file_type: "png", quality: 85, clip_skip: 1, vae: "", refiner_checkpoint: "", refiner_switch_at: 0.8, size_policy: "",
});

/** Where the server's name of a field is another than the form's element. */
const ELEMENT_OF = {
  "hires.scale": "hires_scale", "hires.upscaler": "hires_upscaler", "hires.steps": "hires_steps",
  "hires.denoising_strength": "hires_denoising_strength", "mask.blur": "mask_blur", "mask.blur_x": "mask_blur",
  "mask.blur_y": "mask_blur", "mask.fill": "mask_fill", fileType: "file_type", jpeg_quality: "quality",
  "resize_to.width": "width", "resize_to.height": "height", loras: "lora-add", image: "file", mask: "file", input: "file",
};

const elements = () => $("form").elements;
let loras = []; // [{name, scale}]; drawn by choices.js
const watchers = [];

/** f(settings) is called after every change. */
export const onChange = (f) => watchers.push(f);

/** Tells everybody, and remembers; called by whoever changed a value without an input event. */
export function changed() {
  const settings = read();
  showSeedHint();
  remember(settings);
  for (const f of watchers) f(settings);
}

const remember = debounce((settings) => {
  try {
    localStorage.setItem(STORE, JSON.stringify(settings));
  } catch {
    // A full or forbidden store: the form is then not remembered, which is no reason to disturb anybody.
  }
}, 250);

export function read() {
  const all = elements();
  const settings = {};
  for (const [name, value] of Object.entries(DEFAULTS)) {
    const element = all[name];
    if (name === "loras") settings.loras = loras.map((lora) => ({ ...lora }));
    else if (typeof value === "boolean") settings[name] = element.checked;
    else if (typeof value === "number") settings[name] = element.value.trim() === "" ? null : Number(element.value);
    else settings[name] = element.value;
  }
  return settings;
}

/** Sets those that are given; the rest stays. */
export function write(settings) {
  const all = elements();
  for (const [name, value] of Object.entries(settings)) {
    if (!(name in DEFAULTS) || value === undefined) continue;
    const element = all[name];
    if (name === "loras") loras = value.filter((lora) => lora?.name).map(({ name: of, scale }) => ({ name: of, scale: Number(scale ?? 1) }));
    else if (element instanceof HTMLSelectElement) setSelect(element, value);
    else if (typeof DEFAULTS[name] === "boolean") element.checked = Boolean(value);
    else element.value = value ?? "";
    mirror(name);
  }
  for (const name of Object.keys(settings)) clearError(name);
  changed();
}

/** True where there was something to remember. */
export function restore() {
  let saved = null;
  try {
    saved = JSON.parse(localStorage.getItem(STORE));
  } catch {
    // Somebody else's text under our name.
  }
  write({ ...DEFAULTS, ...saved });
  return saved !== null;
}

export const setLoras = (list) => {
  loras = list;
  changed();
};

/** The slider beside a number. */
function mirror(name) {
  const slider = document.querySelector(`[data-mirror="${name}"]`);
  if (slider) slider.value = elements()[name].value;
}

function showSeedHint() {
  const seed = elements().seed.value.trim();
  $("seed-hint").textContent = seed === "" || seed === "-1" ? "A new seed every time." : "Locked: the same seed every time.";
}

/* Errors beside their fields. */

function fieldOf(name) {
  const id = ELEMENT_OF[name] ?? name;
  const named = elements()[id];
  const element = named instanceof Element ? named : $(id); // radio buttons of one name are a list
  return element ? { element, box: element.closest(".field, [data-field]") } : null;
}

export function clearError(name) {
  const field = fieldOf(name);
  if (!field?.box) return;
  field.box.querySelector(":scope > .problem")?.remove();
  field.element.removeAttribute("aria-invalid");
  field.element.removeAttribute("aria-errormessage");
}

/** Shows text beside the field and opens the part it is in. False where the page has no such field. */
export function showError(name, text) {
  const field = fieldOf(name);
  if (!field?.box) return false;
  clearError(name);
  const id = `${field.element.id}-problem`;
  field.box.append(make("p", { class: "problem", id }, text));
  field.element.setAttribute("aria-invalid", "true");
  field.element.setAttribute("aria-errormessage", id);
  for (let part = field.box.closest("details"); part; part = part.parentElement.closest("details")) part.open = true;
  return true;
}

/** The field that a sentence of the server is about: the one it names first. */
export function fieldIn(text) {
  const names = [...Object.keys(DEFAULTS), ...Object.keys(ELEMENT_OF)];
  let best = null;
  let at = Infinity;
  for (const name of names) {
    const found = text.search(new RegExp(`(^|[^\\w.])${name.replace(".", "\\.")}($|[^\\w.])`));
    if (found >= 0 && found < at) {
      best = name;
      at = found;
    }
  }
  return at === 0 || (at < 3 && best) ? best : null;
}

const labelOf = (element) => element.labels?.[0]?.textContent.trim() ?? element.name;

/** The first value that no server would take, after saying so beside its field; null where all are fine. */
export function check({ hasPicture }) {
  let first = null;
  const complain = (element, text) => {
    showError(element.name, text);
    first ??= element;
  };
  for (const element of elements()) {
    if (!element.name || element.type === "radio") continue;
    clearError(element.name);
    if (element.type !== "number" || element.closest("[hidden]")) continue;
    const { badInput, valueMissing, rangeUnderflow, rangeOverflow } = element.validity;
    if (badInput || valueMissing) complain(element, `${labelOf(element)} has to be a number.`);
    else if (rangeUnderflow || rangeOverflow) complain(element, `${labelOf(element)} goes from ${element.min} to ${element.max}.`);
  }
  const { seed, prompt } = elements();
  if (!/^(-1|\d{1,20})?$/.test(seed.value.trim())) complain(seed, "A seed is a whole number, or nothing.");
  if (hasPicture && !prompt.value.trim()) complain(prompt, "To start from a picture, say what it should become.");
  return first;
}

/** Are all numbers numbers within their limits? Says nothing to anybody. */
export const isComplete = () => [...elements()].every((element) => element.type !== "number" || element.disabled ||
  element.closest("[hidden]") || !(element.validity.badInput || element.validity.valueMissing || element.validity.rangeUnderflow || element.validity.rangeOverflow));

/** What the server gets. source is null or {image, mask, width, height}: data URLs, and the picture's size. */
export function requestOf(settings, source, { forPlan = false } = {}) {
  const s = settings;
  const request = {
    mode: source ? "img2img" : "txt2img",
    prompt: s.prompt, negative_prompt: s.negative_prompt, steps: s.steps, cfg_scale: s.cfg_scale,
    width: round8(s.width), height: round8(s.height), batch_size: s.batch_size, sampler_name: s.sampler_name,
    scheduler_type: s.scheduler_type, seed: s.seed.trim() === "" ? -1 : Number(s.seed), clip_skip: s.clip_skip,
    file_type: s.file_type, quality: s.quality,
  };
  if (s.model) request.model = s.model;
  if (s.vae) request.vae = s.vae;
  if (s.size_policy) request.size_policy = s.size_policy;
  if (s.refiner_checkpoint) Object.assign(request, { refiner_checkpoint: s.refiner_checkpoint, refiner_switch_at: s.refiner_switch_at });
  if (s.loras.length) request.loras = s.loras;
  if (s.hires_enabled && !source)
    request.hires = { enabled: true, scale: s.hires_scale, upscaler: s.hires_upscaler, steps: s.hires_steps, denoising_strength: s.hires_denoising_strength, second_pass: true };
  if (source) {
    request.denoising_strength = s.denoising_strength;
    request.resize_mode = Number(s.resize_mode);
    request.resize_to = { width: request.width, height: request.height };
    if (source.mask)
      request.mask_options = { blur_x: s.mask_blur, blur_y: s.mask_blur, fill: Number(s.mask_fill), full_res: s.mask_full_res, invert: s.mask_invert };
    if (forPlan) request.input = { width: source.width, height: source.height };
    else Object.assign(request, { image: source.image }, source.mask ? { mask: source.mask } : {});
  }
  if (!forPlan) request.preview = true;
  return request;
}

export function startForm() {
  const form = $("form");
  form.addEventListener("input", (event) => {
    const target = event.target;
    if (target.dataset.mirror) elements()[target.dataset.mirror].value = target.value;
    else if (target.name) mirror(target.name);
    clearError(target.dataset.mirror ?? target.name);
    changed();
  });
  // Sides are multiples of 8; rounding waits until the number is whole.
  for (const name of ["width", "height"])
    elements()[name].addEventListener("change", (event) => {
      if (event.target.value) event.target.value = round8(Number(event.target.value));
      changed();
    });
  $("seed-random").addEventListener("click", () => write({ seed: "" }));
  $("reset").addEventListener("click", () => write({ ...DEFAULTS, prompt: elements().prompt.value, model: elements().model.value }));
}
