// Where the faces of a picture are: CenterFace, as faceptor/predict/detectors/centerface.py uses it, with one search of
// the picture and a second look at each face, upright and at one size.

import { apply, bilinear, cutOut, inverse, shrink, turn } from "./geometry.js";
import { session, tensor } from "./network.js";

const [HEAT, SIZES, OFFSETS, POINTS] = ["537", "538", "539", "540"]; // names in the file
const CELL = 4; // pixels of the picture to one of the heat map
const MULTIPLE = 32; // sides of the input are multiples of it

export class FaceFinder {
  /** about: the detector's part of the model's description. */
  static async load(about) {
    return new FaceFinder(about, await session(`model/${about.file}`));
  }

  constructor(about, network) {
    [this.about, this.network] = [about, network];
  }

  /** Faces of {width, height, data: RGBA bytes}, largest first: [{box, roll, score}]. */
  async find(picture) {
    const longer = Math.max(picture.width, picture.height);
    const whole = cutOut(picture, 0, 0, picture.width, picture.height);
    const { smallest, side, min_score: least } = this.about;
    let seen = await this.look(whole, Math.min(Math.max(longer, smallest), side), least);
    if (!seen.length) seen = await this.look(whole, smallest, least); // a face that fills the picture
    const heads = [];
    for (const each of seen) heads.push(await this.straightened(whole, headOf(each)));
    const faces = heads.map((head) => this.faceOf(head));
    return distinct(faces, 0.4).sort((a, b) => b.box[2] - b.box[0] - (a.box[2] - a.box[0]));
  }

  /** Heads seen in {width, height, planes} with its longer side scaled to `side`: [{box, points, score}]. */
  async look(part, side, least) {
    const scale = side / Math.max(part.width, part.height);
    const [w, h] = [part.width, part.height].map((n) => Math.max(1, Math.round(n * scale)));
    const small = scale < 1 ? shrink(part, w, h) : enlarge(part, w, h);
    const [W, H] = [w, h].map((n) => Math.ceil(n / MULTIPLE) * MULTIPLE);
    const data = new Float32Array(3 * H * W);
    for (let row = 0; row < 3 * h; row++) {
      const at = (Math.floor(row / h) * H + (row % h)) * W;
      for (let x = 0; x < w; x++) data[at + x] = 255 * small.planes[row * w + x];
    }
    const raw = await this.network.run({ [this.network.inputNames[0]]: tensor(data, [1, 3, H, W]) });
    const factor = [part.width / w, part.height / h];
    return distinct(decoded(raw, W / CELL, H / CELL, least), 0.3).map(({ box, points, score }) => ({
      box: box.map((edge, i) => (edge + 0.5) * factor[i % 2] - 0.5),
      points: points.map((point) => point.map((part, i) => (part + 0.5) * factor[i] - 0.5)),
      score,
    }));
  }

  /** The head as it is seen upright; as it was where it is not seen so. */
  async straightened(whole, head) {
    for (let i = 0; i < this.about.looks; i++) {
      const again = await this.again(whole, head);
      if (!again) return head;
      const turned = Math.abs(again.roll - head.roll);
      head = again;
      if (Math.min(turned, 360 - turned) < this.about.steady_roll) return head;
    }
    return head;
  }

  async again(whole, head) {
    const { patch, patch_face: face, patch_score: least } = this.about;
    const scale = face / Math.max(head.height, 1);
    const t = turn((-head.roll * Math.PI) / 180, [0, 0]).map((part) => part * scale);
    const middle = (patch - 1) / 2;
    const [x, y] = apply([t[0], t[1], 0, t[3], t[4], 0], head.centre);
    const matrix = [t[0], t[1], middle - x, t[3], t[4], middle - y];
    const seen = await this.look(upright(whole, matrix, patch, scale), patch, least);
    const away = seen.map(({ box }) => Math.hypot((box[0] + box[2]) / 2 - middle, (box[1] + box[3]) / 2 - middle));
    const nearest = away.indexOf(Math.min(...away));
    if (!seen.length || away[nearest] > face / 2) return null;
    const found = headOf(seen[nearest]);
    const back = inverse(matrix);
    const centre = apply(back, found.centre);
    return {
      centre,
      height: found.height / scale,
      upright: found.upright.map((point) => point.map((part, i) => (part - found.centre[i]) / scale + centre[i])),
      roll: ((((found.roll + head.roll + 180) % 360) + 360) % 360) - 180,
      score: head.score,
    };
  }

