// Starts the page: connects its parts, hands requests in, and shows how the server is.

import { forgetKey, hasKey, health, onKeyNeeded } from "./client.js";
import { loadChoices, model, startChoices } from "./choices.js";
import { openDetails, sendToSource, startDetails } from "./details.js";
import { $, tell, toast } from "./dom.js";
import { check, fieldIn, read, requestOf, restore, showError, startForm, write } from "./form.js";
import { loadGallery, startGallery } from "./gallery.js";
import { current, generate, startJobs } from "./jobs.js";
import { replan, startMemory } from "./memory.js";
import { hasSource, source, startSource } from "./source.js";

const HEALTH_MS = 6000;

/* The key. */

function askForKey(wrong) {
  const dialog = $("key");
  tell($("key-problem"), wrong ? "The server did not take that key." : "");
  $("key-text").value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const end = () => {
      const key = dialog.returnValue === "key" ? $("key-text").value.trim() : null;
      dialog.returnValue = "";
      $("key-button").hidden = !key;
      resolve(key);
    };
    dialog.addEventListener("close", end, { once: true });
  });
}

function startKey() {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    $("key").close("key");
  });
  $("key-cancel").addEventListener("click", () => $("key").close(""));
  $("key-button").hidden = !hasKey();
  $("key-button").addEventListener("click", () => {
    forgetKey();
    location.reload();
  });
  $("key-button").textContent = "Forget the API key";
  onKeyNeeded(askForKey);
}

/* How the server is. */

let wasUp = null; // null: never asked; then whether it answered and its worker was there
let timer = 0;

function serverState(report) {
  const { up = true, restarts = 0, last_death: reason = "" } = report.worker ?? {};
  if (!up && restarts > 0) return ["restarting", "The worker is being restarted; jobs wait", reason];
  if (!up) return ["starting", "The worker is starting", ""];
  const active = report.queue?.active_jobs ?? 0;
  return [active > 0 ? "busy" : "up", active > 1 ? `Working, ${active} jobs` : active ? "Working" : "Ready", ""];
}

async function showHealth() {
  clearTimeout(timer);
  let state, words;
  try {
    const report = await health();
    let reason;
    [state, words, reason] = serverState(report);
    $("server").title = [reason, ...(report.warnings ?? [])].filter(Boolean).join(". ");
  } catch (error) {
    $("server").title = "";
    [state, words] = error.status === 401 ? ["down", "An API key is needed"] : ["down", "The server does not answer"];
  }
  const up = state !== "down";
  // A live region that is written to is read out, so only what is new is written.
  if ($("server-words").textContent !== words) $("server-words").textContent = words;
  $("server").dataset.state = state;
  if (up && wasUp === false) void connect();
  wasUp = up;
  if (!document.hidden) timer = setTimeout(showHealth, HEALTH_MS);
}

/** What depends on the server being there; again when it comes back. */
async function connect() {
  try {
    await loadChoices();
    replan();
    await loadGallery();
  } catch (error) {
    tell($("form-problem"), `The lists of models and samplers could not be read: ${error.message}`);
    return;
  }
  tell($("form-problem"), "");
}

/* Generate. */

async function onGenerate(event) {
  event?.preventDefault();
  tell($("form-problem"), "");
  const wrong = check({ hasPicture: hasSource() });
  if (wrong) {
    wrong.focus();
    return;
  }
  const button = $("generate");
  button.disabled = true;
  try {
    await generate(requestOf(read(), source()), openDetails);
    void showHealth();
  } catch (error) {
    const field = error.field ?? fieldIn(error.message);
    if (field && showError(field, error.message)) document.querySelector("[aria-invalid=true]")?.focus();
    else tell($("form-problem"), error.message);
  }
  button.disabled = false;
}

/** At the model's own size: the demo model's is small, and others draw best at theirs. */
function useExample() {
  const side = model().native_side;
  write({ prompt: $("example").textContent, ...(side ? { width: side, height: side } : {}) });
  $("generate").focus();
}

async function start() {
  startKey();
  startForm();
  startChoices();
  startSource();
  startMemory();
  startDetails();
  $("form").addEventListener("submit", onGenerate);
  $("example").addEventListener("click", useExample);
  $("run-source").addEventListener("click", () => void sendToSource(current()));
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !document.querySelector("dialog[open]")) void onGenerate(event);
  });
  addEventListener("unhandledrejection", (event) => toast(event.reason?.message ?? "Something on this page failed.", "bad"));
  document.addEventListener("visibilitychange", () => void showHealth());
  const fresh = !restore();
  await showHealth();
  try {
    await loadChoices({ fresh });
  } catch (error) {
    tell($("form-problem"), `The lists of models and samplers could not be read: ${error.message}`);
  }
  startJobs({
    open: openDetails,
    done: () => {
      void loadGallery();
      void showHealth();
      replan();
    },
  });
  startGallery(openDetails);
}

void start();
