// From raw numbers of a task to an answer about the picture, as faceptor/tasks decodes them.

import { apply, bilinear, pointBack, raise, warp } from "./geometry.js";

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

function softmax(values) {
  const largest = Math.max(...values);
  const powers = Array.from(values, (value) => Math.exp(value - largest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

const named = (labels, values) => Object.fromEntries(labels.map((label, i) => [label, values[i]]));

/** Centroids of the sigmoid maps (N x h x w), as pixels of the picture; scores: their peaks. */
function landmarks(task, raw, placed) {
  const [count, h, w] = task.output.shape.slice(1);
  const [points, scores] = [[], []];
  for (let n = 0; n < count; n++) {
    let [total, sumX, sumY, peak] = [0, 0, 0, 0];
    for (let y = 0; y < h; y++) {
      for (let x = 0; x < w; x++) {
        const heat = sigmoid(raw[(n * h + y) * w + x]);
        total += heat;
        sumX += x * heat;
        sumY += y * heat;
        peak = Math.max(peak, heat);
      }
    }
    total = Math.max(total, 1e-6);
    const inCrop = [(sumX / total + 0.5) / w, (sumY / total + 0.5) / h].map((part) => part * placed.size - 0.5);
    points.push(pointBack(placed, inCrop));
    scores.push(peak);
  }
  return { points, scores };
}

/** The likeliest class of every pixel of the picture; class 0 outside the crop. share: of each class. */
function parsing(task, raw, placed, picture) {
  const [count, h, w] = task.output.shape.slice(1);
  const plane = (n) => raise(raw.subarray(n * h * w, (n + 1) * h * w), w, h, placed.size);
  const planes = Array.from({ length: count }, (_, n) => plane(n));
  const classes = new Uint8Array(picture.width * picture.height);
  const counts = new Array(count).fill(0);
  for (let y = 0; y < picture.height; y++) {
    for (let x = 0; x < picture.width; x++) {
      const [u, v] = apply(placed.matrix, [x, y]).map((part) => Math.fround(warp(part, placed.size, placed.warp)));
      let best = 0;
      if (u > -1 && v > -1 && u < placed.size && v < placed.size) {
        let most = -Infinity;
        for (let n = 0; n < count; n++) {
          const value = bilinear(planes[n], placed.size, placed.size, u, v);
          if (value > most) [most, best] = [value, n];
        }
      }
      classes[y * picture.width + x] = best;
      counts[best]++;
    }
  }
  return { classes, share: named(task.labels, counts.map((n) => n / classes.length)) };
}

/** sigmoid / sum over the ages, and its mean. */
function age(task, raw) {
  const weights = Array.from(raw, sigmoid);
  const total = weights.reduce((a, b) => a + b, 0);
  const first = task.options.first ?? 0;
  return { years: weights.reduce((sum, weight, i) => sum + (weight / total) * (first + i), 0) };
}

function classification(task, raw) {
  const probabilities = softmax(raw);
  const label = task.labels[probabilities.indexOf(Math.max(...probabilities))];
  return { label, probabilities: named(task.labels, probabilities) };
}

const attributes = (task, raw) => ({ probabilities: named(task.labels, Array.from(raw, sigmoid)) });

/** The embedding of the face and of its mirror image, added. */
function recognition(task, raw, placed, picture, mirrored) {
  return { embedding: Array.from(raw, (value, i) => value + (mirrored ? mirrored[i] : 0)) };
}

const DECODERS = {
  landmarks, parsing, age, attributes, recognition, visibility: attributes,
  expression: classification, gender: classification, race: classification, agegroup: classification,
};

/** task: of the model's description; raw: its numbers for the crop; mirrored: for the mirrored one, if it has one. */
export function decode(task, raw, placed, picture, mirrored) {
  const decoder = DECODERS[task.kind];
  return decoder ? decoder(task, raw, placed, picture, mirrored) : { raw: Array.from(raw) };
}
