// The stage, which shows the job that was asked for last, and the queue of all that wait.

import { count, isFinal, jobs, offerDownload, remove, showImage, submit, watch } from "./client.js";
import { $, announce, calmMotion, make, tell, toast } from "./dom.js";
import { setLastSeed } from "./choices.js";
import { about, plural, seconds } from "./units.js";

const QUEUE_MS = 2000, QUEUE_IDLE_MS = 10000;
const QUEUE_SHOWN = 50;

let shown = null; // the job on the stage, as last seen
let stop = null; // AbortController of watching it
let finished = () => {}; // what to do when a job is done: the gallery
let told = 0; // percent that a screen reader has heard

export const current = () => shown;

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** What a job is doing, in words. */
export function words(job) {
  if (job.state === "unreachable") return "The server does not answer; trying again";
  if (job.state === "queued") {
    const waits = job.error ? "Waiting for another try" : "Waiting";
    return job.position > 1 ? `${waits}, number ${job.position} in line` : waits;
  }
  if (job.state === "loading") return "Loading the model";
  if (job.state === "cancelled") return "Cancelled";
  if (job.state === "error") return "Failed";
  if (job.state === "done") return `Done in ${seconds(job.generation_time_sec)}`;
  const steps = job.steps > 0 && job.step > 0 ? `, step ${job.step} of ${job.steps}` : "";
  return `${sentence(job.phase || "working")}${steps}`;
}

/* The stage. */

function placeholder(text) {
  return make("p", { class: "waiting" }, text);
}

function drawPreview(job) {
  const box = $("run-pictures");
  let img = box.querySelector(".preview");
  if (!img) {
    img = make("img", { class: "preview", alt: "Preview of the picture in the making" });
    box.replaceChildren(make("div", {}, img));
  }
  img.src = job.preview;
}

/** news: what has changed of the job shown. */
function drawProgress(news) {
  shown = { ...shown, ...news };
  const progress = shown.progress ?? 0;
  $("run-progress").value = progress;
  $("run-words").textContent = words(shown);
  $("run-left").textContent = shown.seconds_left > 0 ? `${about(shown.seconds_left)} left` : "";
  const percent = Math.floor(progress / 25) * 25;
  if (percent > told && percent < 100) {
    told = percent;
    announce(`${percent} percent`);
  }
  if (news.preview) drawPreview(shown);
}

function begin(job) {
  shown = job;
  told = 0;
  $("stage-empty").hidden = true;
  $("run").hidden = false;
  $("run-actions").hidden = $("run-warnings").hidden = true;
  $("run-cancel").hidden = $("run-progress").hidden = false;
  $("run-cancel").disabled = false;
  tell($("run-problem"), "");
  $("run-pictures").replaceChildren(placeholder("The picture appears here while it is made."));
  $("run-progress").value = 0;
  $("run-words").textContent = words(job);
  $("run-left").textContent = "";
}

async function drawPictures(job, open) {
  const nodes = [];
  for (let n = 0; n < count(job); n++) {
    const img = make("img", { alt: `Picture ${n + 1} of ${count(job)}: ${job.prompt}` });
    nodes.push(make("button", { type: "button", "aria-label": `Details of picture ${n + 1}`, onclick: () => open(job, n) }, img));
    await showImage(img, job.job_id, n);
  }
  $("run-pictures").replaceChildren(...nodes);
}

async function end(job, open) {
  shown = job;
  $("run-cancel").hidden = $("run-progress").hidden = true;
  $("run-left").textContent = "";
  $("run-words").textContent = words(job);
  if (job.state === "done") {
    const adjusted = job.memory?.size_adjusted_from ?? job.size_adjusted_from;
    const list = [...(job.warnings ?? [])];
    if (adjusted?.width) list.unshift(`Asked for ${adjusted.width}×${adjusted.height}, made ${job.width}×${job.height}.`);
    $("run-warnings").replaceChildren(...list.map((text) => make("li", {}, text)));
    $("run-warnings").hidden = list.length === 0;
    $("run-words").textContent = `${words(job)} · ${job.width}×${job.height} · seed ${job.seed}`;
    setLastSeed(Number(job.seed));
    await drawPictures(job, open);
    offerDownload($("run-download"), job);
    $("run-actions").hidden = false;
    announce(`Done: ${plural(count(job), "picture")}, ${job.width} by ${job.height}.`);
  } else {
    $("run-pictures").replaceChildren(placeholder(job.state === "cancelled" ? "Cancelled." : "No picture came of this."));
    tell($("run-problem"), job.state === "error" ? job.error || "The job failed." : "");
    if (job.state === "cancelled") announce("Cancelled.");
  }
  finished(job);
}

