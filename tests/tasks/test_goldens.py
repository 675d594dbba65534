"""Every recorded output of the losses and the metrics of the released code, within its own tolerance."""

import numpy as np
import pytest
import torch

from faceptor.tasks import KINDS, TASKS, TaskSpec
from faceptor.tasks import landmarks as lm
from faceptor.tasks.landmarks import LandmarksPrediction
from faceptor.tasks.losses import age as ages
from faceptor.tasks.losses import landmarks as ll
from faceptor.tasks.measures import f1_per_class
from faceptor.tasks.parsing import ParsingPrediction
from faceptor.tasks.recognition import verify
from tests.goldens import Golden
from tests.models.model_goldens import weight


def leaf(array) -> torch.Tensor:
    return torch.tensor(array, requires_grad=True)


def spec_of(kind: str, queries: int, **options) -> TaskSpec:
    return TaskSpec(f"{kind}_golden", kind, "golden", tuple(f"label_{i}" for i in range(queries)), options)


# --- losses ----------------------------------------------------------------------------------------------------------


def test_cosface(losses):
    spec, label = TASKS["recognition_ms1mv3"], losses["margin.label"]
    criterion = KINDS["recognition"].criterion(spec, classes=1000)
    centres = weight("losses_module.losses.recog_ms1mv3.classifier", (1000, 512))
    assert criterion.classifier.shape == centres.shape
    criterion.classifier.data = centres.clone()
    embedding = leaf(losses.normal("loss:margin:embedding"))
    loss = criterion(embedding, {"identity": torch.tensor(label)})["loss"]
    loss.backward()
    losses.check("margin.loss", loss.detach())
    losses.check("margin.grad_embedding", embedding.grad)
    losses.check("margin.grad_classifier", criterion.classifier.grad)
    losses.check("margin.grad_classifier_at_label_rows", criterion.classifier.grad[label])
    cosines = criterion.cosines(embedding.detach()).detach()
    own = cosines[torch.arange(len(label)), label]
    losses.check("margin.theta_deg", np.degrees(np.arccos(own.double().numpy())))
    # The recorded top-1 is that of the logits with the margin taken off.
    cosines[torch.arange(len(label)), label] -= 0.4
    losses.check("margin.top1", [100 * (cosines.argmax(1).numpy() == label).mean()])


def test_age(losses):
    spec, label = TASKS["age_morph2"], torch.tensor(losses["age.label"])
    logits, years = leaf(losses.normal("loss:age:logits")), torch.arange(101.0)
    parts = KINDS["age"].criterion(spec)(logits, {"age": label})
    parts["loss"].backward()
    losses.check("age.distribution", ages.target_distribution(label.float(), years))
    for name in ("loss", "kl", "l1"):
        losses.check(f"age.{name}", parts[name].detach())
    losses.check("age.grad_logits", logits.grad)
    losses.check("age.expected_age", ages.expected_age(ages.log_distribution(logits.detach()), years))
    losses.check("age.top1", 100 * (logits.argmax(1) == label).float().mean())


@pytest.mark.parametrize("case", ["biattr", "biattr_missing"])
def test_attributes(losses, case):
    label = losses[f"{case}.label"]
    logits = leaf(losses.normal("loss:biattr:logits"))
    loss = KINDS["attributes"].criterion(TASKS["attributes_celeba"])(logits, {"attributes": torch.tensor(label)})[
        "loss"
    ]
    loss.backward()
    losses.check(f"{case}.loss", loss.detach())
    losses.check(f"{case}.grad_logits", logits.grad)
    # The released training accuracy counts unknown labels as wrong; ours does not count them at all.
    yes = (logits.detach() > 0).numpy()
    losses.check(f"{case}.top1", 100 * (yes == label).mean())


def test_expression(losses):
    label, logits = losses["affect.label"], leaf(losses.normal("loss:affect:logits"))
    loss = KINDS["expression"].criterion(TASKS["expression_rafdb"])(logits, {"expression": torch.tensor(label)})["loss"]
    loss.backward()
    losses.check("affect.loss", loss.detach())
    losses.check("affect.grad_logits", logits.grad)
    losses.check("affect.top1", [100 * (logits.argmax(1).numpy() == label).mean()])


def test_parsing(losses):
    recorded = leaf(losses.normal("loss:parsing:logits"))  # channels last, as recorded
    logits = recorded.permute(0, 3, 1, 2)
    target = {"mask": torch.tensor(losses["parsing.label"])}
    loss = KINDS["parsing"].criterion(TASKS["parsing_celebamaskhq"])(logits, target)["loss"]
    loss.backward()
    losses.check("parsing.loss", loss.detach())
    losses.check("parsing.grad_logits", recorded.grad)


