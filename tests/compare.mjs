// What the server adds to a picture's time: the same picture, by a server that has run before and by the command line.
//
//   node tests/compare.mjs [--pairs 40] [--side 256] [--steps 20] [--model FILE] [--seconds 600]
//
// They run in pairs; who begins changes from pair to pair. Per pair these are divided by the command line's seconds, as it
// prints them: the sum of its phases, without start-up, opening the model and planning:
//
//   drawing   the same sum as the server tells it
//   job       from the job's acceptance on disk to its end there: waiting, handing over, planning, drawing, writing down
//   client    from the client's request to the end of the events that follow the job; its `end` comes before it asks anything
//
// Printed are medians of the quotients with the interval that holds the true one in 95 of 100 cases, whatever the errors'
// distribution (ranks by the binomial distribution). The client sleeps in one read and parses nothing meanwhile. A pair
// while which other programs take more than OTHERS_MOST of the machine tells about them: it is left out and drawn again, until --seconds are over.
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import { parseArgs } from "node:util";
import { PROGRAM, Server } from "./server.mjs";

const { values: options } = parseArgs({ options: {
  pairs: { type: "string", default: "40" }, side: { type: "string", default: "256" },
  steps: { type: "string", default: "20" }, model: { type: "string" }, seconds: { type: "string", default: "600" },
} });
const OTHERS_MOST = 0.05;
const pairs = Number(options.pairs), side = Number(options.side), steps = Number(options.steps);
const modelFlags = options.model ? ["--model", options.model] : [];

const server = await Server.start(["--log-level", "warn", ...modelFlags]);
const worker = Number(readdirSync(`/proc/${server.child.pid}/task`)
  .flatMap((thread) => readFileSync(`/proc/${server.child.pid}/task/${thread}/children`, "latin1").trim().split(" ")).find(Boolean));
const agent = new http.Agent({ keepAlive: true });

/* The body as text, when all of it has come. */
const ask = (method, path, body) => new Promise((resolve, reject) => {
  const request = http.request({ port: server.port, host: "127.0.0.1", agent, method, path }, (reply) => {
    const pieces = [];
    reply.on("data", (piece) => pieces.push(piece));
    reply.on("end", () => resolve(Buffer.concat(pieces).toString()));
  });
  request.on("error", reject).end(body);
});

const request = JSON.stringify({ prompt: "a red circle", width: side, height: side, steps, sampler_name: "Euler a",
  cfg_scale: 7, seed: 1, file_type: "png", size_policy: "planned" });
const flags = ["txt2img", ...modelFlags, "--prompt", "a red circle", "--width", options.side, "--height", options.side, "--steps", options.steps,
  "--sampler", "Euler a", "--cfg-scale", "7", "--seed", "1", "--size-policy", "planned", "--output", `${server.folder}/compare.png`];

async function byServer() {
  const begin = performance.now();
  const { job_id: id } = JSON.parse(await ask("POST", "/txt2img", request));
  await ask("GET", `/queue/${id}/events`);
  const client = (performance.now() - begin) / 1000;
  const job = JSON.parse(await ask("GET", `/queue/${id}?image=false`));
  if (job.state !== "done") throw new Error(`the job is ${job.state}: ${job.error}`);
  return { drawing: Object.values(job.phases).reduce((sum, one) => sum + one, 0), job: job.finished - job.created, client };
}

function byCommandLine() {
  const begin = performance.now();
  const { stderr, status } = spawnSync(PROGRAM, flags, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return { drawing: Number(/, all ([\d.]+)/.exec(stderr)[1]), client: (performance.now() - begin) / 1000 };
}

const ticks = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
/* Seconds of the processor: of a process itself (field 14 and 15 of proc(5)), or of its ended children (16 and 17). */
function processor(pid, field) {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1].split(" ");
  return (Number(fields[field - 3]) + Number(fields[field - 2])) / ticks;
}
const spent = () => ({ server: processor(server.child.pid, 14), worker: processor(worker, 14), "command line": processor(process.pid, 16), client: processor(process.pid, 14) });

/* Seconds that the machine's processors worked, whoever for, and that there were. */
function machine() {
  const [user, nice, system, idle, wait, irq, soft, steal] = readFileSync("/proc/stat", "latin1").split("\n")[0].split(/ +/).slice(1).map(Number);
  const busy = user + nice + system + irq + soft + steal;
  return { busy: busy / ticks, all: (busy + idle + wait) / ticks };
}

const sorted = (list) => [...list].sort((a, b) => a - b);
function median(list) {
  const s = sorted(list), half = s.length >> 1;
  return s.length % 2 ? s[half] : (s[half - 1] + s[half]) / 2;
}

/* Ranks whose values hold the median between them with 95 %: at most 2.5 % of all ways to fall lie below the lower one. */
function interval(list) {
  const s = sorted(list), n = s.length;
  let probability = 0.5 ** n, below = 0, rank = 0;
  for (; rank < n / 2 && below + probability <= 0.025; rank++) {
    below += probability;
    probability *= (n - rank) / (rank + 1);
  }
  return rank === 0 ? [-Infinity, Infinity] : [s[rank - 1], s[n - rank]];
}

/* The part of the machine's time that others took between two counts. */
function othersPart(before, after) {
  const own = Object.keys(before.own).reduce((sum, who) => sum + after.own[who] - before.own[who], 0);
  return (after.machine.busy - before.machine.busy - own) / (after.machine.all - before.machine.all);
}
const count = () => ({ own: spent(), machine: machine() });

const rows = [];
const processors = Object.fromEntries(Object.keys(spent()).map((who) => [who, 0]));
const end = performance.now() + 1000 * Number(options.seconds);
let tries = 0;
await byServer(); // the model is open, the page cache warm, the client's code compiled
byCommandLine();
for (; rows.length < pairs && performance.now() < end; tries++) {
  const turned = rows.length % 2 === 1, before = count();
  const first = turned ? byCommandLine() : await byServer();
  const second = turned ? await byServer() : byCommandLine();
  const after = count();
  if (othersPart(before, after) > OTHERS_MOST) continue;
  rows.push({ server: turned ? second : first, line: turned ? first : second });
  for (const who of Object.keys(processors)) processors[who] += after.own[who] - before.own[who];
}

agent.destroy();
await server.stop();
if (rows.length === 0) throw new Error(`${tries} pairs, and others used the machine during all of them`);

const percent = (x) => `${x > 1 ? "+" : ""}${(100 * (x - 1)).toFixed(2)} %`;
console.log(`${side}x${side}, ${steps} steps, ${rows.length} pairs, ${tries - rows.length} left out; the command line's phases: ${median(rows.map((row) => row.line.drawing)).toFixed(3)} s ` +
  `(whole program ${median(rows.map((row) => row.line.client)).toFixed(3)} s)`);
for (const what of ["drawing", "job", "client"]) {
  const seconds = rows.map((row) => row.server[what]), quotients = rows.map((row) => row.server[what] / row.line.drawing);
  const [low, high] = interval(quotients);
  const more = median(rows.map((row) => row.server[what] - row.line.drawing));
  console.log(`${what.padEnd(8)} ${median(seconds).toFixed(3)} s, ${percent(median(quotients))} (${percent(low)} to ${percent(high)}), ${(1000 * more).toFixed(1)} ms`);
}
console.log(`processor, ms a picture: ${Object.keys(processors).map((who) => `${who} ${(1000 * processors[who] / rows.length).toFixed(1)}`).join(", ")}`);
