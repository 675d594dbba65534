"""What is in place and what is missing: this machine, the data sets on a disk, a model folder."""
