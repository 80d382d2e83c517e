// The mask brush: strokes over the picture to start from. White in the mask that is sent means "make anew".
//
// Strokes are kept as points in the picture's own pixels and drawn again for undo, for a window of another
// size and for the mask itself, so what is seen is what is sent.

import { $, announce } from "./dom.js";

const VEIL = "rgb(255 64 129)"; // seen on skin, sky and leaves alike
const VEIL_OPACITY = "0.55";
const FRAME_VH = 46; // the highest that the picture is shown, of the window's height
const STROKES_MAX = 2000;
const KEY_STEP = 12; // of the screen's pixels

let picture = { width: 0, height: 0 };
let strokes = []; // {radius, erase, points: [x, y, ...]}
let pen = null; // the stroke being drawn
let cursor = null; // {x, y} of the keyboard's brush
let told = () => {};

const canvas = () => $("mask");
const isErasing = () => document.querySelector('input[name="brush"]:checked').value === "erase";

/** Screen pixels to the picture's. */
const scale = () => picture.width / Math.max(1, canvas().clientWidth);

function drawStroke(context, { radius, erase, points }) {
  context.globalCompositeOperation = erase ? "destination-out" : "source-over";
  context.lineWidth = 2 * radius;
  context.beginPath();
  context.moveTo(points[0], points[1]);
  // A line to where it began: a dot, with the round caps.
  context.lineTo(points[0], points[1]);
  for (let i = 2; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
  context.stroke();
}

function paint(context, colour) {
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = colour;
  for (const stroke of strokes) drawStroke(context, stroke);
  if (pen) drawStroke(context, pen);
  context.globalCompositeOperation = "source-over";
}

function drawCursor(context) {
  context.lineWidth = 2 * scale();
  context.strokeStyle = "#fff";
  context.beginPath();
  context.arc(cursor.x, cursor.y, radius(), 0, 7);
  context.stroke();
  context.strokeStyle = "#000";
  context.beginPath();
  context.arc(cursor.x, cursor.y, radius() + 2 * scale(), 0, 7);
  context.stroke();
}

const radius = () => (Number($("brush-size").value) / 2) * scale();

let due = false;
function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    const context = canvas().getContext("2d");
    context.clearRect(0, 0, picture.width, picture.height);
    paint(context, VEIL);
    if (cursor) drawCursor(context);
  });
}

function finish() {
  if (pen) strokes.push(pen);
  pen = null;
  while (strokes.length > STROKES_MAX) strokes.shift();
  changedStrokes();
}

function changedStrokes() {
  $("mask-undo").disabled = $("mask-clear").disabled = strokes.length === 0;
  redraw();
  told();
}

/** Does anything painted remain? Looked at in small: a mask of nothing is no mask. */
export function hasMask() {
  return strokes.some((stroke) => !stroke.erase) && hasPaint(draw(Math.min(1, 256 / picture.width)));
}

function draw(factor) {
  const sheet = document.createElement("canvas");
  sheet.width = Math.max(1, Math.round(picture.width * factor));
  sheet.height = Math.max(1, Math.round(picture.height * factor));
  const context = sheet.getContext("2d", { willReadFrequently: true });
  context.scale(sheet.width / picture.width, sheet.height / picture.height);
  paint(context, "#fff");
  return sheet;
}

function hasPaint(sheet) {
  const { data } = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height);
  for (let i = 3; i < data.length; i += 4) if (data[i] > 127) return true;
  return false;
}

/** The mask as a data URL of a PNG, white on black, as large as the picture; null where nothing is painted. */
export function maskUrl() {
  if (!hasMask()) return null;
  const sheet = draw(1);
  const context = sheet.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalCompositeOperation = "destination-over";
  context.fillStyle = "#000";
  context.fillRect(0, 0, sheet.width, sheet.height);
  return sheet.toDataURL("image/png");
}

/** A new picture: its mask is empty. */
export function setPicture(width, height) {
  picture = { width, height };
  strokes = [];
  pen = cursor = null;
  canvas().width = width;
  canvas().height = height;
  canvas().style.opacity = VEIL_OPACITY;
  $("frame").style.aspectRatio = `${width} / ${height}`;
  $("frame").style.width = `min(100%, ${(FRAME_VH * width) / height}vh)`;
  changedStrokes();
}

function place(event) {
  const box = canvas().getBoundingClientRect();
  return [((event.clientX - box.left) * picture.width) / box.width, ((event.clientY - box.top) * picture.height) / box.height];
}

function onPointerDown(event) {
  if (event.button !== 0) return;
  event.preventDefault();
  canvas().setPointerCapture(event.pointerId);
  cursor = null;
  pen = { radius: radius(), erase: isErasing(), points: place(event) };
  redraw();
}

function onPointerMove(event) {
  if (!pen || !canvas().hasPointerCapture(event.pointerId)) return;
  const moves = event.getCoalescedEvents?.() ?? [];
  for (const move of moves.length ? moves : [event]) pen.points.push(...place(move));
  redraw();
}

function undo() {
  strokes.pop();
  changedStrokes();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Arrow keys move the brush, Space puts it down and up again, U undoes. */
function onKeyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key];
  cursor ??= { x: picture.width / 2, y: picture.height / 2 };
  if (arrow) {
    const step = KEY_STEP * scale() * (event.shiftKey ? 4 : 1);
    cursor.x = Math.min(picture.width, Math.max(0, cursor.x + arrow[0] * step));
    cursor.y = Math.min(picture.height, Math.max(0, cursor.y + arrow[1] * step));
    if (pen) pen.points.push(cursor.x, cursor.y);
  } else if (event.key === " ") {
    if (pen) finish();
    else pen = { radius: radius(), erase: isErasing(), points: [cursor.x, cursor.y] };
    announce(pen ? `${isErasing() ? "Erasing" : "Painting"}: arrow keys draw, Space ends.` : "Brush up.");
  } else if (event.key === "u" || event.key === "U") {
    undo();
  } else {
    return;
  }
  event.preventDefault();
  redraw();
}

/** changed() is called when the mask is another one. */
export function startMask(changed) {
  const surface = canvas();
  told = changed;
  surface.addEventListener("pointerdown", onPointerDown);
  surface.addEventListener("pointermove", onPointerMove);
  surface.addEventListener("pointerup", finish);
  surface.addEventListener("pointercancel", finish);
  surface.addEventListener("keydown", onKeyDown);
  surface.addEventListener("blur", () => {
    if (pen) finish();
    cursor = null;
    redraw();
  });
  $("brush-size").addEventListener("input", redraw);
  $("mask-undo").addEventListener("click", undo);
  $("mask-clear").addEventListener("click", () => {
    strokes = [];
    changedStrokes();
  });
}
