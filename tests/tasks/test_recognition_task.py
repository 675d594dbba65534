"""Recognition: CosFace, the verification protocol against its plain definition, odd sizes, pairing."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import KFold

from faceptor.errors import ConfigError, DataError
from faceptor.evaluation.samples import VerificationSamples, open_samples
from faceptor.tasks import KINDS, TASKS
from faceptor.tasks.recognition import (
    IdentityPrediction,
    RecognitionMetric,
    pairs_of_identities,
    verify,
)

KIND, SPEC = KINDS["recognition"], TASKS["recognition_ms1mv3"]


def faces(pairs, rng, noise=1.0, size=16):
    """Embeddings of pairs, alternately of the same and of different faces."""
    a = rng.standard_normal((pairs, size))
    same = np.arange(pairs) % 2 == 0
    b = np.where(same[:, None], a + noise * rng.standard_normal((pairs, size)), rng.standard_normal((pairs, size)))
    return a, b, same


def plain_protocol(a, b, same):
    """The protocol as it is worded, with loops."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    distance = ((a - b) ** 2).sum(1)
    thresholds, accuracies = np.arange(0, 4, 0.01), []
    for train, test in KFold(10, shuffle=False).split(distance):
        scores = [((distance[train] < t) == same[train]).mean() for t in thresholds]
        accuracies.append(((distance[test] < thresholds[int(np.argmax(scores))]) == same[test]).mean())
    return np.array(accuracies)


@pytest.mark.parametrize("pairs", [20, 97, 300])
def test_verify_is_the_protocol(pairs):
    a, b, same = faces(pairs, np.random.default_rng(pairs))
    result = verify(a, b, same)
    np.testing.assert_allclose(result["fold_accuracies"], plain_protocol(a, b, same))
    assert result["accuracy"] == pytest.approx(result["fold_accuracies"].mean())
    assert result["std"] == pytest.approx(result["fold_accuracies"].std())


def test_verify_ignores_length_and_reports_a_rising_roc():
    rng = np.random.default_rng(0)
    a, b, same = faces(200, rng)
    result, scaled = verify(a, b, same), verify(a * rng.uniform(1, 9, (200, 1)), b * 3, same)
    np.testing.assert_array_equal(result["fold_accuracies"], scaled["fold_accuracies"])
    for rate in ("fpr", "tpr"):
        assert result[rate].shape == (400,) and (np.diff(result[rate]) >= 0).all() and result[rate][0] == 0
    assert (result["tpr"] >= result["fpr"]).mean() > 0.95


@pytest.mark.parametrize("pairs", [2, 3, 9, 10, 11])
def test_few_pairs_still_work(pairs):
    a, b, same = faces(pairs, np.random.default_rng(1), noise=0.01)
    result = verify(a, b, same)
    assert len(result["fold_accuracies"]) == min(pairs, 10) and 0 <= result["accuracy"] <= 1


def test_one_pair_is_not_enough():
    with pytest.raises(DataError, match="at least 2"):
        verify(np.ones((1, 4)), np.ones((1, 4)), np.array([True]))


def test_clear_faces_are_all_recognised():
    a, b, same = faces(100, np.random.default_rng(2), noise=0.01, size=256)
    assert verify(a, b, same)["accuracy"] == 1


def test_full_size_set_is_quick_enough_to_be_routine():
    a, b, same = faces(6000, np.random.default_rng(3), size=512)
    assert verify(a, b, same)["accuracy"] > 0.9


