// OpenAI's official client for Node against the server, as it comes from npm.
import assert from "node:assert/strict";
import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import OpenAI, { toFile } from "openai";
import { Server } from "../server.mjs";
import { png, rgba } from "../picture.mjs";

const SMALL = { prompt: "a red circle on a blue background", size: "64x64", steps: 2, seed: 5 };
const KEY = "sk-test-0123456789";
let server, locked, client, folder;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "client-test-"));
  writeFileSync(join(folder, "a.png"), png());
  writeFileSync(join(folder, "mask.png"), rgba(64, 64, (x) => [0, 0, 0, x < 32 ? 255 : 0]));
  server = await Server.start();
  locked = await Server.start([], { env: { DIFFUSIONAPI_API_KEY: KEY } });
  client = new OpenAI({ baseURL: `${server.base}/v1`, apiKey: "anything" });
});
after(async () => {
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(await server?.stop(), { code: 0, signal: null });
  assert.deepEqual(await locked?.stop(), { code: 0, signal: null });
});

function isPng(b64) {
  return Buffer.from(b64, "base64").subarray(1, 4).toString() === "PNG";
}

test("lists and retrieves models", async () => {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert.ok(ids.includes("demo"));
  assert.equal((await client.models.retrieve("demo")).id, "demo");
  await assert.rejects(client.models.retrieve("org/name"), (error) =>
    error instanceof OpenAI.NotFoundError && error.code === "model_not_found");
});

test("generates", async () => {
  const made = await client.images.generate({ ...SMALL, model: "gpt-image-1", n: 2, quality: "low" });
  assert.equal(made.data.length, 2);
  assert.ok(made.data.every((item) => isPng(item.b64_json)));
  const old = await client.images.generate({ ...SMALL, model: "dall-e-3" });
  const picture = await fetch(old.data[0].url);
  assert.equal(picture.status, 200);
});

test("streams", async () => {
  const types = [];
  const stream = await client.images.generate({ ...SMALL, size: "256x256", steps: 30, stream: true, partial_images: 1 });
  for await (const event of stream) {
    types.push(event.type);
    assert.ok(isPng(event.b64_json));
  }
  assert.equal(types.at(-1), "image_generation.completed");
  assert.equal(types.filter((type) => type.endsWith("completed")).length, 1);
});

test("edits files that it streams, one or a list", async () => {
  const file = () => createReadStream(join(folder, "a.png"));
  const one = await client.images.edit({ image: file(), prompt: "a white square", steps: 2 });
  assert.ok(isPng(one.data[0].b64_json));
  const masked = await client.images.edit({
    image: [file(), await toFile(png(), "b.png", { type: "image/png" })],
    mask: createReadStream(join(folder, "mask.png")), prompt: "a white square", steps: 2, input_fidelity: "high",
  });
  assert.ok(isPng(masked.data[0].b64_json));
  const varied = await client.images.createVariation({ image: file(), n: 1, size: "256x256", steps: 2 });
  assert.equal(varied.data.length, 1);
});

test("gets errors that it understands, and does not try again what cannot succeed", async () => {
  let calls = 0;
  const counting = new OpenAI({
    baseURL: `${server.base}/v1`, apiKey: "x", fetch: (...args) => { calls++; return fetch(...args); },
  });
  const rows = [[{ ...SMALL, size: "1x1" }, "size"], [{ ...SMALL, n: 99 }, "n"], [{ ...SMALL, background: "transparent" }, "background"]];
  for (const [body, param] of rows) {
    calls = 0;
    await assert.rejects(counting.images.generate(body), (error) =>
      error instanceof OpenAI.BadRequestError && error.param === param && error.type === "invalid_request_error");
    assert.equal(calls, 1);
  }
  /* A size that no plan can fit fails for good, however late it is found. */
  const tight = await Server.start(["--memory-budget", "48M", "--size-policy", "refuse"]);
  calls = 0;
  const small = new OpenAI({
    baseURL: `${tight.base}/v1`, apiKey: "x", fetch: (...args) => { calls++; return fetch(...args); },
  });
  await assert.rejects(small.images.generate({ ...SMALL, size: "2048x2048" }), (error) =>
    error instanceof OpenAI.BadRequestError && /would fit|needs/.test(error.message));
  assert.equal(calls, 1);
  assert.deepEqual(await tight.stop(), { code: 0, signal: null });
});

test("needs the key where there is one, but not for an address that was signed", async () => {
  const stranger = new OpenAI({ baseURL: `${locked.base}/v1`, apiKey: "wrong" });
  await assert.rejects(stranger.images.generate(SMALL), (error) =>
    error instanceof OpenAI.AuthenticationError && error.code === "invalid_api_key");
  const known = new OpenAI({ baseURL: `${locked.base}/v1`, apiKey: KEY });
  const made = await known.images.generate({ ...SMALL, response_format: "url" });
  assert.equal((await fetch(made.data[0].url)).status, 200);
  assert.equal((await fetch(made.data[0].url.replace(/\?.*/, ""))).status, 401);
  const azure = await fetch(`${locked.base}/v1/models?api-version=2024`, { headers: { "api-key": KEY } });
  assert.equal(azure.status, 200);
});

test("cancels the job when the client gives up", async () => {
  const gone = new AbortController();
  const call = client.images.generate({ ...SMALL, size: "512x512", steps: 150, n: 10 }, { signal: gone.signal });
  let job;
  while (!job) {
    job = (await server.get("/queue?state=active")).body.jobs[0];
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  gone.abort();
  await assert.rejects(call);
  assert.equal((await server.wait(job.job_id)).state, "cancelled");
});
