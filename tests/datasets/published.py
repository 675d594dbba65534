"""Tiny hand-made data sets in their owners' layouts, written straight from the published descriptions."""

import io
import pickle
import struct
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import simplejpeg
from PIL import Image

from faceptor.datasets import READERS
from faceptor.datasets.labels import CELEBA_40, LFW_73
from faceptor.datasets.reader import Record, Reject

MAGIC = struct.pack("<I", 0xCED7230A)


def read(name, root, split, **options):
    return list(READERS[name](root, **options).read(split))


def good(items):
    return {item.key: item for item in items if isinstance(item, Record)}


def bad(items):
    return {item.key: item for item in items if isinstance(item, Reject)}


def picture(seed=0, height=60, width=50):
    """Smooth, not constant RGB."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.BILINEAR))


def jpg(seed=0, height=60, width=50):
    return simplejpeg.encode_jpeg(np.ascontiguousarray(picture(seed, height, width)), quality=90)


def png(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def put(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def face68(shift=0.0):
    """68 points inside a 50 x 60 picture, image-left eye left of the other."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    xy = np.stack([25 + 15 * np.cos(angle), 30 + 20 * np.sin(angle)], axis=1)
    xy[36:42] = (18, 25)
    xy[42:48] = (32, 25)
    return xy + shift


def pts_text(xy, spaces=" "):
    rows = "\n".join(f"{x:.6f} {y:.6f}" for x, y in xy)
    return f"version:{spaces}1\nn_points:{spaces}{len(xy)}\n{{\n{rows}\n}}\n"


def w300(root):
    """2 afw faces of one photograph, 2 helen, 2 lfpw for training; 1 + 1 common, 2 challenge."""
    faces = {
        "afw/134212_1.jpg": 1, "afw/134212_2.jpg": 2,
        "helen/trainset/100032540_1.jpg": 3, "helen/trainset/2.JPG": 4,
        "lfpw/trainset/image_0001.png": 5, "lfpw/trainset/image_0002.png": 6,
        "helen/testset/296814969_3.jpg": 7, "lfpw/testset/image_0001.png": 8,
        "ibug/image_003_1.jpg": 9, "ibug/image_092 _01.jpg": 10,
    }  # fmt: skip
    for name, seed in faces.items():
        data = png(picture(seed)) if name.endswith("png") else jpg(seed)
        put(root / name, data)
        stem = (root / name).with_suffix("")
        put(stem.parent / f"{stem.name}.pts", pts_text(face68(0.25 * seed) + 1, spaces="  "))
    put(root / "ibug/Thumbs.db", b"junk")


def csv300w(root, name, images):
    """An HRNet list of the given {image name: 0-based points}; its numbers are 2 higher."""
    csv_list(root / name, [(image, np.asarray(xy) + 2) for image, xy in images.items()])


def csv_list(path, faces):
    """An HRNet list of (image name, points as written)."""
    header = ["image_name", "scale", "center_w", "center_h"]
    header += [f"original_{k}_{axis}" for k in range(len(faces[0][1])) for axis in "xy"]
    rows = [",".join(header)]
    for image, written in faces:
        low, high = np.floor(written.min(0)), np.ceil(written.max(0))
        scale, centre = (high - low).max() / 200, (low + high) / 2
        rows.append(",".join([image, f"{scale}", f"{centre[0]}", f"{centre[1]}", *map(str, written.ravel())]))
    put(path, "\n".join(rows) + "\n")


def detections(path, names, box=(4.0, 6, 40, 50)):
    """The owner's detector boxes of 300W: a cell of structs."""
    kinds = [("imgName", object), ("bb_detector", object), ("bb_ground_truth", object)]
    cells = np.empty((1, len(names)), object)
    for n, name in enumerate(names):
        cells[0, n] = np.array([[(name, np.array([box]), np.zeros((1, 4)))]], kinds)
    scipy.io.savemat(put(path, b""), {"bounding_boxes": cells})


