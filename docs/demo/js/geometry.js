// Crops of faces, as faceptor/transforms has them. Points are xy in pixels, pixel centres at integers. A matrix
// [a, b, c, d, e, f] takes (x, y) to (a x + b y + c, d x + e y + f).

const ATANH_LIMIT = 0.999;

export function multiply(m, n) {
  return [
    m[0] * n[0] + m[1] * n[3], m[0] * n[1] + m[1] * n[4], m[0] * n[2] + m[1] * n[5] + m[2],
    m[3] * n[0] + m[4] * n[3], m[3] * n[1] + m[4] * n[4], m[3] * n[2] + m[4] * n[5] + m[5],
  ];
}

export function inverse(m) {
  const det = m[0] * m[4] - m[1] * m[3];
  const [a, b, d, e] = [m[4] / det, -m[1] / det, -m[3] / det, m[0] / det];
  return [a, b, -a * m[2] - b * m[5], d, e, -d * m[2] - e * m[5]];
}

export function apply(m, [x, y]) {
  return [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]];
}

/** Turns points about `centre` by radians from x towards y, which in a picture is clockwise. */
export function turn(radians, [x, y]) {
  const [c, s] = [Math.cos(radians), Math.sin(radians)];
  return [c, -s, x - c * x + s * y, s, c, y - s * x - c * y];
}

/** The same area in rasters of other sizes: from (w, h) to (W, H). */
function rescale([w, h], [W, H]) {
  return [W / w, 0, W / w / 2 - 0.5, 0, H / h, H / h / 2 - 0.5];
}

export function warp(x, size, factor) {
  if (factor === 0) return x;
  const u = (2 * x) / size - 1;
  const beyond = Math.max(Math.abs(u) - (1 - factor), 0);
  return ((Math.sign(u) * (Math.abs(u) - beyond + factor * Math.tanh(beyond / factor)) + 1) * size) / 2;
}

export function unwarp(x, size, factor) {
  if (factor === 0) return x;
  const u = (2 * x) / size - 1;
  const beyond = Math.max(Math.abs(u) - (1 - factor), 0);
  const inner = Math.atanh(Math.min(beyond / factor, ATANH_LIMIT));
  return ((Math.sign(u) * (Math.abs(u) - beyond + factor * inner) + 1) * size) / 2;
}

/** A square with the centre and the longer side of a box [x1, y1, x2, y2]. */
export function square([x1, y1, x2, y2]) {
  const [x, y, half] = [(x1 + x2) / 2, (y1 + y2) / 2, Math.max(x2 - x1, y2 - y1) / 2];
  return [x - half, y - half, x + half, y + half];
}

/** The crop of a face. crop: {size, warp, framing} of the model's description; roll: degrees, clockwise as seen. */
export function placeFace(crop, box, roll = 0) {
  const [x1, y1, x2, y2] = square(box);
  const [side, centre] = [x2 - x1, [(x1 + x2) / 2, (y1 + y2) / 2]];
  const [left, top, right, bottom] = crop.framing.map((edge, i) => centre[i % 2] + side * edge);
  const [ax, ay] = [crop.size / (right - left), crop.size / (bottom - top)];
  const upright = turn((-roll * Math.PI) / 180, centre);
  const matrix = multiply([ax, 0, -ax * left - 0.5, 0, ay, -ay * top - 0.5], upright);
  return { matrix, size: crop.size, warp: crop.warp };
}

/** Pixels of the crop -> pixels of the picture. */
export function pointBack(placed, [x, y]) {
  return apply(inverse(placed.matrix), [unwarp(x, placed.size, placed.warp), unwarp(y, placed.size, placed.warp)]);
}

