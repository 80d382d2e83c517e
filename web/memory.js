// The memory panel: what the request in the form would take, phase by phase, before anything runs.

import { plan } from "./client.js";
import { $, make, tell } from "./dom.js";
import { fieldIn, isComplete, onChange, read, requestOf, showError, write } from "./form.js";
import { sourceShape } from "./source.js";
import { about, bytes, seconds, size } from "./units.js";

const WAIT_MS = 350; // after the last key, before the server is asked
const PARTS = [
  ["base", "what the program holds already"],
  ["weights", "weights"],
  ["arena", "working memory"],
  ["host", "pictures"],
];
const LEVELS = { very_low: "very low", low: "low", medium: "medium", high: "high", very_high: "very high" };
const DEVICES = { cpu: "CPU", cuda: "NVIDIA GPU", mps: "Apple GPU" };
const ATTENTION = { sliced: "attention in slices", plain: "whole attention matrices" };

let asked = 0; // the number of the last question; older answers are dropped
let stop = null; // the AbortController of the question under way
let timer = 0;
let lastPlan = null;

/** Seconds that the whole request would take, or null. */
export const planSeconds = () => (lastPlan ? total(lastPlan) : null);

const total = (p) => p.phases.reduce((sum, phase) => sum + (phase.seconds || 0), 0);

/** Levers in words, from the plan's switches. */
function leverWords({ levers = {}, optimizations = {} }) {
  const words = [];
  if (optimizations.model_cpu_offload) words.push("one network in memory at a time");
  if (levers.stream_text) words.push("text encoders streamed from disk");
  if (levers.stream_unet) words.push("UNet streamed from disk");
  if (levers.stream_vae) words.push("VAE streamed from disk");
  if (levers.guidance_in_turn) words.push("guidance in turn");
  if (ATTENTION[levers.attention]) words.push(ATTENTION[levers.attention]);
  if (levers.vae === "exact") words.push(`VAE in bands of ${levers.vae_band_rows} rows`);
  if (levers.vae === "blended") words.push(`VAE in blended tiles of ${levers.vae_tile} (approximate)`);
  return words;
}

/* Drawing. */

function figure(name, value, unit) {
  return make("div", {}, make("dt", {}, name), make("dd", {}, value, unit ? make("small", {}, ` ${unit}`) : null));
}

function figures(p) {
  return make("dl", { class: "figures" },
    figure("Will use", bytes(p.peak_bytes)), figure("There are", bytes(p.limit_bytes)), figure("Will take about", seconds(total(p)) || "?"));
}

/** The bytes of one phase as a bar. Its parts are drawn to one scale; where what there is lies within it, a line shows it. */
function bar(phase, p, scale) {
  const base = Math.max(0, phase.sum_bytes - phase.weights_bytes - phase.arena_bytes - phase.host_bytes);
  const parts = { base, weights: phase.weights_bytes, arena: phase.arena_bytes, host: phase.host_bytes };
  const node = make("div", { class: "bar", role: "img", "aria-label": PARTS.map(([part, words]) => `${words} ${bytes(parts[part])}`).join(", ") });
  for (const [part] of PARTS) {
    const piece = make("i", { class: `part-${part}` });
    piece.style.width = `${(100 * parts[part]) / scale}%`;
    node.append(piece);
  }
  if (p.limit_bytes < scale) {
    const limit = make("i", { class: "limit" });
    limit.style.left = `${(100 * p.limit_bytes) / scale}%`;
    node.append(limit);
  }
  return node;
}

function phaseRows(phase, p, scale) {
  const peak = phase.name === p.peak_phase;
  return [
    make("tr", { class: peak ? "peak" : null },
      make("th", { scope: "row" }, phase.name, peak ? " · the peak" : ""),
      make("td", { class: "number" }, bytes(phase.sum_bytes)),
      make("td", { class: "number" }, seconds(phase.seconds))),
    make("tr", {}, make("td", { class: "bar-cell", colspan: 3 }, bar(phase, p, scale))),
  ];
}

function phaseTable(p) {
  const largest = Math.max(...p.phases.map((phase) => phase.sum_bytes), 1);
  // Against what there is, as long as that leaves something to see.
  const scale = p.limit_bytes > 0 && p.limit_bytes < 3 * largest ? Math.max(largest, p.limit_bytes) : largest;
  return make("table", { class: "phases" },
    make("caption", { class: "unseen" }, "Bytes and seconds planned, by phase"),
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Phase"), make("th", { scope: "col", class: "number" }, "Bytes"),
      make("th", { scope: "col", class: "number" }, "Seconds"))),
    make("tbody", {}, ...p.phases.flatMap((phase) => phaseRows(phase, p, scale))));
}

const legend = () => make("ul", { class: "legend", "aria-hidden": "true" },
  ...PARTS.map(([part, words]) => make("li", {}, make("i", { class: `part-${part}` }), words)));