def aflw19(root, faces=6, train=4):
    names = np.empty((faces, 1), object)
    data, boxes = np.zeros((faces, 38)), np.zeros((faces, 4))
    for row in range(faces):
        photograph = 0 if row == 1 else row  # the first has two faces
        name = f"{(0, 2, 3)[photograph % 3]}/image{photograph:05d}.jpg"
        names[row, 0] = name
        put(root / "data/flickr" / name, jpg(row))
        data[row, :19] = np.linspace(10, 40, 19) + row
        data[row, 19:] = np.linspace(12, 50, 19)
        boxes[row] = (5, 45, 7, 55)  # left, right, top, bottom
    order = np.array([[row for row in (3, 1, 2, 6, 4, 5) if row <= faces]])
    visible = np.ones((faces, 19))
    visible[3:4, 0] = 0
    scipy.io.savemat(
        root / "AFLWinfo_release.mat",
        {"nameList": names, "bbox": boxes, "data": data, "mask_new": visible, "ra": order},
    )
    put(root / "GENERATED", f"note\ncounts: {{'train': {train}, 'test': {faces - train}}}\n")
    return order[0] - 1


def celebamaskhq(root, partition=("0", "1", "2")):
    home = root
    rows = ["idx  orig_idx  orig_file"]
    for number, _ in enumerate(partition):
        rows.append(f"{number}    {number + 100}   {number + 101:06d}.jpg")
        put(home / f"CelebA-HQ-img/{number}.jpg", jpg(number, 64, 64))
        squares = {"skin": (4, 28), "hair": (0, 12), "eye_g": (10, 16), "l_eye": (11, 15), "neck": (2, 6)}
        for part, (first, last) in squares.items():
            area = np.zeros((32, 32), np.uint8)
            area[first:last, first:last] = 255
            area = np.repeat(area[..., None], 3, axis=2) if part == "hair" else area
            put(home / f"CelebAMask-HQ-mask-anno/0/{number:05d}_{part}.png", png(area))
    put(home / "CelebA-HQ-to-CelebA-mapping.txt", "\n".join(rows) + "\n")
    lines = [f"{number + 101:06d}.jpg {part}" for number, part in enumerate(partition)]
    put(home / "list_eval_partition.txt", "\n".join(lines) + "\n")


def lapa(root):
    for part, count in {"train": 3, "val": 1, "test": 2}.items():
        for number in range(count):
            stem = f"{1000 + number}_{number}"
            put(root / f"LaPa/{part}/images/{stem}.jpg", jpg(number))
            mask = np.zeros((60, 50), np.uint8)
            mask[10:50, 10:40] = 1
            mask[20, 20] = 10
            put(root / f"LaPa/{part}/labels/{stem}.png", png(mask))
            xy = np.stack([np.linspace(5, 45, 106), np.linspace(8, 52, 106)], axis=1)
            xy[[74, 104]], xy[[83, 105]] = (18, 25), (32, 25)
            text = "106\n" + "\n".join(f"{x:.4f} {y:.4f}" for x, y in xy) + "\n"
            put(root / f"LaPa/{part}/landmarks/{stem}.txt", text)


def morph2(root, subjects=20, csv=True):
    header = "id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo"
    rows = [header]
    for subject in range(subjects):
        for number in range(3):
            age = 20 + subject
            photo = f"Album{1 + subject % 2}/{subject:06d}_{number + 1}M{age}.JPG"
            put(root / photo, jpg(subject))
            rows.append(f"{subject:06d},{number + 1},01/01/1980,01/01/2000,W,M,0,{age},0,0,{photo}")
    if csv:
        put(root / "morph_2008_nonCommercial.csv", "\n".join(rows) + "\n")


def affectnet(root):
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    for name, labels in {"training": [0, 6, 7, 10, 3], "validation": [1, 2]}.items():
        rows = [header]
        for number, label in enumerate(labels):
            image = f"{number}/{name}{number}.{('jpg', 'JPG', 'png')[number % 3]}"
            put(root / "Manually_Annotated_Images" / image, png(picture(3)) if image.endswith("png") else jpg(number))
            rows.append(f"{image},4,6,30,40,{';'.join(['1.5'] * 136)},{label},0.1,-0.2")
        put(root / f"{name}.csv", "\n".join(rows) + "\n")