@pytest.mark.parametrize(("case", "map_size"), [("align", 0), ("align", 128), ("align64", 128)])
def test_landmarks(losses, case, map_size):
    points = torch.tensor((losses[f"{case}.label"] + 0.5) / 512)
    logits = leaf(losses.normal(f"loss:{case}:heatmap", 2.0))
    criterion = KINDS["landmarks"].criterion(TASKS["landmarks_300w"], map_size=map_size)
    parts = criterion(logits, {"points": points})
    parts["loss"].backward()
    losses.check(f"{case}.loss", parts["loss"].detach())
    losses.check(f"{case}.coord_l1", parts["coordinate"].detach())
    losses.check(f"{case}.heatmap_bce", parts["heatmap"].detach())
    losses.check(f"{case}.grad_heatmap_logits", logits.grad)
    found = leaf(ll.soft_argmax(logits.detach()).numpy())
    losses.check(f"{case}.pred_landmark", found.detach())
    ll.coordinate_loss(found, points).backward()
    losses.check(f"{case}.grad_pred_landmark", found.grad)


def test_heatmap_target(losses):
    points = torch.tensor((losses["align.label"] + 0.5) / 512)
    losses.check("align.normalized_label", points)
    losses.check("align.denormalized128", points * 128 - 0.5)
    heat = ll.render_heatmaps(points, (128, 128)).numpy()
    losses.check("align.target_heatmap_nonzero_count", (heat > 0).sum((-2, -1)))
    losses.check("align.target_heatmap_max", heat.max((-2, -1)))
    losses.check("align.target_heatmap_nonzero_index", np.argwhere(heat > 0))
    losses.check("align.target_heatmap_nonzero_value", heat[heat > 0])


# --- metrics ---------------------------------------------------------------------------------------------------------

CASES = {"300w": "landmarks_300w", "cofw": "landmarks_cofw", "wflw": "landmarks_wflw", "aflw": "landmarks_aflw19"}


@pytest.mark.parametrize("case", CASES)
def test_landmark_metrics(metrics, case):
    spec = TASKS[CASES[case]]
    metric = KINDS["landmarks"].metric(spec)
    for i, (truth, found) in enumerate(zip(metrics[f"{case}.gt"], metrics[f"{case}.pred"], strict=True)):
        box = metrics[f"{case}.box_y1x1y2x2"][i][[1, 0, 3, 2]]
        metric.update(LandmarksPrediction(found, np.ones(len(found))), {"key": str(i), "landmarks": truth, "box": box})
    result = metric.compute()
    outputs = [name for name in metrics.about["outputs"] if name.startswith(f"{case}.")]
    for name in (name for name in outputs if ".nme_" in name):
        metrics.check(name, result[name.split(".")[1]] / 100)
    judged = "nme_box" if case == "aflw" else "nme_inter_ocular"
    if case != "300w":
        metrics.check(f"{case}.per_sample_nme", np.asarray(metric.errors[judged]))
    for normaliser, threshold in spec.options["auc"].items():
        stem = f"{normaliser.removeprefix('nme_')}_{100 * threshold:g}"
        metrics.check(f"{case}.auc_{stem}", result[f"auc_{stem}"] / 100)
        metrics.check(f"{case}.fr_{stem}", result[f"fr_{stem}"] / 100)
        errors = np.asarray(metric.errors[normaliser])
        trapezoid = lm.area_under_curve(errors, threshold, rule="trapezoid")
        metrics.check(f"{case}.auc_{stem}_trapezoid", trapezoid)
        # SciPy before 1.11 integrated an even number of points as the mean of two one-sided rules, which here is the
        # trapezoid; with an odd number (COFW, WFLW) there was never a difference.
        even = len(lm.error_curve(errors, threshold)[0]) % 2 == 0
        metrics.check(f"{case}.auc_{stem}_oldscipy", trapezoid if even else result[f"auc_{stem}"] / 100)


def test_aflw_grid_has_702_points():
    grid, _ = lm.error_curve(np.array([0.01]), 0.07)
    assert len(grid) == 702 and grid[-1] > 0.07
    assert lm.failure_rate(np.array([0.07005, 0.0702]), 0.07) == 0.5
    assert len(lm.error_curve(np.array([0.01]), 0.10)[0]) == 1001


def parsing_metric(spec, truths, founds):
    metric = KINDS["parsing"].metric(spec)
    for truth, found in zip(truths, founds, strict=True):
        metric.update(ParsingPrediction(found), {"mask": truth})
    return metric


