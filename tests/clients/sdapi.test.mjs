// Client libraries of AUTOMATIC1111's API against the server, as they come from npm.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import nodeSdWebui from "node-sd-webui";
import { StableDiffusionApi } from "stable-diffusion-api";
import { Server } from "../server.mjs";
import { png } from "../picture.mjs";

const SMALL = { prompt: "a red circle on a blue background", width: 64, height: 64, steps: 2, seed: 5 };
const PICTURE = png().toString("base64");
let server, api, webui;

before(async () => {
  server = await Server.start();
  api = new StableDiffusionApi({ host: "127.0.0.1", port: Number(server.port), protocol: "http", timeout: 60000 });
  webui = nodeSdWebui({ apiUrl: server.base });
});
after(async () => assert.deepEqual(await server?.stop(), { code: 0, signal: null }));

function isPng(b64) {
  return Buffer.from(b64, "base64").subarray(1, 4).toString() === "PNG";
}

/** Width and height of a picture as stable-diffusion-api gives it. */
async function size(image) {
  const { width, height } = await image.clone().metadata();
  return [width, height];
}

test("stable-diffusion-api: txt2img and img2img", async () => {
  const made = await api.txt2img(SMALL);
  assert.deepEqual(await size(made.image), [64, 64]);
  assert.equal(JSON.parse(made.info).seed, 5);
  assert.equal(made.parameters.prompt, SMALL.prompt);
  const changed = await api.img2img({ ...SMALL, init_images: [made.image], denoising_strength: 0.5 });
  assert.deepEqual(await size(changed.image), [64, 64]);
});

test("stable-diffusion-api: extras and png-info", async () => {
  const { image, response } = await api.txt2img(SMALL);
  const one = await api.extraSingle({ image, upscaler_1: "Lanczos", upscaling_resize: 2 });
  assert.deepEqual(await size(one.image), [128, 128]);
  const many = await api.extraBatch({ images: [image, image], name_list: ["a", "b"], upscaler_1: "Lanczos", upscaling_resize: 2 });
  assert.equal(many.images.length, 2);
  assert.equal(response.status, 200);
  assert.equal((await api.pngInfo(image)).response.status, 200);
});

test("stable-diffusion-api: lists, options, progress", async () => {
  assert.ok((await api.getSamplers()).some((sampler) => sampler.name === "Euler a"));
  assert.equal((await api.getUpscalers())[0].name, "None");
  assert.ok((await api.getSdModels()).some((model) => model.model_name === "demo"));
  for (const list of ["getHypernetworks", "getFaceRestorers", "getRealesrganModels", "getPromptStyles"])
    assert.deepEqual(await api[list](), []);
  assert.equal(typeof (await api.getCmdFlags()), "object");
  const options = await api.getOptions();
  await api.setOptions({ CLIP_stop_at_last_layers: 2 });
  assert.equal((await api.getOptions()).CLIP_stop_at_last_layers, 2);
  await api.setOptions(options);
  assert.equal((await api.getOptions()).CLIP_stop_at_last_layers, 1);
  assert.equal(await api.getCurrentModel(), options.sd_model_checkpoint);
  await api.refreshCheckpoints();
  assert.equal(await api.waitForReady(0.05), true);
  const { progress, state } = await api.getProgress();
  assert.deepEqual([progress, state.job_count], [0, 0]);
});

test("node-sd-webui: txt2img, img2img, png-info", async () => {
  const { prompt, ...rest } = SMALL;
  const made = await webui.txt2img({ prompt, ...rest, samplingMethod: "Euler a", batchSize: 2 });
  assert.equal(made.images.length, 2);
  const changed = await webui.img2img({ prompt, ...rest, imageData: [PICTURE], samplingMethod: "Euler a" });
  assert.ok(isPng(changed.images[0]));
  const told = await webui.pngInfo({ imageData: made.images[0] });
  assert.deepEqual([told.prompt, told.steps, told.samplingMethod], [prompt, 2, "Euler a"]);
});
