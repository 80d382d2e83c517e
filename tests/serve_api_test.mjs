// Every endpoint of the native API, over a socket, with the demo model.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { PICTURE, Server } from "./server.mjs";
import { png } from "./picture.mjs";

const SMALL = { width: 64, height: 64, steps: 2, sampler_name: "Euler a", fileType: "png" };
let server;

before(async () => { server = await Server.start(); });
after(async () => assert.deepEqual(await server?.stop(), { code: 0, signal: null }));

test("tells that it is there, and how it is", async () => {
  assert.deepEqual((await server.get("/hello")).body, { ok: true });
  const { body } = await server.get("/health");
  assert.ok(["healthy", "warning"].includes(body.status));
  assert.equal(body.version, "1.0.0");
  assert.equal(body.gpu.device_name, "CPU");
  assert.ok(body.system.memory_total_gb > 0 && body.system.cpu_count > 0);
  assert.equal(typeof body.queue.active_jobs, "number");
});

test("lists what there is", async () => {
  const models = (await server.get("/models")).body.models;
  assert.ok(models.some((model) => model.name === "demo" && model.default));
  assert.equal((await server.get("/models/aliases")).body.aliases.length, 7);
  assert.deepEqual((await server.get("/loras")).body.loras, []);
  assert.deepEqual((await server.get("/vaes")).body.vaes, []);
  assert.deepEqual((await server.get("/embeddings")).body.embeddings, []);
  const upscalers = (await server.get("/upscalers")).body.upscalers.map((row) => row.name);
  assert.deepEqual(upscalers, ["Lanczos", "Latent", "Latent (antialiased)", "Latent (bicubic antialiased)", "Latent (bicubic)",
    "Latent (nearest)", "Latent (nearest-exact)", "Nearest", "None"]);
  const { sampling_methods, scheduler_types } = (await server.get("/sampling_methods")).body;
  for (const name of ["Euler", "Euler a", "Heun", "DPM2", "DPM++ 2S a", "DPM++ 2M", "DPM++ 2M Karras", "DPM++ SDE", "DPM++ SDE Karras",
    "DPM fast", "DPM adaptive", "LMS", "LMS Karras", "DDIM", "PLMS", "UniPC"])
    assert.ok(sampling_methods.includes(name), name);
  assert.deepEqual(scheduler_types, ["Automatic", "Uniform", "Karras", "Exponential", "Polyexponential", "SGM Uniform", "KL Optimal",
    "Align Your Steps", "Simple", "Normal", "DDIM", "Beta"]);
});

