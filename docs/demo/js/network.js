// Networks in the browser: ONNX files run by onnxruntime-web, whose files lie in runtime/.

import * as ort from "../runtime/ort.wasm.min.mjs";
import { cropImage, placeFace } from "./geometry.js";
import { decode } from "./answers.js";

const here = (path) => new URL(`../${path}`, import.meta.url).href;

/** A file beside the page; a .gz that the server has not unpacked already is unpacked. */
export async function bytes(path) {
  const answer = await fetch(here(path));
  if (!answer.ok) throw new Error(`${path}: ${answer.status}; build the page with "faceptor demo"`);
  const data = await answer.arrayBuffer();
  const head = new Uint8Array(data, 0, 2);
  if (head[0] !== 0x1f || head[1] !== 0x8b) return data;
  return new Response(new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Once, before any network. */
export async function start() {
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // more need headers that a plain server of files does not send
  ort.env.wasm.wasmPaths = { mjs: here("runtime/ort-wasm-simd-threaded.mjs") };
  ort.env.wasm.wasmBinary = await bytes("runtime/ort-wasm-simd-threaded.wasm.gz");
}

export async function session(path) {
  return ort.InferenceSession.create(new Uint8Array(await bytes(path)), { executionProviders: ["wasm"] });
}

export const tensor = (data, shape) => new ort.Tensor("float32", data, shape);

/** The exported model and its description. */
export class Model {
  static async load() {
    const about = JSON.parse(new TextDecoder().decode(await bytes("model/model.json")));
    return new Model(about, await session(`model/${about.file.name}`));
  }

  constructor(about, network) {
    [this.about, this.network] = [about, network];
  }

  /** All tasks about one face: task -> {answer, placed}. One run answers them all. */
  async answer(picture, box, roll = 0) {
    const batches = Object.fromEntries(Object.keys(this.about.inputs).map((input) => [input, []]));
    const rows = {};
    for (const [name, task] of Object.entries(this.about.tasks)) {
      const placed = placeFace(task.crop, box, roll);
      const image = cropImage(placed, picture);
      const batch = batches[task.input];
      rows[name] = { placed, row: batch.push(image) - 1 };
      if (task.mirror) rows[name].mirror = batch.push(mirrored(image, placed.size)) - 1;
    }
    const feeds = {};
    for (const [input, images] of Object.entries(batches)) {
      const shape = [images.length, ...this.about.inputs[input].shape.slice(1)];
      const data = new Float32Array(shape.reduce((a, b) => a * b));
      images.forEach((image, i) => data.set(image, i * image.length));
      feeds[input] = tensor(data, shape);
    }
    const raw = await this.network.run(feeds);
    const found = {};
    for (const [name, task] of Object.entries(this.about.tasks)) {
      const { placed, row, mirror } = rows[name];
      const each = raw[name].data.length / raw[name].dims[0];
      const part = (at) => raw[name].data.subarray(at * each, (at + 1) * each);
      found[name] = decode(task, part(row), placed, picture, mirror === undefined ? null : part(mirror));
    }
    return found;
  }
}

function mirrored(planes, size) {
  const out = new Float32Array(planes.length);
  for (let row = 0; row < 3 * size; row++) {
    for (let x = 0; x < size; x++) out[row * size + x] = planes[row * size + size - 1 - x];
  }
  return out;
}
