// From what a picture was made with back to settings of the form: from a job's request, or from an infotext.

import { DEFAULTS } from "./form.js";

const number = (value) => (value === undefined || value === null || value === "" || !Number.isFinite(Number(value)) ? undefined : Number(value));
const text = (value) => (value === undefined || value === null ? undefined : String(value));

/** Leaves out what is undefined, so that the form keeps what it has. */
const known = (settings) => Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));

function hiresOf(hires) {
  if (!hires?.enabled) return { hires_enabled: false };
  return {
    hires_enabled: true, hires_scale: number(hires.scale), hires_upscaler: text(hires.upscaler),
    hires_steps: number(hires.steps), hires_denoising_strength: number(hires.denoising_strength),
  };
}

/** request: as the server keeps it; seed: the one that was used; made: the size asked for. */
export function settingsOfRequest(request, { seed } = {}) {
  const r = request ?? {};
  const target = r.resize_to ?? r;
  return known({
    ...DEFAULTS,
    prompt: text(r.prompt) ?? "", negative_prompt: text(r.negative_prompt) ?? "", model: text(r.model) || undefined,
    sampler_name: text(r.sampler_name), scheduler_type: text(r.scheduler_type), steps: number(r.steps) ?? DEFAULTS.steps,
    cfg_scale: number(r.cfg_scale) ?? DEFAULTS.cfg_scale, width: number(target.width) ?? DEFAULTS.width,
    height: number(target.height) ?? DEFAULTS.height, seed: text(seed ?? r.seed) ?? "", batch_size: number(r.batch_size) ?? 1,
    loras: (r.loras ?? []).map((lora) => (typeof lora === "string" ? { name: lora, scale: 1 } : lora)),
    ...hiresOf(r.hires),
    denoising_strength: number(r.denoising_strength) ?? DEFAULTS.denoising_strength,
    resize_mode: text(r.resize_mode) ?? DEFAULTS.resize_mode, file_type: text(r.file_type ?? r.fileType) ?? "png",
    quality: number(r.quality ?? r.jpeg_quality) ?? DEFAULTS.quality, clip_skip: number(r.clip_skip) ?? 1, vae: text(r.vae) ?? "",
    refiner_checkpoint: text(r.refiner_checkpoint) ?? "", refiner_switch_at: number(r.refiner_switch_at) ?? DEFAULTS.refiner_switch_at,
    size_policy: text(r.size_policy) ?? "",
  });
}

const LORA = /<lora:([^:>]+)(?::([-+.\d]+))?(?::[^>]*)?>/g;

/** parameters: the parsed infotext of /img-info, with the keys as web UIs write them. */
export function settingsOfInfotext(parameters) {
  const p = parameters;
  const [width, height] = String(p.Size ?? "").split("x").map(Number);
  const loras = [...String(p.prompt ?? "").matchAll(LORA)].map(([, name, scale]) => ({ name, scale: Number(scale ?? 1) }));
  let sampler = text(p.Sampler);
  let schedule = text(p["Schedule type"]);
  // Older pictures carry the schedule in the sampler's name.
  const karras = sampler?.match(/^(.*) (Karras|Exponential)$/);
  if (karras && !schedule) [, sampler, schedule] = karras;
  const upscale = number(p["Hires upscale"]);
  return known({
    prompt: p.prompt === undefined ? undefined : String(p.prompt).replace(LORA, "").trim(),
    negative_prompt: p.prompt === undefined ? undefined : text(p.negative_prompt) ?? "",
    steps: number(p.Steps), sampler_name: sampler, scheduler_type: schedule, cfg_scale: number(p["CFG scale"]), seed: text(p.Seed),
    width: width >= 64 ? width : undefined, height: height >= 64 ? height : undefined, model: text(p.Model),
    denoising_strength: upscale ? undefined : number(p["Denoising strength"]), clip_skip: number(p["Clip skip"]),
    loras: loras.length ? loras : undefined,
    ...(upscale ? known({
      hires_enabled: true, hires_scale: upscale, hires_upscaler: text(p["Hires upscaler"]), hires_steps: number(p["Hires steps"]),
      hires_denoising_strength: number(p["Denoising strength"]),
    }) : {}),
  });
}
