// AUTOMATIC1111's API over a socket, with the demo model: every endpoint, and requests as its clients send
// them. Client libraries: tests/clients.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inflateSync } from "node:zlib";
import { Server } from "./server.mjs";
import { png, rgba } from "./picture.mjs";

const V1 = "/sdapi/v1/";
const SMALL = { prompt: "a red circle on a blue background", width: 64, height: 64, steps: 2, seed: 5 };
const LONG = { ...SMALL, width: 256, height: 256, steps: 150, sampler_name: "DPM++ SDE" };
const PICTURE = png().toString("base64");
let server;

before(async () => { server = await Server.start(); });
after(async () => assert.deepEqual(await server?.stop(), { code: 0, signal: null }));

const get = (path, headers) => server.get(V1 + path, headers);
const post = (path, body, headers) => server.post(V1 + path, body, { "content-type": "application/json", ...headers });

/** Width and height of a PNG in base64. */
function size(b64) {
  const bytes = Buffer.from(b64, "base64");
  assert.equal(bytes.subarray(1, 4).toString(), "PNG");
  return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
}

/** What the PNG's pixels were packed from: equal for equal pictures, whatever their texts. */
function pixels(b64) {
  const bytes = Buffer.from(b64, "base64"), data = [];
  for (let at = 8; at < bytes.length; at += bytes.readUInt32BE(at) + 12)
    if (bytes.toString("latin1", at + 4, at + 8) === "IDAT") data.push(bytes.subarray(at + 8, at + 8 + bytes.readUInt32BE(at)));
  return inflateSync(Buffer.concat(data)).toString("base64");
}

async function make(path, body) {
  const reply = await post(path, body);
  assert.equal(reply.status, 200, JSON.stringify(reply.body));
  return { ...reply.body, info: JSON.parse(reply.body.info) };
}

