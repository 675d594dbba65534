"""A photograph's way: detect, frame, crop, predict, draw."""