def affectnet_npy(root):
    for part, labels in {"train_set": ["0", "6", "7"], "val_set": ["3"]}.items():
        for number, label in enumerate(labels):
            put(root / f"{part}/images/{number}.jpg", jpg(number))
            (root / part / "annotations").mkdir(parents=True, exist_ok=True)
            value = np.array(label) if number % 2 == 0 else np.array(int(label))
            np.save(root / f"{part}/annotations/{number}_exp.npy", value)
            np.save(root / f"{part}/annotations/{number}_lnd.npy", face68().ravel())


def rafdb(root):
    rows = []
    for number in range(7):
        rows.append(f"train_{number + 1:05d}.jpg {number + 1}")
        put(root / f"basic/Image/aligned/train_{number + 1:05d}_aligned.jpg", jpg(number, 100, 100))
    rows.append("test_0001.jpg 5")
    put(root / "basic/Image/aligned/test_0001_aligned.jpg", jpg(9, 100, 100))
    put(root / "basic/EmoLabel/list_patition_label.txt", "\n".join(rows) + "\n")


def celeba(root, csv=False):
    parts = ["0", "0", "1", "2"]
    values = ["-1", "1"]
    rows = []
    for number, _ in enumerate(parts):
        put(root / f"img_align_celeba/{number + 1:06d}.jpg", jpg(number, 218, 178))
        rows.append([f"{number + 1:06d}.jpg", *[values[(number + k) % 2] for k in range(40)]])
    if csv:
        put(root / "list_attr_celeba.csv", "\n".join(map(",".join, [["image_id", *CELEBA_40], *rows])) + "\n")
        partition = ["image_id,partition", *[f"{row[0]},{part}" for row, part in zip(rows, parts, strict=True)]]
        put(root / "list_eval_partition.csv", "\n".join(partition) + "\n")
        return
    text = [str(len(rows)), " ".join(CELEBA_40) + " ", *["  ".join(row) for row in rows]]
    put(root / "list_attr_celeba.txt", "\n".join(text) + "\n")
    lines = [f"{row[0]} {part}" for row, part in zip(rows, parts, strict=True)]
    put(root / "list_eval_partition.txt", "\n".join(lines) + "\n")


# --- RecordIO -----------------------------------------------------------------------------------------------------


def header(label, key):
    """IRHeader: scalar label, or an array of labels with flag = their number."""
    if np.ndim(label):
        return struct.pack(f"<IfQQ{len(label)}f", len(label), 0.0, key, 0, *label)
    return struct.pack("<IfQQ", 0, label, key, 0)


def framed(content):
    """One logical record as dmlc writes it: cut at every aligned magic, the magic itself left out."""
    cuts = [i for i in range(0, len(content) - 3, 4) if content[i : i + 4] == MAGIC]
    pieces = [content[a:b] for a, b in zip([0, *[c + 4 for c in cuts]], [*cuts, len(content)], strict=True)]
    out = b""
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        flag = 0 if len(pieces) == 1 else 1 if number == 0 else 3 if last else 2
        out += MAGIC + struct.pack("<I", flag << 29 | len(piece)) + piece + b"\0" * (-len(piece) % 4)
    return out


def recordio(root, records, name="train"):
    """records: {key: content}; written in the given order."""
    body, index = b"", []
    for key, content in records.items():
        index.append(f"{key}\t{len(body)}")
        body += framed(content)
    put(root / f"{name}.rec", body)
    put(root / f"{name}.idx", "\n".join(index) + "\n")


def ms1mv3(root, people=6, each=2, pairs=4):
    records, key = {}, 1
    for person in range(people):
        for _ in range(each):
            label = [float(person), 0.0] if key % 2 else float(person)
            records[key] = header(label, key) + jpg(key, 112, 112)
            key += 1
    images = key
    for person in range(people):
        records[key] = header([1.0 + person * each, 1.0 + (person + 1) * each], key)
        key += 1
    records[0] = header([float(images), float(key)], 0)  # at the end, as the owner's writer does
    recordio(root, records)
    put(root / "property", f"{people},112,112")
    faces = [jpg(i, 112, 112) for i in range(2 * pairs)]
    arrays = [np.frombuffer(face, np.uint8)[:, None] if i % 2 else face for i, face in enumerate(faces)]
    flags = [np.bool_(i % 2) if i > 1 else bool(i) for i in range(pairs)]
    put(root / "lfw.bin", pickle.dumps((arrays, flags), protocol=2))
    put(root / "agedb_30.bin", pickle.dumps((arrays, flags), protocol=5))