/** Waits until what must become true is. */
async function until(what, limit_ms = 60000) {
  const end = Date.now() + limit_ms;
  for (;;) {
    const got = await what();
    if (got) return got;
    assert.ok(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const progress = async () => (await get("progress?skip_current_image=true")).body;
const idle = async () => { const p = await progress(); return p.progress === 0 && p.state.job_count === 0; };

test("txt2img: pictures, parameters with all defaults, info as text", async () => {
  const { images, parameters, info } = await make("txt2img", SMALL);
  assert.equal(images.length, 1);
  assert.deepEqual(size(images[0]), [64, 64]);
  assert.equal(parameters.prompt, SMALL.prompt);
  for (const [key, value] of Object.entries({ cfg_scale: 7, batch_size: 1, n_iter: 1, sampler_index: "Euler", hr_scale: 2,
    sampler_name: null, alwayson_scripts: {}, send_images: true, save_images: false, hr_upscaler: null, styles: null }))
    assert.deepEqual(parameters[key], value, key);
  for (const key of ["prompt", "all_prompts", "negative_prompt", "all_negative_prompts", "seed", "all_seeds", "subseed",
    "all_subseeds", "subseed_strength", "width", "height", "sampler_name", "cfg_scale", "steps", "batch_size", "restore_faces",
    "face_restoration_model", "sd_model_name", "sd_model_hash", "sd_vae_name", "sd_vae_hash", "seed_resize_from_w",
    "seed_resize_from_h", "denoising_strength", "extra_generation_params", "index_of_first_image", "infotexts", "styles",
    "job_timestamp", "clip_skip", "is_using_inpainting_conditioning", "version"])
    assert.ok(key in info, key);
  assert.equal(info.seed, 5);
  assert.match(info.job_timestamp, /^\d{14}$/);
  assert.match(info.infotexts[0], /^a red circle on a blue background\nSteps: 2, Sampler: Euler,/);
  assert.equal(info.memory.device, "cpu");
  assert.equal(info.requested_width, 64);
});

test("the same seed draws the same picture, null is the default, numbers may be text", async () => {
  const [a, b] = [await make("txt2img", SMALL), await make("txt2img", { ...SMALL, steps: "2", eta: null, batch_size: null, width: 70 })];
  assert.equal(a.images[0], b.images[0]);
});

test("batch_size and n_iter: seeds rise by one", async () => {
  const { images, info } = await make("txt2img", { ...SMALL, batch_size: 2, n_iter: 2 });
  assert.equal(images.length, 4);
  assert.deepEqual(info.all_seeds, [5, 6, 7, 8]);
  assert.equal(info.infotexts.length, 4);
  assert.equal(info.all_prompts.length, 4);
  const none = await make("txt2img", { ...SMALL, send_images: false });
  assert.deepEqual(none.images, []);
});

test("variations change the picture and keep the seed", async () => {
  const plain = await make("txt2img", SMALL);
  const varied = await make("txt2img", { ...SMALL, subseed: 9, subseed_strength: 0.5 });
  assert.notEqual(varied.images[0], plain.images[0]);
  assert.equal(varied.info.subseed, 9);
});

test("hires: a second pass at a larger size", async () => {
  const hr = { ...SMALL, enable_hr: true, denoising_strength: 0.5, hr_second_pass_steps: 2 };
  assert.deepEqual(size((await make("txt2img", { ...hr, hr_upscaler: "Lanczos", hr_sampler_name: "Use same sampler" })).images[0]), [128, 128]);
  const exact = await make("txt2img", { ...hr, hr_resize_x: 96, hr_resize_y: 128, hr_upscaler: "Latent (bicubic)" });
  assert.deepEqual(size(exact.images[0]), [96, 128]);
  assert.ok(exact.info.extra_generation_params["Hires upscaler"]);
  const other = await post("txt2img", { ...hr, hr_checkpoint_name: "another" });
  assert.equal(other.status, 422);
  assert.deepEqual(other.body.detail[0].loc, ["body", "hr_checkpoint_name"]);
});

test("samplers: combined names, aliases, schedulers", async () => {
  const text = async (body) => (await make("txt2img", { ...SMALL, ...body })).info.infotexts[0];
  assert.match(await text({ sampler_name: "DPM++ 2M Karras" }), /Sampler: DPM\+\+ 2M, Schedule type: Karras/);
  assert.match(await text({ sampler_name: "k_dpmpp_2m", scheduler: "sgm_uniform" }), /Sampler: DPM\+\+ 2M, Schedule type: SGM Uniform/);
  assert.match(await text({ sampler_name: "Euler a", scheduler: "SGMUniform" }), /Schedule type: SGM Uniform/);
  const odd = await make("txt2img", { ...SMALL, scheduler: "Turbo" });
  assert.match(odd.warnings[0], /Turbo/);
});

test("errors have the shapes of this API", async () => {
  const type = await post("txt2img", { ...SMALL, steps: "many" });
  assert.equal(type.status, 422);
  assert.deepEqual(Object.keys(type.body.detail[0]), ["loc", "msg", "type"]);
  assert.deepEqual(type.body.detail[0].loc, ["body", "steps"]);
  const range = await post("txt2img", { ...SMALL, enable_hr: true, hr_scale: 100 });
  assert.equal(range.status, 422);
  assert.match(range.body.detail[0].msg, /^hr_scale /);
  assert.deepEqual(range.body.detail[0].loc, ["body", "hr_scale"]);
  const sampler = await post("txt2img", { ...SMALL, sampler_name: "No such" });
  assert.equal(sampler.status, 400);
  assert.deepEqual(Object.keys(sampler.body), ["error", "detail", "body", "errors"]);
  assert.match(sampler.body.detail, /^Sampler not found/);
  const script = await post("txt2img", { ...SMALL, script_name: "x/y plot" });
  assert.equal(script.status, 422);
  assert.equal(script.body.detail, "Script 'x/y plot' not found");
  const model = await post("txt2img", { ...SMALL, override_settings: { sd_model_checkpoint: "no such" } });
  assert.equal(model.status, 404);
  assert.match(model.body.errors, /no such/);
  assert.equal((await post("img2img", { ...SMALL })).body.detail, "Init image not found");
  assert.equal((await post("img2img", { ...SMALL, init_images: ["not a picture"] })).status, 400);
  assert.match((await post("img2img", { ...SMALL, init_images: ["http://127.0.0.1/a.png"] })).body.detail, /not fetched/);
  assert.equal((await post("txt2img", "[1]")).status, 400);
  assert.deepEqual((await get("no-such-path")).body, { detail: "Not Found" });
});

test("always-on scripts that are not here are left out with a warning", async () => {
  const { warnings } = await make("txt2img", { ...SMALL, alwayson_scripts: { ADetailer: { args: [true] } }, tiling: true });
  assert.ok(warnings.some((text) => text.includes("ADetailer")));
  assert.ok(warnings.some((text) => text.startsWith("tiling")));
});

test("infotext fills what is not said", async () => {
  const first = await make("txt2img", { ...SMALL, sampler_name: "Heun", seed: 77 });
  const again = await make("txt2img", { infotext: first.info.infotexts[0] });
  assert.equal(pixels(again.images[0]), pixels(first.images[0]));
  const other = await make("txt2img", { infotext: first.info.infotexts[0], seed: 78 });
  assert.equal(other.info.seed, 78);
  assert.equal(other.info.prompt, SMALL.prompt);
});

test("img2img: width x height is the target, the picture is not sent back", async () => {
  const body = { ...SMALL, steps: 4, init_images: [PICTURE], width: 96, height: 64, denoising_strength: 0.5 };
  for (const resize_mode of [0, 1, 2, 3]) {
    const { images, parameters } = await make("img2img", { ...body, resize_mode });
    assert.deepEqual(size(images[0]), [96, 64]);
    assert.equal(parameters.init_images, null);
  }
  const { parameters } = await make("img2img", { ...body, include_init_images: true, init_images: [`data:image/png;base64,${PICTURE}`] });
  assert.equal(parameters.init_images.length, 1);
});

test("img2img: a mask's white, or its opacity, is repainted", async () => {
  const body = { ...SMALL, steps: 4, init_images: [PICTURE], denoising_strength: 1, inpaint_full_res: false, mask_blur: 0, inpainting_fill: 1 };
  const white = rgba(64, 64, (x) => (x < 32 ? [255, 255, 255, 255] : [0, 0, 0, 255])).toString("base64");
  const opaque = rgba(64, 64, (x) => [0, 0, 0, x < 32 ? 255 : 0]).toString("base64");
  const inverted = rgba(64, 64, (x) => (x < 32 ? [0, 0, 0, 255] : [255, 255, 255, 255])).toString("base64");
  const plain = await make("img2img", { ...body, mask: white });
  const whole = await make("img2img", body);
  assert.notEqual(pixels(plain.images[0]), pixels(whole.images[0]));
  assert.equal(plain.parameters.mask, null);
  assert.equal(pixels((await make("img2img", { ...body, mask: opaque })).images[0]), pixels(plain.images[0]));
  const turned = await make("img2img", { ...body, mask: inverted, inpainting_mask_invert: 1 });
  assert.equal(pixels(turned.images[0]), pixels(plain.images[0]));
  const pictures = new Set();
  for (const inpainting_fill of [0, 1, 2, 3]) pictures.add(pixels((await make("img2img", { ...body, mask: white, inpainting_fill })).images[0]));
  assert.ok(pictures.size > 2);
  const small = await make("img2img", { ...body, mask: white, inpaint_full_res: true, inpaint_full_res_padding: 8 });
  assert.deepEqual(size(small.images[0]), [64, 64]);
});

test("options: what GET shows POST takes, a model is set for everybody", async () => {
  const before = (await get("options")).body;
  assert.equal(before.sd_model_checkpoint, "demo");
  assert.ok(!("forge_preset" in before));
  for (const key of ["samples_format", "jpeg_quality", "sd_checkpoint_hash", "sd_vae", "CLIP_stop_at_last_layers", "eta_noise_seed_delta",
    "img2img_fix_steps", "show_progress_every_n_steps", "live_previews_enable", "enable_pnginfo", "inpainting_mask_weight", "outdir_samples"])
    assert.ok(key in before, key);
  assert.equal((await post("options", before)).body, null);
  assert.deepEqual((await get("options")).body, before);
  assert.equal((await post("options", { samples_format: "jpg", unknown_key: [1], sd_model_checkpoint: "demo" })).body, null);
  const { images } = await make("txt2img", SMALL);
  assert.equal(Buffer.from(images[0], "base64").subarray(0, 3).toString("hex"), "ffd8ff");
  assert.equal((await post("options", { samples_format: "png" })).body, null);
  const refused = await post("options", { sd_model_checkpoint: "no such model", CLIP_stop_at_last_layers: 2 });
  assert.equal(refused.status, 404);
  assert.deepEqual(Object.keys(refused.body), ["error", "detail", "body", "errors"]);
  assert.deepEqual((await get("options")).body, before);
});

test("override_settings count for one request, or stay", async () => {
  const skip = async () => (await get("options")).body.CLIP_stop_at_last_layers;
  const { info } = await make("txt2img", { ...SMALL, override_settings: { CLIP_stop_at_last_layers: 2, sd_model_checkpoint: "demo" } });
  assert.equal(info.clip_skip, 2);
  assert.equal(await skip(), 1);
  await make("txt2img", { ...SMALL, override_settings: { CLIP_stop_at_last_layers: 2 }, override_settings_restore_afterwards: false });
  assert.equal(await skip(), 2);
  await post("options", { CLIP_stop_at_last_layers: 1 });
});

test("lists are arrays with the members that clients read", async () => {
  const models = (await get("sd-models")).body;
  assert.deepEqual(Object.keys(models[0]), ["title", "model_name", "hash", "sha256", "filename", "config"]);
  assert.ok(models.some((model) => model.model_name === "demo"));
  const samplers = (await get("samplers")).body;
  assert.ok(samplers.find((s) => s.name === "DPM++ 2M" && s.aliases.includes("k_dpmpp_2m") && s.options.scheduler === "karras"));
  const schedulers = (await get("schedulers")).body;
  assert.deepEqual(schedulers.map((s) => s.name).slice(0, 6), ["automatic", "uniform", "karras", "exponential", "polyexponential", "sgm_uniform"]);
  assert.deepEqual((await get("upscalers")).body.slice(0, 3).map((u) => u.name), ["None", "Lanczos", "Nearest"]);
  assert.deepEqual((await get("latent-upscale-modes")).body.map((m) => m.name),
    ["Latent", "Latent (antialiased)", "Latent (bicubic)", "Latent (bicubic antialiased)", "Latent (nearest)", "Latent (nearest-exact)"]);
  for (const path of ["sd-vae", "sd-modules", "loras", "hypernetworks", "face-restorers", "realesrgan-models", "prompt-styles",
    "script-info", "extensions"])
    assert.ok(Array.isArray((await get(path)).body), path);
  const embeddings = (await get("embeddings")).body;
  assert.deepEqual([typeof embeddings.loaded, typeof embeddings.skipped], ["object", "object"]);
  assert.deepEqual((await get("scripts")).body, { txt2img: [], img2img: [] });
  const { ram, cuda } = (await get("memory")).body;
  assert.ok(ram.total >= ram.used && typeof cuda.error === "string");
  assert.equal(typeof (await get("cmd-flags")).body, "object");
  for (const what of ["checkpoints", "vae", "loras", "embeddings"]) assert.equal((await post(`refresh-${what}`, "")).body, null);
  for (const what of ["unload-checkpoint", "reload-checkpoint"]) assert.deepEqual((await post(what, "")).body, {});
});

test("png-info reads what txt2img wrote", async () => {
  const { images, info } = await make("txt2img", SMALL);
  const { body } = await post("png-info", { image: `data:image/png;base64,${images[0]}` });
  assert.equal(body.info, info.infotexts[0]);
  assert.equal(body.parameters.Prompt, SMALL.prompt);
  assert.equal(body.parameters["Size-1"], "64");
  assert.deepEqual((await post("png-info", { image: PICTURE })).body, { info: "", items: {}, parameters: {} });
  assert.equal((await post("png-info", { image: "" })).status, 404);
  assert.equal((await post("png-info", { image: "AAAA" })).status, 400);
});

test("extras enlarge one picture, or several", async () => {
  const one = (await post("extra-single-image", { image: PICTURE, upscaler_1: "Lanczos", upscaling_resize: 2 })).body;
  assert.deepEqual(size(one.image), [128, 128]);
  assert.equal(typeof one.html_info, "string");
  const exact = (await post("extra-single-image",
    { image: PICTURE, upscaler_1: "Nearest", resize_mode: 1, upscaling_resize_w: 96, upscaling_resize_h: 48 })).body;
  assert.deepEqual(size(exact.image), [96, 48]);
  const many = (await post("extra-batch-images",
    { imageList: [{ data: PICTURE, name: "a.png" }, { data: PICTURE, name: "b.png" }], upscaler_1: "Lanczos", upscaling_resize: 1.5 })).body;
  assert.deepEqual(many.images.map(size), [[96, 96], [96, 96]]);
  assert.equal((await post("extra-single-image", {})).status, 404);
  assert.equal((await post("extra-single-image", { image: PICTURE, upscaling_resize: 0 })).status, 422);
  assert.equal((await post("extra-single-image", { image: PICTURE, upscaler_1: "no such upscaler" })).status, 404);
});

test("progress is idle, then busy, and interrupt leaves what there is", async () => {
  await until(idle);
  const request = make("txt2img", { ...LONG, n_iter: 3 });
  const busy = await until(async () => { const p = await progress(); return p.state.sampling_step > 0 && p; });
  assert.ok(busy.progress > 0 && busy.progress <= 1);
  assert.equal(busy.state.job_count, 3);
  assert.equal(busy.state.sampling_steps, 150);
  assert.equal(busy.current_image, null);
  await until(async () => (await get("progress")).body.current_image);
  assert.deepEqual((await post("interrupt", {})).body, {});
  const { images, info } = await request;
  assert.ok(images.length >= 1 && images.length < 3);
  assert.deepEqual(size(images[0]), [256, 256]);
  assert.equal(info.infotexts.length, images.length);
  await until(idle);
  assert.deepEqual((await post("interrupt", "")).body, {});
  assert.equal((await post("skip", "")).body, null);
});

test("a client that leaves cancels its job", async () => {
  const leave = new AbortController();
  const reply = fetch(`${server.base}${V1}txt2img`, { method: "POST", body: JSON.stringify(LONG), signal: leave.signal });
  const { current_task } = await until(async () => { const p = await progress(); return p.state.sampling_step > 0 && p; });
  leave.abort();
  await assert.rejects(reply);
  assert.equal((await server.wait(current_task)).state, "cancelled");
  await until(idle);
});

test("a job of another API is neither shown nor reached; who waits behind it is not idle", async () => {
  await until(idle);
  const { job_id } = (await server.post("/txt2img", LONG)).body;
  const state = async () => (await server.get(`/queue/${job_id}?image=false`)).body.state;
  await until(async () => (await state()) === "processing");
  assert.ok(await idle());
  await post("interrupt", {});
  const leave = new AbortController();
  const gone = fetch(`${server.base}${V1}txt2img`, { method: "POST", body: JSON.stringify(SMALL), signal: leave.signal });
  const waits = await until(async () => { const p = await progress(); return p.state.job_count > 0 && p; });
  assert.deepEqual([waits.progress, waits.state.sampling_step, waits.current_task], [0, 0, null]);
  leave.abort();
  await assert.rejects(gone);
  await until(idle); // what waited was cancelled
  const request = make("txt2img", SMALL);
  await until(async () => !(await idle()));
  assert.equal(await state(), "processing");
  await server.ask("DELETE", `/queue/${job_id}`);
  assert.deepEqual(size((await request).images[0]), [64, 64]);
});

test("a password in the body is neither kept nor shown nor logged", async () => {
  const reply = await post("txt2img", { ...SMALL, auth: "user:hunter2secret", url: "http://127.0.0.1:7860" },
    { authorization: `Basic ${Buffer.from("undefined").toString("base64")}` });
  assert.equal(reply.status, 200);
  assert.ok(!JSON.stringify(reply.body).includes("hunter2secret"));
  assert.ok(!server.log.includes("hunter2secret"));
  assert.equal((await get("options", { authorization: "Basic " })).status, 200);
});

test("Open WebUI: options as a whole, then a picture", async () => {
  const options = (await get("options")).body;
  const [model] = (await get("sd-models")).body;
  assert.equal(typeof model.title, "string");
  options.sd_model_checkpoint = model.title;
  assert.equal((await post("options", options)).body, null);
  const { body } = await post("txt2img", { prompt: "a circle", batch_size: 1, width: 64, height: 64, steps: 2, negative_prompt: "blur" });
  assert.equal(body.images.length, 1);
  assert.ok(!body.images[0].includes(","));
  assert.equal(typeof body.info, "string");
});

test("SillyTavern: its whole request, and the ping of its other source", async () => {
  assert.equal((await get("options", { authorization: "Basic dW5kZWZpbmVk" })).status, 200);
  const { body } = await post("txt2img", {
    prompt: "a circle", negative_prompt: "", sampler_name: "DPM++ 2M Karras", scheduler: "karras", steps: 2, cfg_scale: 7, width: 64,
    height: 64, restore_faces: false, enable_hr: false, hr_upscaler: "Latent", hr_scale: 1, hr_additional_modules: [],
    denoising_strength: 0.7, hr_second_pass_steps: 0, seed: undefined, override_settings: { CLIP_stop_at_last_layers: 1,
      forge_additional_modules: [] }, override_settings_restore_afterwards: true, clip_skip: 1, save_images: true, send_images: true,
    do_not_save_grid: false, do_not_save_samples: false, url: "http://localhost:7860", auth: "" });
  assert.deepEqual(size(body.images[0]), [64, 64]);
  const ping = await server.fetch("/v1/images/generations", { method: "OPTIONS" });
  assert.ok(ping.ok);
  const cpp = await post("txt2img", { model: "demo", prompt: "a circle", width: 64, height: 64, steps: 2, clip_skip: 2, lora: [{ path: "none.safetensors", multiplier: 0.5 }] });
  assert.equal(JSON.parse(cpp.body.info).clip_skip, 2);
  assert.ok(cpp.body.warnings.some((text) => text.includes("none.safetensors")));
});

test("LibreChat: reads size, seed and the last line of the text out of info", async () => {
  const { body } = await post("txt2img", { prompt: "a circle", negative_prompt: "blur", cfg_scale: 4.5, steps: 2, width: 64, height: 64 });
  const info = JSON.parse(body.info);
  assert.deepEqual([info.width, info.height], [64, 64]);
  assert.ok(info.seed >= 0 && info.seed < 2 ** 32);
  assert.match(info.infotexts[0].split("\n").pop(), /^Steps: 2, /);
});

test("webuiapi: every field that it has", async () => {
  const shared = {
    denoising_strength: 0.7, styles: [], seed: 5, subseed: -1, subseed_strength: 0, seed_resize_from_h: 0, seed_resize_from_w: 0,
    batch_size: 1, n_iter: 1, steps: 2, cfg_scale: 7.0, width: 64, height: 64, restore_faces: false, tiling: false,
    do_not_save_samples: false, do_not_save_grid: false, negative_prompt: "", eta: 1.0, s_churn: 0, s_tmax: 0, s_tmin: 0, s_noise: 1,
    override_settings: {}, override_settings_restore_afterwards: true, script_args: [], script_name: null, send_images: true,
    save_images: false, alwayson_scripts: {}, sampler_index: "Euler a", sampler_name: "Euler a", scheduler: "automatic",
    prompt: "a circle" };
  const text = await make("txt2img", { ...shared, enable_hr: false, hr_scale: 2, hr_upscaler: "Latent", hr_second_pass_steps: 0,
    hr_resize_x: 0, hr_resize_y: 0, hr_checkpoint_name: null, hr_sampler_name: null, hr_scheduler: "automatic", hr_prompt: "",
    hr_negative_prompt: "", firstphase_width: 0, firstphase_height: 0, use_deprecated_controlnet: false });
  assert.equal(text.warnings, undefined);
  assert.match(text.info.infotexts[0], /Sampler: Euler a, /);
  const image = await make("img2img", { ...shared, init_images: [PICTURE], resize_mode: 0, image_cfg_scale: 1.5, mask_blur: 4,
    inpainting_fill: 0, inpaint_full_res: true, inpaint_full_res_padding: 0, inpainting_mask_invert: 0, initial_noise_multiplier: 1,
    include_init_images: false, eta: 0 });
  assert.equal(image.warnings, undefined);
  assert.deepEqual(size(image.images[0]), [64, 64]);
});

test("models: one for everybody, another for one request", async (t) => {
  const models = mkdtempSync(join(tmpdir(), "sdapi-models-"));
  for (const name of ["first", "second"]) cpSync("assets/demo-model", join(models, name), { recursive: true });
  const own = await Server.start(["--models-dir", models]);
  t.after(async () => {
    await own.stop();
    rmSync(models, { recursive: true });
  });
  const model = async (body) => JSON.parse((await own.post(`${V1}txt2img`, { ...SMALL, ...body })).body.info).sd_model_name;
  const current = async () => (await own.get(`${V1}options`)).body.sd_model_checkpoint;
  const titles = (await own.get(`${V1}sd-models`)).body.map((m) => m.title);
  assert.equal(titles.length, 2);
  assert.equal(await model({}), "first");
  assert.equal(await model({ override_settings: { sd_model_checkpoint: titles[1] } }), "second");
  assert.equal(await current(), titles[0]);
  assert.equal((await own.post(`${V1}options`, { sd_model_checkpoint: "second" })).body, null);
  assert.equal(await current(), titles[1]);
  assert.equal(await model({}), "second");
  assert.equal(await model({ model: "first" }), "first");
  assert.deepEqual((await own.post(`${V1}unload-checkpoint`, "")).body, {});
  assert.equal(await model({}), "second");
});

test("an answer that takes long begins with blanks, and its error stands inside", async (t) => {
  const slow = await Server.start([], { env: { DIFFUSIONAPI_LATE_ANSWER_SECONDS: "1" } });
  t.after(() => slow.stop());
  const request = slow.post(`${V1}txt2img`, LONG);
  const id = await until(async () => (await slow.get(`${V1}progress`)).body.current_task);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.ok((await slow.ask("DELETE", `/queue/${id}`)).status < 300);
  const { status, body } = await request;
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(body), ["error", "detail", "body", "errors"]);
});

test("credentials: 401 as this API says it, and interrupt reaches nobody else's job", async (t) => {
  const mine = await Server.start([], { env: { DIFFUSIONAPI_USER: "anna:one,bert:two" } });
  t.after(() => mine.stop());
  const anna = { authorization: `Basic ${Buffer.from("anna:one").toString("base64")}` };
  const other = { authorization: `Basic ${Buffer.from("bert:two").toString("base64")}` };
  const refused = await mine.get(`${V1}options`);
  assert.equal(refused.status, 401);
  assert.match(refused.headers.get("www-authenticate"), /^Basic/);
  assert.equal(refused.body.detail, "Incorrect username or password");
  assert.deepEqual(Object.keys(refused.body), ["error", "detail", "body", "errors"]);
  const request = mine.post(`${V1}txt2img`, { ...LONG, steps: 40 }, anna);
  await until(async () => (await mine.get(`${V1}progress`, anna)).body.state.sampling_step > 0);
  const seen = (await mine.get(`${V1}progress`, other)).body;
  assert.deepEqual([seen.progress, seen.state.job_count], [0, 0]);
  assert.deepEqual((await mine.post(`${V1}interrupt`, {}, other)).body, {});
  assert.deepEqual((await mine.post(`${V1}interrupt`, {}, anna)).body, {});
  assert.equal((await request).status, 200);
});
