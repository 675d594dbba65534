"""`faceptor bench`: what the models cost on this machine, as ratios within one run.

Sections measure (`latency`, `rates`, `growth`, `steps`, `photo`, `stages`, `cost`), `sections` runs them and writes
results/bench/<machine>.json, and `faceptor.analysis.bench_tables` reads that.
"""