function leverList(p) {
  const words = leverWords(p);
  return make("div", { class: "levers" }, make("h3", {}, "Levers it will pull"),
    words.length ? make("ul", {}, ...words.map((text) => make("li", { class: "tag" }, text))) : make("p", { class: "hint" }, "None: it fits at full speed."));
}

const takeSize = (s, words = `Use ${size(s)}`) => make("button", { type: "button", onclick: () => write(s) }, words);

/** What there is to say about a size that will be another one; null where it will not. */
function sizeNotice(p) {
  const { requested, used, largest } = p;
  if (!requested || !used || (requested.width === used.width && requested.height === used.height)) return null;
  const buttons = [takeSize(used)];
  const fits = largest && largest.width * largest.height > used.width * used.height;
  if (fits && largest.width >= requested.width && p.size_policy === "table")
    buttons.push(make("button", { type: "button", onclick: () => write({ size_policy: "planned" }) }, `Keep ${size(requested)}: the plan says it fits`));
  else if (fits) buttons.push(takeSize(largest));
  const why = p.size_policy === "planned" ? "more does not fit into memory" : `the largest for memory level ${LEVELS[p.level] ?? p.level}`;
  return make("div", { class: "notice warn", id: "size-warning" }, make("p", {}, make("strong", {}, `${size(requested)} will become ${size(used)}`), `: ${why}.`),
    make("div", { class: "row" }, ...buttons));
}

const logLines = (p) => p.log?.length
  ? make("details", {}, make("summary", {}, "What the log will say"), make("pre", { tabindex: 0 }, p.log.join("\n"))) : null;

const warnings = (p) => [...(p.warnings ?? []), ...(p.request_warnings ?? [])].map((text) => make("p", { class: "notice warn" }, text));

function drawMachine(p) {
  const chips = [];
  if (p.machine) chips.push(DEVICES[p.machine.device] ?? p.machine.device);
  if (p.level) chips.push(`level ${LEVELS[p.level] ?? p.level}`);
  if (p.machine?.pressure && p.machine.pressure !== "normal") chips.push(`pressure: ${p.machine.pressure}`);
  $("cost-machine").replaceChildren(...chips.map((text) => make("span", {}, text)));
}

function short(text, kind = "") {
  $("cost-short").className = `go-words ${kind}`;
  tell($("cost-short"), text);
}

function drawPlan(p) {
  const notice = sizeNotice(p);
  lastPlan = p;
  drawMachine(p);
  $("cost-body").replaceChildren(...[notice, ...warnings(p), figures(p), phaseTable(p), legend(), leverList(p), logLines(p)].filter(Boolean));
  if (notice) short(`Will be ${size(p.used)} instead of ${size(p.requested)} · ${bytes(p.peak_bytes)}`, "warn");
  else short([bytes(p.peak_bytes), `of ${bytes(p.limit_bytes)}`, total(p) ? `· ${about(total(p))}` : ""].join(" "));
}

/** Without what is for the command line: exact bytes and flags. */
const forPeople = (text) => text.replace(/ \(\d+ bytes\)/g, "").replace(/(\d)x(\d)/g, "$1×$2").replace(/; what would help:.*/, ".");

const asLargeAsFits = () => make("button", { type: "button", onclick: () => write({ size_policy: "planned" }) }, "Make it as large as fits");

/** The server's no, with what would fit instead. */
function drawRefusal(error) {
  const { largest } = error.body ?? {};
  const isField = error.status === 400 && showError(error.field ?? fieldIn(error.message) ?? "", error.message);
  lastPlan = null;
  $("cost-body").replaceChildren(make("div", { class: `notice ${error.status === 422 ? "bad" : "warn"}`, id: "size-refused" },
    make("p", {}, isField ? "There is no plan while a setting is wrong." : forPeople(error.message)),
    largest ? make("div", { class: "row" }, takeSize(largest), asLargeAsFits()) : null));
  short(error.status === 422 ? "Does not fit into memory" : "", "bad");
}

async function ask() {
  const request = requestOf(read(), sourceShape(), { forPlan: true });
  const mine = ++asked;
  stop?.abort();
  stop = new AbortController();
  try {
    const p = await plan(request, stop.signal);
    if (mine === asked) drawPlan(p);
  } catch (error) {
    if (error.name === "AbortError" || mine !== asked) return;
    if (error instanceof Error && error.status === undefined) throw error;
    drawRefusal(error);
  }
  $("cost-body").setAttribute("aria-busy", "false");
}

/** Asks anew, soon: the form or the machine has changed. */
export function replan() {
  clearTimeout(timer);
  $("cost-body").setAttribute("aria-busy", "true");
  timer = setTimeout(() => {
    if (isComplete()) void ask();
  }, WAIT_MS);
}

let planned = "";
export function startMemory() {
  onChange(() => {
    // Only what changes the plan: a prompt's length does, its picture's format does not.
    const now = JSON.stringify(requestOf(read(), sourceShape(), { forPlan: true }), (key, value) => (key === "seed" || key === "quality" ? undefined : value));
    if (now === planned) return;
    planned = now;
    replan();
  });
}