# --- LFW-73 -------------------------------------------------------------------------------------------------------


def hdf5_mat(path, **variables):
    """Matlab v7.3: arrays with axes reversed, cells as (1, N) references to char or double arrays."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if isinstance(value, np.ndarray):
                file.create_dataset(name, data=value.T).attrs["MATLAB_class"] = np.bytes_("double")
                continue
            group = file.require_group("#refs#")
            references = np.empty((1, len(value)), h5py.ref_dtype)
            for number, item in enumerate(value):
                codes = np.array([[ord(letter)] for letter in item], np.uint16)
                cell = group.create_dataset(f"{name}{number}", data=codes)
                cell.attrs["MATLAB_class"] = np.bytes_("char")
                references[0, number] = cell.ref
            file.create_dataset(name, data=references).attrs["MATLAB_class"] = np.bytes_("cell")
    with open(path, "r+b") as handle:
        handle.write(b"MATLAB 7.3 MAT-file".ljust(116) + b"\0" * 8 + b"\x00\x02IM")


def lfw73(root):
    people = ["Aaron Eckhart", "Aaron Guiel", "Abba Eban", "Zoran Djindjic"]
    names, rng = [], np.random.default_rng(0)
    for person in people:
        under = person.replace(" ", "_")
        for number in (1, 2):
            names.append(f"{under}\\{under}_{number:04d}.jpg")
            put(root / f"lfw/{under}/{under}_{number:04d}.jpg", jpg(number, 250, 250))
    labels = rng.integers(0, 2, (len(names), 73)).astype(float)
    hdf5_mat(root / "lfw_att_73.mat", name=names, label=labels, AttrName=list(LFW_73))
    half = np.arange(1, 5, dtype=float)[:, None]
    hdf5_mat(root / "indices_train_test.mat", indices_img_train=half, indices_img_test=half + 4,
             indices_identity_train=half[:2], indices_identity_test=half[:2] + 2)  # fmt: skip
    rows = ["#lfw attributes of generated text", "\t".join(["#", "person", "imagenum", *LFW_73])]
    for name, label in zip(names, labels, strict=True):
        person, number = name.split("\\")[0].replace("_", " "), int(name[-8:-4])
        rows.append("\t".join([person, str(number), *[f"{(2 * yes - 1) * 0.75:.6f}" for yes in label]]))
    put(root / "lfw_attributes.txt", "\n".join(rows) + "\n")
    return labels


# --- demographics -------------------------------------------------------------------------------------------------


def fairface(root, folder=""):
    rows = {
        "train": ["9.jpg,3-9,Male,White,True", "10.jpg,0-2,Female,Latino_Hispanic,False",
                  "11.jpg,more than 70,Female,Middle Eastern,False"],
        "val": ["1.jpg,10-19,Male,East Asian,True", "2.jpg,60-69,Female,Black,False"],
    }  # fmt: skip
    for part, faces in rows.items():
        table = [f"{part}/{face}" for face in faces]
        put(root / f"fairface_label_{part}.csv", "\n".join(["file,age,gender,race,service_test", *table]) + "\n")
        for number, face in enumerate(table):
            put(root / folder / face.split(",")[0], jpg(number, 64, 64))


def utkface(root, listed=21):
    """Three names in the training list are broken as the owner's are; the ages of the lists are `listed` too low."""
    parts = {
        "train": ["21_0_1_20170117163203851.jpg.chip.jpg", "24_0_1_20170116220224657 .jpg.chip.jpg",
                  "60_1_4_20170109142408075.jpg.chip.jpg", "39_1_20170116174525125.jpg.chip.jpg",
                  "38_0_1_201701162330572788.jpg.chip.jpg", "55_0_0_20170116232725357jpg.chip.jpg"],
        "test": ["40_1_3_20170119165539693.jpg.chip.jpg"],
        "": ["1_0_2_20161219140530307.jpg.chip.jpg", "100_1_0_20170112213500903.jpg.chip.jpg",
             "116_1_0_20170112213500904.jpg.chip.jpg"],
    }  # fmt: skip
    for part, names in parts.items():
        rows = [f"{number},{name},{int(name.split('_')[0]) - listed}" for number, name in enumerate(names)]
        if part:
            put(root / f"utk_{part}.csv", "\n".join([",file,age", *rows]) + "\n")
        for number, name in enumerate(names):
            put(root / "UTKFace" / name, jpg(number, 64, 64))


