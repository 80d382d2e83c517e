// The gallery of finished jobs, newest first, a page at a time.

import { count, jobs, remove, showImage } from "./client.js";
import { $, announce, make, toast } from "./dom.js";

const PAGE = 24;

let list = []; // the jobs on this page
let cursors = [""]; // of the pages up to this one
let next = null; // of the page behind it
let focused = 0; // the one that Tab reaches; arrows move it

function thumbnail(job, i, open) {
  const img = make("img", { alt: "", loading: "lazy", decoding: "async" });
  const n = count(job);
  const button = make("button", {
    type: "button", tabindex: i === focused ? 0 : -1, "data-id": job.job_id,
    "aria-label": `${job.prompt || "no prompt"}, ${job.width} by ${job.height}${n > 1 ? `, ${n} pictures` : ""}`,
    onclick: () => open(job, 0), onfocus: () => setFocused(i),
  }, img, n > 1 ? make("span", { class: "count", "aria-hidden": "true" }, `${n}`) : null);
  // A picture that was deleted meanwhile leaves its tile empty.
  showImage(img, job.job_id).catch(() => {});
  return make("li", {}, button);
}

const buttons = () => [...$("gallery-grid").querySelectorAll("button")];

function setFocused(i) {
  focused = i;
  for (const [k, button] of buttons().entries()) button.tabIndex = k === i ? 0 : -1;
}

const columns = () => getComputedStyle($("gallery-grid")).gridTemplateColumns.split(" ").length;

function onKey(event) {
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(), Home: -focused, End: list.length - 1 - focused };
  if (event.key === "Delete" && list[focused]) {
    event.preventDefault();
    void deleteFocused();
    return;
  }
  if (event.key === "PageDown" && next) return turn(1, event);
  if (event.key === "PageUp" && cursors.length > 1) return turn(-1, event);
  const to = focused + (moves[event.key] ?? NaN);
  if (!(to >= 0 && to < list.length)) return;
  event.preventDefault();
  buttons()[to].focus();
}

/** Deletes after a second press: a picture cannot be brought back. */
async function deleteFocused() {
  const button = buttons()[focused];
  if (!button.classList.contains("sure")) {
    button.classList.add("sure");
    toast("Press Delete again to delete this picture.", "warn");
    setTimeout(() => button.classList.remove("sure"), 4000);
    return;
  }
  await deleteJob(list[focused].job_id);
  buttons()[Math.min(focused, list.length - 1)]?.focus();
}

export async function deleteJob(id) {
  try {
    await remove(id);
    announce("Deleted.");
  } catch (error) {
    if (error.status !== 404) {
      toast(error.message, "bad");
      return false;
    }
  }
  await loadGallery();
  return true;
}

async function turn(by, event) {
  event?.preventDefault();
  if (by > 0) cursors.push(next);
  else cursors.pop();
  focused = 0;
  await loadGallery();
  buttons()[0]?.focus();
}

let openJob = () => {};

export async function loadGallery() {
  let page;
  try {
    page = await jobs({ state: "done", limit: PAGE, cursor: cursors.at(-1) });
  } catch {
    return; // the server's state is shown at the top
  }
  if (!page.jobs.length && cursors.length > 1) {
    cursors.pop();
    return loadGallery();
  }
  // The same pictures stay as they are: no flicker, and focus is kept.
  const same = page.jobs.length === list.length && page.jobs.every((job, i) => job.job_id === list[i].job_id);
  list = page.jobs;
  next = page.next;
  focused = Math.min(focused, Math.max(0, list.length - 1));
  if (!same) $("gallery-grid").replaceChildren(...list.map((job, i) => thumbnail(job, i, openJob)));
  drawPages(page.total);
}

function drawPages(total) {
  const pages = Math.ceil((total ?? 0) / PAGE);
  const single = cursors.length === 1 && !next;
  $("gallery-empty").hidden = list.length > 0;
  $("gallery-newer").hidden = $("gallery-older").hidden = single;
  $("gallery-newer").disabled = cursors.length === 1;
  $("gallery-older").disabled = !next;
  $("gallery-page").textContent = single ? "" : pages ? `Page ${cursors.length} of ${pages}` : `Page ${cursors.length}`;
}

/** The job beside this one, by = 1 older, -1 newer; null at the ends of the page. */
export function neighbour(id, by) {
  const i = list.findIndex((job) => job.job_id === id);
  return i < 0 ? null : list[i + by] ?? null;
}

export function focusTile(id) {
  const i = list.findIndex((job) => job.job_id === id);
  buttons()[i < 0 ? focused : i]?.focus();
}

export function startGallery(open) {
  openJob = open;
  $("gallery-grid").addEventListener("keydown", onKey);
  $("gallery-newer").addEventListener("click", () => void turn(-1));
  $("gallery-older").addEventListener("click", () => void turn(1));
  void loadGallery();
}
