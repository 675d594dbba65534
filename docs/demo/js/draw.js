// The picture with landmarks and classes over it, and a table of answers beside it.

export function drawPicture(canvas, picture, faces, about) {
  [canvas.width, canvas.height] = [picture.width, picture.height];
  const context = canvas.getContext("2d");
  context.putImageData(picture, 0, 0);
  for (const face of faces) {
    for (const [name, answer] of Object.entries(face.answers)) {
      if (answer.classes) blend(context, answer.classes, about.drawing[name]);
    }
  }
  for (const face of faces) {
    drawBox(context, face);
    for (const [name, answer] of Object.entries(face.answers)) {
      if (answer.points) drawPoints(context, answer.points, about.drawing[name]);
    }
  }
}

/** Classes half over the picture; the background stays. */
function blend(context, classes, { colours, background }) {
  const { width, height } = context.canvas;
  const image = context.getImageData(0, 0, width, height);
  classes.forEach((one, i) => {
    if (one === background) return;
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = (image.data[4 * i + c] + colours[one][c]) / 2;
  });
  context.putImageData(image, 0, 0);
}

function drawBox(context, { box: [x1, y1, x2, y2], roll }) {
  const { width, height } = context.canvas;
  context.save();
  context.translate((x1 + x2 + 1) / 2, (y1 + y2 + 1) / 2);
  context.rotate((roll * Math.PI) / 180);
  context.lineWidth = Math.max(1, Math.max(width, height) / 400);
  context.strokeStyle = "#ffffff";
  context.strokeRect((x1 - x2) / 2, (y1 - y2) / 2, x2 - x1, y2 - y1);
  context.restore();
}

/** Lines along groups of points, closed for eyes and lips, and dots. */
function drawPoints(context, points, { groups }) {
  const [xs, ys] = [points.map((p) => p[0]), points.map((p) => p[1])];
  const extent = Math.max(Math.max(...xs) - Math.min(...xs), Math.max(...ys) - Math.min(...ys));
  context.lineWidth = Math.max(1, extent / 250);
  for (const { first, last, closed, colour } of groups) {
    const members = points.slice(first, last + 1);
    context.strokeStyle = context.fillStyle = colour;
    context.beginPath();
    members.forEach(([x, y]) => context.lineTo(x + 0.5, y + 0.5));
    if (closed) context.closePath();
    context.stroke();
    for (const [x, y] of members) {
      context.beginPath();
      context.arc(x + 0.5, y + 0.5, Math.max(1, extent / 120), 0, 2 * Math.PI);
      context.fill();
    }
  }
}

const percent = (value) => `${(100 * value).toFixed(0)} %`;
const MOST = 8; // rows of a task

export function tellAnswers(element, faces, about) {
  element.replaceChildren();
  faces.forEach((face, i) => {
    if (faces.length > 1) element.append(heading(`face ${i + 1}`));
    for (const [name, answer] of Object.entries(face.answers)) {
      element.append(heading(name), told(answer, about.drawing[name]));
    }
  });
}

function heading(text) {
  const made = document.createElement("h2");
  made.textContent = text;
  return made;
}

function told(answer, drawing) {
  if (answer.points) return words(`${answer.points.length} landmarks, mean peak ${mean(answer.scores).toFixed(2)}`);
  if (answer.years !== undefined) return words(`${answer.years.toFixed(1)} years`);
  if (answer.embedding) return words(`embedding of length ${Math.hypot(...answer.embedding).toFixed(1)}`);
  if (answer.share) return table(answer.share, (label, i) => swatch(drawing.colours[i]));
  if (answer.probabilities) return table(answer.probabilities, (label, i, value) => bar(value));
  return words(`${answer.raw.length} numbers`);
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

function words(text) {
  const made = document.createElement("p");
  made.textContent = text;
  return made;
}

/** The largest values first; mark(label, index, value): what stands before a row. */
function table(values, mark) {
  const rows = Object.entries(values).map(([label, value], i) => ({ label, value, i }));
  rows.sort((a, b) => b.value - a.value);
  const made = document.createElement("table");
  for (const { label, value, i } of rows.slice(0, MOST).filter((row) => row.value >= 0.005)) {
    const row = made.insertRow();
    row.insertCell().append(mark(label, i, value), ` ${label.replaceAll("_", " ")}`);
    row.insertCell().textContent = percent(value);
  }
  return made;
}

function swatch(colour) {
  const made = document.createElement("span");
  made.className = "swatch";
  made.style.background = `rgb(${colour.join(" ")})`;
  return made;
}

function bar(value) {
  const made = document.createElement("meter");
  made.value = value;
  return made;
}
