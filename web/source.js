// The picture to start from: dropped, pasted, chosen, or taken from the gallery.

import { imageInfo } from "./client.js";
import { $, announce, tell, toast } from "./dom.js";
import { changed, clearError, onChange, read, write } from "./form.js";
import { hasMask, maskUrl, setPicture, startMask } from "./mask.js";
import { settingsOfInfotext } from "./settings_of.js";
import { bytes, round8, size } from "./units.js";

const FILE_MAX_BYTES = 40e6; // in base64 still below the server's 64 MiB
const PIXELS_MAX = 64e6;
const AS_THEY_ARE = ["image/png", "image/jpeg"]; // every server reads these; others are sent as PNG

let picture = null; // {url, width, height}
let infotext = null; // settings found in it

/** What form.requestOf wants: with mask, or null where there is no picture. */
export function source() {
  return picture && { image: picture.url, mask: maskUrl(), width: picture.width, height: picture.height };
}

/** The same for planning, which needs no pixels. */
export const sourceShape = () => picture && { mask: hasMask(), width: picture.width, height: picture.height };

export const hasSource = () => picture !== null;

const readUrl = (blob) => new Promise((resolve, reject) => {
  const reader = new FileReader();
  reader.onload = () => resolve(reader.result);
  reader.onerror = () => reject(new Error("The file cannot be read."));
  reader.readAsDataURL(blob);
});

async function decode(url) {
  const img = $("source-picture");
  img.src = url;
  try {
    await img.decode();
  } catch {
    throw new Error("This is not a picture that the browser can show.");
  }
  const found = { width: img.naturalWidth, height: img.naturalHeight };
  if (found.width * found.height > PIXELS_MAX) throw new Error(`The picture is too large: ${size(found)}.`);
  return found;
}

function asPng({ width, height }) {
  const sheet = document.createElement("canvas");
  sheet.width = width;
  sheet.height = height;
  sheet.getContext("2d").drawImage($("source-picture"), 0, 0);
  return sheet.toDataURL("image/png");
}

/** Takes a Blob as the picture to start from. */
export async function setSource(blob, { quiet = false } = {}) {
  tell($("source-problem"), "");
  $("source").open = true;
  try {
    if (blob.size > FILE_MAX_BYTES) throw new Error(`The file is too large: ${bytes(blob.size)}, at most ${bytes(FILE_MAX_BYTES)}.`);
    const url = await readUrl(blob);
    const found = await decode(url);
    picture = { ...found, url: AS_THEY_ARE.includes(blob.type) ? url : asPng(found) };
    show();
    if (!quiet) announce(`Picture of ${size(found)} taken to start from.`);
    void lookForSettings(url, picture);
  } catch (error) {
    removeSource();
    $("source").open = true;
    tell($("source-problem"), error.message);
  }
}

function show() {
  $("drop").hidden = true;
  $("source-ready").hidden = false;
  tell($("source-tag"), "on");
  setPicture(picture.width, picture.height);
  changed();
}

export function removeSource() {
  picture = infotext = null;
  $("drop").hidden = false;
  $("source-ready").hidden = $("source-settings").hidden = true;
  $("source-picture").removeAttribute("src");
  $("file").value = "";
  tell($("source-tag"), "");
  clearError("prompt");
  changed();
}

/** url: the file as it came; of: the picture made of it, which may be another one's turn by the time of the answer. */
async function lookForSettings(url, of) {
  infotext = null;
  $("source-settings").hidden = true;
  try {
    const { info, parameters } = await imageInfo(url);
    const found = settingsOfInfotext(parameters ?? {});
    if (!info || Object.keys(found).length < 2 || picture !== of) return;
    infotext = found;
    $("source-settings").hidden = false;
    announce("The picture carries its settings; they can be used.");
  } catch {
    // Only an offer: a server that cannot read the metadata still makes pictures.
  }
}

/** The model of the list that an infotext calls so, or undefined. */
function offeredModel(text) {
  const same = (a) => a.toLowerCase() === text.toLowerCase();
  const options = [...$("model").options];
  return options.find((option) => same(option.value) || same(option.text))?.value;
}

/** Settings of a picture made from text are used without the picture. */
function useSettings() {
  const found = { ...infotext };
  if (found.model) {
    found.model = offeredModel(found.model);
    if (!found.model) toast(`Its model, ${infotext.model}, is not here: the one chosen stays.`, "warn");
  }
  if (found.denoising_strength === undefined || found.hires_enabled) removeSource();
  write(found);
  $("source-settings").hidden = true;
  announce("Settings taken from the picture.");
  $("prompt").focus();
}

function drawWords() {
  const painted = picture && hasMask();
  $("mask-fields").hidden = !painted;
  if (!picture) return;
  const s = read();
  const same = s.width === round8(picture.width) && s.height === round8(picture.height);
  $("source-size").disabled = same;
  $("source-words").textContent = `${size(picture)}${same ? "" : `, becomes ${size(s)}`}. ` +
    (painted ? "Painted parts are made anew." : "Paint over what should be made anew, or leave it all to the prompt.");
  tell($("source-tag"), painted ? "with mask" : "on");
}

const pictureIn = (list) => [...(list ?? [])].find((file) => file.type.startsWith("image/"));
const holdsFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");

function startDropping() {
  let depth = 0; // dragenter and dragleave come for every element that is crossed
  const veil = (on) => { $("veil").hidden = !on; };
  addEventListener("dragenter", (event) => {
    if (!holdsFiles(event)) return;
    depth++;
    veil(true);
  });
  addEventListener("dragleave", (event) => {
    if (holdsFiles(event) && --depth <= 0) veil(false);
  });
  addEventListener("dragover", (event) => {
    if (holdsFiles(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    depth = 0;
    veil(false);
    if (!holdsFiles(event)) return;
    event.preventDefault();
    take(pictureIn(event.dataTransfer.files));
  });
  addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData?.files);
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}

function take(file) {
  if (file) return setSource(file);
  $("source").open = true;
  tell($("source-problem"), "That is not a picture.");
}

export function startSource() {
  startMask(changed);
  onChange(drawWords);
  startDropping();
  $("file").addEventListener("change", (event) => event.target.files[0] && take(pictureIn(event.target.files)));
  $("source-remove").addEventListener("click", () => {
    removeSource();
    $("file").focus();
  });
  $("source-size").addEventListener("click", () => write({ width: round8(picture.width), height: round8(picture.height) }));
  $("source-use").addEventListener("click", useSettings);
}