/** The crop's picture, 3 planes of size x size in [0, 1]. picture: {width, height, data: RGBA bytes}. */
export function cropImage(placed, picture) {
  const { size } = placed;
  const m = placed.matrix;
  const pace = [1 / Math.hypot(m[0], m[3]), 1 / Math.hypot(m[1], m[4])];
  const corners = [[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]].map((each) => pointBack(placed, each));
  const margin = Math.ceil(Math.max(...pace)) + 1;
  const within = (value, limit) => Math.min(Math.max(value, 0), limit);
  const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
  const x0 = within(Math.floor(Math.min(...xs)) - margin, picture.width);
  const y0 = within(Math.floor(Math.min(...ys)) - margin, picture.height);
  const x1 = within(Math.ceil(Math.max(...xs)) + margin + 1, picture.width);
  const y1 = within(Math.ceil(Math.max(...ys)) + margin + 1, picture.height);
  if (x1 <= x0 || y1 <= y0) return new Float32Array(3 * size * size);
  let part = cutOut(picture, x0, y0, x1 - x0, y1 - y0);
  let matrix = multiply(m, [1, 0, x0, 0, 1, y0]);
  if (Math.max(...pace) > 1) {
    const small = [part.width, part.height].map((n, i) => Math.max(1, Math.round(n / Math.max(pace[i], 1))));
    matrix = multiply(matrix, rescale(small, [part.width, part.height]));
    part = shrink(part, ...small);
  }
  return sample(part, matrix, placed);
}

/** Part of a picture as 3 planes in [0, 1]. */
export function cutOut(picture, left, top, width, height) {
  const planes = new Float32Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = 4 * ((top + y) * picture.width + left + x);
      for (let c = 0; c < 3; c++) planes[(c * height + y) * width + x] = picture.data[from + c] / 255;
    }
  }
  return { width, height, planes };
}

/** Every pixel is the mean of the area that it covers (OpenCV's INTER_AREA). */
export function shrink(part, width, height) {
  const across = coverage(part.width, width), down = coverage(part.height, height);
  const rows = new Float32Array(3 * part.height * width);
  for (let row = 0; row < 3 * part.height; row++) {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (const [from, weight] of across[x]) sum += weight * part.planes[row * part.width + from];
      rows[row * width + x] = sum;
    }
  }
  const planes = new Float32Array(3 * height * width);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < height; y++) {
      for (const [from, weight] of down[y]) {
        const [source, target] = [(c * part.height + from) * width, (c * height + y) * width];
        for (let x = 0; x < width; x++) planes[target + x] += weight * rows[source + x];
      }
    }
  }
  return { width, height, planes };
}

/** For each of `count` pixels the [source pixel, weight] that lie below it, of `source` pixels in all. */
function coverage(source, count) {
  const step = source / count;
  return Array.from({ length: count }, (_, i) => {
    const [start, end, found] = [i * step, Math.min((i + 1) * step, source), []];
    for (let at = Math.floor(start); at < end - 1e-6; at++) {
      const weight = (Math.min(at + 1, end) - Math.max(at, start)) / step;
      if (weight > 1e-6) found.push([at, weight]);
    }
    return found;
  });
}

/** Bilinear, black outside. */
function sample(part, matrix, { size, warp: factor }) {
  const back = inverse(matrix);
  const axis = Array.from({ length: size }, (_, i) => unwarp(i, size, factor));
  const out = new Float32Array(3 * size * size);
  for (let c = 0; c < 3; c++) {
    const plane = part.planes.subarray(c * part.width * part.height, (c + 1) * part.width * part.height);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        out[(c * size + y) * size + x] = bilinear(plane, part.width, part.height, ...apply(back, [axis[x], axis[y]]));
      }
    }
  }
  return out;
}

/** A plane at (x, y), 0 outside. */
export function bilinear(plane, width, height, x, y) {
  const [x0, y0] = [Math.floor(x), Math.floor(y)];
  const [fx, fy] = [x - x0, y - y0];
  const at = (u, v) => (u < 0 || v < 0 || u >= width || v >= height ? 0 : plane[v * width + u]);
  const row = (v) => (1 - fx) * at(x0, v) + fx * at(x0 + 1, v);
  return (1 - fy) * row(y0) + fy * row(y0 + 1);
}

/** A plane (w x h) at `size` x `size`, bilinear with half-pixel centres, its edge continued. */
export function raise(plane, width, height, size) {
  const out = new Float32Array(size * size);
  const place = (i, n) => Math.min(Math.max(((i + 0.5) * n) / size - 0.5, 0), n - 1);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      out[y * size + x] = bilinear(plane, width, height, place(x, width), place(y, height));
    }
  }
  return out;
}
