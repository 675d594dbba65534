"""Slow tests come first: at the end of a run, short ones are left to be dealt out among its processes."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