@pytest.mark.parametrize(("case", "task"), [("celebam", "parsing_celebamaskhq"), ("lapa", "parsing_lapa")])
def test_f1(metrics, case, task):
    spec, truth, found = TASKS[task], metrics[f"f1_{case}.gt"], metrics[f"f1_{case}.pred"]
    metric = parsing_metric(spec, truth, found)
    metrics.check(f"f1_{case}.per_class", metric.f1())
    metrics.check(f"f1_{case}.fg_mean", metric.compute()["f1_mean"] / 100)
    assert not metric.notes()
    absent = parsing_metric(spec, *(np.where(labels == 3, 1, labels).astype(np.uint8) for labels in (truth, found)))
    metrics.check(f"f1_{case}_absent.per_class", f1_per_class(absent.confusion))
    # The recorded mean is nan; ours leaves the absent class out and says so.
    metrics.check(f"f1_{case}_absent.fg_mean", f1_per_class(absent.confusion)[1:].mean())
    rest = np.delete(absent.f1(), [0, 3])
    assert absent.compute()["f1_mean"] == pytest.approx(100 * rest.mean())
    assert f"f1_{spec.labels[3]}" not in absent.compute()
    assert spec.labels[3] in absent.notes()[0]


def test_age_metrics(metrics):
    spec = TASKS["age_morph2"]
    metric = KINDS["age"].metric(spec)
    for logits, label in zip(torch.tensor(metrics.normal("metric:age:logits", 3)), metrics["age.label"], strict=True):
        metric.update(KINDS["age"].decode(spec, logits, None), {"age": label})
    result = metric.compute()
    for recorded, name in {"mae": "mae", "cs": "cs5", "eps_error": "epsilon_error"}.items():
        metrics.check(f"age.{recorded}", result[name])


def test_attribute_metrics(metrics):
    spec = TASKS["attributes_celeba"]
    metric = KINDS["attributes"].metric(spec)
    pairs = zip(torch.tensor(metrics.normal("metric:biattr:logits")), metrics["biattr.label"], strict=True)
    for logits, label in pairs:
        metric.update(KINDS["attributes"].decode(spec, logits, None), {"attributes": label})
    metrics.check("biattr.mean_acc", metric.compute()["mean_accuracy"])
    metrics.check("biattr.per_attr_acc", 100 * metric.accuracies())


def test_expression_metrics(metrics):
    spec = TASKS["expression_affectnet"]
    metric = KINDS["expression"].metric(spec)
    pairs = zip(torch.tensor(metrics.normal("metric:affect:logits")), metrics["affect.label"], strict=True)
    for logits, label in pairs:
        metric.update(KINDS["expression"].decode(spec, logits, None), {"expression": label})
    metrics.check("affect.acc", metric.compute()["accuracy"])


def test_verification(metrics):
    spec = TASKS["recognition_ms1mv3"]
    views = np.stack([metrics["verification.embeddings"], metrics["verification.embeddings_flip"]], axis=1)
    metric = KINDS["recognition"].metric(spec)
    for row, both in enumerate(torch.tensor(views)):
        sample = {"pair": row // 2, "same": metrics["verification.is_same"][row // 2], "subsets": ("lfw",)}
        metric.update(KINDS["recognition"].decode(spec, both, None), sample)
    result, detail = metric.compute(), metric.results()["lfw"]
    metrics.check("verification.accuracy_mean", result["accuracy_lfw"] / 100)
    metrics.check("verification.accuracy_std", result["std_lfw"] / 100)
    metrics.check("verification.accuracy_per_fold", detail["fold_accuracies"])
    metrics.check("verification.xnorm", result["embedding_norm"])
    summed = views.sum(1)
    assert verify(summed[::2], summed[1::2], metrics["verification.is_same"])["accuracy"] == detail["accuracy"]


def test_every_recorded_output_is_compared():
    """None may be forgotten: run the comparisons again and look at what they touched."""
    losses, metrics = Golden("losses"), Golden("metrics")
    for compare in (test_cosface, test_age, test_expression, test_parsing, test_heatmap_target):
        compare(losses)
    for case in ("biattr", "biattr_missing"):
        test_attributes(losses, case)
    for case in ("align", "align64"):
        test_landmarks(losses, case, 128)
    for compare in (test_age_metrics, test_attribute_metrics, test_expression_metrics, test_verification):
        compare(metrics)
    for case in CASES:
        test_landmark_metrics(metrics, case)
    for case, name in (("celebam", "parsing_celebamaskhq"), ("lapa", "parsing_lapa")):
        test_f1(metrics, case, name)
    for recorded in (losses, metrics):
        outputs = {name for name, about in recorded.about["outputs"].items() if about.get("role") != "input"}
        assert recorded.compared == outputs
