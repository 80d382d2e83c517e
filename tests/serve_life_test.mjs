// The server's life: settings from files, a full queue, stopping, coming back with its jobs.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { PROGRAM, Server } from "./server.mjs";

const SMALL = { prompt: "a red circle", width: 64, height: 64, steps: 2, sampler_name: "Euler a" };
const LONG = { prompt: "x", width: 256, height: 256, steps: 150, sampler_name: "Heun" };
const folder = () => mkdtempSync(join(tmpdir(), "serve-life-"));

test("refuses jobs when the queue is full, and says when to come back", async (t) => {
  const server = await Server.start(["--queue-size", "2"]);
  t.after(() => server.stop());
  const running = (await server.post("/txt2img", LONG)).body.job_id;
  for (let i = 0; i < 1000 && (await server.get(`/queue/${running}`)).body.state === "queued"; i++)
    await new Promise((done) => setTimeout(done, 10));
  for (let i = 0; i < 2; i++) assert.equal((await server.post("/txt2img", SMALL)).status, 200);
  const full = await server.post("/txt2img", SMALL);
  assert.equal(full.status, 429);
  assert.ok(Number(full.headers.get("retry-after")) > 0);
  assert.equal(full.body.status, "error");
  await server.ask("DELETE", `/queue/${running}`);
});

test("keeps its jobs over a stop, and runs them at the next start", async () => {
  const data = folder();
  let server = await Server.start(["--stop-seconds", "0"], { data });
  const running = (await server.post("/txt2img", { ...LONG, seed: 3, steps: 12 })).body.job_id;
  const waiting = (await server.post("/txt2img", { ...SMALL, seed: 4 })).body.job_id;
  for (let i = 0; i < 1000 && (await server.get(`/queue/${running}`)).body.state !== "processing"; i++)
    await new Promise((done) => setTimeout(done, 10));
  const follower = await server.fetch(`/queue/${running}/events`); // is ended, and does not hold the server up
  assert.deepEqual(await server.stop(), { code: 0, signal: null });
  assert.doesNotMatch(await follower.text(), /event: end/);
  server = await Server.start([], { data });
  assert.equal((await server.wait(running)).state, "done");
  assert.equal((await server.wait(waiting)).state, "done");
  assert.deepEqual(await server.stop("SIGINT"), { code: 0, signal: null });
  rmSync(data, { recursive: true });
});

test("loses no accepted job when it is killed", async () => {
  const data = folder();
  let server = await Server.start([], { data });
  const ids = [];
  for (let i = 0; i < 5; i++) ids.push((await server.post("/txt2img", { ...SMALL, seed: i })).body.job_id);
  await server.stop("SIGKILL");
  server = await Server.start([], { data });
  for (const id of ids) assert.equal((await server.wait(id)).state, "done");
  await server.stop();
  rmSync(data, { recursive: true });
});

test("survives its worker", async (t) => {
  const server = await Server.start();
  t.after(() => server.stop());
  const id = (await server.post("/txt2img", { ...LONG, steps: 12 })).body.job_id;
  for (let i = 0; i < 1000 && (await server.get(`/queue/${id}`)).body.state !== "processing"; i++)
    await new Promise((done) => setTimeout(done, 10));
  process.kill((await server.get("/health")).body.worker.pid, "SIGKILL");
  const job = await server.wait(id);
  assert.equal(job.state, "done", job.error);
  assert.equal(job.attempts, 2);
});

test("reads .env and a configuration file; flags win over both", async (t) => {
  const cwd = folder();
  writeFileSync(join(cwd, ".env"), 'DIFFUSIONAPI_QUEUE_SIZE=7\nexport DIFFUSIONAPI_MAX_STEPS="9"\n');
  writeFileSync(join(cwd, "config.json"), JSON.stringify({ max_steps: 5, max_batch: 3, log_level: "warn" }));
  const server = await Server.start(["--config", join(cwd, "config.json"), "--max-side", "256"], { cwd });
  t.after(() => server.stop());
  const detail = async (body) => (await server.post("/txt2img", body)).body.detail;
  assert.match(await detail({ steps: 10 }), /from 1 to 9/); // .env wins over the file
  assert.match(await detail({ batch_size: 4 }), /from 1 to 3/);
  assert.match(await detail({ width: 512 }), /from 64 to 256/);
  assert.doesNotMatch(server.log, / info server /);
});

test("says where a configuration file is wrong", () => {
  const cwd = folder();
  writeFileSync(join(cwd, "bad.json"), '{\n  "port": "x"\n}');
  const run = spawnSync(PROGRAM, ["serve", "--config", join(cwd, "bad.json")], { encoding: "utf8", timeout: 20000 });
  assert.equal(run.status, 2);
  assert.match(run.stderr, /bad\.json:2:11: 'port'/);
});

test("lets no second server into its data folder", async (t) => {
  const data = folder();
  const server = await Server.start([], { data });
  t.after(() => server.stop());
  await assert.rejects(Server.start([], { data }), /another server/);
});

test("begins late answers early, and cancels the jobs of clients that leave", async (t) => {
  const server = await Server.start(["--late-answer-seconds", "1"]);
  t.after(() => server.stop());
  const slow = { prompt: "x", size: "256x256", steps: 150, sampler_name: "Heun", response_format: "b64_json" };
  const stop = new AbortController();
  const reply = await server.fetch("/v1/images/generations", { method: "POST", body: JSON.stringify(slow), signal: stop.signal,
    headers: { "content-type": "application/json" } });
  assert.equal(reply.status, 200); // its body is still to come
  const [job] = (await server.get("/queue?state=active")).body.jobs;
  assert.equal(job.family, "openai");
  stop.abort();
  assert.equal((await server.wait(job.job_id)).state, "cancelled");
  const quick = await server.post("/v1/images/generations", { ...slow, size: "64x64", steps: 60 }); // about a second, early or not
  assert.equal(quick.status, 200);
  assert.ok(quick.body.data[0].b64_json.length > 100);
});
