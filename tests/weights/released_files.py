"""Files as the papers' authors publish them, of toy models: our tensors under their names, wrapped by their trainer."""

import torch

from faceptor.config import EncoderConfig, FaceptorConfig, NaiveConfig, load_preset
from faceptor.models.build import build_model
from faceptor.tasks import task
from faceptor.weights.released import faceptor, farl, naive
from faceptor.weights.released.names import QUERY_KEY_VALUE

STATISTICS = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
SHARED = {
    "encoder": {"width": 16, "depth": 4, "heads": 2, "grid": 4, "layers": (1, 2, 4)},
    "embedding": 12,
    "inputs": {"dense": {"size": 64, **STATISTICS}, "face": {"size": 32, **STATISTICS}},
}
CONFIGS = {  # the published shapes of files, at toy sizes
    faceptor: FaceptorConfig(**SHARED, decoder={"width": 16, "depth": 2, "heads": 2, "hidden": 32}),
    naive: NaiveConfig(**SHARED, values={"layers": (2, 3, 4), "width": 8}, maps={"layers": (1, 2, 3, 4), "width": 8}),
    farl: EncoderConfig(**SHARED["encoder"]),
}
BASE = ("age_morph2", "attributes_celeba", "expression_affectnet", "expression_rafdb", "parsing_celebamaskhq")
BASE = (*BASE, "landmarks_300w", "recognition_ms1mv3")
FULL = tuple(load_preset("full").stage1.tasks)


def toy_sizes(monkeypatch) -> None:
    for module, config in CONFIGS.items():
        monkeypatch.setattr(module, "CONFIG", config)


def toy_model(module, *, tasks=BASE, attending=(), seed=0):
    torch.manual_seed(seed)
    model = build_model(CONFIGS[module], [task(name) for name in tasks])
    if attending:
        model.enable_layer_attention(list(attending), "released", init="normal")
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def official_state(module, model) -> dict[str, torch.Tensor]:
    """The tensors of a model as its published file has them, the training-only classifier included."""
    stacks: dict[str, list] = {}
    for name, tensor in model.state_dict().items():
        stacks.setdefault(module.official(name), []).append((name, tensor))
    state = {name: torch.cat([tensor for _, tensor in _in_order(parts)]) for name, parts in stacks.items()}
    state = {name: tensor.reshape(_shape(name, tensor)) for name, tensor in state.items()}
    tied = {n: n.replace("mask_map.1.", "mask_map.1.ln.") for n in state if "mask_map.1." in n}
    state |= {new: state[old] for old, new in tied.items()}
    return state | {"losses_module.losses.x.classifier": torch.ones(3, 12)}


def stage2_states(count: int, *, tasks=FULL):
    """Files of one model, each with a Layer-Attention of its own."""
    states = []
    for seed in range(count):
        model = toy_model(faceptor, tasks=tasks, attending=["age_morph2"])
        torch.manual_seed(100 + seed)
        for parameter in model.layer_attention.parameters():
            torch.nn.init.normal_(parameter)
        states.append(official_state(faceptor, model))
        del states[-1]["losses_module.losses.x.classifier"]
    return states


def farl_state() -> dict[str, torch.Tensor]:
    """A FaRL pre-training file: the image tower with its table for 3 x 3 cells, a pretext head and a text tower."""
    model = toy_model(naive, tasks=BASE[:1])
    names = {name: naive.official(name) for name in model.state_dict() if name.startswith("encoder.")}
    below = "backbone_module.visual."
    state = official_state(naive, model)
    visual = {"visual." + name.removeprefix(below): state[name] for name in names.values()}
    visual["visual.positional_embedding"] = torch.randn(10, 16)
    pretext = {"visual.mask_token": torch.ones(16), "visual.lm_head.weight": torch.ones(3, 16)}
    return (
        visual
        | pretext
        | {"token_embedding.weight": torch.ones(5, 4), "transformer.resblocks.0.ln_1.weight": torch.ones(4)}
    )


def write(path, state, *, wrapped=True):
    """A file as the trainer writes it."""
    content = {"state_dict": {f"module.{n}": t for n, t in state.items()}, "step": 7, "optimizer": {"state": {}}}
    torch.save(content if wrapped else state, path)
    return path


def _in_order(parts):
    def place(entry):
        found = [QUERY_KEY_VALUE.index(word) for word in entry[0].split(".") if word in QUERY_KEY_VALUE]
        return found[-1] if len(parts) > 1 else 0

    return sorted(((name, tensor if tensor.ndim else tensor[None]) for name, tensor in parts), key=place)


def _shape(name, tensor):
    if name.endswith("class_embedding"):
        return (-1,)
    if name.endswith("num_batches_tracked"):
        return ()
    return tensor.shape[1:] if name.endswith("visual.positional_embedding") else tensor.shape