  /** The face box, brows to chin, of a head; see faceptor/predict/detectors/heads.py. */
  faceOf({ centre, height, upright: points, roll, score }) {
    const [mouth, eyes] = [[3, 4], [0, 1]].map(([a, b]) => [0, 1].map((i) => (points[a][i] + points[b][i]) / 2));
    const [least, most] = this.about.eyes_to_mouth;
    const reach = Math.min(Math.max(Math.hypot(mouth[0] - eyes[0], mouth[1] - eyes[1]), least * height), most * height);
    const half = (this.about.face_side * Math.sqrt(height * reach)) / 2;
    const [x, y] = apply(turn((roll * Math.PI) / 180, centre), [centre[0], centre[1] + this.about.face_lower * height]);
    return { box: [x - half, y - half, x + half, y + half], roll, score };
  }
}

/** A head as it lies; `upright`: its points turned back about the centre of its box. */
function headOf({ box, points, score }) {
  const centre = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  const roll = (Math.atan2(points[1][1] - points[0][1], points[1][0] - points[0][0]) * 180) / Math.PI;
  const back = turn((-roll * Math.PI) / 180, centre);
  return { centre, height: box[3] - box[1], upright: points.map((point) => apply(back, point)), roll, score };
}

/** Cells of the heat map with at least a score, as boxes and five points in pixels of the input. */
function decoded(raw, w, h, least) {
  const found = [];
  const heat = raw[HEAT].data;
  const planes = (name) => (plane, at) => raw[name].data[plane * w * h + at];
  const [sizes, offsets, points] = [SIZES, OFFSETS, POINTS].map(planes);
  for (let at = 0; at < w * h; at++) {
    if (heat[at] < least) continue;
    const [x, y] = [at % w, Math.floor(at / w)];
    const centre = [(x + 0.5 + offsets(1, at)) * CELL, (y + 0.5 + offsets(0, at)) * CELL];
    const size = [Math.exp(sizes(1, at)) * CELL, Math.exp(sizes(0, at)) * CELL];
    const corner = centre.map((part, i) => part - size[i] / 2);
    found.push({
      box: [corner[0] - 0.5, corner[1] - 0.5, corner[0] + size[0] - 0.5, corner[1] + size[1] - 0.5],
      points: [0, 1, 2, 3, 4].map((n) => [1, 0].map((axis, i) => points(2 * n + axis, at) * size[i] + corner[i] - 0.5)),
      score: heat[at],
    });
  }
  return found;
}

/** Of boxes that share much of their area the surest alone. */
function distinct(found, most) {
  const kept = [];
  for (const each of [...found].sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(each.box, other.box) <= most)) kept.push(each);
  }
  return kept;
}

function overlap(a, b) {
  const [w, h] = [Math.min(a[2], b[2]) - Math.max(a[0], b[0]), Math.min(a[3], b[3]) - Math.max(a[1], b[1])];
  const both = Math.max(w, 0) * Math.max(h, 0);
  return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both);
}

/** Bilinear, half-pixel centres, its edge continued. */
function enlarge(part, width, height) {
  if (part.width === width && part.height === height) return part;
  const [fx, fy] = [width / part.width, height / part.height];
  return sampled(part, inverse([fx, 0, fx / 2 - 0.5, 0, fy, fy / 2 - 0.5]), width, height);
}

/** The square patch to which `matrix` leads; a picture that is much larger is made smaller before. */
function upright(whole, matrix, side, scale) {
  if (2 * scale >= 1) return sampled(whole, inverse(matrix), side, side);
  const [w, h] = [whole.width, whole.height].map((n) => Math.max(1, Math.round(n * 2 * scale)));
  const small = shrink(whole, w, h);
  const [fx, fy] = [whole.width / w, whole.height / h];
  const back = inverse(matrix); // patch -> whole, then -> small
  const [u, v] = [(back[2] + 0.5) / fx - 0.5, (back[5] + 0.5) / fy - 0.5];
  return sampled(small, [back[0] / fx, back[1] / fx, u, back[3] / fy, back[4] / fy, v], side, side);
}

/** back: pixels of the result -> pixels of the part. */
function sampled(part, back, width, height) {
  const planes = new Float32Array(3 * width * height);
  const within = (value, n) => Math.min(Math.max(value, 0), n - 1);
  for (let c = 0; c < 3; c++) {
    const plane = part.planes.subarray(c * part.width * part.height, (c + 1) * part.width * part.height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const [u, v] = apply(back, [x, y]);
        const at = [within(u, part.width), within(v, part.height)];
        planes[(c * height + y) * width + x] = bilinear(plane, part.width, part.height, ...at);
      }
    }
  }
  return { width, height, planes };
}
