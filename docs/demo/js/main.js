// The page: a picture in, answers out. Loads the networks, finds faces or takes a box, and shows what was said.

import { Model, start } from "./network.js";
import { FaceFinder } from "./faces.js";
import { drawPicture, tellAnswers } from "./draw.js";

const LARGEST_SIDE = 2000; // pixels; larger pictures are looked at reduced

const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((each) => [each.id, each]));
let model, finder, picture;

/** What is shown, for whoever looks from outside: state is loading, ready, busy, answered or failed. */
function say(state, text) {
  document.body.dataset.state = state;
  element.status.textContent = text;
  for (const button of [element.answer, element.whole]) button.disabled = !picture || state === "busy";
}

async function load() {
  await start();
  model = await Model.load();
  const { about } = model;
  finder = about.detector && (await FaceFinder.load(about.detector));
  element.warning.textContent = about.model.warning ? `This model ${about.model.warning}.` : "";
  const tasks = Object.keys(about.tasks).length;
  element.about.textContent = `${tasks} tasks, model ${about.model.hash.slice(0, 12)}, weights in ` +
    `${about.file.weights}, onnxruntime-web ${about.runtime}.`;
  element.example.hidden = !about.example;
  say("ready", "Ready.");
}

async function show(blob, name) {
  say("busy", `Reading ${name} …`);
  const bitmap = await createImageBitmap(blob);
  const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(...[bitmap.width, bitmap.height].map((n) => Math.max(1, Math.round(n * scale))));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  picture = context.getImageData(0, 0, canvas.width, canvas.height);
  drawPicture(element.picture, picture, [], model.about);
  element.answers.replaceChildren();
  element.box.value = "";
  const found = finder ? await finder.find(picture) : [];
  if (found.length) return answer(found);
  const why = finder ? "no face found; " : "";
  say("ready", `${name}: ${why}draw a box from the brows to the chin, or take the whole picture.`);
}

/** faces: [{box, roll}]. */
async function answer(faces) {
  say("busy", "Answering …");
  const began = performance.now();
  const told = [];
  for (const { box, roll = 0 } of faces) told.push({ box, roll, answers: await model.answer(picture, box, roll) });
  window.faceptor = { faces: told };
  drawPicture(element.picture, picture, told, model.about);
  tellAnswers(element.answers, told, model.about);
  element.box.value = told[0].box.map((edge) => edge.toFixed(1)).join(",");
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  say("answered", `${told.length} face${told.length > 1 ? "s" : ""} in ${seconds} s.`);
}

function boxOf(text) {
  const box = text.split(",").map(Number);
  if (box.length !== 4 || !box.every(Number.isFinite) || box[2] <= box[0] || box[3] <= box[1]) {
    throw new Error(`face box: expected x1,y1,x2,y2 in pixels, found "${text}"`);
  }
  return box;
}

/** Whatever a visitor does: what fails is told in a line. */
function guarded(action) {
  return (event) => Promise.resolve().then(() => action(event)).catch((error) => say("failed", error.message));
}

function acceptPictures() {
  element.file.addEventListener("change", guarded(() => {
    const [file] = element.file.files;
    return file && show(file, file.name);
  }));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      element.drop.classList.toggle("over", kind === "dragover");
    });
  }
  document.addEventListener("drop", guarded((event) => {
    const [file] = event.dataTransfer.files;
    if (!file) throw new Error("that was no picture file");
    return show(file, file.name);
  }));
  element.example.addEventListener("click", guarded(async () => {
    const drawn = await fetch("model/example.png");
    return show(await drawn.blob(), "a generated face");
  }));
  element.answer.addEventListener("click", guarded(() => answer([{ box: boxOf(element.box.value) }])));
  element.whole.addEventListener("click", guarded(() => {
    const half = Math.min(picture.width, picture.height) / 2;
    const [x, y] = [(picture.width - 1) / 2, (picture.height - 1) / 2];
    return answer([{ box: [x - half, y - half, x + half, y + half] }]);
  }));
}

/** A box drawn by hand. */
function acceptBoxes() {
  let corner = null;
  const place = (event) => {
    const shown = element.picture.getBoundingClientRect();
    const scale = element.picture.width / shown.width;
    return [(event.clientX - shown.left) * scale - 0.5, (event.clientY - shown.top) * scale - 0.5];
  };
  element.picture.addEventListener("pointerdown", (event) => {
    corner = picture && place(event);
    element.picture.setPointerCapture(event.pointerId);
  });
  element.picture.addEventListener("pointerup", guarded((event) => {
    if (!corner) return null;
    const [[x1, y1], [x2, y2]] = [corner, place(event)];
    corner = null;
    const box = [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
    return Math.min(box[2] - box[0], box[3] - box[1]) < 8 ? null : answer([{ box }]);
  }));
}

acceptPictures();
acceptBoxes();
guarded(load)();