/** Follows a job on the stage until it ends. */
async function follow(job, open) {
  stop?.abort();
  stop = new AbortController();
  const { signal } = stop;
  begin(job);
  try {
    const last = await watch(job.job_id, (state) => {
      if (!signal.aborted) drawProgress(state);
    }, signal);
    if (!signal.aborted) await end(last, open);
  } catch (error) {
    if (signal.aborted) return;
    $("run-cancel").hidden = $("run-progress").hidden = true;
    tell($("run-problem"), error.status === 404 ? "The job is gone: somebody deleted it." : error.message);
  }
  void drawQueue();
}

/** Hands the request in and shows it. Throws ApiError where the server says no. */
export async function generate(request, open) {
  const { job_id: id, seed } = await submit(request);
  const job = { job_id: id, seed, state: "queued", progress: 0, prompt: request.prompt };
  announce("Accepted; waiting for its turn.");
  // What runs already stays on the stage: the new one is in the queue and takes its place when that has ended.
  if (shown && !isFinal(shown.state) && shown.state !== "unreachable" && !stop?.signal.aborted) toast("Added to the queue.");
  else void follow(job, open);
  $("stage").scrollIntoView({ block: "nearest", behavior: calmMotion() ? "auto" : "smooth" });
  void drawQueue();
}

/* The queue. */

async function cancel(id, button) {
  button.disabled = true;
  try {
    await remove(id);
    announce("Cancelling.");
  } catch (error) {
    button.disabled = false;
    toast(error.message, "bad");
  }
  void drawQueue();
}

function queueRow(job, open) {
  const running = job.state === "processing" || job.state === "loading";
  const left = job.seconds_left > 0 ? ` · ${about(job.seconds_left)} left` : "";
  return make("li", { "data-id": job.job_id },
    make("span", { class: "what" }, job.prompt || "(no prompt)"),
    make("span", { class: "how" }, `${words(job)}${left}`),
    make("button", { type: "button", "aria-label": `Cancel: ${job.prompt || job.job_id}`, onclick: (event) => cancel(job.job_id, event.target) }, "Cancel"),
    running ? make("progress", { max: 100, value: job.progress ?? 0, "aria-label": "Progress" }) : null);
}

let openDetails = () => {};
let timer = 0;

/** Draws what waits and runs; a job nobody follows goes to the stage. */
async function drawQueue() {
  clearTimeout(timer);
  let next = QUEUE_IDLE_MS;
  try {
    const list = (await jobs({ state: "active", limit: QUEUE_SHOWN })).jobs.reverse();
    const held = document.activeElement?.closest("#queue-list li")?.dataset.id;
    if (list.length) next = QUEUE_MS;
    $("queue").hidden = list.length === 0 || (list.length === 1 && list[0].job_id === shown?.job_id);
    $("queue-count").textContent = list.length;
    $("queue-list").replaceChildren(...list.map((job) => queueRow(job)));
    if (held) document.querySelector(`#queue-list li[data-id="${CSS.escape(held)}"] button`)?.focus();
    const idle = !shown || isFinal(shown.state) || stop?.signal.aborted;
    const running = list.find((job) => job.state !== "queued") ?? list[0];
    if (idle && running && running.job_id !== shown?.job_id) void follow(running, openDetails);
  } catch {
    // The server's state is shown at the top of the page; the list stays as it was.
  }
  if (!document.hidden) timer = setTimeout(drawQueue, next);
}

/** open(job, n) shows details; done(job) is told of every job that ended on the stage. */
export function startJobs({ open, done }) {
  finished = done;
  openDetails = open;
  $("run-cancel").addEventListener("click", (event) => cancel(shown.job_id, event.target));
  $("run-details").addEventListener("click", () => open(shown, 0));
  document.addEventListener("visibilitychange", () => void drawQueue());
  void drawQueue();
}