def test_constant_embedding_is_chance():
    found = KIND.constant_baseline(SPEC, None)
    metric = KIND.metric(SPEC)
    for row in range(80):
        sample = {"pair": row // 2, "same": row // 2 % 2 == 0, "subsets": ("lfw",)}
        metric.update(found(sample, None), sample)
    assert metric.compute()["accuracy"] == 50


def test_mean_over_sets_and_lone_images():
    rng, metric = np.random.default_rng(4), RecognitionMetric(SPEC)
    for name, noise in {"lfw": 0.01, "cplfw": 3.0}.items():
        a, b, same = faces(40, rng, noise=noise, size=64)
        for pair in range(40):
            for embedding in (a[pair], b[pair]):
                metric.update(IdentityPrediction(embedding), {"pair": pair, "same": same[pair], "subsets": (name,)})
    metric.update(IdentityPrediction(a[0]), {"pair": 40, "same": True, "subsets": ("lfw",)})
    result = metric.compute()
    assert result["accuracy"] == pytest.approx((result["accuracy_lfw"] + result["accuracy_cplfw"]) / 2)
    assert result["accuracy_lfw"] == 100 and metric.notes() == ["lfw: 1 pairs with one image left out"]


def test_decode_adds_the_mirrored_embedding():
    raw = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    both, alone = KIND.decode(SPEC, raw, None), KIND.decode(SPEC, raw[0], None)
    np.testing.assert_array_equal(both.embedding, [3, 5])
    assert both.norm == 3 and alone.norm == 5
    np.testing.assert_array_equal(alone.embedding, [3, 4])


def test_pairs_of_identities():
    identities = np.array([7, 3, 7, 3, 5, 7])
    a, b, same = pairs_of_identities(identities)
    assert (identities[a] == identities[b]).tolist() == same.tolist() == [True, False] * 3
    with pytest.raises(DataError, match="identities"):
        pairs_of_identities(np.array([1, 1, 1]))
    with pytest.raises(DataError, match="identities"):
        pairs_of_identities(np.array([1, 2, 3]))


def test_validation_images_are_paired_by_identity():
    metric = KIND.metric(SPEC)
    for index in range(40):
        direction = np.zeros(16)
        direction[index % 8] = 1
        metric.update(IdentityPrediction(direction, 1.0), {"identity": index % 8})
    assert metric.compute()["accuracy_identities"] == 100


def test_verification_samples_come_pair_by_pair(monkeypatch, tmp_path):
    class Set(list):
        same = np.array([True, False])

    sets = {"lfw": Set(np.zeros((4, 8, 8, 3), np.uint8)), "cplfw": Set(np.ones((4, 8, 8, 3), np.uint8))}
    monkeypatch.setattr("faceptor.evaluation.samples.verification_sets", lambda folder: tuple(sets))
    monkeypatch.setattr("faceptor.evaluation.samples.open_verification", lambda folder, name: sets[name])
    samples = open_samples(SPEC, tmp_path, "test")
    assert len(samples) == 8
    assert [(s["subsets"][0], s["pair"], s["same"]) for s in (samples[1], samples[6])] == [
        ("lfw", 0, True),
        ("cplfw", 1, False),
    ]
    assert samples[6]["size"] == (8, 8) and samples[6]["key"] == "cplfw/2"
    with pytest.raises(IndexError):
        samples[8]
    sets.clear()
    with pytest.raises(DataError, match="no verification sets"):
        VerificationSamples(tmp_path)


# --- CosFace ---------------------------------------------------------------------------------------------------------


def test_margin_lowers_the_true_class_only():
    raw, label = torch.randn(3, 8), torch.tensor([0, 2, 1])
    criterion = KIND.criterion(SPEC, classes=4, scale=10.0, margin=0.3, embedding=8)
    cosines = torch.nn.functional.cosine_similarity(raw[:, None], criterion.classifier[None], dim=2)
    lowered = cosines - 0.3 * torch.nn.functional.one_hot(label, 4)
    expected = torch.nn.functional.cross_entropy(10 * lowered, label)
    torch.testing.assert_close(criterion(raw, {"identity": label})["loss"], expected)


def test_classifier_is_the_only_parameter_and_repeats_with_the_seed():
    weights = []
    for _ in range(2):
        torch.manual_seed(3)
        criterion = KIND.criterion(SPEC, classes=6)
        weights.append(criterion.classifier.detach().clone())
    assert [name for name, _ in criterion.named_parameters()] == ["classifier"]
    assert weights[0].shape == (6, 512) and (weights[0] == weights[1]).all()
    assert weights[0].abs().max() <= 512**-0.5


def test_bad_identities_raise():
    criterion = KIND.criterion(SPEC, classes=4)
    with pytest.raises(DataError, match="identity"):
        criterion(torch.randn(1, 512), {"identity": torch.tensor([4])})
    with pytest.raises(DataError, match="identity"):
        KIND.target(SPEC, {"key": "x", "identity": -1}, None)
    with pytest.raises(ConfigError, match="identities"):
        KIND.criterion(SPEC)
