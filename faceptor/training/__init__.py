"""The training loop and what it needs: batches, optimisers, checkpoints, the record of a run."""
