// Clients that wait for their pictures, many at a time and for long, some of whom leave: node tests/sync.mjs [--clients 16]
// [--seconds 600]. Afterwards the server must have as many threads and descriptors as before, and no job that has not ended.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Server } from "./server.mjs";

const { values } = parseArgs({ options: { clients: { type: "string", default: "16" }, seconds: { type: "string", default: "600" } } });
const clients = Number(values.clients);
const BODY = { prompt: "a red circle on a blue background", width: 64, height: 64, steps: 2, size: "64x64" };
const LEAVES = 8; // one call in so many is given up
const IDLE_SECONDS = 2;

const server = await Server.start(["--idle-seconds", String(IDLE_SECONDS), "--keep-jobs", "200"]);
const pid = server.child.pid;
const rest = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function state() {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return {
    threads: Number(/Threads:\s+(\d+)/.exec(status)[1]),
    resident: Number(/VmRSS:\s+(\d+)/.exec(status)[1]) * 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
  };
}

async function settled() {
  await rest(1000 * (IDLE_SECONDS + 3));
  return state();
}

const count = { pictures: 0, left: 0, failed: 0 };
async function client(i) {
  for (let n = i; Date.now() < end; n++) {
    const path = n % 2 ? "/sdapi/v1/txt2img" : "/v1/images/generations";
    const gone = new AbortController();
    const timer = n % LEAVES === 0 ? setTimeout(() => gone.abort(), 30) : null;
    try {
      const reply = await server.fetch(path, { method: "POST", body: JSON.stringify({ ...BODY, seed: n }), signal: gone.signal });
      const body = await reply.json();
      if (reply.status === 200 && (body.images ?? body.data).length === 1) count.pictures++;
      else count.failed++;
    } catch {
      count.left++;
    }
    clearTimeout(timer);
  }
}

await server.post("/sdapi/v1/txt2img", BODY); // the model is loaded
const before = await settled();
const end = Date.now() + 1000 * Number(values.seconds);
await Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
const busy = state();
while ((await server.get("/queue?state=active")).body.jobs.length > 0) await rest(100);
const after = await settled();
console.log(`${clients} clients, ${values.seconds} s:`, count, { before, busy, after });
assert.equal(count.failed, 0);
assert.ok(count.pictures > 0 && count.left > 0);
assert.ok(after.threads <= before.threads, "threads stayed");
assert.ok(after.descriptors <= before.descriptors, "descriptors stayed");
assert.deepEqual(await server.stop(), { code: 0, signal: null });
console.log("nothing stayed behind");