def lfwa(root):
    """`lfw_att_40.mat` beside the files of LFW-73."""
    lfw73(root)
    labels = np.random.default_rng(1).integers(0, 2, (8, 40)).astype(float)
    names = [str(path.relative_to(root / "lfw")).replace("/", "\\") for path in sorted((root / "lfw").rglob("*.jpg"))]
    attributes = [name.replace("_", " ") for name in CELEBA_40]
    hdf5_mat(root / "lfw_att_40.mat", name=names, label=labels, AttrName=attributes)
    return labels


# Usage, and votes for neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not a face.
FER_VOTES = (
    ("Training", (6, 1, 1, 1, 1, 0, 0, 0, 0, 0)),  # neutral
    ("Training", (5, 5, 0, 0, 0, 0, 0, 0, 0, 0)),  # no majority; the commonest is neutral
    ("Training", (0, 0, 4, 1, 1, 1, 1, 1, 1, 0)),  # surprise: only its votes are not of a single tagger
    ("Training", (1, 0, 0, 0, 0, 0, 0, 9, 0, 0)),  # contempt
    ("Training", (0, 0, 0, 0, 0, 0, 0, 0, 0, 10)),  # not a face
    ("PublicTest", (0, 0, 0, 0, 0, 2, 8, 0, 0, 0)),  # fear
    ("PrivateTest", (0, 0, 0, 0, 7, 0, 0, 0, 3, 0)),  # anger
    ("PrivateTest", (0, 0, 0, 0, 2, 0, 0, 0, 8, 0)),  # unknown
)
FER_COLUMNS = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def fer_faces():
    return np.random.default_rng(0).integers(0, 256, (len(FER_VOTES), 48, 48), np.uint8)


def fer_votes(root):
    rows = [f"Usage,Image name,{FER_COLUMNS}"]
    for number, (usage, votes) in enumerate(FER_VOTES):
        rows.append(",".join([usage, "" if votes[-1] == 10 else f"fer{number:07d}.png", *map(str, votes)]))
    put(root / "fer2013new.csv", "\n".join(rows) + "\n")


def ferplus(root):
    fer_votes(root)
    rows = ["emotion,pixels,Usage"]
    for face, (usage, _) in zip(fer_faces(), FER_VOTES, strict=True):
        rows.append(f"0,{' '.join(map(str, face.ravel()))},{usage}")
    put(root / "fer2013.csv", "\n".join(rows) + "\n")


def ferplus_folders(root, votes_inside=True):
    """Pictures as the owner's tool writes them, with votes in each folder or in one list."""
    folders = {"Training": "FER2013Train", "PublicTest": "FER2013Valid", "PrivateTest": "FER2013Test"}
    tables = {folder: [] for folder in folders.values()}
    for number, (face, (usage, votes)) in enumerate(zip(fer_faces(), FER_VOTES, strict=True)):
        name = f"fer{number:07d}.png"
        if votes[-1] != 10:
            put(root / folders[usage] / name, png(face))
            tables[folders[usage]].append(f'{name},"(0, 0, 48, 48)",{",".join(map(str, votes))}')
    if not votes_inside:
        return fer_votes(root)
    for folder, rows in tables.items():
        put(root / folder / "label.csv", "\n".join(rows) + "\n")


