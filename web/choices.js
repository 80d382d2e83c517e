// What the server offers (models, samplers, LoRAs, ...) in the form's lists; shapes of the picture; seeds.

import { lists } from "./client.js";
import { $, fillSelect, make, tell } from "./dom.js";
import { DEFAULTS, changed, onChange, read, setLoras, write } from "./form.js";
import { hasSource } from "./source.js";
import { plural, round8 } from "./units.js";

const FAMILIES = {
  sd15: "Stable Diffusion 1.x", "sd15-inpainting": "Stable Diffusion 1.x, inpainting", sdxl: "SDXL", "sdxl-inpainting": "SDXL, inpainting",
};
const RATIOS = [[1, 1], [4, 3], [3, 2], [16, 9], [3, 4], [2, 3], [9, 16]];

let offered = { models: [], loras: [] };
let lastSeed = null;

const textOf = (row) => (row.name === "demo" ? "Demo model: coloured shapes" : row.label ?? row.title ?? row.name);
const named = (row) => ({ value: row.name, text: textOf(row) });

function modelRows(models) {
  const families = new Set(models.map((model) => model.family));
  return models.map((model) => ({
    ...named(model),
    group: families.size > 1 ? FAMILIES[model.family] ?? model.family : undefined,
  }));
}

/** A sampler called "X Karras" is X with that schedule, which has a list of its own. */
const plainSamplers = (names) => names.filter((name) => !(name.endsWith(" Karras") && names.includes(name.slice(0, -7))));

/** Names may be written in any case; what is saved in a form is found again. */
const alike = (names, name) => names.find((other) => other.toLowerCase() === String(name).toLowerCase()) ?? name;

/** fresh: nothing was remembered, so the size is the model's own. */
export async function loadChoices({ fresh = false } = {}) {
  const settings = read();
  const all = await lists();
  const samplers = plainSamplers(all.samplers);
  const usable = all.models.filter((model) => !model.problem);
  const models = usable.filter((model) => model.family !== "sdxl-refiner");
  const refiners = usable.filter((model) => model.family?.startsWith("sdxl"));
  const standard = models.find((model) => model.default) ?? models[0];

  offered = all;
  fillSelect($("model"), modelRows(models), settings.model || standard?.name || "");
  fillSelect($("sampler_name"), samplers.map((value) => ({ value })), alike(samplers, settings.sampler_name));
  fillSelect($("scheduler_type"), all.schedulers.map((value) => ({ value })), alike(all.schedulers, settings.scheduler_type));
  fillSelect($("vae"), [{ value: "", text: "the model's own" }, ...all.vaes.map(named)], settings.vae);
  fillSelect($("refiner_checkpoint"), [{ value: "", text: "none" }, ...refiners.map(named)], settings.refiner_checkpoint);
  fillSelect($("hires_upscaler"), all.upscalers.filter((row) => row.name !== "None").map((row) => ({ value: row.name })), settings.hires_upscaler);
  const hint = all.loras.length ? "choose…" : "there are none in the server's folder";
  fillSelect($("lora-add"), [{ value: "", text: hint }, ...all.loras.map(named)], "");
  $("lora-add").disabled = all.loras.length === 0;
  if (fresh) nativeSide = DEFAULTS.width;
  else nativeSide ||= model().native_side ?? 0;
  if (fresh) followModel();
  changed();
  return all;
}

/** What the server says about the model of the form; {} where it says nothing. */
export const model = () => offered.models.find((one) => one.name === $("model").value) ?? {};

/** A size that was the last model's own becomes the new one's. */
let nativeSide = 0;
function followModel() {
  const { width, height } = read();
  const side = model().native_side ?? 0;
  if (side && nativeSide && width === nativeSide && height === nativeSide) write({ width: side, height: side });
  nativeSide = side;
}

/* LoRAs. */

function loraRow(lora, i) {
  const change = (event) => {
    const list = read().loras;
    list[i].scale = Number(event.target.value);
    if (event.target.validity.valid && event.target.value !== "") setLoras(list);
  };
  const remove = () => {
    setLoras(read().loras.filter((_, k) => k !== i));
    $("lora-add").focus();
  };
  return make("li", {},
    make("span", { class: "name" }, lora.name),
    make("input", { type: "number", min: -4, max: 4, step: 0.05, value: lora.scale, "aria-label": `Scale of ${lora.name}`, onchange: change }),
    make("button", { type: "button", "aria-label": `Remove ${lora.name}`, onclick: remove }, "Remove"));
}

let drawn = "";
function drawLoras(list) {
  const now = JSON.stringify(list);
  if (now === drawn) return;
  drawn = now;
  $("loras").replaceChildren(...list.map(loraRow));
  tell($("loras-tag"), list.length ? String(list.length) : "");
}

/* Shapes. */

/** The sides of a picture of this shape with about as many pixels as now. */
function sidesOf([a, b], { width, height }) {
  const pixels = (width || 512) * (height || 512);
  return { width: round8(Math.sqrt((pixels * a) / b)), height: round8(Math.sqrt((pixels * b) / a)) };
}

const hasShape = ([a, b], { width, height }) => Math.abs(width / height - a / b) < 0.04 * (a / b);

function drawRatios(settings) {
  for (const [i, chip] of [...$("ratios").children].entries())
    chip.setAttribute("aria-pressed", String(hasShape(RATIOS[i], settings)));
}

function drawHires(s) {
  const on = s.hires_enabled && !hasSource();
  $("hires_enabled").disabled = hasSource();
  $("hires-not").hidden = !hasSource();
  tell($("hires-tag"), on ? `${s.hires_scale}×` : "");
  tell($("hires-size"), on ? `${s.width}×${s.height} becomes ${round8(s.width * s.hires_scale)}×${round8(s.height * s.hires_scale)}.` : "");
  for (const element of $("form").elements)
    if (element.name?.startsWith("hires_") && element.name !== "hires_enabled") element.disabled = !on;
  for (const slider of document.querySelectorAll('[data-mirror^="hires_"]')) slider.disabled = !on;
}

function drawMore(s) {
  $("quality").disabled = s.file_type === "png";
  $("refiner_switch_at").disabled = !s.refiner_checkpoint;
  $("generate").firstChild.textContent = s.batch_size > 1 ? `Generate ${plural(s.batch_size, "picture")} ` : "Generate ";
}

/** Remembers the seed that a picture was made with, for "Lock last". */
export function setLastSeed(seed) {
  if (!Number.isFinite(seed)) return;
  lastSeed = seed;
  $("seed-last").disabled = false;
  $("seed-last").title = `Lock the last picture's seed, ${seed}`;
}

export function startChoices() {
  $("ratios").append(...RATIOS.map((ratio) => make("button", {
    type: "button", "aria-pressed": "false", onclick: () => write(sidesOf(ratio, read())),
  }, ratio.join(":"))));
  $("swap").addEventListener("click", () => {
    const { width, height } = read();
    write({ width: height, height: width });
  });
  $("model").addEventListener("change", followModel);
  $("seed-last").addEventListener("click", () => write({ seed: String(lastSeed) }));
  $("lora-add").addEventListener("change", (event) => {
    const name = event.target.value;
    const list = read().loras;
    event.target.value = "";
    if (name && !list.some((lora) => lora.name === name)) setLoras([...list, { name, scale: 1 }]);
  });
  onChange((settings) => {
    drawLoras(settings.loras);
    drawRatios(settings);
    drawHires(settings);
    drawMore(settings);
  });
}
