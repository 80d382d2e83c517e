// Many clients at once: jobs queued, followed and fetched, while others ask how things are.
//
//   node tests/load.mjs [--jobs 1000] [--clients 32] [--idle 10]
//
// Prints how long /queue and /health took to answer while the worker computed, the server's memory, and
// its processor time while nothing happened.
import { execFileSync, fork } from "node:child_process";
import { readFileSync } from "node:fs";
import http from "node:http";
import { parseArgs } from "node:util";
import { Server } from "./server.mjs";

const isProbe = process.argv[2] === "--probe";
const { values: options } = parseArgs({ args: isProbe ? [] : process.argv.slice(2), options: {
  jobs: { type: "string", default: "1000" }, clients: { type: "string", default: "32" }, idle: { type: "string", default: "10" },
} });
const SMALL = { prompt: "a red circle", width: 64, height: 64, steps: 2, sampler_name: "Euler a" };
const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? NaN;

/* The one who asks how things are is a process of its own, so that it measures the server and not the
   clients beside it. */
async function probe(port) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const times = { "/queue": [], "/health": [] };
  let stop = false;
  process.on("message", () => { stop = true; });
  const ask = (path) => new Promise((resolve, reject) => {
    const begin = process.hrtime.bigint();
    http.get({ port, host: "127.0.0.1", path, agent }, (reply) => {
      reply.resume();
      reply.on("end", () => resolve(Number(process.hrtime.bigint() - begin) / 1e6));
    }).on("error", reject);
  });
  while (!stop) {
    for (const path of Object.keys(times)) times[path].push(await ask(path));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  process.send(times, () => process.disconnect());
}

const memoryKb = (pid, key = "VmRSS") => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, "latin1"))[1]);
const ticksPerSecond = () => Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
function processorSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond();
}

async function main() {
  const jobs = Number(options.jobs), clients = Number(options.clients);
  const server = await Server.start(["--log-level", "warn", "--queue-size", String(jobs)]);
  const first = await server.post("/txt2img", SMALL); // the model is loaded
  await server.wait(first.body.job_id);

  const prober = fork(new URL(import.meta.url).pathname, ["--probe", String(server.port)]);
  const times = new Promise((resolve) => prober.once("message", resolve));
  const states = {};
  let left = jobs;
  const begin = Date.now();
  async function client() {
    while (left-- > 0) {
      const reply = await server.post("/txt2img", SMALL);
      if (reply.status !== 200) throw new Error(`${reply.status} ${JSON.stringify(reply.body)}`);
      let job;
      do {
        await new Promise((resolve) => setTimeout(resolve, 200));
        job = (await server.get(`/queue/${reply.body.job_id}`)).body;
      } while (job.state !== "done" && job.state !== "error");
      states[job.state] = (states[job.state] ?? 0) + 1;
      if (job.state !== "done") console.log(`${job.job_id}: ${job.error}`);
    }
  }
  await Promise.all(Array.from({ length: clients }, client));
  const took = (Date.now() - begin) / 1000;
  prober.send("stop");
  for (const [path, list] of Object.entries(await times)) {
    list.sort((a, b) => a - b);
    console.log(`${path}: ${list.length} answers, ms at the 50th, 99th percentile and most: ${percentile(list, 0.5).toFixed(1)} ` +
      `${percentile(list, 0.99).toFixed(1)} ${list.at(-1).toFixed(1)}`);
  }
  const pid = server.child.pid;
  console.log(`${jobs} jobs by ${clients} clients in ${took.toFixed(1)} s: ${JSON.stringify(states)}`);
  console.log(`server: ${memoryKb(pid)} kB resident, ${memoryKb(pid, "VmHWM")} kB at most`);
  const used = processorSeconds(pid);
  await new Promise((resolve) => setTimeout(resolve, Number(options.idle) * 1000));
  console.log(`idle: ${(100 * (processorSeconds(pid) - used) / Number(options.idle)).toFixed(2)} % of one processor`);
  await server.stop();
}

if (isProbe) await probe(Number(process.argv[3]));
else await main();