def ffhqaging(root, numbers=(0, 999, 1000, 60000, 69999)):
    rows = ["image_number,age_group,age_group_confidence,gender,gender_confidence,head_pitch,head_roll,head_yaw,"
            "left_eye_occluded,right_eye_occluded,glasses"]  # fmt: skip
    groups = ("0-2", "10-14", "50-69", "70-120", "20-29")
    for number, group in zip(numbers, groups, strict=True):
        gender = ("male", "female")[number % 2]
        rows.append(f"{number},{group},0.9,{gender},0.99,-3.5,1.2,7.0,0.1,0.2,Normal")
        put(root / f"thumbnails128x128/{number // 1000 * 1000:05d}/{number:05d}.png", png(picture(number, 128, 128)))
    put(root / "ffhq_aging_labels.csv", "\n".join(rows) + "\n")


# --- rendered sets ------------------------------------------------------------------------------------------------


def face70(shift=0.0):
    """The 68 points and the pupils, image-left first."""
    xy = face68(shift)
    return np.concatenate([xy, [xy[36:42].mean(axis=0), xy[42:48].mean(axis=0)]])


def facesynthetics(root):
    """Three training faces and a test one, with a corner of no class."""
    for number in (0, 1, 2, 19):
        mask = np.zeros((60, 50), np.uint8)
        mask[10:50, 10:40], mask[20, 15:20], mask[20, 30:35], mask[:5, :5] = 1, 3, 4, 255
        put(root / f"{number:06d}.png", png(picture(number)))
        put(root / f"{number:06d}_seg.png", png(mask))
        put(root / f"{number:06d}_ldmks.txt", "".join(f"{x:.18e} {y:.18e}\n" for x, y in face70(0.25 * number)))
    put(root / "LICENSE.txt", "terms\n")


def digiface(root):
    """People of both kinds of archive; 46 and 100270 are for testing."""
    archives = {"subjects_0-1999_72_imgs": (0, 1, 46), "subjects_100000-133332_5_imgs": (100000, 100270)}
    for archive, people in archives.items():
        for person in people:
            for number in range(3):
                face = png(picture(10 * person + number, 112, 112))
                put(root / archive / str(person) / f"{number}.png", face)


# --- landmarks and head pose -------------------------------------------------------------------------------------


def wflw_line(xy, image, flags="0 1 0 0 0 1", box="5 6 45 55"):
    return f"{' '.join(f'{value:.6f}' for value in np.ravel(xy))} {box} {flags} {image}"


def face98(shift=0.0):
    """98 points inside a 50 x 60 picture, image-left pupil left of the other."""
    xy = np.stack([np.linspace(8, 42, 98), np.linspace(10, 50, 98)], axis=1)
    xy[96], xy[97] = (18, 25), (32, 25)
    return xy + shift


