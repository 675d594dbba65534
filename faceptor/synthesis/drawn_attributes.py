"""The binary attributes of a drawn face: true where the drawing shows it, None where it cannot.

Thresholds on shapes are scores of `Identity`, put where few people are, so that the attribute is plain to see.
"""

from faceptor.datasets.labels import CELEBA_40, EXPRESSIONS, LFW_73
from faceptor.synthesis.face import Face
from faceptor.synthesis.features import Features
from faceptor.synthesis.head import Head
from faceptor.synthesis.identity import HAIR_COLOURS, HAIR_TEXTURES
from faceptor.synthesis.skin import eye_bags, nasolabial

_OPEN, _WIDE_OPEN = 0.05, 0.2  # gap between the lips, head units
_GREY = 0.55  # share of grey hair from which hair counts as grey rather than as its old colour


def attributes(face: Face, head: Head, features: Features) -> dict[str, bool | None]:
    """Every CelebA and LFW attribute, keyed "celeba:<name>" and "lfw:<name>"."""
    shared = _hair(face) | _beard(face) | _worn(face) | _shape(face, head, features) | _looks(face, head, features)
    lfw = {name.replace("_", " "): value for name, value in shared.items()}
    lfw |= _lfw_photo(face) | _lfw_age(face) | _lfw_face(face, head, features)
    chosen = {f"celeba:{name}": shared[name] for name in CELEBA_40} | {f"lfw:{name}": lfw[name] for name in LFW_73}
    return {name: None if value is None else bool(value) for name, value in chosen.items()}


def _hair(face: Face) -> dict:
    hairy, grey = not face.bald, face.grey > _GREY
    colours = {f"{name.title()}_Hair": hairy and not grey and face.hair_colour == name for name in HAIR_COLOURS}
    # Cropped hair shows neither that it is straight nor that it waves; curls stand off the head at any length.
    long = face.hair_length != "short"
    textures = {
        f"{name.title()}_Hair": hairy and face.person.hair_texture == name and (long or name == "curly")
        for name in HAIR_TEXTURES
    }
    return {
        **colours,
        **textures,
        "Gray_Hair": hairy and grey,
        "Bald": face.bald,
        "Bangs": face.bangs,
        "Receding_Hairline": hairy and not face.hat and face.receding > 0.35,
    }


def _beard(face: Face) -> dict:
    return {
        "5_o_Clock_Shadow": face.stubble,
        "5_o'_Clock_Shadow": face.stubble,
        "Goatee": face.goatee,
        "Mustache": face.mustache,
        "Sideburns": face.sideburns,
        "No_Beard": not (face.mustache or face.goatee or face.beard or face.stubble),
    }


def _worn(face: Face) -> dict:
    return {
        "Eyeglasses": face.eyeglasses,
        "Wearing_Hat": face.hat != "",
        "Wearing_Earrings": face.earrings,
        "Wearing_Lipstick": face.lipstick,
        "Wearing_Necklace": face.necklace,
        "Wearing_Necktie": face.necktie,
        "Heavy_Makeup": face.heavy_makeup,
    }


def _shape(face: Face, head: Head, f: Features) -> dict:
    p = face.person
    return {
        "Arched_Eyebrows": p.brow_arch > 0,
        "Bushy_Eyebrows": p.brow_thickness > 0,
        "Narrow_Eyes": f.eye_open < 0.1,
        "Big_Lips": p.lip_upper > 0 and p.lip_lower > 0,
        "Big_Nose": p.nose_width > 0,
        "Pointy_Nose": p.nose_tip > 0 and p.nose_width < 0,
        "Chubby": _chubby(head),
        "Double_Chin": head.double_chin,
        "High_Cheekbones": p.cheekbone > 0 or head.action.cheek > 0.6,
        "Oval_Face": p.chin_length - p.jaw_width > 1.0,
    }


def _looks(face: Face, head: Head, f: Features) -> dict:
    return {
        "Attractive": None,
        "Male": face.male,
        "Young": face.apparent_age < 40,
        "Pale_Skin": face.person.skin < 0.17,
        "Rosy_Cheeks": face.rosy_cheeks,
        "Bags_Under_Eyes": eye_bags(head) > 0.3,
        "Blurry": face.blur > 0,
        "Smiling": EXPRESSIONS[face.expression] == "happy",
        "Mouth_Slightly_Open": f.mouth_gap > _OPEN,
    }


def _lfw_photo(face: Face) -> dict:
    return {
        "Posed Photo": None,
        "Color Photo": not face.grayscale,
        "Flash": face.flash,
        "Outdoor": face.background == "outdoor",
        "Harsh Lighting": face.light_strength > 0.75 and not face.flash,
        "Soft Lighting": face.light_strength < 0.35,
    }


def _lfw_age(face: Face) -> dict:
    """Age groups, by what the picture shows; a drawing settles neither ancestry nor beauty."""
    age = face.apparent_age
    unknown = ("Asian", "White", "Black", "Indian", "Attractive Man", "Attractive Woman")
    return dict.fromkeys(unknown) | {
        "Baby": age < 3,
        "Child": 3 <= age < 14,
        "Youth": 14 <= age < 25,
        "Middle Aged": 40 <= age < 60,
        "Senior": age >= 60,
    }


def _lfw_face(face: Face, head: Head, f: Features) -> dict:
    p, gap = face.person, f.mouth_gap
    return {
        "Sunglasses": face.sunglasses,
        "No Eyewear": not (face.eyeglasses or face.sunglasses),
        "Obstructed Forehead": face.hat != "",
        "Partially Visible Forehead": not face.hat and face.bangs,
        "Fully Visible Forehead": not face.hat and not face.bangs,
        "Eyes Open": not face.eyes_closed,
        "Brown Eyes": p.eye_colour in ("brown", "dark brown"),
        "Mouth Closed": gap <= _OPEN,
        "Mouth Slightly Open": _OPEN < gap <= _WIDE_OPEN,
        "Mouth Wide Open": gap > _WIDE_OPEN,
        "Teeth Not Visible": gap <= _OPEN or f.teeth <= 0.05,
        "Frowning": EXPRESSIONS[face.expression] in ("sad", "anger"),
        "Round Jaw": p.jaw_shape < -0.3,
        "Square Face": p.jaw_shape > 0.6 and head.jaw / head.width > 0.8,
        "Round Face": _chubby(head) and (head.chin - head.crown) / head.width < 3.05,
        "Strong Nose-Mouth Lines": nasolabial(head) > 0.47,
        "Shiny Skin": face.shiny,
        "Flushed Face": face.flushed,
    }


def _chubby(head: Head) -> bool:
    return head.fat > 0
