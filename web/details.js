// One finished picture large, with all that is known of it and what can be done with it.

import { count, imageBlob, job as fetchJob, offerDownload, showImage } from "./client.js";
import { $, announce, make, tell, toast, twice } from "./dom.js";
import { write } from "./form.js";
import { deleteJob, focusTile, neighbour } from "./gallery.js";
import { settingsOfRequest } from "./settings_of.js";
import { removeSource, setSource } from "./source.js";
import { bytes, seconds, when } from "./units.js";

let shown = null; // {job, n}
let opener = null; // what had the focus before

const textOf = (value) => (value && typeof value === "object" ? value.name ?? JSON.stringify(value) : value);

/** [name, value] of everything worth a line; empty ones are left out. */
function facts(job, n) {
  const r = job.payload ?? {};
  const m = job.memory ?? {};
  const hires = r.hires?.enabled ? `${r.hires.scale}×, ${r.hires.upscaler}` : "";
  return [
    ["Size", `${job.width}×${job.height}`],
    ["Asked for", m.size_adjusted_from?.width ? `${m.size_adjusted_from.width}×${m.size_adjusted_from.height}` : ""],
    ["Model", textOf(job.model) ?? r.model],
    ["Sampler", [r.sampler_name, r.scheduler_type].filter(Boolean).join(", ")],
    ["Steps", r.steps ?? job.steps],
    ["Guidance", r.cfg_scale],
    ["Seed", job.seeds?.[n] ?? (job.seed === undefined ? "" : Number(job.seed) + n)],
    ["Denoising", r.denoising_strength],
    ["LoRAs", (r.loras ?? []).map((lora) => `${lora.name ?? lora} ${lora.scale ?? ""}`).join(", ")],
    ["Hires", hires],
    ["VAE", textOf(job.vae) ?? r.vae],
    ["Format", job.file_type],
    ["Took", seconds(job.generation_time_sec)],
    ["Memory", m.measured_peak_bytes ? `${bytes(m.measured_peak_bytes)} of ${bytes(m.planned_peak_bytes)} planned` : ""],
    ["Levers", (m.levers ?? []).join(", ")],
    ["Made", when(job.finished)],
  ].filter(([, value]) => value !== undefined && value !== null && value !== "");
}

function draw() {
  const { job, n } = shown;
  const prompt = job.prompt ?? "";
  const infotext = job.infotexts?.[n] ?? "";
  $("details-title").textContent = count(job) > 1 ? `Picture ${n + 1} of ${count(job)}` : "Picture";
  $("details-prompt").textContent = prompt || "(no prompt)";
  $("details-image").alt = prompt || "The picture";
  $("details-facts").replaceChildren(...facts(job, n).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, String(value))]));
  $("details-infotext").textContent = infotext;
  $("details-infotext").closest("details").hidden = !infotext;
  $("details-use").disabled = !job.payload;
  $("details-newer").disabled = !step(-1);
  $("details-older").disabled = !step(1);
  offerDownload($("details-download"), job, n);
  showImage($("details-image"), job.job_id, n).catch((error) => tell($("details-problem"), error.message));
}

/** Where the arrows lead: within a batch first, then to the neighbours in the gallery. */
function step(by) {
  const { job, n } = shown;
  if (n + by >= 0 && n + by < count(job)) return { job, n: n + by };
  const other = neighbour(job.job_id, by);
  return other && { job: other, n: by > 0 ? 0 : count(other) - 1 };
}

/** Shows picture n of a job, of which a row of a list is enough: the rest is fetched. */
export async function openDetails(job, n = 0) {
  if (!$("details").open) {
    opener = document.activeElement;
    $("details").showModal();
  }
  shown = { job, n };
  tell($("details-problem"), "");
  draw();
  if (job.payload) return;
  try {
    const whole = { ...job, ...(await fetchJob(job.job_id)) };
    if (shown.job.job_id !== job.job_id) return;
    shown.job = whole;
    draw();
  } catch (error) {
    tell($("details-problem"), error.status === 404 ? "This picture was deleted." : error.message);
  }
}

function move(by) {
  const to = step(by);
  if (to) void openDetails(to.job, to.n);
}

const close = () => $("details").close();

function useSettings() {
  const { job, n } = shown;
  const wasImage = "image" in job.payload;
  const settings = settingsOfRequest(job.payload, { seed: job.seeds?.[n] ?? Number(job.seed) + n });
  removeSource();
  write(settings);
  close();
  $("prompt").focus();
  if (wasImage) toast("Settings taken. The picture it started from is not kept: add it again.", "warn");
  else toast("Settings taken, with the seed locked.");
}

/** Puts a finished picture into the form as the one to start from. */
export async function sendToSource(job, n = 0) {
  try {
    const blob = await imageBlob(job.job_id, n);
    await setSource(blob, { quiet: true });
    write({ width: job.width, height: job.height });
    announce("The picture is in the form, to start from.");
    if ($("details").open) close();
    $("source").scrollIntoView({ block: "nearest" });
    $("mask").focus({ preventScroll: true });
  } catch (error) {
    toast(error.message, "bad");
  }
}

async function copyInfotext() {
  try {
    await navigator.clipboard.writeText($("details-infotext").textContent);
    toast("Copied.");
  } catch {
    // No clipboard without https or permission: selected, it is one key away.
    getSelection().selectAllChildren($("details-infotext"));
    toast("Selected: copy it with Ctrl+C.");
  }
}

export function startDetails() {
  const dialog = $("details");
  $("details-close").addEventListener("click", close);
  $("details-use").addEventListener("click", useSettings);
  $("details-source").addEventListener("click", () => void sendToSource(shown.job, shown.n));
  $("details-copy").addEventListener("click", () => void copyInfotext());
  $("details-newer").addEventListener("click", () => move(-1));
  $("details-older").addEventListener("click", () => move(1));
  twice($("details-delete"), "Really delete?", async () => {
    if (await deleteJob(shown.job.job_id)) close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") move(-1);
    else if (event.key === "ArrowRight") move(1);
  });
  // A press beside the dialog's content is one on what lies behind it.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  dialog.addEventListener("close", () => {
    $("details-image").removeAttribute("src");
    if (document.activeElement !== document.body && document.activeElement !== null) return;
    if (opener?.isConnected) opener.focus();
    else focusTile(shown.job.job_id);
  });
}
