"""What notebooks and reports show: tables (tidy pandas frames) from models and results, and figures of them.

Tables come from pure functions (`budget` for parameters, `compute` for work and memory, `comparison` for models side
by side, `claims`, `layer_attention`), figures from `figures` and `comparison_figures`; none of them writes a file.
"""