test("makes a picture from a prompt", async () => {
  const reply = await server.post("/txt2img", { prompt: "a red circle", seed: 5, ...SMALL });
  assert.equal(reply.status, 200);
  assert.equal(reply.body.status, "queued");
  assert.equal(reply.body.seed, 5);
  assert.match(reply.body.job_id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const job = await server.wait(reply.body.job_id, { image: true });
  assert.equal(job.state, "done", job.error);
  assert.equal(job.status, "success");
  assert.equal(job.progress, 100);
  assert.equal(job.current_phase, "generation");
  assert.equal(job.error, null);
  assert.equal(job.width, 64);
  assert.equal(job.seed, 5);
  assert.equal(job.file_type, "png");
  assert.equal(job.jpeg_quality, null);
  assert.equal(job.payload.prompt, "a red circle");
  assert.equal(job.payload.sampler_name, "Euler a");
  assert.ok(job.generation_time_sec > 0);
  // By the name that /models lists, and that a request may say again.
  assert.equal(job.model.name, "demo");
  assert.match(job.infotexts[0], /, Model: demo, /);
  const again = await server.post("/txt2img", { prompt: "x", ...SMALL, model: job.model.name });
  assert.equal((await server.wait(again.body.job_id)).state, "done");
  assert.ok(job.memory.planned_peak_bytes > 0 && job.memory.level && Array.isArray(job.memory.levers));
  assert.deepEqual(job.warnings, []);
  const bytes = Buffer.from(job.image, "base64");
  assert.equal(bytes.subarray(1, 4).toString(), "PNG");
  const file = Buffer.from(await (await server.fetch(job.image_urls[0])).arrayBuffer());
  assert.ok(file.equals(bytes));
  const info = (await server.post("/img-info", { image: job.image })).body;
  assert.equal(info.parameters.prompt, "a red circle");
  assert.equal(info.parameters.Seed, 5);
  assert.equal(info.parameters.Size, "64x64");
});

test("makes a picture from another one, with a mask", async () => {
  const reply = await server.post("/img2img", {
    prompt: "a green square", image: `data:image/png;base64,${PICTURE}`, mask: PICTURE, mask_options: { full_res: false },
    denoising_strength: 0.5, ...SMALL, loras: ["none"], fileType: "jpg",
  });
  assert.equal(reply.status, 200);
  assert.equal(reply.body.seed, null);
  assert.match(reply.body.warnings[0], /LoRAs are left out/);
  const job = await server.wait(reply.body.job_id, { image: true });
  assert.equal(job.state, "done", job.error);
  assert.match(job.payload.image, /^\[BASE64_IMAGE_DATA_\d+_chars\]$/);
  assert.equal(job.denoising_strength, 0.5);
  assert.equal(job.resize_mode, 0);
  assert.equal(Buffer.from(job.image, "base64").subarray(0, 2).toString("hex"), "ffd8");
  assert.ok(Number.isInteger(job.seed));
});

test("gives each picture of a batch an address", async () => {
  const { body } = await server.post("/txt2img", { prompt: "x", batch_size: 2, ...SMALL, seed: 7 });
  const job = await server.wait(body.job_id);
  assert.equal(job.images, 2);
  assert.deepEqual(job.seeds, [7, 8]);
  for (const url of job.image_urls) assert.equal((await server.fetch(url)).status, 200);
  const first = await server.fetch(`/images/${body.job_id}`);
  assert.equal(first.headers.get("content-type"), "image/png");
  const again = await server.fetch(`/images/${body.job_id}`, { headers: { "if-none-match": first.headers.get("etag") } });
  assert.equal(again.status, 304);
  assert.equal((await server.get(`/images/${body.job_id}/2`)).status, 404);
});

async function events(path) {
  const text = await (await server.fetch(path)).text();
  return text.trim().split("\n\n").filter((block) => block.startsWith("event:")).map((block) => {
    const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(block);
    return { name, data: JSON.parse(data) };
  });
}

test("tells a job's progress as it goes", async () => {
  const { body } = await server.post("/txt2img", { prompt: "x", ...SMALL, width: 128, height: 128, steps: 30, preview: true });
  const list = await events(`/queue/${body.job_id}/events`);
  assert.equal(list[0].name, "state");
  const last = list.at(-1);
  assert.equal(last.name, "end");
  assert.equal(last.data.state, "done");
  assert.equal(last.data.image, undefined);
  const progress = list.filter((event) => event.name === "progress").map((event) => event.data.progress);
  assert.deepEqual(progress, [...progress].sort((a, b) => a - b));
  assert.deepEqual((await events(`/queue/${body.job_id}/events`)).map((event) => event.name), ["state", "end"]);
});

test("lists jobs, newest first, by state and page by page", async () => {
  const ids = [];
  for (let i = 0; i < 3; i++) ids.push((await server.post("/txt2img", { prompt: `p${i}`, ...SMALL })).body.job_id);
  for (const id of ids) await server.wait(id);
  const page = (await server.get("/queue?state=done&limit=2")).body;
  assert.deepEqual(page.jobs.map((job) => job.job_id), [ids[2], ids[1]]);
  assert.equal(page.jobs[0].prompt, "p2");
  assert.equal(page.jobs[0].width, 64);
  assert.ok(page.total >= 3 && page.counts.done === page.total);
  const next = (await server.get(`/queue?state=done&limit=2&cursor=${encodeURIComponent(page.next_cursor)}`)).body;
  assert.equal(next.jobs[0].job_id, ids[0]);
  assert.equal((await server.get("/queue?state=done&limit=1&offset=2")).body.jobs[0].job_id, ids[0]);
  assert.equal((await server.get("/queue?full=true&limit=1")).body.jobs[0].payload.prompt, "p2");
  assert.deepEqual((await server.get("/queue?state=active")).body.jobs, []);
  for (const query of ["state=odd", "limit=0", "limit=x", "cursor=x", "offset=-1"])
    assert.equal((await server.get(`/queue?${query}`)).status, 400, query);
});

test("cancels what waits and what runs, and removes what has ended", async () => {
  const long = { prompt: "x", width: 256, height: 256, steps: 150, sampler_name: "Heun" };
  const running = (await server.post("/txt2img", long)).body.job_id;
  const waiting = (await server.post("/txt2img", { prompt: "y", ...SMALL })).body.job_id;
  assert.equal((await server.get(`/queue/${waiting}`)).body.position, 1);
  assert.equal((await server.ask("DELETE", `/queue/${waiting}`)).body.state, "cancelled");
  for (let i = 0; i < 1000 && (await server.get(`/queue/${running}`)).body.state !== "processing"; i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  const reply = await server.ask("DELETE", `/queue/${running}`);
  assert.equal(reply.status, 200);
  const job = await server.wait(running);
  assert.equal(job.state, "cancelled");
  assert.equal(job.error, "cancelled");
  assert.equal((await server.ask("DELETE", `/queue/${running}`)).body.state, "removed");
  assert.equal((await server.get(`/queue/${running}`)).status, 404);
});

test("plans without running", async () => {
  const { status, body } = await server.post("/plan", { prompt: "x", width: 128, height: 128 });
  assert.equal(status, 200);
  assert.ok(body.peak_bytes > 0 && body.phases.length > 0);
  assert.equal(body.model, "demo");
  assert.equal((await server.post("/plan", { mode: "img2img" })).status, 400);
  assert.equal((await server.post("/plan", { input: { width: 64, height: 64 } })).status, 200);
});

test("tells of memory, and gives it back", async () => {
  const { body } = await server.get("/memory");
  assert.ok(body.usable_bytes > 0 && body.level && body.max_size.width > 0);
  const unloaded = await server.post("/models/unload");
  assert.equal(unloaded.status, 200);
  assert.equal(unloaded.body.state, "unloaded");
  assert.ok(!unloaded.body.memory.model);
  for (let i = 0; i < 200 && (await server.get("/memory")).body.loaded_models.length; i++) // the worker tells once a second
    await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual((await server.get("/memory")).body.loaded_models, []);
});

test("describes itself", async () => {
  const { body } = await server.get("/openapi.json");
  assert.equal(body.openapi, "3.0.3");
  assert.ok(body.paths["/txt2img"].post && body.components.schemas.Txt2Img.properties.steps);
  const docs = await server.get("/docs");
  assert.match(docs.body, /<h2>POST \/txt2img<\/h2>/);
  assert.doesNotMatch(docs.body, /(src|href)="?(https?:)?\/\//);
  const metrics = (await server.get("/metrics")).body;
  assert.match(metrics, /^diffusionapi_jobs\{state="done"\} \d+$/m);
  assert.match(metrics, /^diffusionapi_worker_up 1$/m);
  const page = await server.get("/");
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-security-policy"), /default-src 'none'/);
});

test("says what is wrong with a request", async () => {
  const rows = [
    ["POST", "/txt2img", "not json", 400, /no JSON/],
    ["POST", "/txt2img", "[1]", 400, /no object/],
    ["POST", "/txt2img", `${"[".repeat(100)}${"]".repeat(100)}`, 400, /nested deeper/],
    ["POST", "/txt2img", { steps: 0 }, 400, /steps is a whole number from 1/],
    ["POST", "/txt2img", { steps: "many" }, 400, /steps/],
    ["POST", "/txt2img", { width: 100000 }, 400, /width/],
    ["POST", "/txt2img", { sampler_name: "Foo" }, 400, /Euler a/],
    ["POST", "/txt2img", { scheduler_type: "Foo" }, 400, /Karras/],
    ["POST", "/txt2img", { fileType: "bmp" }, 400, /png/],
    ["POST", "/img2img", { prompt: "x" }, 400, /^Image field is required$/],
    ["POST", "/img2img", { image: PICTURE }, 400, /^Prompt field is required$/],
    ["POST", "/img2img", { image: "aGVsbG8=", prompt: "x" }, 400, /^Failed to decode input image/],
    ["POST", "/img2img", { image: png(60000, 60000).toString("base64"), prompt: "x" }, 422, /input image/],
    ["POST", "/img-info", {}, 400, /^No image data provided$/],
    ["POST", "/img-info", { image: "aGVsbG8=" }, 400, /^Failed to load image/],
    ["GET", "/queue/nope", undefined, 404, /^Job nope not found$/],
    ["GET", "/queue/00000000-0000-4000-8000-000000000000", undefined, 404, /not found$/],
    ["DELETE", "/queue/nope", undefined, 404, /not found/],
    ["GET", "/images/nope", undefined, 404, /not found/],
    ["GET", "/nope", undefined, 404, /^Not Found$/],
    ["POST", "/hello", "", 405, /^Method Not Allowed$/],
    ["PUT", "/txt2img", "", 405, /^Method Not Allowed$/],
  ];
  for (const [method, path, body, status, text] of rows) {
    const reply = await server.ask(method, path, body);
    const row = `${method} ${path} ${JSON.stringify(body)?.slice(0, 60)}: ${JSON.stringify(reply.body)}`;
    assert.equal(reply.status, status, row);
    assert.equal(reply.body.status, "error", row);
    assert.match(reply.body.detail, text, row);
  }
});

test("a model that is not there fails the request, with its name and what there is", async () => {
  for (const field of ["model", "refiner_checkpoint"]) {
    const { status, body } = await server.post("/txt2img", { prompt: "x", ...SMALL, [field]: "no-such-model" });
    assert.equal(status, 400);
    assert.equal(body.field, field);
    assert.match(body.detail, /no-such-model.*demo/);
  }
});

test("answers HEAD, OPTIONS and preflights", async () => {
  assert.equal((await server.fetch("/hello", { method: "HEAD" })).status, 200);
  const options = await server.fetch("/txt2img", { method: "OPTIONS" });
  assert.equal(options.status, 204);
  assert.equal(options.headers.get("allow"), "POST, OPTIONS");
  assert.equal((await server.fetch("/nope", { method: "OPTIONS" })).status, 404);
});
