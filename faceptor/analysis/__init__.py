"""What notebooks and reports show: tables (tidy pandas frames) from models and results, and figures of them.

Tables come from pure functions (`budget`, `claims`, `layer_attention`), figures from `figures`; none of them writes a
file.
"""