def wflw(root):
    """3 training faces, two of them on one photograph, and 2 test faces."""
    home = root / "WFLW_annotations"
    names = [f"36--Football/36_Football_game_36_{number}.jpg" for number in (1, 2, 3, 4)]
    for number, name in enumerate(names):
        put(root / "WFLW_images" / name, jpg(number))
    train = [wflw_line(face98(0.25 * n), names[n // 2]) for n in range(3)]
    test = [wflw_line(face98(), names[2]), wflw_line(face98(), names[3], flags="1 1 0 0 0 0")]
    put(home / "list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt", "\n".join(train) + "\n")
    put(home / "list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt", "\n".join(test) + "\n")
    for subset, count in {"expression": 2, "blur": 1, "largepose": 1, "makeup": 0}.items():
        put(home / f"list_98pt_test/list_98pt_test_{subset}.txt", "x\n" * count)


def cofw(root, faces=(3, 2)):
    """Images as cells (one of them grey), points counted from 1, point 4 of every face hidden."""
    for (name, end), count in zip((("train", "Tr"), ("test", "T")), faces, strict=True):
        with h5py.File(put(root / f"COFW_{name}_color.mat", b""), "w", userblock_size=512) as file:
            references = np.empty((1, count), h5py.ref_dtype)
            for row in range(count):
                image = picture(row)[..., 0] if row == 1 else picture(row)
                references[0, row] = file.create_dataset(f"#refs#/{row}", data=image.T).ref
            file.create_dataset(f"Is{end}", data=references)
            x, y = np.linspace(10, 40, 29), np.linspace(12, 50, 29)
            x[16:18], y[16:18] = (18, 32), 25
            phi = np.concatenate([x, y, np.arange(29) == 4]).astype(float)
            file.create_dataset(f"phis{end}", data=np.stack([phi] * count, axis=1))
            file.create_dataset(f"bboxes{end}", data=np.array([[6.0, 8, 30, 40]] * count).T)


def pose_mat(path, angles, **points):
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"Pose_Para": np.deg2rad([[*angles, 0, 0, 0, 0]]), **points})


def w300lp(root):
    """Two poses of one photograph, the second beyond 99 degrees, their mirror images, and one of another part."""
    home = root / "300W_LP"
    poses = {"AFW/AFW_1_1_0": (5, 20, -8), "AFW/AFW_1_1_1": (5, 100, -8), "LFPW/LFPW_2_0": (0, -30, 1)}
    for name, angles in poses.items():
        mirrored = name.replace("/", "_Flip/", 1)
        for key, (pitch, yaw, roll) in {name: angles, mirrored: (angles[0], -angles[1], -angles[2])}.items():
            put(home / f"{key}.jpg", jpg(3))
            pose_mat(home / f"{key}.mat", (pitch, yaw, roll), pt2d=face68().T)
        put(home / f"landmarks/{name}_pts.mat", b"")
        pose_mat(home / f"landmarks/{name}_pts.mat", angles, pts_2d=face68(), pts_3d=face68(0.5))
    put(home / "Code/ReadMe.txt", b"junk")


def aflw2000(root):
    for number, angles in {2: (10, 20, 30), 4: (0, -80, 3), 6: (120, 0, 0)}.items():
        put(root / f"AFLW2000/image{number:05d}.jpg", jpg(number))
        solid = np.vstack([face68().T, np.zeros((1, 68))])
        pt2d = np.full((2, 21), -1.0)
        pt2d[:, :4] = [[10, 40, 10, 40], [12, 12, 50, 50]]
        pose_mat(root / f"AFLW2000/image{number:05d}.mat", angles, pt3d_68=solid, pt2d=pt2d)


def biwi(root, sequences=("01", "03", "15")):
    """Two frames each: a head that looks straight ahead, and one turned to the image's left by 30 degrees."""
    cosine, sine = np.cos(np.pi / 6), 0.5
    turned = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    for sequence in sequences:
        home = root / "hpdb" / sequence
        put(home / "rgb.cal", "500 0 320\n0 500 240\n0 0 1\n\n0 0 0 0\n\n1 0 0\n0 1 0\n0 0 1\n\n-25 0 0\n\n640 480\n")
        for frame, matrix in ((3, np.eye(3)), (4, turned)):
            put(home / f"frame_{frame:05d}_rgb.png", png(picture(frame, 480, 640)))
            put(home / f"frame_{frame:05d}_depth.bin", b"junk")
            rows = "\n".join(" ".join(map(str, row)) for row in matrix)
            put(home / f"frame_{frame:05d}_pose.txt", f"{rows} \n\n25 -50 1000 \n")


def w300vw(root):
    """Frames of two test videos, and of one that is for training."""
    for video, frames in {"114": 3, "410": 2, "001": 1}.items():
        for frame in range(1, frames + 1):
            put(root / f"300VW_Dataset_2015_12_14/{video}/imgs/{frame:06d}.jpg", jpg(frame))
            put(root / f"300VW_Dataset_2015_12_14/{video}/annot/{frame:06d}.pts", pts_text(face68() + 1))


BUILDERS = {
    "300w": w300, "aflw19": aflw19, "celebamaskhq": celebamaskhq, "lapa": lapa, "morph2": morph2,
    "affectnet": affectnet, "rafdb": rafdb, "celeba": celeba, "ms1mv3": ms1mv3, "lfw73": lfw73,
    "fairface": fairface, "utkface": utkface, "lfwa": lfwa, "ferplus": ferplus, "ffhqaging": ffhqaging,
    "wflw": wflw, "cofw": cofw, "300wlp": w300lp, "aflw2000": aflw2000, "biwi": biwi, "300vw": w300vw,
    "facesynthetics": facesynthetics, "digiface": digiface,
}  # fmt: skip
